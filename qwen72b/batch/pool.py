"""
The threads of a batch that was given no executor.

The standard library's pool holds locks while it hands an item over and while it
tells whether it is done. An exception out of a signal handler, Ctrl-C for one,
may leave such a lock held for ever, and then the end of the pool is waited for
in vain. Here each step between threads is one step of the interpreter: an item
goes through a queue that is written in C, and is taken back by taking its only
token.

The threads do not keep the interpreter from ending.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Generic, TypeVar

from ..transport.latch import Latch
from ..transport.threads import start_thread

__all__ = ["Pool", "PoolCall"]

_T = TypeVar("_T")

# Seconds that the end of all threads is waited for. They were hung up on, so this
# takes milliseconds; not so where an exception out of a signal handler has left a
# lock held that is not ours, such as the log's.
_PATIENCE = 5.0


class PoolCall(Generic[_T]):
    """
    A call that a thread of a pool makes; told of like a ``Future``.

    Args:
        call: What to call.
        announce: Told when it is done or was cancelled, in whichever thread that is.
    """

    def __init__(self, call: Callable[[], _T], announce: Callable[[PoolCall[_T]], object]) -> None:
        self._call: Callable[[], _T] | None = call
        self._announce = announce
        # Whoever takes it may begin, or cancel.
        self._token = [True]
        self._cancelled = False
        self._error: BaseException | None = None
        self._results: list[_T] = []

    def cancel(self) -> bool:
        """Take it back; return whether it had not begun."""
        if not self._take():
            return self._cancelled
        self._cancelled = True
        self._end()
        return True

    def cancelled(self) -> bool:
        """Tell whether it was taken back."""
        return self._cancelled

    def exception(self) -> BaseException | None:
        """Give what the call raised, once it is done."""
        return self._error

    def result(self) -> _T:
        """Give what the call returned, once it is done."""
        [result] = self._results
        return result

    def run(self) -> None:
        """Make the call, unless it was taken back."""
        if not self._take():
            return
        assert self._call is not None  # until its end
        try:
            self._results.append(self._call())
        except BaseException as exc:  # noqa: BLE001 - handed to the driver
            self._error = exc
        self._end()

    def _take(self) -> bool:
        try:
            return self._token.pop()
        except IndexError:
            return False

    def _end(self) -> None:
        self._call = None
        self._announce(self)


class _Worker:
    """A thread of a pool, and its end."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._work = work
        self._ended = Latch()
        self._thread = start_thread(self._run, name)

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; not so in itself, as in a destructor."""
        if self._thread is not threading.current_thread() and self._ended.wait(seconds):
            # What is left of it is the interpreter's.
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._ended.set()


class Pool(Generic[_T]):
    """
    Threads, made as they are needed; used by one thread at a time.

    Args:
        most: How many at most.
        name: What the threads' names begin with.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._calls: SimpleQueue[PoolCall[_T] | None] = SimpleQueue()
        self._workers: list[_Worker] = []
        # One entry for each thread that waits for its next call.
        self._idle: list[None] = []
        # Threads do not live on in a fork.
        self._process = os.getpid()

    def submit(self, call: PoolCall[_T]) -> None:
        """
        Have a call made.

        Raises:
            TransportError: If it needs a thread, and there is none to be had.
        """
        try:
            self._idle.pop()
        except IndexError:
            if len(self._workers) < self._most:
                name = f"{self._name}_{len(self._workers)}"
                self._workers.append(_Worker(self._work, name))
        self._calls.put(call)

    def close(self) -> None:
        """End the threads, once they have done what was not taken back; idempotent."""
        if os.getpid() != self._process:
            return
        self._calls.put(None)
        limit = monotonic() + _PATIENCE
        while self._workers:
            self._workers[-1].wait(max(0.0, limit - monotonic()))
            self._workers.pop()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
            # While it waits it holds nothing.
            del call
            self._idle.append(None)
        # For the next one, known or not: an exception may have come between the
        # start of a thread and its place among the others.
        self._calls.put(None)
