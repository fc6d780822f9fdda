"""Leaving early, in every way there is: at once, heard by the server, and nothing stays."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import requests
from timing import PATIENCE, PROMPT

from qwen72b import (
    AsyncClient,
    Client,
    GenerationFailed,
    InvalidRequest,
    Qwen72BError,
    Qwen_Qwen_2_72B,
    Retry,
    StreamInterrupted,
)
from qwen72b.testing import (
    Chunk,
    Fail,
    FakeSpace,
    Gate,
    Heartbeat,
    Repeat,
    Respond,
    Send,
    Shape,
    Stall,
    Start,
    Trickle,
)

LEAVERS: dict[str, Callable[[Any], object]] = {
    "close": lambda stream: stream.close(),
    "cancel": lambda stream: stream.cancel(),
    "exit": lambda stream: stream.__exit__(None, None, None),
}


@pytest.mark.parametrize("version", ["4.0.2", "4.36.1", "6.0.2"])
def test_break_hangs_up(version: str) -> None:
    """Leaving the loop early hangs up, which is what stops the job."""
    with FakeSpace(version) as space, Client(space.url) as client:
        space.answer("Hel", Stall())
        for chunk in client.stream("Hi"):
            assert chunk == "Hel"
            break
        space.wait_for_disconnect()
        assert "/cancel" not in {request.path for request in space.requests}


@pytest.mark.parametrize("leave", LEAVERS.values(), ids=LEAVERS)
def test_leaving_hangs_up(leave: Callable[[Any], object]) -> None:
    """close(), cancel() and the end of a with block hang up; again they do nothing."""
    with FakeSpace() as space, Client(space.url) as client:
        space.answer("Hel", Stall())
        stream = client.stream("Hi")
        assert next(stream) == "Hel"
        leave(stream)
        leave(stream)
        space.wait_for_disconnect()
        assert stream.closed and stream.text == "Hel"
        with pytest.raises(StreamInterrupted) as caught:
            next(stream)
        assert caught.value.partial == "Hel"
        with pytest.raises(StreamInterrupted):
            stream.result()


def test_dropping_the_last_reference_hangs_up() -> None:
    """A stream that nobody holds is hung up without a garbage collection."""
    with FakeSpace() as space, Client(space.url) as client:
        space.answer("Hel", Stall(), times=None)
        gc.disable()
        try:
            stream = client.stream("Hi")
            assert next(stream) == "Hel"
            del stream
            space.wait_for_disconnect(1)
            chunks = iter(client.stream("Hi"))
            assert next(chunks) == "Hel"
            del chunks
            space.wait_for_disconnect(2)
            events = client.stream("Hi").events()
            next(events)
            del events
            space.wait_for_disconnect(3)
        finally:
            gc.enable()


def test_client_without_a_with_block() -> None:
    """A client that is merely dropped leaves no socket."""
    with FakeSpace() as space:
        assert Client(space.url).ask("Hi")
        gc.collect()
        space.wait_until_idle()


# Where a reader may be blocked: name, script of the config, of the join, of the stream.
BLOCKED: list[tuple[str, dict[str, Any]]] = [
    ("accept", {"connect": []}),
    ("config", {"config": [Stall()]}),
    ("config_head", {"config": [Repeat(Trickle(b"HTTP/1.1 200 OK\r\nX: y\r\n", 0.01))]}),
    ("config_body", {"config": [Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), Stall()]}),
    ("join", {"join": [Stall()]}),
    ("stream", {"stream": [Stall()]}),
    ("stream_head", {"stream": [Send(b"HTTP/1.1 200 OK\r\nX:"), Stall()]}),
    ("queue", {"answer": [Stall()]}),
    ("started", {"answer": [Start(), Stall()]}),
    ("text", {"answer": ["Hel", Stall()]}),
    ("heartbeats", {"answer": ["Hel", Repeat(Heartbeat(), interval=0.01)]}),
    ("trickle", {"answer": ["Hel", Repeat(Chunk(b"x"), interval=0.01)]}),
    ("pause", {"join": [Respond(status=429, headers={"Retry-After": "20"})]}),
]

blocked = pytest.mark.parametrize("script", [b[1] for b in BLOCKED], ids=[b[0] for b in BLOCKED])


def order(space: FakeSpace, script: dict[str, Any]) -> Callable[[], object]:
    """Order a script; return what waits until the reader must be blocked in it."""
    ((place, steps),) = script.items()
    if place == "connect":
        gate = Gate()
        space.fault("connect", gate)
        return gate.wait_reached
    if place == "answer":
        space.answer(*steps)
        return lambda: space.wait_for_job("running", timeout=PROMPT)
    space.fault(place, *steps)
    return lambda: space.wait_for_request(place, timeout=PROMPT)


@blocked
@pytest.mark.parametrize("end", ["stream", "client"])
def test_close_from_another_thread(end: str, script: dict[str, Any]) -> None:
    """Wherever a reader is blocked, a close from another thread wakes it with a clear error."""
    with FakeSpace() as space, Client(space.url) as client:
        wait = order(space, script)
        with reading(client) as (stream, errors):
            wait()
            (stream if end == "stream" else client).close()
        assert isinstance(errors[0], StreamInterrupted)
        assert "close()" in str(errors[0])
        assert ("Client.close()" in str(errors[0])) == (end == "client")
        assert errors[0].partial == stream.text
        client.close()
        space.wait_until_idle()


@blocked
def test_close_with_a_session(script: dict[str, Any]) -> None:
    """A reader on the caller's own session is woken, too."""
    with FakeSpace() as space, requests.Session() as session:
        client = Client(space.url, session=session)
        wait = order(space, script)
        with reading(client) as (stream, errors):
            wait()
            stream.close()
        assert isinstance(errors[0], StreamInterrupted)


