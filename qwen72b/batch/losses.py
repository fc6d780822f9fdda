"""
What becomes of items that an executor lost: a worker was killed, a node went.

They go again, since most were only beside what happened. One item may be what
ends the workers, though: a prompt that a driver or a limit of memory does not
stand. So after each loss no more than half as many items go at once, those that
were lost first, until all of these have an outcome: what is lost alone, and was
before, is it. That takes the logarithm of the window, and no other item fails.
"""

from __future__ import annotations

__all__ = ["Losses"]

# How often an item is lost at least, before it is taken for the reason.
_TIMES = 3


class Losses:
    """
    The items that were lost and have no outcome yet, by position.
    """

    def __init__(self) -> None:
        self._times: dict[int, int] = {}
        self._limit: int | None = None
        self._halved = 0.0

    def holds(self, in_flight: int) -> bool:
        """
        Tell whether no more may go for now.

        Args:
            in_flight: Items that are under way.
        """
        return self._limit is not None and in_flight >= self._limit

    def lost(self, position: int, sent: float, in_flight: int, now: float) -> bool:
        """
        Note that an item was lost.

        Args:
            position: The item's.
            sent: When it went. Items that went before the last loss and are lost
                too are part of it.
            in_flight: Items that were under way, this one among them.
            now: The time.

        Returns:
            Whether it goes again.
        """
        self._times[position] = self._times.get(position, 0) + 1
        alone = self._limit == 1 and sent >= self._halved
        if sent >= self._halved:
            self._limit = max(1, (self._limit or in_flight) // 2)
            self._halved = now
        return not alone or self._times[position] < _TIMES

    def settled(self, position: int) -> None:
        """
        Note that an item has an outcome.

        Args:
            position: The item's.
        """
        if self._times.pop(position, None) is not None and not self._times:
            self._limit = None
