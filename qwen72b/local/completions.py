"""
What an OpenAI-compatible server says: pieces of an answer, and errors.

Text in, text or errors out; no I/O. An error has a status, or comes with status
200 as an event among the pieces. Either says whether it is for now: then it is
``RateLimited`` or names a status of the fives, and ``notice`` tells it on.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any, NamedTuple

from qwen72b.errors import (
    GenerationFailed,
    HTTPStatusError,
    InvalidServerMessage,
    Qwen72BError,
    RateLimited,
    SpaceUnavailable,
)
from qwen72b.protocol.failure import Refusal
from qwen72b.protocol.jsontext import NotJSON, read_json
from qwen72b.protocol.surrogates import replace_surrogates

__all__ = ["Piece", "read_piece", "refused"]

# What helps with a status, where that is not ours to do.
_WAYS_OUT = {
    401: "Its key is read from QWEN72B_UPSTREAM_KEY.",
    403: "Its key is read from QWEN72B_UPSTREAM_KEY.",
    404: "Are the URL and the name of the model right?",
}

# Statuses of a server that has too much to do; the second is Anthropic's.
_BUSY = (429, 529)

# Statuses of the fives that are no matter of waiting.
_LASTING = (501, 505)

# How servers name it in an event's ``type`` or ``code`` that they have too much to
# do, or have failed themselves; and what they call a quota, which no wait renews.
_BUSY_NAME = r"(?i)rate_?limit|too_?many|overload|throttl|limit_requests|\bbusy\b"
_AWAY_NAME = r"(?i)unavailable|server_?error|bad_?gateway"
_QUOTA_NAME = r"(?i)insufficient_quota|billing"

# How they say it where they have no names for it.
_BUSY_WORDS = r"(?i)\brate limit|\btoo many requests\b|\boverloaded\b"

# How what stands before a server says, with status 500, that it cannot reach it
# (litellm 1.108: "OpenAIException - Connection error."). Any other 500 may be the
# fault of what was asked, and would be one each time.
_BEHIND_WORDS = (
    r"(?i)\bconnect(?:ion)? ?(?:error|refused|reset|aborted|timeout|timed out)\b|"
    r"\bconnection attempts failed\b|\bserver disconnected\b|\b(?:cannot|failed to) connect\b"
)

# Characters of an error's words, and of a name in it, that are looked at.
_MOST_WORDS, _MOST_NAME = 300, 100


class Piece(NamedTuple):
    """
    What one event brings.

    Attributes:
        text: More of the answer; may be empty.
        finished: Whether the server says that the answer is complete.
    """

    text: str
    finished: bool


def read_piece(data: str) -> Piece:
    """
    Read one event, but for ``[DONE]``.

    Args:
        data: Its data; JSON text.

    Raises:
        Qwen72BError: If the server says that it failed.
        InvalidServerMessage: If it is no JSON.
    """
    try:
        chunk = read_json(data)
    except NotJSON as exc:
        raise InvalidServerMessage("The upstream sent an event that is no JSON.") from exc
    if not isinstance(chunk, dict):
        return Piece("", False)
    if chunk.get("error") or chunk.get("object") == "error":
        raise _failed(chunk)
    text, finished = "", False
    # A chunk that only counts tokens has no choices.
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        delta = choice.get("delta")
        more = delta.get("content") if isinstance(delta, dict) else None
        if isinstance(more, str):
            text += replace_surrogates(more)
        finished = finished or choice.get("finish_reason") is not None
    return Piece(text, finished)


def refused(refusal: Refusal, name: str) -> HTTPStatusError | SpaceUnavailable:
    """
    Tell what a status other than 200 means.

    Args:
        refusal: What came instead of an answer.
        name: Who refused, as a sentence begins.

    Returns:
        The error to raise.
    """
    status = refusal.status_code
    way_out = _WAYS_OUT.get(status, "")
    said: object = None
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(refusal.body)
    _, names = _code(said) if isinstance(said, dict) else (0, "")
    words = _words(said, refusal.body)
    reason = f"{name} answered {status}: {words}. {way_out}".rstrip()
    if status == 500 and re.search(_BEHIND_WORDS, words):
        return SpaceUnavailable(reason, status_code=status, retry_after=refusal.retry_after)
    busy = status in _BUSY and not re.search(_QUOTA_NAME, names)
    return (RateLimited if busy else HTTPStatusError)(
        reason,
        status_code=status,
        headers=refusal.headers,
        body=refusal.body,
        retry_after=refusal.retry_after,
    )


def _failed(chunk: dict[str, Any]) -> Qwen72BError:
    """Make the error of an event that says that the server failed."""
    words = _words(chunk, json.dumps(chunk.get("error")))
    reason = f"The upstream failed: {words}."
    status, names = _code(chunk)
    known = bool(status or names)
    if status in _BUSY or (not status and re.search(_BUSY_NAME, names)):
        return RateLimited(reason)
    if not known and re.search(_BUSY_WORDS, words):
        return RateLimited(reason)
    fives = 500 <= status < 600 and status not in _LASTING
    if fives or (not status and re.search(_AWAY_NAME, names)):
        return SpaceUnavailable(reason, status_code=status or 503)
    return GenerationFailed(reason)


def _code(said: dict[str, Any]) -> tuple[int, str]:
    """Find an error's status, or 0, and its names."""
    error = said.get("error")
    fields = error if isinstance(error, dict) else said
    named = [fields.get("code"), fields.get("type"), said.get("error_type")]
    texts = [str(it)[:_MOST_NAME] for it in named if type(it) in (int, str)]
    status = next((int(it) for it in texts if re.fullmatch(r"[1-5][0-9]{2}", it)), 0)
    return status, " ".join(it for it in texts if not it.isdecimal())


def _words(said: object, body: str) -> str:
    """Give what an error says, in a line: its message, if it is JSON that has one."""
    for name in ("error", "message", "detail"):
        if isinstance(said, dict) and said.get(name):
            said = said[name]
    words = said if isinstance(said, str) else body
    return " ".join(words.split())[:_MOST_WORDS].rstrip(". ") or "without a word"
