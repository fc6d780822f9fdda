"""
Ends a question at one point after the other, from within: a program of its own.

    python interrupting.py WAY WHAT SIDE ROUNDS

WAY is ``lines`` (a trace function at lines of this package's, requests',
urllib3's and the standard library's HTTP, ROUNDS of them, evenly spread; 0 for
every one) or ``alarms`` (SIGALRM at random moments). WHAT is closed is the
``stream`` or the ``client``; where one thread asks also a ``batch``, the stream of a
``chat``, or the client on a ``session`` of the caller's. SIDE is ``blocking``,
``asyncio`` or ``trio``.

Prints how many questions were ended in the middle. A deadlock ends the program with
the stacks of all threads.
"""

from __future__ import annotations

import faulthandler
import gc
import http.client
import os
import queue
import random
import signal
import sys
import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import anyio
import requests
import urllib3

import qwen72b
from qwen72b import AsyncClient, Client, InvalidRequest, StreamInterrupted
from qwen72b.testing import FakeSpace, Pause

# Seconds until a question that does not end is taken for a deadlock.
PATIENCE = 30.0

PLACES = (
    os.path.dirname(qwen72b.__file__) + os.sep,
    os.path.dirname(urllib3.__file__) + os.sep,
    os.path.dirname(requests.__file__) + os.sep,
    http.client.__file__,
    queue.__file__,
    threading.__file__,
)
TESTING = os.path.join(os.path.dirname(qwen72b.__file__), "testing")

# Closes what the present question is to be ended by; ``None`` before and after.
close: Callable[[], object] | None = None
# Whether that was done.
closed = False

# How many handlers are in the middle of it. Where they take longer than alarms
# are apart, there would be no end of them.
ending = 0


def end() -> None:
    """End the present question."""
    global closed, ending
    if close is not None and ending < 3:
        closed = True
        ending += 1
        try:
            close()
        finally:
            ending -= 1


class Tracer:
    """
    Ends the question at one line.

    Args:
        at: Which; counted from 1. None at 0.
    """

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0
        self.place = ""
        self.stopped = False

    def start(self) -> None:
        """Trace this thread and those that it starts."""
        threading.settrace(self.call)
        sys.settrace(self.call)

    def stop(self) -> None:
        """Trace no more, not even in threads that are kept for the next question."""
        self.stopped = True
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]  # documented

    def call(self, frame: Any, event: str, argument: Any) -> Any:
        """Trace what is called in the places that matter, in threads of the client's."""
        file = frame.f_code.co_filename
        if file.startswith(PLACES) and not file.startswith(TESTING) and not self.stopped:
            return self.line
        return None

    def line(self, frame: Any, event: str, argument: Any) -> Any:
        """Count lines, and end the question."""
        if event == "line" and not self.stopped:
            self.count += 1
            if self.count == self.at:
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                end()
        return self.line


def finish(coroutine: Any) -> None:
    """Run a coroutine that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("closing waits")


def ask_blocking(url: str, what: str) -> str:
    """Ask in this thread."""
    global close, closed
    closed = False
    session = requests.Session() if what == "session" else None
    client = Client(url, session=session)
    try:
        if what == "batch":
            batch = client.map(["a", "b"], max_in_flight=2)
            close = batch.close
            return {str(result.reply) for result in batch}.pop()
        if what == "chat":
            chat = client.conversation()
            stream = chat.stream("Hi")
            close = lambda: (stream.close(), chat.messages)
            text = "".join(stream)
            assert chat.messages[-1]["content"] == text
            return text
        stream = client.stream("Hi")
        close = stream.close if what == "stream" else client.close
        return "".join(stream)
    finally:
        close = None
        # Whoever closes the client has nothing to add.
        if what != "client" or not closed:
            client.close()
        if session is not None:
            session.close()


async def ask_async(url: str, what: str) -> str:
    """Ask on an event loop."""
    global close, closed
    closed = False
    client = AsyncClient(url)
    stream = client.stream("Hi")
    close = lambda: finish((client if what == "client" else stream).close())
    try:
        return "".join([chunk async for chunk in stream])
    finally:
        close = None
        # trio closes what signals are written to as it ends.
        signal.setitimer(signal.ITIMER_REAL, 0)
        if what == "stream" or not closed:
            await client.close()


def ask(url: str, what: str, side: str) -> bool:
    """Ask; tell whether the answer came to its end."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    try:
        if side == "blocking":
            text = ask_blocking(url, what)
        else:
            text = anyio.run(ask_async, url, what, backend=side)
    except (StreamInterrupted, InvalidRequest):
        return False
    finally:
        faulthandler.cancel_dump_traceback_later()
    # An end that comes after the last read ends nothing.
    assert text == "Hello", text
    return True


