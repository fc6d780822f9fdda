"""Should a private part of urllib3 go, on which the clocks stand, they hold all the same."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import trustme
from askers import ASKERS, ONCE, check_error
from slowness import HEARTBEATS, SLOW, full_backlog, slow_names
from timing import AMPLE, PATIENCE, PROMPT, SHORT

from qwen72b import Client, RequestTimeout, StreamInterrupted, Timeout
from qwen72b.testing import FakeProxy, FakeSpace, Gate, Send, Stall
from qwen72b.transport import connections

__all__ = ["slow_names"]


@pytest.fixture(autouse=True)
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """urllib3 opens its sockets itself, as if it had given ``_new_conn`` another name."""
    monkeypatch.delattr(connections.CallConnection, "_new_conn")
    # Said once in a process; what follows knows nothing of it again.
    monkeypatch.setattr(connections, "_warned", False)


def check_timeout(error: Any, phase: str, partial: str = "") -> None:
    check_error(error, RequestTimeout, partial)
    assert error.phase == phase, error


@pytest.mark.parametrize("way", ASKERS)
def test_answer(way: str) -> None:
    """Answers come as ever, on connections that are kept."""
    with FakeSpace() as space:
        space.answer("Hel", "lo")
        assert ASKERS[way](space.url).chunks == ["Hel", "lo"]
        assert space.connections <= 2


def test_connections_are_used_again() -> None:
    """The next question goes over the connection of the last one."""
    with FakeSpace() as space, Client(space.url) as client:
        for _ in range(3):
            assert client.ask("Hi")
        assert space.connections <= 2


def test_guards_that_begin_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that guards a connection leaves it alone where it is the next question's by then."""
    begin, gate, run = threading.Event(), Gate(), threading.Thread.run

    def late(thread: threading.Thread) -> None:
        if thread.name == "qwen72b-watch":
            begin.wait(PATIENCE)
        run(thread)

    monkeypatch.setattr(threading.Thread, "run", late)
    with FakeSpace() as space, Client(space.url) as client:
        space.answer("Hello", times=1)
        space.answer("Hel", gate, "lo")
        assert client.ask("Hi") == "Hello"
        guards = [thread for thread in threading.enumerate() if thread.name == "qwen72b-watch"]
        with client.stream("Hi") as stream:
            assert next(stream) == "Hel"
            begin.set()
            for guard in guards:
                guard.join(PATIENCE)
            gate.open()
            assert stream.result() == "Hello"
        assert guards


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("clock", ["connect", "total"])
def test_connection_that_does_not_come(way: str, clock: str) -> None:
    """A connection that nobody accepts is given up."""
    with full_backlog() as url:
        check_timeout(ASKERS[way](url, timeout=Timeout(**{clock: SHORT})).error, clock)


@pytest.mark.parametrize("way", ASKERS)
def test_slow_name_lookup(way: str, slow_names: None) -> None:
    """A name lookup that takes for ever is left behind."""
    answer = ASKERS[way]("http://space.invalid", timeout=Timeout(connect=SHORT))
    check_timeout(answer.error, "connect")


@pytest.mark.parametrize("where", ["config", "join", "stream"])
@pytest.mark.parametrize("clock", ["read", "total"])
@pytest.mark.parametrize("steps", [slow[1] for slow in SLOW], ids=[slow[0] for slow in SLOW])
def test_slow_request(clock: str, where: str, steps: Sequence[Any]) -> None:
    """Neither silence nor a trickle outlasts its clock, status line and head included."""
    with FakeSpace() as space:
        space.fault(where, *steps, times=None)
        answer = ASKERS["sync"](space.url, timeout=Timeout(**{clock: 3 * SHORT}))
        check_timeout(answer.error, clock)


@pytest.mark.parametrize("way", ["asyncio", "trio"])
@pytest.mark.parametrize("steps", [slow[1] for slow in SLOW], ids=[slow[0] for slow in SLOW])
def test_slow_request_on_a_loop(way: str, steps: Sequence[Any]) -> None:
    """Nor on an event loop."""
    with FakeSpace() as space:
        space.fault("stream", *steps, times=None)
        check_timeout(ASKERS[way](space.url, timeout=3 * SHORT).error, "total")


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("steps", [[Stall()], [HEARTBEATS]], ids=["silence", "heartbeats"])
def test_slow_stream(way: str, steps: Sequence[Any]) -> None:
    """What had come of an answer is kept when the clock ends it, and the Space hears the end."""
    with FakeSpace() as space:
        space.answer("Hel", *steps)
        check_timeout(ASKERS[way](space.url, timeout=AMPLE).error, "total", "Hel")
        space.wait_for_disconnect()


def test_slow_tls() -> None:
    """The connect clock covers the TLS handshake."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FakeSpace(tls=context) as space:
        space.fault("connect", Send(b"\x16\x03\x03\x3f\xff"), Stall(), times=None)
        answer = ASKERS["sync"](space.url, timeout=Timeout(connect=SHORT))
        check_timeout(answer.error, "connect")


def test_slow_proxy() -> None:
    """It covers a proxy that never opens the tunnel, too."""
    with FakeProxy() as proxy:
        proxy.fault(Stall())
        answer = ASKERS["sync"](
            "https://space.invalid", proxy=proxy.url, timeout=Timeout(connect=SHORT)
        )
        check_timeout(answer.error, "connect")


@pytest.mark.parametrize("where", ["config", "join", "stream"])
def test_closing(where: str) -> None:
    """A client that is closed in another thread wakes who waits for a head."""
    with FakeSpace() as space, Client(space.url) as client, ThreadPoolExecutor(1) as pool:
        space.fault(where, Stall())
        asked = pool.submit(client.ask, "Hi")
        space.wait_for_request(where)
        client.close()
        assert isinstance(asked.exception(PROMPT), StreamInterrupted)


def test_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The log says once that things are slower than they should be, and why."""
    caplog.set_level(logging.WARNING, "qwen72b")
    with FakeSpace() as space, Client(space.url) as client:
        for _ in range(3):
            assert client.ask("Hi")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "urllib3" in record.getMessage()


def test_own_session_needs_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A caller's own session never had our connections."""
    caplog.set_level(logging.WARNING, "qwen72b")
    with FakeSpace() as space, requests.Session() as session:
        assert ASKERS["sync"](space.url, session=session, retry=ONCE).text
    assert not caplog.records
