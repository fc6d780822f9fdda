"""One client in many threads, in a forked child, and in a pickle."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent, indent
from typing import Any

import anyio
import pytest
from timing import PATIENCE, PROMPT, SHORT

import qwen72b.client.plans
from qwen72b import AsyncClient, Client, Qwen72BError, Retry, StreamInterrupted, Timeout
from qwen72b.testing import FakeSpace, Gate, Respond, Stall
from qwen72b.transport.latch import Latch


def phases(space: FakeSpace) -> list[str]:
    return [request.phase for request in space.requests]


def test_many_threads_read_the_config_once() -> None:
    """Threads that start together read the configuration once, and each gets its own answer."""
    with FakeSpace() as space, Client(space.url) as client:
        space.answer(lambda job: [f"You said {job.query}", "."], times=None)
        start = threading.Barrier(20)

        def ask(number: int) -> str:
            start.wait(PATIENCE)
            return client.ask(f"{number}")

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(ask, range(20)))
        assert answers == [f"You said {number}." for number in range(20)]
        assert phases(space).count("config") == 1
        assert len({job.session_hash for job in space.jobs}) == 20


def test_whoever_waits_for_the_config_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known before anybody is told that it has come."""

    class Slow(Latch):
        def set(self) -> None:
            super().set()
            # Time for those who wait to look.
            threading.Event().wait(SHORT)

    monkeypatch.setattr(qwen72b.client.plans, "Latch", Slow)
    with FakeSpace() as space, Client(space.url) as client, ThreadPoolExecutor(8) as pool:
        start = threading.Barrier(8)
        list(pool.map(lambda _: start.wait(PATIENCE) + len(client.ask("Hi")), range(8)))
        assert phases(space).count("config") == 1


def test_many_threads_keep_their_connections(caplog: pytest.LogCaptureFixture) -> None:
    """Connections are kept and used again, however many threads there are."""
    with FakeSpace() as space, Client(space.url) as client, ThreadPoolExecutor(30) as pool:
        for _ in range(3):
            list(pool.map(client.ask, ["Hi"] * 30))
        assert space.connections <= 30
    assert not caplog.records


def test_failed_config_does_not_fail_the_others() -> None:
    """A thread that waits for another's configuration reads it itself if that one fails."""
    with FakeSpace() as space, Client(space.url, retry=Retry(attempts=1)) as client:
        gate = Gate()
        space.fault("config", gate, Respond(status=500))
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(client.ask, "Hi")
            gate.wait_reached()
            second = pool.submit(client.ask, "Hi")
            gate.open()
            assert isinstance(first.exception(PROMPT), Qwen72BError)
            assert second.result(PROMPT)


def test_waiting_for_the_config_of_another_thread() -> None:
    """Who waits for another thread's configuration keeps to its own clocks and can be closed."""
    with FakeSpace() as space, Client(space.url) as client:
        space.fault("config", Stall())
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(client.ask, "Hi")
            space.wait_for_request("config")
            with pytest.raises(Qwen72BError) as caught:
                client.ask("Hi", timeout=SHORT)
            assert caught.value.phase == "total"
            stream = client.stream("Hi", timeout=Timeout(read=None))
            second = pool.submit("".join, stream)
            client.close()
            assert isinstance(first.exception(PROMPT), StreamInterrupted)
            assert isinstance(second.exception(PROMPT), StreamInterrupted)


def test_streams_side_by_side_in_one_thread() -> None:
    """Several streams of one client can be read in turn."""
    with FakeSpace() as space, Client(space.url) as client:
        space.answer("a", "b", "c", times=None)
        streams = [client.stream("Hi") for _ in range(5)]
        assert ["".join(chunks) for chunks in zip(*streams, strict=True)] == [
            "aaaaa",
            "bbbbb",
            "ccccc",
        ]


def test_two_threads_on_one_stream() -> None:
    """Two threads may read one stream: each chunk goes to one of them."""
    with FakeSpace() as space, Client(space.url) as client:
        pieces = [f"{number} " for number in range(200)]
        space.answer(*pieces)
        stream = client.stream("Hi")
        with ThreadPoolExecutor(2) as pool:
            parts = list(pool.map(lambda _: [*_take(stream)], range(2)))
        assert sorted(parts[0] + parts[1]) == sorted(pieces)