def by_lines(space: FakeSpace, what: str, side: str, rounds: int) -> int:
    """End questions at lines; tell how many."""
    dry = Tracer(0)
    dry.start()
    assert ask(space.url, what, side)
    dry.stop()
    step = max(dry.count / rounds, 1.0) if rounds else 1.0
    ended, at = 0, 1 + random.uniform(0, step - 1)
    while at <= dry.count:
        tracer = Tracer(int(at))
        tracer.start()
        try:
            ended += not ask(space.url, what, side)
        except BaseException:
            print("ended at", tracer.place, file=sys.stderr)
            raise
        finally:
            tracer.stop()
        check(space, tracer.place)
        at += step
    return ended


def by_alarms(space: FakeSpace, what: str, side: str, rounds: int) -> int:
    """End questions at random moments; tell how many."""
    signal.signal(signal.SIGALRM, lambda *_: end())
    begun = monotonic()
    for _ in range(5):
        assert ask(space.url, what, side)
    usual = (monotonic() - begun) / 5
    ended = 0
    for _ in range(rounds):
        # More than once: the second comes into the middle of what the first left.
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, usual), usual / 50)
        try:
            ended += not ask(space.url, what, side)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        check(space, "an alarm")
    return ended


def check(space: FakeSpace, place: str) -> None:
    """Nothing stays: no job, no connection."""
    until = monotonic() + PATIENCE
    while space.open_connections:
        assert monotonic() < until, f"a connection stayed, ended at {place}"
        sleep(0.001)
        # A session of the caller's keeps its idle connections for as long as
        # a response of theirs is referenced, be it in a cycle.
        gc.collect()
    assert all(job.state != "running" for job in space.jobs), f"a job stayed, ended at {place}"


def wait_until(gone: Callable[[], bool], what: str) -> None:
    """Wait until what the questions took is given back."""
    until = monotonic() + PATIENCE
    while not gone():
        if monotonic() > until:
            # Where each waits, while it still does.
            faulthandler.dump_traceback()
            raise AssertionError(f"{what} stayed")
        sleep(0.01)
        gc.collect()


def working() -> list[str]:
    """Name the threads of the client's and the fake's, which has one as long as it lives."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith(("qwen72b", "fake"))]


def descriptors() -> int:
    """Count what the process has open."""
    return len(os.listdir("/dev/fd"))


def main(way: str, what: str, side: str, rounds: str) -> None:
    """Do what the command line says."""
    with FakeSpace() as space:
        space.answer("Hel", Pause(0.001), "lo", times=None)
        assert ask(space.url, what, side)
        # trio keeps its threads for the next question.
        wait_until(lambda: len(working()) <= 1, "a thread")
        files, threads = descriptors(), threading.active_count()
        run = by_lines if way == "lines" else by_alarms
        ended = run(space, what, side, int(rounds))
        # A request that was left behind may only now connect, and the fake, in the
        # same process, closes its own ends too.
        wait_until(lambda: len(working()) <= 1, "a thread")
        wait_until(lambda: threading.active_count() <= threads, "a thread")
        wait_until(lambda: descriptors() <= files, "a socket")
    print(ended)


if __name__ == "__main__":
    main(*sys.argv[1:])
