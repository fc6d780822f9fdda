"""
What do a failed request and an unwanted response mean here?

The one place where exceptions of requests, urllib3, http.client and the
sockets below, and HTTP statuses, become errors of this package.
"""

from __future__ import annotations

import html
import re
import ssl
from collections.abc import Iterator
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from socket import gaierror
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3 import exceptions as urllib3_errors

from ..errors import (
    AuthenticationError,
    ConnectFailed,
    HTTPStatusError,
    InvalidOption,
    InvalidServerMessage,
    QueueFull,
    Qwen72BError,
    RateLimited,
    RequestTimeout,
    SpaceUnavailable,
    StreamInterrupted,
)
from .scope import Call

__all__ = ["IO_ERRORS", "is_page", "page_error", "retry_delay", "status_error", "translate"]

# What reading a response may raise. A socket that is shut down under its
# reader can surface as the last two.
IO_ERRORS = (
    requests.RequestException,
    urllib3_errors.HTTPError,
    HTTPException,
    OSError,
    ValueError,
    AttributeError,
)

# Bytes of a body that an error keeps.
_BODY_SHOWN = 2000


def translate(error: BaseException, call: Call, doing: str, url: str) -> Qwen72BError:
    """
    Tell what an exception of the network means.

    Args:
        error: The exception.
        call: The call in which it came up.
        doing: What was being done, as in "while ...".
        url: Where to; only its host is shown.

    Returns:
        The error to raise from it.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, requests.RequestException):
            # It carries the token and the prompt, to wherever the error is
            # sent: dask.distributed, for one, has causes pickled too.
            link.request = link.response = None
    if call.aborted:
        return StreamInterrupted(f"the call was closed while {doing}.")
    expired = call.clock.expired()
    if expired is not None:
        return expired
    host = urlsplit(url).netloc.rpartition("@")[2]

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    if has(requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
        return InvalidOption(
            "a SOCKS proxy needs PySocks.", hint='Run: pip install "qwen72b[socks]"'
        )
    if has(requests.exceptions.InvalidProxyURL):
        return InvalidOption("the proxy's URL is malformed.", hint="Pass http://host:port.")
    if has(requests.exceptions.InvalidURL, urllib3_errors.LocationParseError):
        return InvalidOption(f"the URL of {host} is malformed.")
    if has(requests.exceptions.ProxyError, urllib3_errors.ProxyError):
        return ConnectFailed(
            f"the proxy did not connect to {host}: {_words(chain)}.",
            stage="proxy",
            hint="Check proxy= and the proxy variables of the environment.",
        )
    if has(requests.exceptions.SSLError, urllib3_errors.SSLError, ssl.SSLError):
        return ConnectFailed(
            f"TLS with {host} failed: {_words(chain)}.",
            stage="tls",
            hint="Is the URL right, and the certificate authority known (verify=)?",
        )
    if has(gaierror, urllib3_errors.NameResolutionError):
        return ConnectFailed(
            f"the name {host} cannot be resolved: {_words(chain)}.",
            stage="dns",
            hint="Check the network and the URL.",
        )
    # Before the next: it is a kind of ConnectTimeoutError.
    if has(urllib3_errors.NewConnectionError):
        return ConnectFailed(
            f"{host} did not accept a connection: {_words(chain)}.",
            hint="Is the Space's server running there?",
        )
    if has(urllib3_errors.ConnectTimeoutError, requests.ConnectTimeout):
        return RequestTimeout(f"no connection to {host} came about in time.", phase="connect")
    if has(TimeoutError, urllib3_errors.ReadTimeoutError, requests.ReadTimeout):
        return RequestTimeout(f"{host} was silent while {doing}.", phase="read")
    if has(requests.exceptions.ContentDecodingError, urllib3_errors.DecodeError):
        return InvalidServerMessage(f"{host} sent a body that cannot be decompressed.")
    return StreamInterrupted(
        f"the connection to {host} was lost while {doing}: {_words(chain)}.", hint="Ask again."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk from an exception to what it was made of; urllib3 keeps reasons in fields too."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        link = pending.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        pending += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]


def _words(chain: list[BaseException]) -> str:
    """Choose the plainest words of a chain: the system's own where there are any."""
    for link in reversed(chain):
        if isinstance(link, OSError) and link.strerror:
            return str(link.strerror)
    return (
        re.sub(r"<[^<>]* object at 0x[0-9a-f]+>:? ?", "", str(chain[-1]))
        or type(chain[-1]).__name__
    )


def is_page(response: requests.Response, body: str) -> bool:
    """
    Tell whether a page for people came instead of an answer.

    Args:
        response: The response.
        body: Its body.
    """
    kind = response.headers.get("content-type", "").lower()
    return "text/html" in kind or body.lstrip()[:15].lower().startswith(("<!doctype", "<html"))


def page_error(response: requests.Response, body: str) -> SpaceUnavailable:
    """
    Make an error of a page for people, such as that of a sleeping Space.

    Args:
        response: The response.
        body: Its body; the title says what is wrong.

    Returns:
        The error to raise.
    """
    match = re.search(r"<title[^>]*>(.*?)</title", body, re.IGNORECASE | re.DOTALL)
    title = " ".join(html.unescape(match[1]).split())[:200] if match else ""
    return SpaceUnavailable(
        f"the Space answered with a page instead of data: {title or 'without a title'} "
        f"(HTTP {response.status_code}).",
        status_code=response.status_code,
        retry_after=retry_delay(response),
        hint="It may be asleep, building or gone: open it in a browser, or try later.",
    )


def status_error(response: requests.Response, body: str, doing: str) -> Qwen72BError:
    """
    Tell what a status other than 200 means.

    Args:
        response: The response.
        body: Its body.
        doing: What was asked for, as in "while ...".

    Returns:
        The error to raise.
    """
    status = response.status_code
    reason = f"HTTP {status} {response.reason or ''}".rstrip() + f" while {doing}"
    common: dict[str, Any] = {
        "status_code": status,
        "headers": dict(response.headers),
        "body": body[:_BODY_SHOWN],
        "retry_after": retry_delay(response),
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
    if status == 503 and "queue is full" in body.lower():
        return QueueFull(
            "the Space's queue is full.", retry_after=retry_delay(response), hint="Ask again later."
        )
    if 300 <= status < 400:
        there = urlsplit(response.headers.get("location", "")).netloc.rpartition("@")[2]
        return HTTPStatusError(
            f"{reason}: the Space redirects to {there or 'another path'}, which is not followed.",
            hint="If that is right, give its URL as base_url.",
            **common,
        )
    if is_page(response, body):
        return page_error(response, body)
    return HTTPStatusError(
        f"{reason}: {' '.join(body.split())[:200] or 'empty body'}.",
        hint="Is the URL that of a Gradio app?" if status in (204, 404, 405) else "",
        **common,
    )


def retry_delay(response: requests.Response) -> float | None:
    """
    Read the ``Retry-After`` header, in seconds or as a date.

    Args:
        response: The response.

    Returns:
        Seconds from now, at least 0; ``None`` without a usable header.
    """
    value = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())
