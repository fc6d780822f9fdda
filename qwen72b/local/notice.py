"""
What a client is told of an answer that failed: for now, for good, or in its midst.

Whoever asks shall hear what the server behind said. A refusal that passes is
told as such, with the seconds that the server named: a batch then slows down and
asks again, and a person reads when to. Nothing is waited for in here, where
nobody would see why.
"""

from __future__ import annotations

from typing import NamedTuple

from qwen72b.errors import (
    ConnectFailed,
    HTTPStatusError,
    Qwen72BError,
    RateLimited,
    SpaceUnavailable,
    StreamInterrupted,
)
from qwen72b.protocol.joberror import BUSY, INTERRUPTED, UNAVAILABLE

__all__ = ["Notice", "notice"]

# Statuses of a server, or of what stands before it, that is away or starting.
_AWAY = (502, 503, 504)

# Seconds that are passed on of what a server names: no less than a busy server
# can use, no more than a quarter of an hour, which is as long as a batch waits.
_LEAST_WAIT, _MOST_WAIT = 1.0, 900.0


class Notice(NamedTuple):
    """
    What a ``gr.Error`` is made of; by default as Gradio makes it.

    Attributes:
        words: What happened.
        title: What kind of failure it is.
        duration: Seconds for which it is shown, and nobody needs to ask again;
            ``None`` where nobody said how long.
    """

    words: str
    title: str = "Error"
    duration: float | None = 10


def notice(error: Qwen72BError, *, begun: bool) -> Notice:
    """
    Say what a client is to be told.

    Args:
        error: Why the answer failed.
        begun: Whether the client has some of its text.
    """
    title = _title(error)
    if title is None:
        return Notice(str(error))
    wait = error.retry_after
    # What helps, the client knows by the title.
    return Notice(
        error.reason,
        INTERRUPTED if begun else title,
        None if wait is None else min(max(wait, _LEAST_WAIT), _MOST_WAIT),
    )


def _title(error: Qwen72BError) -> str | None:
    """Name what passes; what does not has no name."""
    if isinstance(error, RateLimited):
        return BUSY
    away = isinstance(error, (SpaceUnavailable, StreamInterrupted))
    if isinstance(error, HTTPStatusError):
        away = error.status_code in _AWAY
    if isinstance(error, ConnectFailed):
        away = error.stage != "tls"
    return UNAVAILABLE if away else None
