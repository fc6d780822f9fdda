"""
What one call may be told, from ``stream()`` down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
        headers: Sent with its requests, beside the client's.
        fallback: What to assume if the configuration cannot be read.
    """

    timeout: Timeout
    retry: Retry
    # Not shown: they may be secret.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    fallback: Endpoint | None = None
