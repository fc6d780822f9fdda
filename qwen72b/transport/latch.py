"""
An event that may be set at any point of any code.

``threading.Event.set`` takes a lock that the thread which waits holds too, at
either end of its wait. A signal handler, a destructor or a trace function that
comes in between there, in that same thread, would wait for itself.
"""

from __future__ import annotations

import threading
from contextlib import suppress

__all__ = ["Latch"]


class Latch:
    """
    An event: not set at first, then set for ever.

    It is a lock that is held until then. Releasing a lock is one step, which any
    thread may take, and nothing can come in between.
    """

    def __init__(self) -> None:
        self._set = False
        self._held = threading.Lock()
        self._held.acquire()

    def is_set(self) -> bool:
        """Tell whether it is set."""
        return self._set

    def set(self) -> None:
        """Set it, which wakes whoever waits; idempotent."""
        self._set = True
        self._let_through()

    def wait(self, seconds: float | None = None) -> bool:
        """
        Wait until it is set.

        Args:
            seconds: How long at most; ``None`` for as long as it takes.

        Returns:
            Whether it is set.
        """
        if not self._set:
            try:
                self._held.acquire(timeout=-1 if seconds is None else seconds)
            finally:
                if self._set:
                    # One gets the lock, and lets the next one through; also where an
                    # exception out of a signal handler came in between.
                    self._let_through()
        return self._set

    def _let_through(self) -> None:
        # It may have been released by another before.
        with suppress(RuntimeError):
            self._held.release()
