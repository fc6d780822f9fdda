"""A FakeSpace that is closed leaves nothing, whatever its clients do."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import pytest
from raw_client import Raw, connect, join, stream_target
from timing import PATIENCE

from qwen72b.testing import (
    Burst,
    CutAfter,
    FakeSpace,
    Gate,
    Pause,
    Proceed,
    Repeat,
    Stall,
    Step,
    Throttle,
)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """No thread and no descriptor is there after a test that was not before it."""
    # One that was there, of an event loop of another test, may have ended.
    threads, files = set(threading.enumerate()), len(os.listdir("/dev/fd"))
    yield
    assert set(threading.enumerate()) <= threads
    assert len(os.listdir("/dev/fd")) <= files


@pytest.mark.parametrize(
    "step",
    [Stall(), Pause(600), Gate(), Repeat("x", interval=0.001), Burst(["x" * 1000] * 5_000)],
)
def test_close_ends_whatever_a_script_does(step: Step) -> None:
    """A script that waits, repeats, or fills a socket that nobody reads ends at once."""
    with contextlib.ExitStack() as stack:
        space = stack.enter_context(FakeSpace())
        raw = stack.enter_context(Raw(space))
        space.answer("one", step)
        join(space)
        raw.ask(stream_target(space))
        raw.until(b'"one"')
        space.close()
        space.close()
        assert space.open_connections == 0
        assert [job.state for job in space.jobs] == ["broken"]


@pytest.mark.parametrize("where", ["connect", "config"])
@pytest.mark.parametrize("steps", [(Stall(),), (Throttle(1, 60.0), Proceed(), CutAfter(1))])
def test_close_ends_faults(where: str, steps: tuple[Step, ...]) -> None:
    """A fault that holds a connection lets it go."""
    space = FakeSpace()
    space.fault(where, *steps)
    with Raw(space) as raw:
        raw.ask()
        if where == "config":
            space.wait_for_request("config")
        space.close()


def test_close_ends_idle_connections() -> None:
    """A connection that is kept alive is closed, and its client sees the end."""
    space = FakeSpace()
    connection = connect(space)
    connection.request("GET", "/config")
    connection.getresponse().read()
    space.close()
    with contextlib.suppress(ConnectionResetError):
        assert connection.sock.recv(1) == b""
    connection.close()


def test_closed_port_is_free() -> None:
    """After the end nobody listens."""
    with FakeSpace() as space:
        pass
    with pytest.raises(ConnectionRefusedError):
        connect(space).connect()


def test_close_while_refusing() -> None:
    """A Space may be closed while its port is."""
    with FakeSpace() as space:
        space.refuse()


def test_connections_come_and_go() -> None:
    """Many short connections leave nothing behind, in the Space as well."""
    with FakeSpace() as space:
        for _ in range(200):
            with Raw(space) as raw:
                raw.ask()
                raw.until(b'"protocol"')
        space.wait_until_idle()
        assert space.connections == 200


def test_script_that_does_not_return_is_named() -> None:
    """A test's own callable that blocks is an error, not a test that hangs."""
    entered, blocked = threading.Event(), threading.Event()
    space = FakeSpace()

    def block(job: object) -> list[str]:
        entered.set()
        blocked.wait()
        return []

    space.answer(block)
    join(space)
    with Raw(space) as raw:
        raw.ask(stream_target(space))
        assert entered.wait(PATIENCE)
        with pytest.raises(RuntimeError, match="did not return"):
            space.close(timeout=0.05)
        blocked.set()
        space.close()
