"""
What one call may be told, from ``stream()`` down.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.config import Endpoint
from ..retry import Retry
from ..timeout import Timeout

__all__ = ["CallOptions"]


@dataclass(frozen=True, slots=True)
class CallOptions:
    """
    The options of one call.

    Args:
        timeout: How long it may take.
        retry: How stubborn to be.
        fallback: What to assume if the configuration cannot be read.
    """

    timeout: Timeout
    retry: Retry
    fallback: Endpoint | None = None
