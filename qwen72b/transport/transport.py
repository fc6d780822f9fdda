"""
How does a request leave, and what may it carry where?

The token and the prompt go to the configured base and nowhere else: redirects
are followed within one origin only, and the token travels in a header that no
``.netrc`` replaces.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase
from requests.utils import get_netrc_auth

from ..errors import InvalidServerMessage, Qwen72BError
from ..version import __version__
from .adapter import Adapter
from .auth import Secret, origin_of
from .body import Body
from .debuglog import received, shown
from .scope import Call
from .translate import IO_ERRORS, translate

__all__ = ["Transport"]

log = logging.getLogger("qwen72b")

# Real configurations are below 1 MB; a hostile server must not fill memory.
_MAX_BODY_BYTES = 16 * 1024 * 1024

_MAX_REDIRECTS = 5

_USER_AGENT = f"qwen72b/{__version__}"


# Proxies and the like, and who to log in as.
_Surroundings = tuple[dict[str, Any], AuthBase | tuple[str, str] | None]


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
        self.base_url = base_url
        self._foreign = session
        self._own: requests.Session | None = None
        self._lock = threading.RLock()
        self._secret = secret
        self._options: dict[str, Any] = {"stream": True, "verify": verify, "cert": cert}
        self._options["proxies"] = {} if proxy is None else {"http": proxy, "https": proxy}
        # By origin: what requests takes from the environment and from .netrc.
        self._surroundings: dict[str, _Surroundings] = {}
        self._origin = origin_of(base_url)
        self._headers = {
            "Origin": self._origin,
            "Referer": f"{base_url}/",
            **(headers or {}),
        }

    def send(
        self,
        call: Call,
        method: str,
        path: str,
        *,
        doing: str,
        query: Mapping[str, str] | None = None,
        payload: Any = None,
        form: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> requests.Response:
        """
        Make a request and wait for the head of its response.

        Args:
            call: The call that it belongs to.
            method: HTTP method.
            path: Path below the base; or a whole URL.
            doing: What this is for, as in "while ...".
            query: Query parameters.
            payload: JSON body.
            form: Form body.
            accept: Media type that is wanted.

        Returns:
            The response; its body is unread.

        Raises:
            Qwen72BError: If there was none.
        """
        url = path if "://" in path else self.base_url + path
        headers = {"User-Agent": _USER_AGENT, "Accept": accept}
        if origin_of(url) == self._origin:
            # The caller's headers may be as secret as the token.
            headers.update(self._headers)
        body: bytes | Mapping[str, str] | None = form
        if payload is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
            if log.isEnabledFor(logging.DEBUG):
                log.debug("%s: sends %s", call, shown(payload))
        call.clock.listen()
        begun = monotonic()
        try:
            for _ in range(_MAX_REDIRECTS):
                response = self._request(
                    call, method, url, params=query, data=body, headers=headers
                )
                log.debug(
                    "%s: %s %s %s -> %d %s after %.3f s",
                    call,
                    method,
                    url.partition("?")[0],
                    query or "",
                    response.status_code,
                    response.headers.get("content-type", ""),
                    monotonic() - begun,
                )
                target = urljoin(response.url or url, response.headers.get("location", ""))
                if response.status_code not in (307, 308) or origin_of(target) != origin_of(url):
                    break
                response.close()
                url, query = target, None
        except IO_ERRORS as exc:
            error = translate(exc, call, doing, url)
            log.debug(
                "%s: %s %s -> %s after %.3f s",
                call,
                method,
                url,
                type(error).__name__,
                monotonic() - begun,
            )
            raise error from exc
        return response

    def read(self, response: requests.Response, call: Call, *, doing: str) -> str:
        """
        Read a whole body, within bounds.

        Args:
            response: The response.
            call: The call that it belongs to.
            doing: What this is for, as in "while ...".

        Returns:
            The body as text; malformed UTF-8 becomes U+FFFD.

        Raises:
            Qwen72BError: If it does not come whole, or is larger than 16 MiB.
        """
        body = Body(response, call)
        chunks: list[bytes] = []
        size = 0
        try:
            while chunk := body.read():
                chunks.append(chunk)
                size += len(chunk)
                if size > _MAX_BODY_BYTES:
                    raise InvalidServerMessage(
                        f"the Space sent more than {_MAX_BODY_BYTES >> 20} MiB while {doing}."
                    )
                call.limit()
        except Qwen72BError:
            raise
        except IO_ERRORS as exc:
            raise translate(exc, call, doing, response.url or self.base_url) from exc
        finally:
            body.close()
            call.clock.rest()
        text = b"".join(chunks).decode("utf-8", "replace")
        received(call, text)
        return text

    def close(self) -> None:
        """Close the connections of our own session."""
        with self._lock:
            own, self._own = self._own, None
        if own is not None:
            own.close()

    def _request(self, call: Call, method: str, url: str, **fields: Any) -> requests.Response:
        # Every step below is bounded by the call; this is for the sessions of
        # callers, whose connections do not know it.
        limit = call.limit()
        bounds: dict[str, Any] = {"timeout": (limit, limit), "allow_redirects": False}
        if self._foreign is None:
            session = self._session()
            options, auth = self._surroundings_of(session, url)
            fields["headers"] = {**session.headers, **fields["headers"]}
            request = requests.PreparedRequest()
            request.prepare(method, url, auth=auth, cookies=session.cookies, **fields)
            with call.current():
                return session.send(request, **options, **bounds)
        foreign = self._foreign
        fields = {**self._options, "auth": self._secret, **bounds, **fields}
        response = call.run(
            lambda: foreign.request(method, url, **fields), discard=requests.Response.close
        )
        call.watch(response.raw.shutdown)
        return response

    def _surroundings_of(self, session: requests.Session, url: str) -> _Surroundings:
        """
        Look once where ``Session.request`` looks for every request.

        That, and its merging of settings, took a third of a request's time.
        """
        origin = origin_of(url)
        known = self._surroundings.get(origin)
        if known is None:
            options = session.merge_environment_settings(url, **self._options)
            known = dict(options), self._secret or get_netrc_auth(url)
            self._surroundings[origin] = known
        return known

    def _session(self) -> requests.Session:
        with self._lock:
            if self._own is None:
                self._own = requests.Session()
                self._own.mount("http://", Adapter())
                self._own.mount("https://", Adapter())
            return self._own
