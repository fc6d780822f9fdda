"""
The pace of a batch: when the next item may go.

Three things hold it back: a window of items in flight, which grows by one for
each windowful of answers and is halved by a refusal (additive increase,
multiplicative decrease, as TCP does, RFC 5681 section 3.1); a pause after a
refusal, as long as the Space asks; and a token bucket for the rate. No clock
is read here: every method is told the time, in seconds.
"""

from __future__ import annotations

from ..errors import InvalidOption
from ..redaction import shown

__all__ = ["LONGEST_PAUSE", "Pace"]

# Seconds. A Space that asks for hours is asked again all the same: its quota
# may be renewed piecemeal, and items that it refuses too often fail in the end.
LONGEST_PAUSE = 900.0

# Items under way at once, each of which has a thread or a task of its own.
_MOST = 1_000_000

# Items per second: one in four months, and as many as can be told apart.
_SLOWEST, _FASTEST = 1e-7, 1e9

# Seconds' worth of tokens that may be saved up, so that a rate of thousands
# per second survives timers that are late by a millisecond.
_BURST_SECONDS = 0.1


class Pace:
    """
    How fast a batch may go.

    Args:
        most: Largest window: items in flight.
        rate: Items per second; ``None`` for any number.

    Raises:
        InvalidOption: If an argument has no usable value.
    """

    def __init__(self, most: int, rate: float | None) -> None:
        if type(most) is not int or not 1 <= most <= _MOST:
            raise InvalidOption(
                f"max_in_flight={shown(most)} is not a count of at least 1 and at most {_MOST:,}."
            )
        if rate is not None and (
            type(rate) not in (int, float) or not _SLOWEST <= rate <= _FASTEST
        ):
            raise InvalidOption(f"rate={shown(rate)} is not a positive number of items per second.")
        self.most = most
        self._size = float(most)
        self._rate = rate
        self._tokens = 1.0
        self._counted = 0.0
        self._resume = 0.0
        self._shrunk = 0.0

    @property
    def window(self) -> int:
        """How many items may be in flight now."""
        return int(self._size)

    def paused(self, now: float) -> float:
        """Tell how many seconds of a pause are left."""
        return max(0.0, self._resume - now)

    def delay(self, in_flight: int, now: float) -> float | None:
        """
        Tell when the next item may go.

        Args:
            in_flight: Items that are under way.
            now: The time.

        Returns:
            Seconds from now; ``None`` for not before one under way has ended.
        """
        if in_flight >= self.window:
            return None
        return max(self.paused(now), self._until_token(now))

    def sent(self) -> None:
        """Note that an item went."""
        self._tokens -= 1.0

    def answered(self) -> None:
        """Note that the Space answered."""
        self._size = min(self.most, self._size + 1.0 / self._size)

    def refused(self, pause: float, sent: float, now: float) -> None:
        """
        Note that the Space refused an item.

        Args:
            pause: Seconds for which nothing should be sent.
            sent: When the item went. One windowful refused together is one
                sign, not many, so only items that went after the last
                shrinking shrink the window again.
            now: The time.
        """
        self._resume = max(self._resume, now + min(pause, LONGEST_PAUSE))
        if sent >= self._shrunk:
            self._shrunk = now
            self._size = max(1.0, self._size / 2)

    def _until_token(self, now: float) -> float:
        if self._rate is None:
            return 0.0
        saved = self._tokens + max(0.0, now - self._counted) * self._rate
        self._tokens = min(saved, max(1.0, self._rate * _BURST_SECONDS))
        self._counted = now
        # Nearly a whole token is one: what rounding took would be waited for in vain.
        return max(0.0, (1.0 - self._tokens) / self._rate) if self._tokens < 1 - 1e-9 else 0.0
