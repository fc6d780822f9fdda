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
from typing import TypeVar

from anyio import CapacityLimiter, Event, move_on_after, to_thread
from anyio.lowlevel import EventLoopToken, current_token

from ..transport.threads import no_thread

__all__ = ["Threads"]

T = TypeVar("T")

# Seconds between two looks, while a thread is waited for, whether the call was
# ended: what ends it may be a signal handler, which cannot wake a task. Longer,
# the more wait, so that it costs an event loop a twentieth of its time at most.
_LOOK = 0.1
_LOOK_EACH = 0.001

# What ends the steps that threads are at.
_waiting: set[Callable[[], None]] = set()


def _hang_up_at_exit() -> None:
    for hang_up in list(_waiting):
        hang_up()


# An event loop that is left with a task still waiting leaves a thread of anyio's,
# which the interpreter joins at its exit, before it calls what atexit knows.
# This is how concurrent.futures ends its own threads.
# Where the interpreter is ending already, nothing is left to be ended first.
with suppress(RuntimeError):
    getattr(threading, "_register_atexit", atexit.register)(_hang_up_at_exit)


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

    async def run(
        self,
        step: Callable[[], T],
        hang_up: Callable[[], None],
        patience: Callable[[], float | None],
    ) -> T:
        """
        Do a blocking step in one of the threads.

        Args:
            step: The step.
            hang_up: Ends the step from outside, for a task that is cancelled
                leaves the thread behind; also called when the step fails.
            patience: Tells for how many seconds to wait for a thread, or raises.

        Returns:
            What the step returned.

        Raises:
            TransportError: If there is no thread to be had.
        """
        loop = self._here()
        try:
            await loop.enter(patience)
        except BaseException:
            hang_up()
            raise
        try:
            return await self.run_beside(step, hang_up)
        finally:
            loop.leave()

    async def run_beside(self, step: Callable[[], T], hang_up: Callable[[], None]) -> T:
        """
        Do a blocking step in a thread on top of those that are counted.

        Args:
            step: As in ``run``.
            hang_up: As in ``run``.

        Returns:
            What the step returned.

        Raises:
            TransportError: If there is no thread to be had.
        """
        begun = False

        def work() -> T:
            nonlocal begun
            begun = True
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
        token = current_token()
        if self._loop is None or self._loop.token != token:
            self._loop = _Loop(token, self.most)
        return self._loop


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
        self._free = math.inf if most is None else most
        self._waiting: deque[Event] = deque()

    async def enter(self, patience: Callable[[], float | None]) -> None:
        """
        Wait for a place.

        Args:
            patience: Tells for how many seconds to wait, or raises.
        """
        if self._free > 0:
            self._free -= 1
            return
        mine = Event()
        self._waiting.append(mine)
        try:
            while not mine.is_set():
                look = _LOOK + _LOOK_EACH * len(self._waiting)
                with move_on_after(min(patience() or look, look)):
                    await mine.wait()
        except BaseException:
            if mine.is_set():
                self.leave()
            else:
                self._waiting.remove(mine)
            raise

    def leave(self) -> None:
        """Give the place to the one that waits longest, or back."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
