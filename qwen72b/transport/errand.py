"""
Work in a thread of its own, whose result may come when nobody waits any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from .latch import Latch

__all__ = ["Errand"]

T = TypeVar("T")


class _Failed:
    """An exception in place of a result."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Errand(Generic[T]):
    """
    Something that cannot be interrupted, but left behind.

    Args:
        work: What to do.
        discard: Frees the result, should it come too late.
    """

    def __init__(self, work: Callable[[], T], discard: Callable[[T], None]) -> None:
        #: Set when it is done, or by whoever wakes the one that waits.
        self.done = Latch()
        self._outcome: list[T | _Failed] = []
        self._work = work
        self._discard = discard
        self._lock = threading.Lock()
        self._abandoned = False

    @property
    def finished(self) -> bool:
        """Whether there is an outcome."""
        return bool(self._outcome)

    def do(self) -> None:
        """Do the work, in this thread."""
        outcome: T | _Failed
        try:
            outcome = self._work()
        except BaseException as exc:  # noqa: BLE001  # raised again where it is awaited
            outcome = _Failed(exc)
        with self._lock:
            if not self._abandoned:
                self._outcome.append(outcome)
                self.done.set()
                return
        if not isinstance(outcome, _Failed):
            self._discard(outcome)

    def result(self) -> T:
        """
        Return what the work returned.

        Raises:
            BaseException: What it raised.
        """
        outcome = self._outcome[0]
        if isinstance(outcome, _Failed):
            raise outcome.error
        return outcome

    def abandon(self) -> None:
        """Let the result go, whenever it comes."""
        with self._lock:
            self._abandoned = True
            late = self._outcome[:]
        for outcome in late:
            if not isinstance(outcome, _Failed):
                self._discard(outcome)