@pytest.mark.parametrize(
    "shape",
    [Shape(framing="close"), Shape(gzip=True), Shape(framing="close", gzip=True)],
    ids=str,
)
def test_close_under_every_framing(shape: Shape) -> None:
    """A blocked reader is woken whatever the body's framing."""
    with FakeSpace(shape=shape) as space, Client(space.url) as client:
        space.answer("Hel", Stall())
        with reading(client) as (stream, errors):
            space.wait_for_job("running")
            stream.close()
        assert isinstance(errors[0], StreamInterrupted)
        space.wait_for_disconnect()


@contextmanager
def reading(client: Client) -> Iterator[tuple[Any, list[Any]]]:
    """Read a stream in another thread, which has ended at the end of the block."""
    stream = client.stream("Hi")
    errors: list[Any] = []

    def read() -> None:
        try:
            for _ in stream:
                pass
        except Qwen72BError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield stream, errors
    finally:
        thread.join(PROMPT)
        alive = thread.is_alive()
        stream.close()
        assert not alive, "the reader was not woken"


def test_close_before_the_first_read() -> None:
    """A stream that was closed before it was read sends nothing, and says so."""
    with FakeSpace() as space, Client(space.url) as client:
        stream = client.stream("Hi")
        stream.close()
        with pytest.raises(StreamInterrupted):
            next(stream)
        assert not space.requests


def test_close_in_a_signal_handler() -> None:
    """A signal handler may close the stream that the same thread is reading."""
    with FakeSpace() as space, Client(space.url) as client:
        space.answer("Hel", lambda_step(lambda: os.kill(os.getpid(), signal.SIGUSR1)), Stall())
        stream = client.stream("Hi")
        before = signal.signal(signal.SIGUSR1, lambda *_: stream.close())
        try:
            with pytest.raises(StreamInterrupted):
                "".join(stream)
        finally:
            signal.signal(signal.SIGUSR1, before)


