"""
The sessions that requests leave by: one of our own, or the caller's.

Our own is bounded in every step by the connections of its adapter. A caller's
session is used as it is, in a thread that can be left behind, and its
connection is guarded by another, since nothing in it knows of a call.
"""

from __future__ import annotations

import socket
import threading
from functools import partial
from typing import Any, Protocol

import requests
from requests.auth import AuthBase
from requests.cookies import extract_cookies_to_jar
from requests.utils import get_netrc_auth

from .adapter import Adapter
from .auth import Secret, origin_of
from .scope import CallScope, shut_down

__all__ = ["ForeignSession", "OwnSession", "Session"]

# Proxies and the like, and who to log in as.
_Surroundings = tuple[dict[str, Any], AuthBase | tuple[str, str] | None]


class Session(Protocol):
    """What both have in common."""

    def send(self, scope: CallScope, method: str, url: str, **fields: Any) -> requests.Response:
        """Make a request, without following redirects; the body is unread."""
        ...

    def close(self) -> None:
        """Close the connections, if they are our own."""
        ...


class OwnSession:
    """
    A session of our own, made when it is first needed.

    Args:
        secret: The token, if there is one.
        options: ``verify``, ``cert`` and ``proxies`` as in requests.
    """

    def __init__(self, secret: Secret | None, options: dict[str, Any]) -> None:
        self._secret = secret
        self._options = options
        self._session: requests.Session | None = None
        self._lock = threading.Lock()
        self._closed = False
        # By origin: what requests takes from the environment and from .netrc.
        self._surroundings: dict[str, _Surroundings] = {}

    def send(self, scope: CallScope, method: str, url: str, **fields: Any) -> requests.Response:
        """
        Make a request, without following redirects.

        Args:
            scope: The call that it belongs to.
            method: HTTP method.
            url: Where to.
            **fields: ``params``, ``data`` and ``headers`` as in requests.

        Returns:
            The response; its body is unread.
        """
        session = self._session or self._make()
        options, auth = self._surroundings.get(origin_of(url)) or self._look_around(session, url)
        fields["headers"] = {**session.headers, **fields["headers"]}
        request = requests.PreparedRequest()
        request.prepare(method, url, auth=auth, cookies=session.cookies, **fields)
        limit = scope.limit()
        # Per step; the connections keep to the call's deadlines over all of them.
        timeout: Any = (limit, limit)
        # Not ``session.send``, which reads a redirect's body whole, and its target,
        # even where it is not to follow it.
        adapter = session.get_adapter(url)
        try:
            with scope.current():
                response = adapter.send(request, timeout=timeout, **options)
        finally:
            if self._closed:
                # From a signal handler, perhaps, that came while a pool was looked up.
                session.close()
        extract_cookies_to_jar(session.cookies, request, response.raw)  # type: ignore[no-untyped-call]  # no stubs
        return response

    def close(self) -> None:
        """Close the connections, without a lock: a signal handler may do it at any point."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _make(self) -> requests.Session:
        with self._lock:
            session = self._session
            if session is None:
                session = requests.Session()
                session.mount("http://", Adapter())
                session.mount("https://", Adapter())
                # Whole, and even so it may be taken away at any point.
                self._session = session
            return session

    def _look_around(self, session: requests.Session, url: str) -> _Surroundings:
        """
        Look once where ``Session.request`` looks for every request.

        That, and its merging of settings, took a third of a request's time.
        """
        options = session.merge_environment_settings(url, stream=True, **self._options)
        known = self._surroundings[origin_of(url)] = (
            dict(options),
            self._secret or get_netrc_auth(url),
        )
        return known


class ForeignSession:
    """
    The caller's session, which is neither changed nor closed.

    Args:
        session: The session.
        secret: The token, if there is one.
        options: ``verify``, ``cert`` and ``proxies`` as in requests.
    """

    def __init__(
        self, session: requests.Session, secret: Secret | None, options: dict[str, Any]
    ) -> None:
        self._session = session
        self._options = {**options, "auth": secret, "stream": True, "allow_redirects": False}

    def send(self, scope: CallScope, method: str, url: str, **fields: Any) -> requests.Response:
        """
        Make a request, without following redirects.

        Args:
            scope: The call that it belongs to.
            method: HTTP method.
            url: Where to.
            **fields: ``params``, ``data`` and ``headers`` as in requests.

        Returns:
            The response; its body is unread.
        """
        limit = scope.limit()
        response = scope.run(
            lambda: self._session.request(
                method, url, timeout=(limit, limit), **self._options, **fields
            ),
            discard=requests.Response.close,
        )
        try:
            scope.watch(partial(_hang_up, response))
        except BaseException:
            response.close()
            raise
        return response

    def close(self) -> None:
        """Leave it open: it is the caller's."""


def _hang_up(response: requests.Response) -> None:
    """Shut down in both directions, where that can be done, so that the server knows at once."""
    sock = getattr(getattr(response.raw, "connection", None), "sock", None)
    if isinstance(sock, socket.socket):
        shut_down(sock)
    else:
        response.raw.shutdown()
