"""Signal handlers and trace functions that close what they interrupt."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
import requests
from timing import MS

from qwen72b import AsyncClient, Client, QueueFull, StreamInterrupted
from qwen72b.protocol.job import Job
from qwen72b.testing import FakeSpace, Pause, Respond, Stall, Step

INTERRUPTING = Path(__file__).with_name("interrupting.py")
RAISING = Path(__file__).with_name("raising.py")


@pytest.fixture
def handler() -> Iterator[list[Callable[[], object]]]:
    """What a signal handler calls; ``interrupt`` sends the signal."""
    calls: list[Callable[[], object]] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: [call() for call in calls])
    yield calls
    signal.signal(signal.SIGUSR1, before)


def interrupt() -> None:
    """Let the handler run in the main thread, at once if this is it."""
    os.kill(os.getpid(), signal.SIGUSR1)


@pytest.mark.parametrize("way", ["lines", "alarms"])
@pytest.mark.parametrize(
    ("what", "side"),
    [
        *[
            (what, side)
            for side in ("blocking", "asyncio", "trio")
            for what in ("stream", "client")
        ],
        *[(what, "blocking") for what in ("batch", "chat", "session")],
    ],
)
def test_closed_at_any_point(way: str, what: str, side: str, exhaustive: bool) -> None:
    """
    Closing at any line of a question, or at any moment, neither hangs nor leaves anything.

    A sample of lines and moments; with ``--exhaustive`` every line, and thousands of alarms.
    """
    rounds = {"lines": 0, "alarms": 3000} if exhaustive else {"lines": 30, "alarms": 30}
    run = subprocess.run(
        [sys.executable, "-W", "error", INTERRUPTING, way, what, side, str(rounds[way])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 0


def test_handlers_that_raise_at_any_moment_of_a_batch(exhaustive: bool) -> None:
    """They end it, leave nothing held that anybody waits for, and the client goes on."""
    run = subprocess.run(
        [sys.executable, "-W", "error", RAISING, "3000" if exhaustive else "60"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 0


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("what", ["stream", "client"])
def test_closed_between_two_reads(
    what: str, ours: bool, handler: list[Callable[[], object]]
) -> None:
    """A handler that interrupts the user's own code closes what waits; the Space hears it."""
    with FakeSpace() as space, requests.Session() as session:
        space.answer("Hel", Stall())
        with Client(space.url, session=None if ours else session) as client:
            stream = client.stream("Hi")
            assert next(stream) == "Hel"
            handler.append({"stream": stream.close, "client": client.close}[what])
            interrupt()
            space.wait_for_disconnect()
            assert stream.closed
            with pytest.raises(StreamInterrupted, match="close"):
                next(stream)


def test_closed_while_the_callers_session_is_busy(handler: list[Callable[[], object]]) -> None:
    """A handler may come where the caller's own use of the session holds its pool's lock."""
    with FakeSpace() as space, requests.Session() as session:
        space.answer("Hel", Stall())
        with Client(space.url, session=session) as client:
            stream = client.stream("Hi")
            assert next(stream) == "Hel"
            handler.append(stream.close)
            pool = session.get_adapter(space.url).poolmanager.connection_from_url(space.url)
            with pool.pool.mutex:
                interrupt()
            space.wait_for_disconnect()


@pytest.mark.parametrize("look", ["messages", "repr", "next question"])
def test_conversation_that_a_handler_ended(look: str, handler: list[Callable[[], object]]) -> None:
    """What a handler ended is remembered as any stopped answer, in the handler and afterwards."""
    kept = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel"}]
    seen: list[Any] = []
    with FakeSpace() as space, Client(space.url) as client:
        read = threading.Event()
        space.answer("Hel", _step(lambda: read.wait() and interrupt()), Stall(), times=1)
        space.answer("Hello")
        chat = client.conversation()
        stream = chat.stream("Hi")
        handler += [stream.close, lambda: seen.append(chat.messages)]
        with pytest.raises(StreamInterrupted):
            for _ in stream:
                read.set()
        assert seen == [kept]
        if look == "messages":
            assert chat.messages == kept
        elif look == "repr":
            assert "2 messages" in repr(chat)
        else:
            handler.clear()
            assert chat.ask("And?") == "Hello"
            assert chat.messages[:2] == kept
            assert [m["content"] for m in chat.undo()] == ["And?", "Hello"]
        assert chat.messages == kept


@pytest.mark.parametrize("moment", ["while it waits", "between two results"])
def test_batch_that_a_handler_closes(
    moment: str, tmp_path: Path, handler: list[Callable[[], object]]
) -> None:
    """A handler may close a batch at any moment; the Space hears it, and nothing stays."""
    waits = moment == "while it waits"
    with FakeSpace() as space:
        act = _step(interrupt if waits else int)
        space.answer(lambda job: ["a"] if job.query == "0" else [act, "b", Stall()])
        with Client(space.url) as client:
            items = ["1"] if waits else ["0", "1", "2", "3"]
            batch = client.map(items, max_in_flight=4, journal=tmp_path / "journal")
            handler.append(batch.close)
            with pytest.raises(StreamInterrupted):
                for result in batch:
                    assert result.ok
                    interrupt()
        space.wait_until_idle()
        assert all(job.state != "running" for job in space.jobs)