def test_close_of_a_finished_stream() -> None:
    """Closing after the end changes nothing."""
    with FakeSpace() as space, Client(space.url) as client:
        space.answer("Hello")
        stream = client.stream("Hi")
        assert "".join(stream) == "Hello"
        stream.close()
        assert stream.result() == "Hello"
        assert next(stream, None) is None


def test_connection_is_kept_after_the_end() -> None:
    """A stream that was read to its end gives its connection back; one that was left does not."""
    with FakeSpace() as space, Client(space.url) as client:
        client.ask("Hi")
        client.ask("Hi")
        assert space.connections == 1
        space.answer("Hel", Stall(), times=1)
        for _ in client.stream("Hi"):
            break
        client.ask("Hi")
        assert space.connections == 2


@pytest.mark.parametrize("use", ["stream", "ask", "status", "with"])
def test_use_after_close(use: str) -> None:
    """A closed client refuses everything with a clear error, and sends nothing."""
    with FakeSpace() as space:
        client = Client(space.url)
        client.close()
        client.close()
        with pytest.raises(InvalidRequest, match="closed"):
            if use == "with":
                client.__enter__()
            elif use == "status":
                client.status()
            else:
                getattr(client, use)("Hi")
        assert not space.requests


def test_close_of_a_client_leaves_the_callers_session_open() -> None:
    """The caller's session is neither closed nor changed."""
    with FakeSpace() as space, requests.Session() as session:
        adapters, headers = dict(session.adapters), dict(session.headers)
        with Client(space.url, session=session, token="hf_secret") as client:
            client.ask("Hi")
        assert session.get(space.url + "/config").status_code == 200
        assert (dict(session.adapters), dict(session.headers)) == (adapters, headers)
        assert session.auth is None


@pytest.mark.anyio
@blocked
async def test_cancelled_task(script: dict[str, Any]) -> None:
    """Wherever a task is blocked, cancelling it ends the call, its thread and its socket."""
    with FakeSpace() as space:
        async with AsyncClient(space.url) as client:
            wait = order(space, script)
            with anyio.fail_after(PROMPT):
                async with anyio.create_task_group() as group:
                    group.start_soon(read_all, client)
                    await anyio.to_thread.run_sync(wait)
                    group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(space.wait_until_idle)


@pytest.mark.anyio
@pytest.mark.parametrize("ask", ["status", "ask"])
async def test_cancelled_call(ask: str) -> None:
    """Cancelling a call that is no stream of the caller's ends its thread and socket, too."""
    with FakeSpace() as space:
        space.fault("config", Stall())
        client = AsyncClient(space.url)
        call = client.status if ask == "status" else lambda: client.ask("Hi")
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.to_thread.run_sync(lambda: space.wait_for_request("config"))
            group.cancel_scope.cancel()
        with anyio.fail_after(PROMPT):
            await anyio.to_thread.run_sync(space.wait_until_idle)


def test_closing_the_client_ends_its_status() -> None:
    """A status() that waits in another thread gets an error when the client is closed."""
    with FakeSpace() as space:
        space.fault("config", Stall())
        client = Client(space.url)
        errors: list[Qwen72BError] = []

        def ask() -> None:
            with pytest.raises(StreamInterrupted) as caught:
                client.status()
            errors.append(caught.value)

        asker = threading.Thread(target=ask)
        asker.start()
        space.wait_for_request("config")
        client.close()
        asker.join(PROMPT)
        assert not asker.is_alive() and errors
        space.wait_until_idle()


async def read_all(client: AsyncClient) -> None:
    async for _ in client.stream("Hi"):
        pass


