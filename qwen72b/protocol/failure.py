"""
Failures: what the statuses, the pages and the words of a Space mean.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from ..errors import (
    AuthenticationError,
    GenerationFailed,
    HTTPStatusError,
    QueueFull,
    QuotaExceeded,
    Qwen72BError,
    RateLimited,
    SpaceUnavailable,
)
from .surrogates import replace_surrogates

__all__ = ["Refusal", "job_error", "page_error", "status_error"]

# Characters of a body that an error keeps.
_BODY_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    An HTTP response that is not what was asked for.

    Args:
        status_code: Its status.
        reason: The status in words; may be empty.
        headers: Its headers, under names of any case.
        body: Its body.
        now: When it came, in seconds since 1970.
    """

    status_code: int
    reason: str
    headers: Mapping[str, str]
    body: str
    now: float

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people."""
        kind = self.headers.get("content-type", "").lower()
        begin = self.body.lstrip()[:15].lower()
        return "text/html" in kind or begin.startswith(("<!doctype", "<html"))

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, as its ``Retry-After`` header says; ``None`` without a usable one."""
        return _retry_after(self.headers.get("retry-after", ""), self.now)


def page_error(refusal: Refusal) -> SpaceUnavailable:
    """
    Make an error of a page for people, such as that of a sleeping Space.

    Args:
        refusal: What came instead of an answer.

    Returns:
        The error to raise.
    """
    match = re.search(r"<title[^>]*>(.*?)</title", refusal.body, re.IGNORECASE | re.DOTALL)
    title = " ".join(html.unescape(match[1]).split())[:200] if match else ""
    return SpaceUnavailable(
        f"the Space answered with a page instead of data: {title or 'without a title'} "
        f"(HTTP {refusal.status_code}).",
        status_code=refusal.status_code,
        retry_after=refusal.retry_after,
        hint="It may be asleep, building or gone: open it in a browser, or try later.",
    )


def status_error(refusal: Refusal, doing: str) -> Qwen72BError:
    """
    Tell what a status other than 200 means.

    Args:
        refusal: What came instead of an answer.
        doing: What was asked for, as in "while ...".

    Returns:
        The error to raise.
    """
    status = refusal.status_code
    reason = f"HTTP {status} {refusal.reason or ''}".rstrip() + f" while {doing}"
    common: dict[str, Any] = {
        "status_code": status,
        "headers": dict(refusal.headers),
        "body": refusal.body[:_BODY_SHOWN],
        "retry_after": refusal.retry_after,
    }
    if status in (401, 403):
        return AuthenticationError(
            f"{reason}.",
            hint='Pass token= for a private Space, or auth=("user", "password") for its login.',
            **common,
        )
    if status == 429:
        return RateLimited(
            f"{reason}: too many requests.",
            hint="Wait, then ask again.",
            **common,
        )
    if status == 503 and "queue is full" in refusal.body.lower():
        return QueueFull(
            "the Space's queue is full.", retry_after=refusal.retry_after, hint="Ask again later."
        )
    if 300 <= status < 400:
        there = _host(refusal.headers.get("location", ""))
        return HTTPStatusError(
            f"{reason}: the Space redirects to {there or 'another path'}, which is not followed.",
            hint="If that is right, give its URL as base_url.",
            **common,
        )
    if refusal.is_page:
        return page_error(refusal)
    return HTTPStatusError(
        f"{reason}: {' '.join(refusal.body.split())[:200] or 'empty body'}.",
        hint="Is the URL that of a Gradio app?" if status in (204, 404, 405) else "",
        **common,
    )


def _host(url: str) -> str:
    """Tell the host that a URL names; empty if it names none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _retry_after(value: str, now: float) -> float | None:
    """Read a ``Retry-After`` header, in seconds or as a date: seconds from now, at least 0."""
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, when.timestamp() - now)


def job_error(message: dict[str, Any]) -> Qwen72BError:
    """
    Tell why a job failed.

    Gradio's default hides the reason of a plain exception (``error: null``);
    ``gr.Error`` shows it, up to 5.24 as a Python literal with its quotes.

    Args:
        message: A server message with ``success: false``.

    Returns:
        The error to raise.
    """
    output = message.get("output")
    fields = output if isinstance(output, dict) else {}
    title = fields.get("title", message.get("title"))
    title = title if isinstance(title, str) else None
    words = fields.get("error")
    words = replace_surrogates(_unquoted(words)) if isinstance(words, str) else ""
    # "None" is what 4.0 to 4.19 make of a hidden reason.
    if words.strip() in ("", "None"):
        return GenerationFailed(
            "the Space's app failed and hid the reason.",
            title=title,
            hint="Ask again, or shorten the chat; the Space's owner sees the reason in its log.",
        )
    if re.search(r"\bquota\b", words, re.IGNORECASE):
        return QuotaExceeded(
            words,
            retry_after=_wait(words),
            hint="Wait, or pass the token of an account with quota left.",
        )
    return GenerationFailed(words, title=title)


def _unquoted(words: str) -> str:
    """Undo the ``repr`` that Gradio up to 5.24 sends a ``gr.Error`` as."""
    if len(words) < 2 or words[0] != words[-1] or words[0] not in "'\"":
        return words
    from ast import literal_eval

    try:
        value = literal_eval(words)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return words[1:-1]
    return value if isinstance(value, str) else words[1:-1]


# "Try again in 0:05:23", "... in 1 day, 2:03:04": a Python timedelta (spaces'
# zero client); or a number with its unit.
_TIMEDELTA = re.compile(r"\b(?:in|after)\s+(?:(\d{1,4}) days?, )?(\d{1,4}):(\d\d):(\d\d)")
_COUNT = re.compile(r"\b(?:in|after)\s+(\d{1,6}(?:\.\d+)?)\s*(s|m|h)(?:ec|in|our|r|\b)")


def _wait(words: str) -> float | None:
    """Read the seconds to wait from a quota message."""
    if match := _TIMEDELTA.search(words):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    if match := _COUNT.search(words):
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
    return None
