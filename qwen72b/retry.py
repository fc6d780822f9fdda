"""
What is tried again, how often, and after how long?

Every join makes a new job, so a join is tried again only where the Space
cannot have taken the one before: no connection, or a refusal. What failed
after that, or is the caller's own fault, is raised at once.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass

from .call import Call
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

__all__ = ["Attempts", "Retry", "is_passing"]

log = logging.getLogger("qwen72b")

# Refused for now: nothing was done (RFC 9110, 15.5 and 15.6).
_PASSING = frozenset({429, 502, 503, 504})


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
    """

    attempts: int = 3
    base: float = 0.5
    cap: float = 20.0

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise InvalidOption(f"Retry(attempts={self.attempts!r}) is not a count of at least 1.")
        for name, value in (("base", self.base), ("cap", self.cap)):
            if type(value) not in (int, float) or not 0 <= value < float("inf"):
                raise InvalidOption(f"Retry({name}={value!r}) is not a number of seconds.")


class Attempts:
    """
    The tries of one request.

    Args:
        retry: How many, and how long between them.
        call: The call that they belong to.
    """

    def __init__(self, retry: Retry, call: Call) -> None:
        self._retry = retry
        self._call = call
        self._failed = 0

    def pause(self, error: Qwen72BError, *, repeatable: bool = False) -> None:
        """
        Wait before the next try.

        Args:
            error: Why the last one failed.
            repeatable: Whether the request may be made again although it may
                have been received, as a GET may.

        Raises:
            Qwen72BError: That same error, if there is no next try.
        """
        self._failed += 1
        passing = is_passing(error) or (repeatable and isinstance(error, StreamInterrupted))
        if self._failed >= self._retry.attempts or not passing:
            raise error
        asked = getattr(error, "retry_after", None)
        if asked is None:
            # 2 to the 1024th is no float any more.
            doublings = min(self._failed - 1, 1000)
            ceiling = min(self._retry.cap, self._retry.base * 2.0**doublings)
            delay = random.uniform(0, ceiling)
        elif asked > self._retry.cap:
            raise error
        else:
            delay = asked
        # Nobody is expected to speak meanwhile.
        self._call.clock.rest()
        if self._call.clock.would_exceed(delay):
            raise error
        log.debug("%s: %s; next try in %.2f s", self._call, type(error).__name__, delay)
        self._call.sleep(delay)


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
    if isinstance(error, (HTTPStatusError, SpaceUnavailable)):
        return error.status_code in _PASSING
    return False
