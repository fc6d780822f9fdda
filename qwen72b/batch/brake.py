"""
The brake of a batch: when failures end it.

Most failures are an item's own, and the others are asked all the same. Some hold
for all: a login or a key that is refused, a model that is not there, a rule of
the server's. Where they follow upon one another with no answer in between, each
further item is asked in vain, and may be paid for.

Until the first answer, and from such a failure to the next answer, no more items
are under way than may fail yet: a server that refuses all is asked no more often
than that, however large the window.
"""

from __future__ import annotations

import re
from typing import Literal

from ..errors import (
    AuthenticationError,
    ConnectFailed,
    GenerationFailed,
    HTTPStatusError,
    InvalidDiff,
    InvalidOption,
    InvalidRequest,
    ProtocolError,
    QuotaExceeded,
    Qwen72BError,
    SpaceUnavailable,
)
from ..privacy.redaction import shown
from ..retry import is_passing

__all__ = ["HOPELESS", "Brake"]

# Failures in a row, all for one reason, until there is no hope for the other items.
HOPELESS = 20

# More than there are items.
_MOST = 10**18

# Statuses of a request whose own content is at fault: it is wrong or too large.
_OWN_STATUS = (400, 408, 413, 414, 422, 431)

# What an app says, in its own words or another server's, of the one item ...
_OWN_WORDS = re.compile(
    r"(?i)\banswered 4(?:00|08|13|14|22)\b|\bcontent[ _](?:filter|management|policy)|"
    r"\bcontext[ _](?:length|window|size)|\btoo (?:long|large)\b|\bmax(?:imum)?[ _]tokens\b|"
    r"\bmoderation|\bflagged\b|\bviolat|\bsafety\b"
)

# ... and of all.
_LASTING_WORDS = re.compile(
    r"(?i)\banswered 4(?:01|02|03|04|05|10)\b|\b(?:http|status|code)\W{1,3}40[1-4]\b|"
    r"\bunauthori[sz]ed\b|\bforbidden\b|\bauthenticat|\bcredentials?\b|\bapi[ _-]?key\b|"
    r"\b(?:invalid|expired|revoked)[ _](?:access )?(?:token|key)\b|\b(?:log|sign)(?:ged)?[- ]?in\b|"
    r"\b(?:permission|access)[ _](?:was |is )?denied\b|\bnot (?:allowed|permitted)\b|"
    r"\binsufficient[ _]quota\b|\bbilling\b|\bpayment\b|\bpolicy\b|"
    r"\b(?:unknown|no such|invalid|unsupported)[ _]model\b|"
    r"\bmodel\b.{0,200}\b(?:not[ _](?:found|exist|available|supported)|does not exist|no longer)"
)

# Parts of an error's words that differ from item to item: numbers, and ids with some.
_NUMBERS = re.compile(r"\w*\d\w*")


class Brake:
    """
    When failures end a batch.

    Args:
        stop_on_error: Whether the first one does; ``"lasting"`` for so many in a
            row for one reason that will last.
        max_failures: How many do, whatever their reasons; ``None`` for any number.

    Raises:
        InvalidOption: If an argument has no usable value.
    """

    def __init__(
        self, stop_on_error: bool | Literal["lasting"], max_failures: int | None = None
    ) -> None:
        if not isinstance(stop_on_error, bool) and not (
            isinstance(stop_on_error, str) and stop_on_error == "lasting"
        ):
            raise InvalidOption(
                f'stop_on_error={shown(stop_on_error)} is neither True, False nor "lasting".'
            )
        if max_failures is not None and (
            type(max_failures) is not int or not 1 <= max_failures <= _MOST
        ):
            raise InvalidOption(f"max_failures={shown(max_failures)} is not a count of at least 1.")
        # ``None`` for any number.
        self._most = 1 if stop_on_error is True else max_failures
        self._watches = stop_on_error == "lasting"
        self._failures = 0
        self._answered = False
        # The failures in a row for one reason, and that.
        self._row = 0
        self._reason: tuple[type[Qwen72BError], str] | None = None

    def allows(self, in_flight: int) -> bool:
        """
        Tell whether one more item may go.

        Args:
            in_flight: Items that are under way.
        """
        left = _MOST
        if self._most is not None and not self._answered:
            left = self._most - self._failures
        if self._watches and (self._row or not self._answered):
            left = min(left, HOPELESS - self._row)
        return in_flight < left

    def answered(self) -> None:
        """Note that an item was answered."""
        self._answered = True
        self._row = 0

    def failed(self, error: Qwen72BError) -> bool:
        """
        Note that an item failed.

        Args:
            error: Why.

        Returns:
            Whether that ends the batch.
        """
        self._failures += 1
        if self._watches and not isinstance(error, InvalidRequest):
            lasts = _lasts(error)
            # A reason that says nothing of its own counts where nothing was answered.
            counts = lasts or (lasts is None and not self._answered)
            reason = (type(error), _NUMBERS.sub("", error.reason)) if counts else None
            self._row = (self._row + 1 if reason == self._reason else 1) if counts else 0
            self._reason = reason
        if self._most is not None and self._failures >= self._most:
            return True
        return self._watches and self._row >= HOPELESS


def _lasts(error: Qwen72BError) -> bool | None:
    """Tell whether an item's failure holds for the others; ``None`` if it may or may not."""
    if isinstance(error, (AuthenticationError, ProtocolError)):
        # A broken edit is one answer's.
        return None if isinstance(error, InvalidDiff) else True
    if isinstance(error, QuotaExceeded):
        return False
    if isinstance(error, (HTTPStatusError, SpaceUnavailable)):
        if is_passing(error) or error.status_code in _OWN_STATUS:
            return False
        # It failed in itself, with this item or with any.
        return None if error.status_code == 500 else True
    if isinstance(error, GenerationFailed):
        if _OWN_WORDS.search(error.reason):
            return False
        return True if _LASTING_WORDS.search(error.reason) else None
    if isinstance(error, ConnectFailed):
        # Each of them was tried again for a while.
        return True
    # What was refused because others wait. Where nobody answers in time, that may be
    # so for good.
    return False if is_passing(error) and not isinstance(error, ConnectionError) else None
