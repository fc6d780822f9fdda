"""
The attempts of one request, and the waits between them.
"""

from __future__ import annotations

import logging
import random

from ..errors import Qwen72BError, StreamInterrupted
from ..retry import Retry, is_passing
from ..transport.interrupts import from_signal_handler
from ..transport.scope import CallScope

__all__ = ["Attempts"]

# Seconds to wait at least where the Space says how long: it may say 0.
_LEAST_ASKED = 0.1

log = logging.getLogger("qwen72b")


class Attempts:
    """
    The attempts of one request.

    Args:
        retry: How many, and how long between them.
        scope: The call that they belong to.
    """

    def __init__(self, retry: Retry, scope: CallScope) -> None:
        self._retry = retry
        self._scope = scope
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
        if from_signal_handler(error):
            raise error
        self._failed += 1
        passing = is_passing(error) or (repeatable and isinstance(error, StreamInterrupted))
        if self._failed >= self._retry.attempts or not passing:
            raise error
        asked = error.retry_after
        if asked is None:
            # 2 to the 1024th is no float any more.
            doublings = min(self._failed - 1, 1000)
            ceiling = min(self._retry.cap, self._retry.base * 2.0**doublings)
            delay = random.uniform(0, ceiling)
        elif asked > self._retry.cap:
            raise error
        else:
            delay = max(asked, _LEAST_ASKED)
        # Nobody is expected to speak meanwhile.
        self._scope.deadlines.rest()
        if self._scope.deadlines.would_exceed(delay):
            raise error
        log.debug("%s: %s; next try in %.2f s", self._scope, type(error).__name__, delay)
        self._scope.sleep(delay)
