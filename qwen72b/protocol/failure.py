"""
Failures: what the statuses, the pages and the words of a Space mean.

Of what a stranger sends only a beginning is looked at: a body may have 16 MiB.
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

__all__ = ["MAX_WORDS", "Refusal", "job_error", "page_error", "status_error"]

# Characters of the words of a failure that are kept.
MAX_WORDS = 10_000

# Characters of a body that an error keeps.
_BODY_SHOWN = 2000

# Characters of a page among which its title is.
_HEAD = 65536

# Each of the two stops where the next tag begins, so that no page is gone
# through again and again.
_TITLE = re.compile(r"<title\b[^<>]*>([^<]{0,1000})", re.IGNORECASE)


# Headers of what guards other servers (Akamai, Imperva, AWS, Sucuri).
_FIREWALLS = frozenset({"akamai-grn", "x-iinfo", "x-amzn-waf-action", "x-sucuri-block"})


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
        begin = self.body[:1000].lstrip()[:15].lower()
        return "text/html" in kind or begin.startswith(("<!doctype", "<html"))

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, as its ``Retry-After`` header says; ``None`` without a usable one."""
        return _retry_after(self.headers.get("retry-after", "")[:100], self.now)

    @property
    def title(self) -> str:
        """Its title, if it is a page that has one."""
        match = _TITLE.search(self.body[:_HEAD])
        return " ".join(html.unescape(match[1]).split())[:200] if match else ""

    @property
    def guard(self) -> str:
        """What stands before the Space and answered in its place; empty if that is not told."""
        if not self.is_page:
            return ""
        server = self.headers.get("server", "").lower()
        if "cloudflare" in server or "cf-ray" in self.headers:
            return "Cloudflare"
        if "squid" in server or "x-squid-error" in self.headers:
            return "a proxy (Squid)"
        return "a firewall" if _FIREWALLS & {name.lower() for name in self.headers} else ""


def page_error(refusal: Refusal) -> SpaceUnavailable:
    """
    Make an error of a page for people, such as that of a sleeping Space.

    Args:
        refusal: What came instead of an answer.

    Returns:
        The error to raise.
    """
    guard = refusal.guard
    return SpaceUnavailable(
        f"{guard or 'the Space'} answered with a page instead of data: "
        f"{refusal.title or 'without a title'} "
        f"(HTTP {refusal.status_code}).",
        status_code=refusal.status_code,
        retry_after=refusal.retry_after,
        hint="It may be asleep, building or gone: open it in a browser, or try later."
        if not guard
        else "It does not reach the Space, or holds this program off: open it in a browser.",
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
    reason = f"HTTP {status} {refusal.reason[:100]}".rstrip() + f" while {doing}"
    common: dict[str, Any] = {
        "status_code": status,
        "headers": dict(refusal.headers),
        "body": refusal.body[:_BODY_SHOWN],
        "retry_after": refusal.retry_after,
    }
    if status == 413:
        return HTTPStatusError(
            f"{reason}: the question and its history are longer than the server takes.",
            hint="Shorten the chat, or start a new one.",
            **common,
        )
    if status in (401, 403) and refusal.guard:
        # Not the Space's word, so that neither a token nor a login would help.
        return HTTPStatusError(
            f"{reason}: {refusal.guard} refuses: {refusal.title or 'without a reason'}.",
            hint="Open the Space in a browser on this machine; another network may be let through.",
            **common,
        )
    if status in (401, 403):
        way = 'Pass token= for a private Space, or auth=("user", "password") for its login'
        if refusal.is_page:
            # Gradio and the Hub say it in JSON.
            reason += f": {refusal.title or 'a page without a title'}"
            way += "; or, if the page is not the Space's, ask who runs the proxy or firewall"
        return AuthenticationError(f"{reason}.", hint=f"{way}.", **common)
    if status == 429:
        return RateLimited(
            f"{reason}: too many requests.",
            hint="Wait, then ask again.",
            **common,
        )
    if status == 503 and "queue is full" in refusal.body[:_BODY_SHOWN].lower():
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
        f"{reason}: {' '.join(refusal.body[:_BODY_SHOWN].split())[:200] or 'empty body'}.",
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
        if when.tzinfo is None:
            when = when.replace(tzinfo=timezone.utc)
        return max(0.0, when.timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        # The last two: a year of eleven digits, and what email.utils trips over.
        return None


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
    title = title[:MAX_WORDS] if isinstance(title, str) else None
    words = fields.get("error")
    words = replace_surrogates(_unquoted(words[:MAX_WORDS])) if isinstance(words, str) else ""
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


# A text as ``repr`` writes it, and the escapes that it knows.
_QUOTED = re.compile(r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*\"""", re.DOTALL)
_ESCAPE = re.compile(r"""\\(?:([\\'"nrt])|x([0-9a-f]{2})|u([0-9a-f]{4})|U(000[0-9a-f]{5}))""")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def _unquoted(words: str) -> str:
    """Undo the ``repr`` that Gradio up to 5.24 sends a ``gr.Error`` as."""
    if len(words) < 2 or words[0] != words[-1] or words[0] not in "'\"":
        return words
    if _QUOTED.fullmatch(words) is None:
        return words[1:-1]
    return _ESCAPE.sub(_unescaped, words[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    if letter := match[1]:
        return _ESCAPED.get(letter, letter)
    return chr(int(match[2] or match[3] or match[4], 16))


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