@pytest.mark.anyio
@pytest.mark.parametrize("leave", ["break", "close", "cancel", "aclose", "exit", "drop", "client"])
async def test_async_leaving_hangs_up(leave: str) -> None:
    """Each way to leave an async stream hangs up."""
    with FakeSpace() as space:
        space.answer("Hel", Stall())
        client = AsyncClient(space.url)
        stream = client.stream("Hi")
        async for chunk in stream:
            assert chunk == "Hel"
            if leave == "break":
                break
            if leave == "exit":
                await stream.__aexit__(None, None, None)
            elif leave == "client":
                await client.close()
            elif leave == "drop":
                break
            else:
                await getattr(stream, leave)()
            with pytest.raises(StreamInterrupted):
                await stream.__anext__()
            break
        if leave == "drop":
            del stream
        with anyio.fail_after(PROMPT):
            await anyio.to_thread.run_sync(space.wait_for_disconnect)
        await client.close()


@pytest.mark.anyio
async def test_close_while_another_task_reads() -> None:
    """close() in one task wakes the reader in another with a clear error."""
    with FakeSpace() as space:
        space.answer("Hel", Stall())
        errors = []
        async with AsyncClient(space.url) as client:
            stream = client.stream("Hi")

            async def read() -> None:
                try:
                    async for _ in stream:
                        pass
                except StreamInterrupted as error:
                    errors.append(error)

            with anyio.fail_after(PROMPT):
                async with anyio.create_task_group() as group:
                    group.start_soon(read)
                    await anyio.to_thread.run_sync(lambda: space.wait_for_job("running"))
                    await stream.close()
        assert len(errors) == 1


@pytest.mark.anyio
async def test_each_step_in_a_task_of_its_own() -> None:
    """Each step may run in a task of its own, and a cancelled one ends the stream."""
    with FakeSpace() as space:
        gate = Gate()
        space.answer("Hel", gate, "lo")
        async with AsyncClient(space.url) as client:
            stream = client.stream("Hi")
            chunks: list[str] = []

            async def step() -> None:
                chunks.append(await stream.__anext__())

            for _ in range(2):
                async with anyio.create_task_group() as group:
                    group.start_soon(step)
                gate.open()
            assert chunks == ["Hel", "lo"]


@pytest.mark.anyio
async def test_provider_generator_is_closed() -> None:
    """Closing what create_async_generator returned hangs up."""
    with FakeSpace() as space:
        space.answer("Hel", Stall())
        generator = Qwen_Qwen_2_72B.create_async_generator(
            "qwen-2-72b", [{"role": "user", "content": "Hi"}], base_url=space.url
        )
        assert await generator.__anext__() == "Hel"
        await generator.aclose()
        with anyio.fail_after(PROMPT):
            await anyio.to_thread.run_sync(space.wait_for_disconnect)


# No read clock: it would end in time what should end at once.
SYNC = """
from qwen72b import Client, Timeout
client = Client({url!r}, timeout=Timeout(read=None))
for chunk in client.stream("Hi"):
    print(chunk, flush=True)
"""

ASYNC = """
import anyio
from qwen72b import AsyncClient, Timeout
async def main():
    async with AsyncClient({url!r}, timeout=Timeout(read=None)) as client:
        async for chunk in client.stream("Hi"):
            print(chunk, flush=True)
anyio.run(main, backend={backend!r})
"""


@pytest.mark.parametrize("steps", [["Hel", Stall()], [Stall()], ["Hel", Repeat(Heartbeat())]])
@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio"])
def test_interrupt(backend: str, steps: Sequence[Any]) -> None:
    """Ctrl-C ends a program at once while its stream hangs, and the server hears it."""
    steps = [Repeat(Heartbeat(), interval=0.05) if isinstance(s, Repeat) else s for s in steps]
    with FakeSpace() as space:
        space.answer(*steps)
        code = (SYNC if backend == "sync" else ASYNC).format(url=space.url, backend=backend)
        with program(code) as process:
            space.wait_for_job("running", timeout=PATIENCE)
            if "Hel" in steps:
                assert process.stdout.readline() == "Hel\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode != 0
            # The latter is what anyio's run makes of Ctrl-C on Python 3.10.
            assert errors.rstrip().endswith(("KeyboardInterrupt", "CancelledError"))
        space.wait_for_disconnect()


