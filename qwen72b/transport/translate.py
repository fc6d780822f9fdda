"""
The translation of the network's exceptions into errors of this package.

The one place where exceptions of requests, urllib3, http.client and the
sockets below are told apart.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from http.client import HTTPException
from socket import gaierror
from urllib.parse import urlsplit

import requests
from urllib3 import exceptions as urllib3_errors

from ..errors import (
    ConnectFailed,
    InvalidOption,
    InvalidServerMessage,
    Qwen72BError,
    RequestTimeout,
    StreamInterrupted,
)
from ..redaction import redact
from .scope import CallScope

__all__ = ["IO_ERRORS", "plain_cause", "translate"]

# The way out that works without a network.
_ELSEWHERE = (
    '"qwen72b serve" runs one on this machine; base_url= or QWEN72B_BASE_URL names another.'
)

# What making a request and reading its response may raise. Anything else is a
# fault here, and is not taken for one of the network's.
IO_ERRORS = (requests.RequestException, urllib3_errors.HTTPError, HTTPException, OSError)


def translate(error: BaseException, scope: CallScope, doing: str, url: str) -> Qwen72BError:
    """
    Tell what an exception of the network means.

    Args:
        error: The exception.
        scope: The call in which it came up.
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
        if isinstance(link, (requests.RequestException, urllib3_errors.HTTPError)):
            # A proxy's URL has a password, in whatever form it is malformed.
            link.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in link.args)
        if isinstance(link, urllib3_errors.LocationParseError):
            link.location = redact(link.location)
    if scope.cancelled:
        return StreamInterrupted(f"the call was closed while {doing}.")
    expired = scope.deadlines.expired()
    if expired is not None:
        return expired
    host = urlsplit(url).netloc.rpartition("@")[2]

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    if has(requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
        return InvalidOption("a SOCKS proxy needs PySocks.", hint="Run: pip install PySocks")
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
            hint=f"Check the network and the URL. {_ELSEWHERE}",
        )
    # Before the next: it is a kind of ConnectTimeoutError.
    if has(urllib3_errors.NewConnectionError):
        return ConnectFailed(
            f"{host} did not accept a connection: {_words(chain)}.",
            hint=f"Is the Space's server running there? {_ELSEWHERE}",
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


def plain_cause(error: BaseException) -> BaseException:
    """
    Choose from an exception of the network the one that an error is to be raised from.

    Args:
        error: The exception; requests and urllib3 wrap the system's own three
            or four times, and print as many tracebacks.

    Returns:
        The one that the others were made of, without frames: the system's, if
        there is one.
    """
    chain = list(_chain(error))
    cause = next((link for link in reversed(chain) if _has_words(link)), chain[-1])
    cause.__cause__ = cause.__context__ = None
    return cause.with_traceback(None)


def _has_words(link: BaseException) -> bool:
    return isinstance(link, OSError) and bool(link.strerror)


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
