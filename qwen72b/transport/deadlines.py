"""
The deadlines of a running call.

A socket's own timeout starts anew with every byte, so a trickle of bytes or of
heartbeats defeats it. These deadlines do not move with bytes: ``read`` moves
with whole messages only, the others not at all.
"""

from __future__ import annotations

import math
from time import monotonic

from ..errors import RequestTimeout
from ..timeout import Timeout

__all__ = ["Deadlines"]

_MEANINGS = {
    "connect": "no connection came about",
    "read": "the Space was silent",
    "queue": "the job was still waiting in the queue",
    "first_token": "the Space had started but sent no text",
    "total": "the answer was not complete",
}

_HINTS = {
    "connect": "Check the network, the proxy and the URL.",
    "read": "Is the Space alive? qwen72b status tells.",
    "queue": "Ask again later, or raise Timeout(queue=...).",
    "first_token": "Ask again, or raise Timeout(first_token=...).",
    "total": "Raise the timeout, or ask for a shorter answer.",
}


class Deadlines:
    """
    The deadlines of one running call.

    Args:
        limits: How long each phase may take.
    """

    def __init__(self, limits: Timeout) -> None:
        self._limits = limits
        self._phases: dict[str, float] = {}
        # The nearest deadline but that of ``read``, which moves with every message.
        self._fixed = math.inf
        self._read = math.inf
        #: The nearest of all; looked at before every step that may wait.
        self.nearest = math.inf

    def start(self, phase: str, limit: float | None = None) -> None:
        """
        Start a phase's clock, unless it runs.

        Args:
            phase: A field's name in ``Timeout``, or any other with a limit.
            limit: Seconds; the phase's own limit if ``None``.
        """
        limit = getattr(self._limits, phase) if limit is None else limit
        if phase not in self._phases and limit is not None:
            self._phases[phase] = deadline = monotonic() + limit
            self._fixed = min(self._fixed, deadline)
            self.nearest = min(self.nearest, deadline)

    def stop(self, phase: str) -> None:
        """
        Stop a phase's clock.

        Args:
            phase: A field's name in ``Timeout``.
        """
        if self._phases.pop(phase, None) is not None:
            self._fixed = min(self._phases.values(), default=math.inf)
            self.nearest = min(self._fixed, self._read)

    def listen(self) -> None:
        """Start the clock of silence anew: something is expected from now on."""
        limit = self._limits.read
        if limit is not None:
            self._read = read = monotonic() + limit
            fixed = self._fixed
            self.nearest = min(fixed, read)

    def rest(self) -> None:
        """Stop the clock of silence: nothing is expected."""
        self._read = math.inf
        self.nearest = self._fixed

    def would_exceed(self, delay: float) -> bool:
        """
        Tell whether a wait of ``delay`` seconds would outlast a deadline.

        Args:
            delay: Seconds.
        """
        return monotonic() + delay >= self.nearest

    def expired(self) -> RequestTimeout | None:
        """
        Tell which clock ran out.

        Returns:
            The error to raise, or ``None`` if no deadline has passed.
        """
        # A hundredth of a second of grace: the system's own timer, which woke
        # the caller, may run ahead of this one.
        now = monotonic() + 0.01
        passed = [
            (when, phase)
            for phase, when in self._phases.items()
            # Others are no promise to the caller.
            if when <= now and phase in _MEANINGS
        ]
        if self._read <= now:
            passed.append((self._read, "read"))
        if not passed:
            return None
        phase = min(passed)[1]
        limit = getattr(self._limits, phase)
        return RequestTimeout(
            f"{_MEANINGS[phase]} after {limit:g} s.", phase=phase, hint=_HINTS[phase]
        )
