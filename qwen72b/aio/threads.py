"""
The threads that do for an async client what may wait.
"""

from __future__ import annotations

import atexit
import math
import threading
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import current_token

__all__ = ["Threads"]

T = TypeVar("T")

# What ends the steps that threads are at.
_waiting: set[Callable[[], None]] = set()


def _hang_up_at_exit() -> None:
    for hang_up in list(_waiting):
        hang_up()


# An event loop that is left with a task still waiting leaves a thread of anyio's,
# which the interpreter joins at its exit, before it calls what atexit knows.
# This is how concurrent.futures ends its own threads.
getattr(threading, "_register_atexit", atexit.register)(_hang_up_at_exit)


class Threads:
    """
    The threads that wait for an async client.

    anyio's own limit of 40 threads for everything would make a file elsewhere
    in the program wait for 40 joins, and these for a Space that is slow.

    Args:
        most: How many may wait at once; ``None`` for any number.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._limiter: tuple[object, CapacityLimiter] | None = None

    async def run(self, step: Callable[[], T], hang_up: Callable[[], None]) -> T:
        """
        Do a blocking step in a thread.

        Args:
            step: The step.
            hang_up: Ends the step from outside, for a task that is cancelled
                leaves the thread behind; also called when the step fails.

        Returns:
            What it returned.
        """
        _waiting.add(hang_up)
        try:
            return await to_thread.run_sync(step, abandon_on_cancel=True, limiter=self._bound())
        except BaseException:
            hang_up()
            raise
        finally:
            _waiting.discard(hang_up)

    def _bound(self) -> CapacityLimiter:
        # A limiter belongs to one event loop; a client may see several.
        loop = current_token()
        if self._limiter is None or self._limiter[0] != loop:
            self._limiter = loop, CapacityLimiter(math.inf if self.most is None else self.most)
        return self._limiter[1]
