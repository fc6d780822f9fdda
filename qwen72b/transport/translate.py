"""
The translation of the network's exceptions into errors of this package.

The one place where exceptions of requests, urllib3, http.client and the
sockets below are told apart.

Above 300 lines: which of two causes it is shows only where both are looked at.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from http.client import BadStatusLine, HTTPException, LineTooLong, UnknownProtocol
from socket import gaierror
from urllib.parse import urlsplit

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import exceptions as urllib3_errors

from ..errors import (
    AuthenticationError,
    ConnectFailed,
    HTTPStatusError,
    InvalidOption,
    InvalidServerMessage,
    Qwen72BError,
    RequestTimeout,
    StreamInterrupted,
)
from ..privacy.masking import mask
from ..privacy.redaction import redact
from .descriptors import no_descriptor
from .interrupts import from_signal_handler
from .scope import CallScope

__all__ = ["IO_ERRORS", "blame_proxy", "pass_on", "plain_cause", "translate"]

# The way out that works without a network.
_ELSEWHERE = (
    '"qwen72b serve" runs one on this machine; base_url= or QWEN72B_BASE_URL names another.'
)

# What making a request and reading its response may raise. Anything else is a
# fault here, and is not taken for one of the network's.
IO_ERRORS = (requests.RequestException, urllib3_errors.HTTPError, HTTPException, OSError)

_PROXY_SETTINGS = "Check the proxy variables of the environment, or proxy=."

_PROXY_LOGIN = 'It wants a user and a password: "http://user:password@host:port".'

# What PySocks raises where the proxy itself is at fault.
_SOCKS_PROXY = frozenset(["GeneralProxyError", "ProxyConnectionError", "SOCKS5AuthError"])

# How requests says that a file of certificates or of a key is not there.
_MISSING = r"(?s)Could not find .*, invalid path: (.*)"

# How http.client says that there is more of something than it takes.
_TOO_MUCH = r"got more than \d+ "

# How OpenSSL (1.1 to 3.5) says that what came is no TLS.
_NO_TLS = frozenset(
    [
        "WRONG_VERSION_NUMBER",
        "UNKNOWN_PROTOCOL",
        "HTTP_REQUEST",
        "HTTPS_PROXY_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
    ]
)

# How it says that a file holds no certificate or no key.
_NO_CERTIFICATES = frozenset(["NO_CERTIFICATE_OR_CRL_FOUND", "PEM_LIB", "NO_START_LINE"])


def translate(
    error: BaseException, scope: CallScope, doing: str, url: str, *, proxy: str = ""
) -> Qwen72BError:
    """
    Tell what an exception of the network means.

    Args:
        error: The exception.
        scope: The call in which it came up.
        doing: What was being done, as in "while ...".
        url: Where to; only its host is shown.
        proxy: The host and port of the proxy before it. ``url`` itself was checked.

    Returns:
        The error to raise from it.

    Raises:
        Exception: What a signal handler raised, if it is that.
    """
    pass_on(error)
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, requests.RequestException):
            # It carries the token and the prompt, to wherever the error is
            # sent: dask.distributed, for one, has causes pickled too.
            link.request = link.response = None
        if isinstance(link, (requests.RequestException, urllib3_errors.HTTPError)):
            # A proxy's URL has a password, in whatever form it is malformed.
            link.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in link.args)
        _mask(link)
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

    wanting = next((found for link in chain if (found := no_descriptor(link))), None)
    if wanting is not None:
        return wanting
    missing = next((match[1] for link in chain if (match := re.match(_MISSING, str(link)))), None)
    if missing is not None:
        return _no_certificates(f"there is no file {missing!r}", missing)
    if has(requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
        return InvalidOption("a SOCKS proxy needs PySocks.", hint="Run: pip install PySocks")
    malformed = has(requests.exceptions.InvalidURL, urllib3_errors.LocationValueError)
    if has(requests.exceptions.InvalidProxyURL) or (proxy and malformed):
        return InvalidOption(
            "the proxy's URL is malformed.",
            hint="Pass http://host:port, or correct the proxy variables of the environment.",
        )
    if malformed:
        return InvalidOption(f"the URL of {host} is malformed.")
    if has(requests.exceptions.ProxyError, urllib3_errors.ProxyError) or any(
        type(link).__module__ == "socks" and type(link).__name__ in _SOCKS_PROXY for link in chain
    ):
        return _proxy_error(chain, host, proxy)
    # Either may be at fault where nothing tells which.
    there = f"{host} through the proxy {proxy}" if proxy else host
    if has(requests.exceptions.SSLError, urllib3_errors.SSLError, ssl.SSLError):
        return _tls_error(chain, there)
    if has(gaierror, urllib3_errors.NameResolutionError):
        name = f"name of the proxy {proxy}, or {host}," if proxy else f"name {host}"
        return ConnectFailed(
            f"the {name} cannot be resolved: {_words(chain)}.",
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
        return RequestTimeout(f"{there} was silent while {doing}.", phase="read")
    if has(requests.exceptions.ContentDecodingError, urllib3_errors.DecodeError):
        return InvalidServerMessage(f"{there} sent a body that cannot be decompressed.")
    if has(LineTooLong) or any(re.match(_TOO_MUCH, str(link)) for link in chain):
        return InvalidServerMessage(
            f"{there} sent a head that is too large while {doing}: {_words(chain)}.",
            hint="Is the URL that of a Gradio app?",
        )
    if has(urllib3_errors.InvalidHeader):
        return InvalidServerMessage(
            f"{there} sent a head that makes no sense while {doing}: {_words(chain)}."
        )
    if any(type(link) in (BadStatusLine, UnknownProtocol) for link in chain):
        return StreamInterrupted(
            f"{there} answered with something that is no HTTP/1.1 while {doing}.",
            hint=_PROXY_SETTINGS
            if proxy
            else "Is the URL right? A port that speaks TLS needs https://.",
        )
    return StreamInterrupted(
        f"the connection to {there} was lost while {doing}: {_words(chain)}.", hint="Ask again."
    )


def pass_on(error: BaseException) -> None:
    """
    Raise what a signal handler raised, whatever it was taken for and wrapped in.

    Args:
        error: An exception of the network, or one that looks like it.

    Raises:
        BaseException: What the handler raised, if it did.
    """
    for link in _chain(error):
        # What urllib3 wraps it in has its traceback, too.
        wraps = isinstance(link, (requests.RequestException, urllib3_errors.HTTPError))
        if not wraps and from_signal_handler(link):
            # Without what was made of it.
            raise link from link.__cause__


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


def blame_proxy(error: Qwen72BError, status: int, proxy: str) -> Qwen72BError:
    """
    Name the proxy that an answer came through, and that may have given it.

    Args:
        error: What is wrong with the answer.
        status: Its status.
        proxy: The proxy's host and port.

    Returns:
        The error to raise.
    """
    if status == 407:
        return ConnectFailed(
            f"the proxy {proxy} asks for a user and a password.", stage="proxy", hint=_PROXY_LOGIN
        )
    if status == 403 and isinstance(error, AuthenticationError):
        # Neither a token nor a login would help.
        return HTTPStatusError(
            f"{error.reason.rstrip('.')}: it is refused by the proxy {proxy}, or behind it.",
            status_code=status,
            headers=error.headers,
            body=error.body,
            hint="Ask who runs the proxy; no_proxy names hosts that it is not used for.",
        )
    error.reason = f"{error.reason.rstrip('.')}, through the proxy {proxy}."
    return error


def _proxy_error(chain: list[BaseException], host: str, proxy: str) -> Qwen72BError:
    """Tell what a proxy refused, and which; a user and a password of it are not shown."""
    words = _words(chain)
    name = f" {proxy}" if proxy else ""
    hint = _PROXY_SETTINGS
    if " 407 " in f" {words} ":
        hint = _PROXY_LOGIN
    elif any(_speaks_plainly(link) for link in chain):
        hint = "It speaks no TLS: its URL begins with http://, not https://."
    return ConnectFailed(
        f"the proxy{name} did not connect to {host}: {words}.", stage="proxy", hint=hint
    )


def _tls_error(chain: list[BaseException], host: str) -> Qwen72BError:
    """Tell why there is no TLS: a plain port, certificates that cannot be read, or another cause."""
    if any(_speaks_plainly(link) for link in chain):
        return ConnectFailed(
            f"{host} speaks plain http on this port, and no TLS.",
            stage="tls",
            hint="Begin the URL with http://, not https://.",
        )
    for link in chain:
        unread = isinstance(link, (FileNotFoundError, PermissionError, IsADirectoryError))
        # That of cert= has its reason in its words only.
        unread = unread or (isinstance(link, ssl.SSLError) and "PEM lib" in str(link))
        if unread or getattr(link, "reason", None) in _NO_CERTIFICATES:
            files = _files(chain)
            place = f" from {' or '.join(map(repr, files))}" if files else ""
            reason = f"no certificate can be read{place}: {_words(chain)}"
            return _no_certificates(reason, *files)
    return ConnectFailed(
        f"TLS with {host} failed: {_words(chain)}.",
        stage="tls",
        hint="Is it https that is spoken there, and the certificate authority known "
        "(verify=, REQUESTS_CA_BUNDLE)?",
    )


def _files(chain: list[BaseException]) -> list[str]:
    """List the files of certificates that were to be read: those that cannot be, if any."""
    pools = (getattr(link, "pool", None) for link in chain)
    pool = next((known for known in pools if known is not None), None)
    named = (getattr(pool, name, None) for name in ("ca_certs", "cert_file", "key_file"))
    files = [str(path) for path in named if path]
    unread = [path for path in files if os.path.isdir(path) or not os.access(path, os.R_OK)]
    # The usual authorities are at fault only if they cannot be read.
    return unread or [path for path in files if path != DEFAULT_CA_BUNDLE_PATH]


def _no_certificates(reason: str, *paths: str) -> Qwen72BError:
    """Name the setting whose file of certificates is of no use."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    meant = [name for name in names if (os.environ.get(name),) == paths]
    if meant:
        return InvalidOption(
            f"{reason}, which the variable {meant[0]} names.",
            hint="Correct it, or unset it to use the usual authorities.",
        )
    return InvalidOption(f"{reason}.", hint="Correct verify= or cert=.")


def _speaks_plainly(link: BaseException) -> bool:
    """Tell whether something else than TLS came, where TLS was due."""
    return isinstance(link, ssl.SSLError) and link.reason in _NO_TLS


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


def _mask(link: BaseException) -> None:
    """Mask what a server may have repeated of what it was sent: in a status line, a chunk's head."""
    link.args = tuple(mask(arg) if isinstance(arg, str) else arg for arg in link.args)
    for name in ("line", "length"):
        value = getattr(link, name, None)
        if isinstance(value, (str, bytes)):
            setattr(link, name, mask(value if isinstance(value, str) else value.decode("latin-1")))


def _words(chain: list[BaseException]) -> str:
    """Choose the plainest words of a chain: the system's own where there are any."""
    for link in reversed(chain):
        if isinstance(link, OSError) and link.strerror:
            return str(link.strerror)
    return (
        re.sub(r"<[^<>]* object at 0x[0-9a-f]+>:? ?", "", str(chain[-1]))
        or type(chain[-1]).__name__
    )
