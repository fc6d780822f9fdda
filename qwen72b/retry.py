"""
The policy of trying again: what, how often, and after how long.

Every join makes a new job, so a join is tried again only where the Space
cannot have taken the one before: no connection, or a refusal. What failed
after that, or is the caller's own fault, is raised at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import (
    ConnectFailed,
    HTTPStatusError,
    InvalidOption,
    QueueFull,
    Qwen72BError,
    RateLimited,
    SpaceUnavailable,
    StreamInterrupted,
)
from .privacy.redaction import shown

__all__ = ["Retry", "is_passing"]

# Refused for now: nothing was done (RFC 9110, 15.5 and 15.6).
_PASSING = frozenset({429, 502, 503, 504})


# Seconds of a wait between two attempts: more than a century.
_MOST_SECONDS = 1e10


@dataclass(frozen=True, slots=True)
class Retry:
    """
    How stubborn a client is.

    The wait before try ``n + 1`` is drawn from 0 to ``base * 2 ** (n - 1)``
    seconds (full jitter), unless the Space says how long (``Retry-After``).

    Args:
        attempts: Tries of one request in all; 1 never tries again.
        base: Longest first wait, in seconds.
        cap: Longest wait, in seconds. A Space that asks for more gets none:
            the error is raised at once, with ``retry_after``.

    Example:
        >>> client = Client(retry=Retry(attempts=5, cap=60))
        >>> client.ask("What is the capital of France?", retry=Retry(attempts=1))
        'Paris.'
    """

    attempts: int = 3
    base: float = 0.5
    cap: float = 20.0

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise InvalidOption(
                f"Retry(attempts={shown(self.attempts)}) is not a count of at least 1."
            )
        for name, value in (("base", self.base), ("cap", self.cap)):
            if type(value) not in (int, float) or not 0 <= value <= _MOST_SECONDS:
                raise InvalidOption(f"Retry({name}={shown(value)}) is not a number of seconds.")


def is_passing(error: Qwen72BError) -> bool:
    """
    Tell whether a failed request may be made again as it was.

    Args:
        error: Why it failed.
    """
    if isinstance(error, ConnectFailed):
        return error.stage != "tls"
    if isinstance(error, (QueueFull, RateLimited)):
        return True
    if isinstance(error, SpaceUnavailable) and error.status_code is None:
        # Without a page, this is the word of the Space's own app.
        return error.stage is None
    if isinstance(error, (HTTPStatusError, SpaceUnavailable)):
        return error.status_code in _PASSING
    if isinstance(error, StreamInterrupted):
        # Whoever wants the whole answer or none may ask for all of it again. Without
        # any of its text it is not known whether there is a job.
        return bool(error.partial)
    return False
