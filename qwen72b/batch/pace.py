"""
The pace of a batch: when the next item may go.

Three things hold it back: a window of items in flight, a pause after a
refusal, and a token bucket for the rate. No clock is read here: every method
is told the time, in seconds.

A Space that says how long to wait gets that pause, and half the window, which
each windowful of answers widens by one (as TCP does, RFC 5681, section 3.1).

One that only says no may be busy with others, and free again at any time. A
first refusal takes a quarter of the window and no pause. Only where no answer
comes before the next one is the window halved and all held back: for half a
second, then for one, then for a fifth of the time that this has lasted, up to
4 s; drawn from the upper half of that, so that many batches do not come back
together. The first answer to an item that went since then gives back the window
of before the trouble, and below that each one widens it by one. How often an
item was refused does not count.

Simulated, with 8 at once that take 0.5 s each, as parts of what a Space that is
always free answers (in brackets as it was with halves and pauses per item): a
Space that refuses one request in two 0.44 (0.03), one in ten 0.97 (0.22); busy
every other 5 s 0.44, 20 s 0.46. One that takes 1, 2 or 4 at once is kept busy
for 0.98 of the time (0.26 to 0.51). When it is free again, nine tenths of the
window are back after 2 s, at worst 4; 64 at once that take 2 s each have them
after 4 s, at worst 7.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import random

from ..errors import InvalidOption
from ..privacy.redaction import shown

__all__ = ["LONGEST_PAUSE", "Pace"]

# Seconds. A Space that asks for hours is asked again all the same: its quota
# may be renewed piecemeal, and items that it refuses too often fail in the end.
LONGEST_PAUSE = 900.0

# Items under way at once, each of which has a thread or a task of its own.
_MOST = 1_000_000

# Items per second: one in four months, and as many as can be told apart.
_SLOWEST, _FASTEST = 1e-7, 1e9

# How often a pause doubles: from half a second to 4 s.
_DOUBLINGS = 3

# The part of a trouble's duration that its next pause takes: so much of the time
# that a Space is free again may be lost.
_SHARE = 0.2

# Of a pause that is drawn from its upper half.
_MEAN = 0.75

# What is left of the window after a refusal that may be chance, and of what is
# remembered of its size with each windowful of answers between such refusals.
_MILD = 0.75
_FADING = 0.9

# Seconds' worth of tokens that may be saved up, so that a rate of thousands
# per second survives timers that are late by a millisecond.
_BURST_SECONDS = 0.1


class Pace:
    """
    How fast a batch may go.

    Args:
        most: Largest window: items in flight.
        rate: Items per second; ``None`` for any number.
        base: Seconds of the first pause that a Space did not ask for.
        cap: Seconds of the longest one.
        draw: Draws a number from 0 to 1.

    Raises:
        InvalidOption: If an argument has no usable value.
    """

    def __init__(
        self,
        most: int,
        rate: float | None,
        *,
        base: float = 0.5,
        cap: float = 20.0,
        draw: Callable[[], float] = random,
    ) -> None:
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
        self._base = base
        self._cap = cap
        self._draw = draw
        self._resume = 0.0
        self._shrunk = 0.0
        # Signs of refusal since the last answer, when the first came, and from when
        # on another one counts.
        self._signs = 0
        self._since = 0.0
        self._next_sign = 0.0
        # Whether no item has been answered that went since all were held back.
        self._in_trouble = False
        # Up to where each answer widens the window by one, and the answers since
        # it was looked at.
        self._threshold = 0.0
        self._answers = 0

    @property
    def window(self) -> int:
        """How many items may be in flight now."""
        return int(self._size)

    @property
    def signs(self) -> int:
        """
        How often the Space refused since it last answered.

        Windowfuls are counted once, and so is what comes within 0.5, 1, 2 seconds
        and so on, up to the longest wait between the tries of one question.
        """
        return self._signs

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

    def answered(self, sent: float = inf) -> None:
        """
        Note that the Space answered.

        Args:
            sent: When the item went. One that went before the last refusal does
                not show that the Space takes items again.
        """
        if self._in_trouble and sent >= self._shrunk:
            self._in_trouble = False
            self._size = max(self._size, self._threshold)
        self._signs = 0
        self._next_sign = 0.0
        self._answers += 1
        step = 1.0 if self._size < self._threshold else 1.0 / self._size
        self._size = min(self.most, self._size + step)

    def refused(self, asked: float | None, sent: float, now: float) -> None:
        """
        Note that the Space refused an item.

        Args:
            asked: Seconds for which the Space wants nothing; ``None`` if it
                did not say.
            sent: When the item went. One windowful refused together is one
                sign, not many, so only items that went after the last
                shrinking shrink the window again.
            now: The time.
        """
        pause = 0.0 if asked is None else min(asked, LONGEST_PAUSE)
        if sent >= self._shrunk:
            self._shrunk = now
            if self._signs == 0:
                self._since = now
            counts = now >= self._next_sign
            self._signs += counts
            mild = asked is None and self._signs == 1
            if asked is not None:
                self._threshold = 0.0
            elif mild and not self._in_trouble:
                windowfuls = self._answers / max(1.0, self._threshold)
                self._threshold = max(self._size, self._threshold * _FADING ** min(1.0, windowfuls))
                self._answers = 0
            self._size = max(1.0, self._size * (_MILD if mild else 0.5))
            if asked is None and not mild:
                self._in_trouble = True
                counted = self._base * 2.0 ** max(0, self._signs - 2)
                probing = max(2 * self._base, _SHARE * (now - self._since))
                pause = min(counted, probing, self._base * 2**_DOUBLINGS, self._cap)
                if counts and pause < min(counted, self._cap):
                    self._next_sign = now + min(counted, self._cap) * _MEAN
                pause *= (1 + self._draw()) / 2
        self._resume = max(self._resume, now + pause)

    def _until_token(self, now: float) -> float:
        if self._rate is None:
            return 0.0
        saved = self._tokens + max(0.0, now - self._counted) * self._rate
        self._tokens = min(saved, max(1.0, self._rate * _BURST_SECONDS))
        self._counted = now
        # Nearly a whole token is one: what rounding took would be waited for in vain.
        return max(0.0, (1.0 - self._tokens) / self._rate) if self._tokens < 1 - 1e-9 else 0.0
