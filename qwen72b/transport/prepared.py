"""
Requests that are prepared once, and then only filled.

Preparing is most of what requests does for a request: the URL is taken apart
and put together, and each header is checked. Between two questions to one Space
nothing of that changes but the query, the body and the cookies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from requests.auth import AuthBase

from ..privacy.credentials import secrets_of_auth, secrets_of_urls
from ..privacy.masking import Secrets
from .auth import without_zone
from .cookies import BoundedJar

__all__ = ["Filled", "Template", "Way"]


class Way:
    """
    How the requests to one origin leave.

    Args:
        options: ``verify``, ``cert``, ``proxies`` and ``stream`` of ``Adapter.send``.
        auth: Who to log in as: the token, or what ``.netrc`` says.
    """

    def __init__(self, options: dict[str, Any], auth: AuthBase | tuple[str, str] | None) -> None:
        self.options = options
        self.auth = auth
        proxies = secrets_of_urls(options["proxies"].values())
        self._known = Secrets([*secrets_of_auth(auth), *proxies])
        #: The pool of connections, once the adapter has found it.
        self.pool: Any = None


class _Headers(dict[str, str]):
    """Headers that are found under a name of any case, and gone through at a plain dict's speed."""

    def __missing__(self, name: str) -> str:
        for known, value in self.items():
            if known.lower() == name.lower():
                return value
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or self.get(name) is not None

    def get(self, name: Any, default: Any = None) -> Any:
        """Find a header, or give the default."""
        try:
            return self[name]
        except KeyError:
            return default


class Filled(requests.PreparedRequest):
    """A request that can be sent."""

    #: How it leaves.
    way: Way
    #: What it asks for, where no proxy wants more.
    target: str


class Template:
    """
    What the requests of one method, to one URL and with the same headers share.

    Args:
        method: HTTP method.
        url: Where to.
        headers: What they carry but for the cookies and the token.
        way: How they leave.
    """

    def __init__(self, method: str, url: str, headers: Mapping[str, str], way: Way) -> None:
        prepared = requests.PreparedRequest()
        prepared.prepare_method(method)
        prepared.prepare_url(url, None)
        host = urlsplit(prepared.url or "").netloc.rpartition("@")[2]
        if "%" in host:
            headers = {"Host": without_zone(host), **headers}
        prepared.prepare_headers(headers)
        self.way = way
        self._prepared = prepared
        self._headers: Any = dict(prepared.headers)
        self._target = prepared.path_url

    def fill(
        self,
        jar: BoundedJar,
        query: Mapping[str, str] | None,
        body: bytes | Mapping[str, str] | None,
    ) -> Filled:
        """
        Make a request.

        Args:
            jar: Cookies; those that are meant for it go along.
            query: Query parameters.
            body: Its body; fields of a form, if it is no bytes.

        Returns:
            The request, as requests would have prepared it.
        """
        prepared, way = self._prepared, self.way
        query_text = f"?{urlencode(query)}" if query else ""
        filled = Filled()
        filled.way = way
        filled.target = self._target + query_text
        filled.method = prepared.method
        filled.url = f"{prepared.url}{query_text}"
        if not jar.sizes and way.auth is None:
            filled.headers = _Headers(self._headers)  # type: ignore[assignment]  # as good as requests'
        else:
            filled.headers = prepared.headers.copy()
            if jar.sizes:
                filled.prepare_cookies(jar)
        if isinstance(body, bytes):
            filled.body = body
            filled.headers["Content-Length"] = str(len(body))
        elif body is not None:
            filled.prepare_body(body, None)
        if way.auth is not None:
            filled.prepare_auth(way.auth, filled.url)
        return filled