def test_log_is_left_to_the_next(
    handler: list[Callable[[], object]], caplog: pytest.LogCaptureFixture
) -> None:
    """A handler's closing writes nothing in the log, whose lock may be held; the next call does."""
    records: list[str] = []
    in_handler = False

    class Strict(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert not in_handler
            records.append(record.getMessage())

    def close() -> None:
        nonlocal in_handler
        in_handler = True
        client.close()
        in_handler = False

    strict = Strict()
    logger = logging.getLogger("qwen72b")
    caplog.set_level(logging.DEBUG, "qwen72b")
    logger.addHandler(strict)
    try:
        with FakeSpace() as space:
            space.answer("Hel", Stall())
            with Client(space.url) as client:
                stream = client.stream("Hi")
                assert next(stream) == "Hel"
                handler.append(close)
                interrupt()
                assert not any("stopped" in line for line in records)
            assert any("stopped, 3 characters" in line for line in records)
    finally:
        logger.removeHandler(strict)


def test_handler_that_closes_and_leaves(handler: list[Callable[[], object]]) -> None:
    """Closing and then leaving the program frees everything, wherever it was."""

    def leave() -> None:
        client.close()
        raise SystemExit

    with FakeSpace() as space:
        space.answer("Hel", _step(interrupt), Stall())
        client = Client(space.url)
        handler.append(leave)
        with pytest.raises(SystemExit):
            client.ask("Hi")
        space.wait_until_idle()


@pytest.mark.parametrize("what", ["client", "stream"])
def test_async_handler(what: str, handler: list[Callable[[], object]]) -> None:
    """On an event loop, closing never waits, so a handler can run it to its end."""

    async def ask() -> None:
        async with AsyncClient(space.url) as client:
            stream = client.stream("Hi")

            def close() -> None:
                with pytest.raises(StopIteration):
                    (client if what == "client" else stream).close().send(None)

            handler.append(close)
            with pytest.raises(StreamInterrupted):
                async for _ in stream:
                    pass

    with FakeSpace() as space:
        space.answer("Hel", _step(interrupt), Stall())
        anyio.run(ask)
        space.wait_for_disconnect()


RAISED = [
    TimeoutError,
    OSError,
    ConnectionResetError,
    BlockingIOError,
    QueueFull,
    EOFError,
    RuntimeError,
    ValueError,
    AttributeError,
    MemoryError,
    SystemExit,
]


@pytest.mark.parametrize("kind", RAISED)
@pytest.mark.parametrize("where", ["config", "join", "stream", "pause", "answer"])
def test_what_a_handler_raises_reaches_the_caller(
    where: str,
    kind: type[BaseException],
    handler: list[Callable[[], object]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An exception of a handler ends the call as it is, whatever kind it is and whatever waited."""
    mine = kind("mine")

    def give_up() -> None:
        raise mine

    handler.append(give_up)
    waits = threading.Event()
    interrupter = threading.Thread(target=lambda: waits.wait() and interrupt())
    interrupter.start()
    with FakeSpace("4.12.0") as space:
        # A moment, in which the client comes to wait.
        later = [Pause(50 * MS), _step(waits.set), Stall()]
        if where == "answer":
            space.answer("Hel", *later, times=1)
        elif where == "pause":
            space.fault("join", Respond(status=503, headers={"retry-after": "15"}))
            caplog.set_level(logging.DEBUG, "qwen72b")
            caplog.handler.addFilter(lambda line: "next try" not in line.msg or not waits.set())
        else:
            space.fault(where, *later)
        with Client(space.url) as client, pytest.raises(kind) as caught:
            client.ask("Hi")
        assert caught.value is mine
        interrupter.join()
        handler.clear()
        with Client(space.url) as client:
            assert client.ask("Hi")


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError])
def test_what_a_handler_raises_while_a_thread_starts(
    kind: type[Exception], handler: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for a thread that could not be started."""
    mine = kind("mine")

    def give_up() -> None:
        raise mine

    handler.append(give_up)
    monkeypatch.setattr(threading.Thread, "start", lambda _: interrupt())
    with requests.Session() as session, Client("http://127.0.0.1:1", session=session) as client:
        with pytest.raises(kind) as caught:
            client.ask("Hi")
        assert caught.value is mine


@pytest.mark.parametrize("kind", [TimeoutError, RuntimeError, ValueError])
@pytest.mark.parametrize(
    "place",
    [
        "concurrent.futures.ThreadPoolExecutor.submit",
        "threading.Thread.start",
        "qwen72b.batch.journal._write_whole",
        "qwen72b.batch.journal.os.write",
    ],
    ids=["sending", "thread", "journal", "pipe"],
)
def test_what_a_handler_raises_in_a_batch(
    place: str,
    kind: type[Exception],
    handler: list[Callable[[], object]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It ends the batch, and is no failure of an item, an executor or a file."""
    mine = kind("mine")

    def give_up() -> None:
        raise mine

    handler.append(give_up)
    ours, theirs = os.pipe()
    try:
        journal = theirs if place.endswith("os.write") else tmp_path / "answers.jsonl"
        with FakeSpace() as space, Client(space.url) as client, ThreadPoolExecutor(1) as pool:
            executor = pool if place.endswith("submit") else None
            monkeypatch.setattr(place, lambda *_, **__: interrupt())
            with pytest.raises(kind) as caught:
                list(client.map(["Hi"], executor=executor, journal=journal))
            monkeypatch.undo()
            assert caught.value is mine
    finally:
        monkeypatch.undo()
        os.close(ours)
        os.close(theirs)


def test_what_a_handler_raises_in_the_reading_of_an_event(
    handler: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault of a message that was being read."""
    mine = ValueError("mine")

    def give_up() -> None:
        raise mine

    handler.append(give_up)
    monkeypatch.setattr(Job, "receive_data", lambda *_, **__: interrupt())
    with FakeSpace() as space, Client(space.url) as client:
        with pytest.raises(ValueError, match="mine") as caught:
            client.ask("Hi")
        assert caught.value is mine


def _step(action: Callable[[], object]) -> Any:
    """Make a step that does something when the Space comes to it."""

    class Act(Step):
        def run(self, stage: Any) -> None:
            action()

    return Act()
