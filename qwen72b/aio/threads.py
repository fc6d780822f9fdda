"""
The threads that do for an async client what may wait.
"""

from __future__ import annotations

import atexit
import math
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Full
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import ref

from anyio import CapacityLimiter, Event, Semaphore, move_on_after, to_thread
from anyio.lowlevel import checkpoint, current_token

from ..transport.descriptors import descriptors_needed
from ..transport.threads import no_thread

if TYPE_CHECKING:
    # anyio 4.7, the lowest that will do, has no name for it.
    from anyio.lowlevel import EventLoopToken

__all__ = ["Threads"]

T = TypeVar("T")

# Seconds between two looks, while threads are waited for, whether calls were ended
# or are late: what ends one may be a signal handler, which cannot wake a task.
_LOOK = 0.1

# Threads that start in one turn of an event loop. Each takes the interpreter's lock
# from it, for 5 ms at worst, and meanwhile no stream is read. Measured with 200
# streams at once, on two cores: 4 of them make the oldest hundredth of the pieces 30
# ms old and all last 2.7 s, 16 some 50 ms and 2.5 s, any number 130 ms and 2.4 s.
_STARTS = 16

# Steps that wait for a place, from which on any number may start: a crowd is better
# off if it is soon through. 1,000 streams last 5.3 s so, their oldest hundredth is
# 0.4 s old; 6.5 s and 0.2 s with 16 in each turn.
_CROWD = 128

# What ends the steps that threads are at.
_waiting: set[Callable[[], None]] = set()


# The threads that did steps.
_workers: set[ref[threading.Thread]] = set()


def _end_at_exit() -> None:
    for hang_up in list(_waiting):
        hang_up()
    for worker in list(_workers):
        _dismiss(worker())


def _dismiss(thread: Any) -> None:
    """
    End a thread of anyio's whose loop runs no more.

    They end with the task that first needed one, which never ends in a loop that
    was stopped in the middle of it and left; nor then does the interpreter. A thread
    of trio's is a daemon, and has neither of these.
    """
    loop, stop = getattr(thread, "loop", None), getattr(thread, "stop", None)
    if loop is not None and stop is not None and not loop.is_running() and thread.is_alive():
        # It may have been told before, by the end of its task.
        with suppress(Full):
            stop()


# An event loop that is left with a task still waiting leaves a thread of anyio's,
# which the interpreter joins at its exit, before it calls what atexit knows.
# This is how concurrent.futures ends its own threads.
# Where the interpreter is ending already, nothing is left to be ended first.
with suppress(RuntimeError):
    getattr(threading, "_register_atexit", atexit.register)(_end_at_exit)


class Caller(Protocol):
    """Who waits for a thread."""

    @property
    def impatient(self) -> bool:
        """Whether ``queue_here`` would raise."""
        ...

    def queue_here(self) -> None:
        """Go on waiting, or raise."""
        ...

    def close(self) -> None:
        """End the step from outside."""
        ...


class Threads:
    """
    The threads that wait for an async client.

    anyio's own limit of 40 threads for everything would make a file elsewhere
    in the program wait for 40 joins, and these for a Space that is slow.

    Args:
        most: How many steps may be at work at once; ``None`` for any number.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._loop: _Loop | None = None

    async def run(self, step: Callable[[], T], caller: Caller) -> T:
        """
        Do a blocking step in one of the threads.

        Args:
            step: The step.
            caller: Who waits for it. It is closed when its task is cancelled, which
                leaves the thread behind, and when the step fails.

        Returns:
            What the step returned.

        Raises:
            TransportError: If there is no thread to be had.
        """
        loop = self._here()
        try:
            await loop.enter(caller)
            try:
                await loop.take_turn()
                return await self.run_beside(step, caller.close)
            finally:
                loop.leave()
        except BaseException:
            caller.close()
            raise

    async def run_beside(self, step: Callable[[], T], hang_up: Callable[[], None]) -> T:
        """
        Do a blocking step in a thread on top of those that are counted.

        Args:
            step: The step.
            hang_up: Ends the step from outside, for a task that is cancelled
                leaves the thread behind; also called when the step fails.

        Returns:
            What the step returned.

        Raises:
            TransportError: If there is no thread to be had.
        """
        begun = False

        def work() -> T:
            nonlocal begun
            begun = True
            _workers.add(ref(threading.current_thread(), _workers.discard))
            return step()

        _waiting.add(hang_up)
        try:
            return await to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._here().unlimited
            )
        except RuntimeError as exc:
            hang_up()
            if begun:
                raise
            raise no_thread(exc) from exc
        except BaseException:
            hang_up()
            raise
        finally:
            _waiting.discard(hang_up)

    def _here(self) -> _Loop:
        # A client may see several event loops, one after the other.
        with descriptors_needed():
            token = current_token()
        if self._loop is None or self._loop.token != token:
            self._loop = _Loop(token, self.most)
        return self._loop


class _Place:
    """
    A place that is waited for.

    Args:
        caller: Who waits.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.granted = False
        self.wake = Event()


class _Loop:
    """
    The places for steps on one event loop, and who waits for one, in their order.

    Args:
        token: The event loop.
        most: How many places there are.
    """

    def __init__(self, token: EventLoopToken, most: int | None) -> None:
        self.token = token
        self.unlimited = CapacityLimiter(math.inf)
        self._starting = Semaphore(_STARTS, fast_acquire=True)
        self._free = math.inf if most is None else most
        self._waiting: deque[_Place] = deque()
        # The one of them that looks now and then whether another is to be woken.
        self._lookout: _Place | None = None

    async def enter(self, caller: Caller) -> None:
        """
        Wait for a place.

        Args:
            caller: Who waits; what it raises ends the wait.
        """
        if self._free > 0:
            self._free -= 1
            return
        mine = _Place(caller)
        self._waiting.append(mine)
        try:
            while not mine.granted:
                caller.queue_here()
                mine.wake = Event()
                if self._lookout in (None, mine):
                    self._lookout = mine
                    with move_on_after(_LOOK):
                        await mine.wake.wait()
                    self._look()
                else:
                    await mine.wake.wait()
        except BaseException:
            if mine.granted:
                self.leave()
            else:
                self._waiting.remove(mine)
            raise
        finally:
            if self._lookout is mine:
                self._lookout = None
            if self._lookout is None and self._waiting:
                # The last one will wait longest. Whoever was woken for it before may
                # be the one that leaves.
                self._waiting[-1].wake.set()

    async def take_turn(self) -> None:
        """Wait until the loop has had its turn after the last threads that started."""
        if len(self._waiting) < _CROWD:
            async with self._starting:
                await checkpoint()

    def leave(self) -> None:
        """Give the place to the one that waits longest, or back."""
        if self._waiting:
            place = self._waiting.popleft()
            place.granted = True
            place.wake.set()
        else:
            self._free += 1

    def _look(self) -> None:
        """Wake those whose wait is over."""
        for place in self._waiting:
            if place.caller.impatient:
                place.wake.set()