PRELUDE = """
from functools import partial
import qwen72b
Client = partial(qwen72b.Client, timeout=qwen72b.Timeout(read=None))
AsyncClient = partial(qwen72b.AsyncClient, timeout=qwen72b.Timeout(read=None))
URL = {url!r}
"""

EXITS = {
    "stream_left_open": """
stream = Client(URL).stream("Hi")
next(stream)
""",
    "daemon_thread": """
import threading
stream = Client(URL).stream("Hi")
chunks = iter(stream)
next(chunks)
reader = threading.Thread(target=lambda: list(chunks), daemon=True)
reader.start()
""",
    "loop_left": """
import asyncio
stream = AsyncClient(URL).stream("Hi")
loop = asyncio.new_event_loop()
async def begin():
    await stream.__anext__()
    return loop.create_task(stream.__anext__())
task = loop.run_until_complete(begin())
loop.run_until_complete(asyncio.sleep(0.2))
""",
    "loop_closed": """
import asyncio
stream = AsyncClient(URL).stream("Hi")
async def main():
    await stream.__anext__()
    task = asyncio.create_task(stream.__anext__())
    await asyncio.sleep(0.2)
asyncio.run(main())
""",
    "loop_stopped": """
import asyncio
client = AsyncClient(URL)
async def main():
    async for chunk in client.stream("Hi"):
        loop.stop()
loop = asyncio.new_event_loop()
task = loop.create_task(main())
loop.run_forever()
""",
    "trio_left": """
import trio
stream = AsyncClient(URL).stream("Hi")
async def main():
    await stream.__anext__()
    with trio.move_on_after(0.2):
        await stream.__anext__()
trio.run(main)
""",
    "sys_exit": """
import sys
for chunk in Client(URL).stream("Hi"):
    sys.exit(0)
""",
}


@pytest.mark.parametrize("code", EXITS.values(), ids=EXITS)
def test_exit_while_a_stream_hangs(code: str) -> None:
    """The interpreter exits at once while a stream hangs."""
    with FakeSpace() as space:
        space.answer("Hel", Stall())
        with program(PRELUDE.format(url=space.url) + code) as process:
            _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        space.wait_for_disconnect()


@contextmanager
def program(code: str) -> Iterator[Any]:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_interrupt_leaves_a_client_that_works() -> None:
    """After a KeyboardInterrupt in the middle of an answer the client can be used again."""
    with FakeSpace() as space, Client(space.url, retry=Retry(attempts=1)) as client:
        gate = Gate()
        interrupt = lambda_step(lambda: os.kill(os.getpid(), signal.SIGINT))
        space.answer("Hel", gate, interrupt, Stall(), times=1)
        stream = client.stream("Hi")
        with pytest.raises(KeyboardInterrupt):
            for _ in stream:
                gate.open()
        space.wait_for_disconnect()
        assert stream.text == "Hel"
        with pytest.raises(StreamInterrupted):
            stream.result()
        assert client.ask("Hi")


def lambda_step(act: Callable[[], object]) -> Any:
    """Make a step of a script that does something in the test's own process."""
    from qwen72b.testing import Step

    class Act(Step):
        def run(self, stage: Any) -> None:
            act()

    return Act()


def test_failure_is_told_to_whoever_reads_on() -> None:
    """A second loop, the next event and the result tell the failure again, and no other."""
    with FakeSpace() as space, Client(space.url) as client:
        space.answer("Hel", Fail("boom"))
        stream = client.stream("Hi")
        with pytest.raises(GenerationFailed, match="boom"):
            list(stream)
        with pytest.raises(GenerationFailed, match="boom"):
            list(stream)
        with pytest.raises(GenerationFailed, match="boom"):
            next(stream)
        with pytest.raises(GenerationFailed, match="boom") as caught:
            stream.result()
        assert caught.value.partial == "Hel"
