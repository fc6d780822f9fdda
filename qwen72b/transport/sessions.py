"""
The sessions that requests leave by: one of our own, or the caller's.

Our own is bounded in every step by the connections of its adapter. A caller's
session is used as it is, in a thread that can be left behind, and its
connection is guarded by another, since nothing in it knows of a call.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import requests
from requests.auth import AuthBase
from requests.cookies import extract_cookies_to_jar
from requests.utils import get_netrc_auth, select_proxy

from ..errors import InvalidServerMessage
from ..privacy.credentials import secrets_of_auth, secrets_of_headers, secrets_of_urls
from ..privacy.masking import Secrets
from ..privacy.redaction import hide
from .adapter import Adapter
from .auth import Secret, origin_of
from .cookies import BoundedJar
from .prepared import Template, Way
from .proxies import usable_proxies
from .scope import CallScope, active, shut_down

__all__ = ["ForeignSession", "OwnSession", "Session"]

# What is ahead of no other answer.
_SWITCHING = 101

# Requests that are kept prepared. A Space has some four; the rest is redirects'.
_MOST_TEMPLATES = 32


class Session(Protocol):
    """What both have in common."""

    def send(
        self,
        scope: CallScope,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None,
        data: bytes | Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> requests.Response:
        """Make a request, without following redirects; the body is unread."""
        ...

    def proxy_for(self, url: str) -> str | None:
        """Tell which proxy the requests to a URL go through."""
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
        trust_env: As in requests: whether the environment's proxies count.
    """

    def __init__(
        self, secret: AuthBase | None, options: dict[str, Any], *, trust_env: bool = True
    ) -> None:
        self._trust_env = trust_env
        self._secret = secret
        self._options = options
        self._session: requests.Session | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._jar: BoundedJar | None = None
        # By origin.
        self._ways: dict[str, Way] = {}
        # By method, URL and headers.
        self._templates: dict[Any, Template] = {}

    def send(
        self,
        scope: CallScope,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None,
        data: bytes | Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> requests.Response:
        """
        Make a request, without following redirects.

        Args:
            scope: The call that it belongs to.
            method: HTTP method.
            url: Where to.
            params: Query parameters.
            data: Its body; fields of a form, if it is no bytes.
            headers: What it carries.

        Returns:
            The response; its body is unread.
        """
        session = self._session or self._make()
        key = (method, url, *headers.items())
        template = self._templates.get(key) or self._prepare(session, key, headers)
        jar = self._jar
        assert jar is not None
        request = template.fill(jar, params, data)
        limit = scope.limit()
        # Per step; the connections keep to the call's deadlines over all of them.
        timeout: Any = (limit, limit)
        # Not ``session.send``, which reads a redirect's body whole, and its target,
        # even where it is not to follow it.
        adapter = session.get_adapter(url)
        before = getattr(active, "scope", None)
        active.scope = scope
        try:
            response = adapter.send(request, timeout=timeout, **template.way.options)
        finally:
            active.scope = before
            if self._closed:
                # From a signal handler, perhaps, that came while a pool was looked up.
                session.close()
        if "set-cookie" in response.headers:
            extract_cookies_to_jar(jar, request, response.raw)  # type: ignore[no-untyped-call]  # no stubs
        return response

    def proxy_for(self, url: str) -> str | None:
        """Tell which proxy the requests to a URL go through."""
        way = self._ways.get(origin_of(url))
        return None if way is None else select_proxy(url, way.options["proxies"])

    def close(self) -> None:
        """Close the connections, without a lock: a signal handler may do it at any point."""
        self._closed = True
        session, self._session = self._session, None
        # They know the pools of its adapters.
        self._ways, self._templates = {}, {}
        if session is not None:
            session.close()

    def _make(self) -> requests.Session:
        with self._lock:
            session = self._session
            if session is None:
                session = requests.Session()
                session.trust_env = self._trust_env
                session.mount("http://", Adapter())
                session.mount("https://", Adapter())
                if self._jar is None:
                    self._jar = BoundedJar()
                # Whole, and even so it may be taken away at any point.
                self._session = session
            return session

    def _prepare(
        self, session: requests.Session, key: tuple[Any, ...], headers: Mapping[str, str]
    ) -> Template:
        """Prepare a kind of request once: doing it for each took two thirds of a request's time."""
        method, url = key[:2]
        origin = origin_of(url)
        way = self._ways.get(origin)
        if way is None:
            options = session.merge_environment_settings(url, stream=True, **self._options)
            # The environment's proxies and .netrc have passwords.
            options["proxies"] = usable_proxies(options["proxies"], url)
            way = Way(dict(options), self._secret or hide(get_netrc_auth(url)))
            self._ways[origin] = way
        usual: Any = session.headers
        template = Template(method, url, {**usual, **headers}, way)
        if len(self._templates) < _MOST_TEMPLATES:
            self._templates[key] = template
        return template


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
        # By origin.
        self._known: dict[str, Secrets] = {}
        self._options = {**options, "auth": secret, "stream": True, "allow_redirects": False}

    def send(
        self,
        scope: CallScope,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None,
        data: bytes | Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> requests.Response:
        """
        Make a request, without following redirects; the arguments are ``OwnSession.send``'s.

        Returns:
            The response; its body is unread.
        """
        limit = scope.limit()
        if (origin := origin_of(url)) not in self._known:
            self._known[origin] = self._secrets(url)
        redirects: list[tuple[str, str]] = []

        def hide_redirect(response: requests.Response, **_: Any) -> None:
            # Even where it does not follow a redirect, requests reads its body
            # whole, however large, and its target, which may be malformed.
            target = response.headers.pop("location", None)
            if target is not None:
                redirects.append(("location", target))

        hooks = {"response": [*_hooks_of(self._session), hide_redirect]}
        response = scope.run(
            lambda: self._session.request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                timeout=(limit, limit),
                hooks=hooks,
                **self._options,
            ),
            discard=requests.Response.close,
        )
        response.headers.update(redirects)
        if 100 <= response.status_code < 200 and response.status_code != _SWITCHING:
            # The answer comes after it, and would be taken for that of whatever
            # the session asks next.
            response.close()
            raise InvalidServerMessage(
                f"the Space sent HTTP {response.status_code} ahead of its answer, which a "
                "requests.Session takes for the answer.",
                hint="Leave session= out: the client's own connections skip what comes ahead.",
            )
        try:
            scope.watch(partial(_hang_up, response))
        except BaseException:
            response.close()
            raise
        return response

    def proxy_for(self, url: str) -> str | None:
        """Tell which proxy the requests to a URL go through."""
        return select_proxy(url, self._proxies(url))

    def _proxies(self, url: str) -> dict[str, str]:
        session, given = self._session, self._options
        options = session.merge_environment_settings(
            url, given["proxies"], True, given["verify"], given["cert"]
        )
        return usable_proxies(options["proxies"], url)

    def _secrets(self, url: str) -> Secrets:
        """Tell what the session sends that is secret: headers, logins of its own and of proxies."""
        session = self._session
        auth = session.auth or (hide(get_netrc_auth(url)) if session.trust_env else None)
        proxies = secrets_of_urls(self._proxies(url).values())
        return Secrets([*secrets_of_headers(session.headers), *secrets_of_auth(auth), *proxies])

    def close(self) -> None:
        """Leave it open: it is the caller's."""


def _hang_up(response: requests.Response) -> None:
    """Shut down in both directions, where that can be done, so that the server knows at once."""
    sock = getattr(getattr(response.raw, "connection", None), "sock", None)
    if isinstance(sock, socket.socket):
        shut_down(sock)
    else:
        response.raw.shutdown()


def _hooks_of(session: requests.Session) -> list[Any]:
    """List what a session does with each response; those of a request take their place."""
    hooks: Any = (session.hooks or {}).get("response") or []
    return [hooks] if callable(hooks) else list(hooks)
