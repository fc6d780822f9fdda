"""
The cookies of a session, which are not to pile up.

A Space behind several replicas is told by its cookies apart from itself, so they
are kept; but a server may send any number of them, and each goes back with
every request.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from http.cookiejar import Cookie
from typing import Any

from requests.cookies import RequestsCookieJar

__all__ = ["BoundedJar"]

# Bytes of a cookie's name and value (RFC 6265, section 6.1). Browsers refuse a longer one.
_LONGEST = 4096

# Bytes of a whole header, with the cookie's attributes: what is taken apart by patterns,
# at up to half a microsecond a byte.
_LONGEST_HEADER = 8192

# Cookies, and bytes of them all. Servers commonly take a head of 8 KiB, and many
# take 16; browsers keep more cookies, but for people.
_MOST = 50
_MOST_BYTES = 8192


class _Offer:
    """
    The cookies that a response offers, as http.cookiejar asks for them; no more than are kept.

    Args:
        response: The response.
    """

    def __init__(self, response: Any) -> None:
        self._headers = response.info()

    def info(self) -> _Offer:
        """Give what has the headers."""
        return self

    def get_all(self, name: str, default: list[str]) -> list[str]:
        """List the values of a header, but for those that are longer than any cookie's."""
        values = self._headers.get_all(name, default)
        return [value for value in values if len(value) <= _LONGEST_HEADER][-_MOST:]


class BoundedJar(RequestsCookieJar):
    """A jar that holds the newest cookies only."""

    def __init__(self) -> None:
        super().__init__()
        self._bounding = threading.RLock()
        #: How long each is, by domain, path and name; the oldest first.
        self.sizes: dict[tuple[str, str, str], int] = {}

    def extract_cookies(self, response: Any, request: Any) -> None:
        """
        Take the cookies of a response.

        Args:
            response: As in http.cookiejar.
            request: As in http.cookiejar.
        """
        super().extract_cookies(_Offer(response), request)  # type: ignore[arg-type]  # all it asks for

    def set_cookie(self, cookie: Cookie, *args: Any, **kwargs: Any) -> None:
        """
        Keep a cookie, and let the oldest go where there are too many.

        Args:
            cookie: The cookie; a longer one than browsers take is not kept.
            *args: As in requests.
            **kwargs: As in requests.
        """
        size = len(cookie.name) + len(cookie.value or "")
        if size > _LONGEST:
            return
        key = (cookie.domain, cookie.path, cookie.name)
        with self._bounding:
            self.sizes.pop(key, None)
            self.sizes[key] = size
            super().set_cookie(cookie, *args, **kwargs)
            while len(self.sizes) > _MOST or sum(self.sizes.values()) > _MOST_BYTES:
                oldest = next(iter(self.sizes))
                del self.sizes[oldest]
                # It may have run out, or been taken back.
                with suppress(KeyError):
                    self.clear(*oldest)