def _take(stream: Any) -> Any:
    while (chunk := next(stream, None)) is not None:
        yield chunk


@pytest.mark.anyio
async def test_many_tasks() -> None:
    """More tasks than anyio has threads wait at once."""
    with FakeSpace() as space:
        gate = Gate()
        space.answer("Hel", gate, "lo", times=None)
        texts = []

        async def ask(client: AsyncClient) -> None:
            texts.append(await client.ask("Hi"))

        async with AsyncClient(space.url) as client:
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as group:
                    for _ in range(60):
                        group.start_soon(ask, client)
                    await anyio.to_thread.run_sync(
                        lambda: space.wait_for_job("running", 60, timeout=PATIENCE)
                    )
                    gate.open()
        assert texts == ["Hello"] * 60
        assert phases(space).count("config") == 1


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_copied_client(clone: Any) -> None:
    """A copy of a client, by pickle or copy, is a client of its own."""
    with FakeSpace(token="hf_secret") as space:
        retry, timeout = Retry(attempts=2), Timeout(total=9)
        client = Client(space.url, token="hf_secret", retry=retry, timeout=timeout)
        other = clone(client)
        client.close()
        with other:
            assert (other.base_url, other.retry, other.timeout) == (space.url, retry, timeout)
            assert other.ask("Hi")


@pytest.mark.anyio
async def test_pickled_async_client() -> None:
    """An async client can be pickled, too."""
    with FakeSpace() as space:
        async with pickle.loads(pickle.dumps(AsyncClient(space.url, max_threads=3))) as client:
            assert await client.ask("Hi")


FORK = """
import os, sys
from qwen72b import Client, StreamInterrupted
client = Client(sys.argv[1])
client.ask("warm up")
stream = client.stream("Hi")
assert next(stream) == "Hel"
child = os.fork()
if child == 0:
    code = 1
    try:
{child}
        code = 0
    finally:
        sys.stderr.flush()
        {leave}
_, status = os.waitpid(child, 0)
assert status == 0, status
print("child is done", flush=True)
assert "".join(stream) == "lo", stream.text
assert client.ask("again")
"""

CHILDREN = {
    "asks": "assert client.ask('from the child')",
    "drops_the_stream": "del stream",
    "closes_the_stream": "stream.close()",
    "closes_the_client": "client.close()",
    "reads_the_stream": """
        try:
            next(stream)
        except StreamInterrupted as error:
            assert "fork" in str(error)
            assert error.partial == "Hel"
        else:
            raise AssertionError""",
    "does_nothing": "pass",
}


@pytest.mark.parametrize("leave", ["os._exit(code)", "sys.exit(code)"])
@pytest.mark.parametrize("child", CHILDREN.values(), ids=CHILDREN)
def test_fork(child: str, leave: str) -> None:
    """A forked child has connections of its own; whatever it does, the parent's stream goes on."""
    with FakeSpace() as space:
        gate = Gate()
        space.answer("Hello", times=1)
        space.answer("Hel", gate, "lo", times=1)
        code = FORK.format(child=indent(dedent(child), " " * 8), leave=leave)
        with subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, space.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout.readline() == "child is done\n" or process.stderr.read() == ""
                gate.open()
                _, errors = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        assert process.returncode == 0, errors
        assert errors == ""


FORK_IN_THREADS = """
import os, sys, threading
from qwen72b import Client
client = Client(sys.argv[1])
reader = threading.Thread(target=lambda: client.ask("Hi"))
reader.start()
sys.stdin.readline()
child = os.fork()
if child == 0:
    os._exit(0 if client.ask("from the child") else 1)
_, status = os.waitpid(child, 0)
print(status, flush=True)
reader.join()
"""


def test_fork_while_another_thread_reads_the_config() -> None:
    """A child that is forked while another thread is at work does not wait for that thread."""
    with FakeSpace() as space:
        gate = Gate()
        space.fault("config", gate)
        with subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK_IN_THREADS, space.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                gate.wait_reached(PATIENCE)
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == "0\n"
            finally:
                gate.open()
                process.kill()
