"""
The limits of a call: how long each of its phases may take.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from .errors import InvalidOption
from .privacy.redaction import shown

__all__ = ["Timeout", "TimeoutLike", "to_timeout"]


# An int beyond it fits in no float.
_MOST = 1e308


@dataclass(frozen=True, slots=True)
class Timeout:
    """
    Limits of one call, in seconds; ``None`` is no limit.

    They cover the whole call, retries included, and each is kept to within
    half a second.

    Args:
        connect: Until there is a connection: name, TCP, TLS, proxy, and
            retries of these.
        read: Longest silence: until a request is answered whole, and between
            two whole messages of the stream. The default is three of the
            heartbeats that Gradio sends every 15 seconds.
        queue: From the join until the Space starts to work on the job.
            Heartbeats do not count.
        first_token: From then until the first text.
        total: From the first request to the last text.

    Example:
        >>> client = Client(timeout=Timeout(queue=60, total=300))
        >>> client.ask("What is the capital of France?", timeout=30)
        'Paris.'
    """

    connect: float | None = 5.0
    read: float | None = 45.0
    queue: float | None = 600.0
    first_token: float | None = 180.0
    total: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if type(value) not in (int, float) or not (0 < value <= _MOST or value == math.inf):
                raise InvalidOption(
                    f"the timeout {field.name}={shown(value)} is not a positive number of seconds.",
                    hint="None means no limit.",
                )


TimeoutLike = Timeout | float | int | None


def to_timeout(value: TimeoutLike, default: Timeout) -> Timeout:
    """
    Read what a caller passed as a timeout.

    Args:
        value: A ``Timeout``; or seconds for the whole call; or ``None`` for
            the default.
        default: The limits that hold otherwise.

    Returns:
        The limits.

    Raises:
        InvalidOption: If the value is neither, or not positive.
    """
    if value is None:
        return default
    if isinstance(value, Timeout):
        return value
    return Timeout(
        connect=default.connect,
        read=default.read,
        queue=default.queue,
        first_token=default.first_token,
        total=value,
    )
