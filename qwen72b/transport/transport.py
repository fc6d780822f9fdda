"""
The way that requests leave, and what they may carry where.

The token and the prompt go to the configured base and nowhere else: redirects
are followed within one origin only, and the token travels in a header that no
``.netrc`` replaces.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urljoin

import requests

from ..errors import HTTPStatusError, Qwen72BError
from ..privacy.redaction import redact
from ..version import __version__
from .auth import Secret, origin_of, without_zone
from .body import read_whole
from .debuglog import shown
from .proxies import proxy_name
from .scope import CallScope
from .sessions import ForeignSession, OwnSession, Session
from .sockets import check_sockets
from .translate import IO_ERRORS, plain_cause, translate

__all__ = ["Request", "Transport"]

log = logging.getLogger("qwen72b")

# Real configurations are below 1 MB; a hostile server must not fill memory.
_MAX_BODY_BYTES = 16 * 1024 * 1024

# Requests in a row, of which all but the last were redirected.
_MOST_REQUESTS = 5

# ``json.dumps`` makes an encoder for every call that is not in its default form.
_write_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_USER_AGENT = f"qwen72b/{__version__}"


class Request(NamedTuple):
    """
    A request to a Space, or to the Hub.

    Args:
        method: HTTP method.
        path: Path below the base; or a whole URL.
        doing: What it is for, as in "while ...".
        query: Query parameters.
        payload: JSON body.
        form: Form body.
        accept: Media type that is wanted.
    """

    method: str
    path: str
    doing: str
    query: Mapping[str, str] | None = None
    payload: Any = None
    form: Mapping[str, str] | None = None
    accept: str = "application/json"


class Transport:
    """
    Sends the requests of one client.

    Args:
        base_url: Where the Space is; without a slash at its end.
        session: The caller's session, which is neither changed nor closed;
            ``None`` for one of our own.
        secret: The token, if there is one.
        proxy: URL of a proxy for all requests.
        verify: As in requests; ``None`` leaves it to the session.
        cert: Client certificate, as in requests.
        headers: Sent with every request.
    """

    def __init__(
        self,
        base_url: str,
        *,
        session: requests.Session | None = None,
        secret: Secret | None = None,
        proxy: str | None = None,
        verify: bool | str | None = None,
        cert: str | tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        check_sockets()
        self.base_url = base_url
        proxies = {} if proxy is None else {"http": proxy, "https": proxy}
        options: dict[str, Any] = {"verify": verify, "cert": cert, "proxies": proxies}
        self._session: Session = (
            OwnSession(secret, options)
            if session is None
            else ForeignSession(session, secret, options)
        )
        self._origin = origin_of(base_url)
        self._headers = {
            "Origin": without_zone(self._origin),
            "Referer": f"{without_zone(base_url)}/",
            **(headers or {}),
        }

    def send(self, scope: CallScope, request: Request) -> requests.Response:
        """
        Make a request and wait for the head of its response.

        Args:
            scope: The call that it belongs to.
            request: The request.

        Returns:
            The response; its body is unread.

        Raises:
            Qwen72BError: If there was none.
        """
        listened = log.isEnabledFor(logging.DEBUG)
        headers = {"User-Agent": _USER_AGENT, "Accept": request.accept}
        if "://" in request.path:
            url = request.path
            ours = origin_of(url) == self._origin
        else:
            url, ours = self.base_url + request.path, True
        if ours:
            # The caller's headers may be as secret as the token.
            headers.update(self._headers)
            headers.update(scope.headers)
        body: bytes | Mapping[str, str] | None = request.form
        if request.payload is not None:
            headers["Content-Type"] = "application/json"
            text = _write_json(request.payload)
            try:
                body = text.encode()
            except UnicodeEncodeError:
                body = _without_surrogates(text).encode()
            if listened:
                log.debug("%s: sends %s", scope, shown(request.payload))
        query = request.query
        scope.deadlines.listen()
        begun = monotonic()
        endless = False
        try:
            for left in reversed(range(_MOST_REQUESTS)):
                response = self._session.send(
                    scope, request.method, url, params=query, data=body, headers=headers
                )
                if scope.cancelled or monotonic() >= scope.deadlines.nearest:
                    # Its head may have been shut down under its reader: http.client
                    # takes it for whole.
                    response.close()
                    scope.limit()
                if listened:
                    log.debug(
                        "%s: %s %s %s -> %d %s after %.3f s",
                        scope,
                        request.method,
                        redact(url.partition("?")[0]),
                        query or "",
                        response.status_code,
                        response.headers.get("content-type", ""),
                        monotonic() - begun,
                    )
                if response.status_code not in (307, 308):
                    break
                target = _redirect(response, url)
                if target is None:
                    # Its status is told.
                    break
                response.close()
                url, query, endless = target, None, not left
        except IO_ERRORS as exc:
            proxy = proxy_name(self._session.proxy_for(url))
            error = translate(exc, scope, request.doing, url, proxy=proxy)
            log.debug(
                "%s: %s %s -> %s after %.3f s",
                scope,
                request.method,
                redact(url.partition("?")[0]),
                type(error).__name__,
                monotonic() - begun,
            )
            raise error from plain_cause(exc)
        if endless:
            raise HTTPStatusError(
                f"HTTP {response.status_code} while {request.doing}: the Space redirects to itself, "
                f"{_MOST_REQUESTS} times in a row.",
                status_code=response.status_code,
                headers=dict(response.headers),
                hint="Is the URL right, with http:// or https:// as the Space has it?",
            )
        return response

    def read(self, response: requests.Response, scope: CallScope, *, doing: str) -> str:
        """
        Read a whole body, within bounds.

        Args:
            response: The response.
            scope: The call that it belongs to.
            doing: What this is for, as in "while ...".

        Returns:
            The body as text; malformed UTF-8 becomes U+FFFD.

        Raises:
            Qwen72BError: If it does not come whole, or is larger than 16 MiB.
        """
        try:
            data = read_whole(response, scope, _MAX_BODY_BYTES, doing=doing)
        except Qwen72BError:
            raise
        except IO_ERRORS as exc:
            error = translate(exc, scope, doing, response.url or self.base_url)
            raise error from plain_cause(exc)
        finally:
            scope.deadlines.rest()
        text = data.decode("utf-8", "replace")
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: body %s", scope, shown(text))
        return text

    def proxy_for(self, url: str) -> str | None:
        """
        Tell which proxy may have answered in a server's place.

        Args:
            url: What was asked; what is asked with TLS no proxy can answer.

        Returns:
            The proxy's host and port; ``None`` if there is none.
        """
        proxy = self._session.proxy_for(url) if url.startswith("http:") else None
        if not proxy or proxy.lower().startswith("socks"):
            return None
        return proxy_name(proxy)

    def close(self) -> None:
        """Close the connections of our own session."""
        self._session.close()


def _without_surrogates(text: str) -> str:
    """Replace lone surrogates, which a Space's own values may hold, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _redirect(response: requests.Response, url: str) -> str | None:
    """Tell where a response redirects to, if that is followed: with 307 and 308, within one origin."""
    place = response.headers.get("location", "").strip()
    try:
        target = urljoin(response.url or url, place) if place else ""
        return target if origin_of(target) == origin_of(url) else None
    except ValueError:
        # No URL. What it says is told with the status.
        return None
