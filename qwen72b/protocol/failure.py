"""
Refusals: what the statuses and the pages mean that come instead of an answer.

Of what a stranger sends only a beginning is looked at: a body may have 16 MiB.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..errors import (
    AuthenticationError,
    HTTPStatusError,
    QueueFull,
    Qwen72BError,
    RateLimited,
    SpaceUnavailable,
)

__all__ = ["Refusal", "page_error", "status_error"]

# Characters of a body that an error keeps.
_BODY_SHOWN = 2000

# Characters of a page among which its title is.
_HEAD = 65536

# Each of the two stops where the next tag begins, so that no page is gone
# through again and again.
_TITLE = r"(?i)<title\b[^<>]*>([^<]{0,1000})"


# Headers of what guards other servers (Akamai, Imperva, AWS, Sucuri).
_FIREWALLS = frozenset({"akamai-grn", "x-iinfo", "x-amzn-waf-action", "x-sucuri-block"})

# Servers that sign their own error pages.
_SERVERS = {"nginx": "nginx", "apache": "Apache", "openresty": "openresty", "caddy": "Caddy"}

# How OpenAI's servers, and those that do as they do, say no.
_OPENAI = r'"(?:invalid_request_error|not_found_error)"|"object" ?: ?"error"|\bunknown_url\b'


class Refusal(NamedTuple):
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
        match = re.search(_TITLE, self.body[:_HEAD])
        return " ".join(html.unescape(match[1]).split())[:200] if match else ""

    @property
    def other_server(self) -> str:
        """The server of other things that knows no such path; empty if that is not told."""
        if self.status_code not in (404, 405) or not self.is_page:
            return ""
        if "jupyter" in self.body[:_HEAD].lower():
            return "Jupyter"
        server = self.headers.get("server", "").partition("/")[0].strip().lower()
        if server in _SERVERS and _SERVERS[server].lower() in self.body[:_HEAD].lower():
            # Its own page: one of a Space behind it would not name it.
            return _SERVERS[server]
        return ""

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
    there = refusal.headers.get("location", "")
    if 300 <= status < 400 and there:
        hint = "If that is right, give its URL as base_url."
        if there.lower().startswith("https://"):
            hint = f"Give https:// and the host as base_url, if {_host(there)} is the Space's."
        return HTTPStatusError(
            f"{reason}: the Space redirects to {_host(there) or 'another path'}, "
            "which is not followed.",
            hint=hint,
            **common,
        )
    other = refusal.other_server
    # The page of a Space that sleeps, is built or is gone has none of these statuses.
    asked_wrongly = 400 <= status < 500 and status != 404 and not refusal.guard
    if status == 511:
        return HTTPStatusError(
            f"{reason}: the network wants a login first: {refusal.title or 'it does not say how'}.",
            hint="Open any page in a browser on this machine, and log in there.",
            **common,
        )
    if refusal.is_page and not other and not asked_wrongly:
        return page_error(refusal)
    if refusal.is_page:
        words = refusal.title or "a page without a title"
    else:
        words = " ".join(refusal.body[:_BODY_SHOWN].split())[:200] or "empty body"
    hint = "Is the URL that of a Gradio app?" if status in (204, 404, 405) else ""
    if other:
        hint = f"{other} answers there and has no Gradio app at this path: check the URL."
    elif re.search(_OPENAI, refusal.body[:_BODY_SHOWN]):
        hint = (
            "If an OpenAI-compatible server is there, ask it through the local Space: "
            "qwen72b --upstream URL."
        )
    return HTTPStatusError(f"{reason}: {words}.", hint=hint, **common)


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
