"""Threads that are not to be had, and those that are waited for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import pytest
from timing import PATIENCE

from qwen72b import (
    AsyncClient,
    RequestTimeout,
    StreamInterrupted,
    Timeout,
)
from qwen72b.testing import FakeSpace, Gate, Proceed, Stall

# Seconds that a call may wait, where it is to wait in vain.
SHORT = 0.2

both_loops = pytest.mark.usefixtures("anyio_backend")


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        yield space


WAYS = """
import atexit, sys, threading
import anyio, requests
from qwen72b import AsyncClient, Client, TransportError

url = sys.argv[1]
named = url.replace("127.0.0.1", "localhost")

async def ask():
    async with AsyncClient(url) as client:
        return await client.ask("Hi")

async def status():
    async with AsyncClient(url) as client:
        return await client.status()

def many():
    with Client(url) as client:
        return [str(result.reply) for result in client.map(["a"])]

def try_it():
    try:
        print({})
    except TransportError as error:
        print(type(error.__cause__).__name__, error)
"""

AT_EXIT = f"{WAYS}\natexit.register(try_it)"

REFUSED = f"""{WAYS}
def refuse(thread):
    raise RuntimeError("can't start new thread")

threading.Thread.start = refuse
try_it()
"""


def _run(code: str, way: str, space: FakeSpace) -> str:
    """Ask in a program of its own, where no pool has a thread yet; return what it prints."""
    run = subprocess.run(
        [sys.executable, "-c", code.replace("{}", way), space.url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not run.stderr
    return run.stdout


@pytest.mark.parametrize(
    "way",
    [
        # A name is looked up in a thread that can be left behind.
        "Client(named).ask('Hi')",
        "Client(url, session=requests.Session()).ask('Hi')",
        "many()",
        "anyio.run(ask)",
        "anyio.run(ask, backend='trio')",
        "anyio.run(status)",
    ],
)
def test_no_thread_to_be_had(way: str, space: FakeSpace) -> None:
    """Where the system starts no thread (a container's limit), a typed error says what to do."""
    space.answer("Hello")
    said = _run(REFUSED, way, space)
    assert said.startswith("RuntimeError no thread could be started: can't start new thread.")
    assert "Raise the limit" in said


def test_no_thread_is_needed_for_an_address(space: FakeSpace) -> None:
    """A question to an address starts none."""
    space.answer("Hello")
    assert _run(REFUSED, "Client(url).ask('Hi')", space) == "Hello\n"


@pytest.mark.parametrize(
    "way", ["Client(url).ask('Hi')", "Client(named).ask('Hi')", "anyio.run(ask)", "many()"]
)
def test_question_in_a_handler_of_atexit(way: str, space: FakeSpace) -> None:
    """Where a thread is needed that Python starts no more (3.12 does not), that is said."""
    space.answer("Hello")
    said = _run(AT_EXIT, way, space)
    refused = said.startswith("RuntimeError the interpreter is ending")
    assert "Hello" in said or refused
    # An address needs no thread.
    assert not (refused and "Client(url)" in way)


class Busy:
    """
    A client whose one thread waits for the Space.

    Args:
        space: The Space; whose joins are answered when ``gate`` opens.
    """

    def __init__(self, space: FakeSpace) -> None:
        self.gate = Gate()
        space.answer("Hello")
        space.fault("join", self.gate, Proceed(), times=None)
        self.space = space
        self.client = AsyncClient(space.url, max_threads=1)
        self.replies: list[str] = []

    async def ask(self) -> None:
        """Ask, which takes the thread."""
        self.replies.append(await self.client.ask("first"))

    async def taken(self) -> None:
        """Wait until the thread is taken."""
        await anyio.to_thread.run_sync(partial(self.space.wait_for_request, "join"))


@both_loops
class TestWaitingForAThread:
    """A slow Space holds the threads of those that join, and no more than that."""

    @pytest.mark.parametrize("phase", ["total", "queue"])
    async def test_clocks_run(self, phase: str, space: FakeSpace) -> None:
        """A call that waits for a thread is ended by its own clocks, and kept nowhere."""
        busy = Busy(space)
        async with busy.client, anyio.create_task_group() as group:
            group.start_soon(busy.ask)
            await busy.taken()
            chat = busy.client.conversation()
            with anyio.fail_after(PATIENCE), pytest.raises(RequestTimeout) as caught:
                await chat.ask("second", timeout=Timeout(**{phase: SHORT}))
            assert caught.value.phase == phase
            assert chat.messages == []
            busy.gate.open()
        assert busy.replies == ["Hello"]
        assert len(space.jobs) == 1

    async def test_clocks_run_whoever_else_leaves(self, space: FakeSpace) -> None:
        """A call keeps to its clocks although those before and behind it leave at one time."""
        busy = Busy(space)
        scopes: list[anyio.CancelScope] = []
        errors: list[RequestTimeout] = []

        async def leave() -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await busy.ask()

        async def stay() -> None:
            with pytest.raises(RequestTimeout) as caught:
                await busy.client.ask("second", timeout=SHORT)
            errors.append(caught.value)

        async with busy.client, anyio.create_task_group() as group:
            group.start_soon(busy.ask)
            await busy.taken()
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as waiting:
                    for each in (leave, stay, leave):
                        waiting.start_soon(each)
                        await anyio.wait_all_tasks_blocked()
                    for scope in scopes:
                        scope.cancel()
            busy.gate.open()
        assert [error.phase for error in errors] == ["total"]
        assert busy.replies == ["Hello"]

    async def test_the_clock_of_the_queue_starts_anew(self, space: FakeSpace) -> None:
        """Who got a thread in time has the Space's queue before it, with all of that clock."""
        busy = Busy(space)
        async with busy.client, anyio.create_task_group() as group:
            group.start_soon(busy.ask)
            await busy.taken()
            group.start_soon(busy.ask)
            await anyio.wait_all_tasks_blocked()
            busy.gate.open()
        assert busy.replies == ["Hello"] * 2

    @pytest.mark.parametrize("end", ["stream", "client", "task"])
    async def test_it_can_be_closed(self, end: str, space: FakeSpace) -> None:
        """Closing or cancelling what waits for a thread ends the wait."""
        busy = Busy(space)
        ended = []

        async def wait(stream: Any) -> None:
            try:
                async for _ in stream:
                    pass
            except StreamInterrupted as error:
                ended.append(error)

        async with busy.client, anyio.create_task_group() as group:
            if end != "client":
                group.start_soon(busy.ask)
            else:
                group.start_soon(wait, busy.client.stream("first"))
            await busy.taken()
            stream = busy.client.stream("second")
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as waiting:
                    waiting.start_soon(wait, stream)
                    await anyio.wait_all_tasks_blocked()
                    if end == "task":
                        waiting.cancel_scope.cancel()
                    else:
                        await (busy.client if end == "client" else stream).close()
            busy.gate.open()
        assert len(ended) == {"stream": 1, "client": 2, "task": 0}[end]
        assert stream.closed

    async def test_others_are_not_starved(self, space: FakeSpace) -> None:
        """Neither the status, nor a batch, nor an open stream waits for those that join."""
        gate = Gate()
        busy = Busy(space)
        space.reset()
        space.answer(lambda job: ["a", gate, "b"] if job.query == "open" else ["c"])
        async with busy.client, anyio.create_task_group() as group:
            stream = busy.client.stream("open")
            assert await anext(stream) == "a"
            space.fault("join", busy.gate, Proceed(), times=1)
            group.start_soon(busy.ask)
            await anyio.to_thread.run_sync(partial(space.wait_for_request, "join", 2))
            with anyio.fail_after(PATIENCE):
                assert (await busy.client.status()).ready
                gate.open()
                assert await stream.result() == "ab"
                assert [result.reply async for result in busy.client.map(["x"])] == ["c"]
            busy.gate.open()

    async def test_a_stream_that_is_open_and_silent_holds_no_thread(self, space: FakeSpace) -> None:
        """The thread is free when the stream is open, and not only when it first speaks."""
        space.stream(Stall(), times=None)
        client = AsyncClient(space.url, max_threads=1)
        async with client, anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(client.ask, "Hi")
            await anyio.to_thread.run_sync(partial(space.wait_for_request, "stream", 3))
            group.cancel_scope.cancel()

    async def test_default_is_bounded(self, space: FakeSpace) -> None:
        """Of 160 that ask at once, 128 are on their way."""
        gate = Gate()
        space.answer("Hello")
        space.fault("join", gate, Proceed(), times=None)
        replies: list[str] = []

        async def ask() -> None:
            replies.append(await client.ask("Hi"))

        async with AsyncClient(space.url) as client, anyio.create_task_group() as group:
            await client.status()
            for _ in range(160):
                group.start_soon(ask)
            await anyio.to_thread.run_sync(partial(space.wait_for_request, "join", 128, PATIENCE))
            await anyio.wait_all_tasks_blocked()
            assert sum(request.path.endswith("/join") for request in space.requests) == 128
            gate.open()
        assert replies == ["Hello"] * 160
