"""
Who may come in: the Host header, the Origin, the key.

A port on loopback is open to every web page and every user of the machine. A page
reaches it under a name of its own that points to 127.0.0.1 (DNS rebinding), which
the Host header gives away; or sends a question across origins without reading the
answer, which the Origin header gives away.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import urlsplit

from ..errors import InvalidOption
from ..local.hosts import LOOPBACK_NAMES, checked_host, checked_names, split_host
from .answers import Headers, Refusal
from .channel import Channel

__all__ = ["LOOPBACK_NAMES", "MAX_KEY", "Guard", "checked_key"]

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@]+")
_USUAL_PORTS = {"http": 80, "https": 443}
_HEADER_NAMES = re.compile(r"[\w\-, ]{1,1000}")

# Characters of a key: a head must have room for it, and for the rest.
MAX_KEY = 4096

# Seconds for which a browser need not ask again.
_PREFLIGHT_AGE = b"600"


class Guard:
    """
    The checks that come before everything else.

    Args:
        hosts: Names that the Host header may have; ``None`` for any.
        key: What clients must know; ``None`` if nothing.
        cors: Origins of web pages that may use the gateway.

    Raises:
        InvalidOption: If one of them is none.
    """

    def __init__(
        self, hosts: Collection[str] | None, key: str | None, cors: Collection[str]
    ) -> None:
        self._hosts = (
            None if hosts is None else set(map(checked_host, checked_names("hosts", hosts)))
        )
        self._origins = set(map(_checked_origin, checked_names("cors", cors)))
        self._key = None if key is None else _digest(checked_key(key))

    def check_origin(self, channel: Channel) -> Headers:
        """
        Check where a request comes from.

        Args:
            channel: The request.

        Returns:
            Headers for the response, so that a page that may see it does.

        Raises:
            Refusal: If its Host or Origin header has none of the names.
        """
        host, _ = split_host(channel.header("host"))
        if self._hosts is not None and host not in self._hosts:
            raise Refusal(
                403,
                "the Host header names no host of this gateway; --allow-host, "
                "or hosts= in Python, allows more.",
                code="host_not_allowed",
            )
        origin = channel.header("origin").lower()
        if not origin:
            return []
        if origin in self._origins:
            return [
                (b"access-control-allow-origin", channel.headers[b"origin"]),
                (b"access-control-expose-headers", b"retry-after, x-should-retry"),
                (b"vary", b"Origin"),
            ]
        if origin.partition("://")[2] != channel.header("host").lower():
            raise Refusal(
                403,
                "web pages of this origin may not use the gateway; --cors allows them.",
                code="origin_not_allowed",
            )
        return []

    def check_key(self, channel: Channel) -> None:
        """
        Check that the client knows the key.

        Args:
            channel: The request.

        Raises:
            Refusal: If it does not.
        """
        scheme, _, given = channel.header("authorization").partition(" ")
        if self._key is None:
            return
        # Digests, so that not even the key's length shows in the time.
        if not compare_digest(_digest(given.strip()), self._key) or scheme.lower() != "bearer":
            raise Refusal(
                401,
                "the API key is missing or wrong.",
                kind="authentication_error",
                code="invalid_api_key",
                headers=[(b"www-authenticate", b"Bearer")],
            )

    @staticmethod
    def preflight(channel: Channel) -> Headers:
        """
        Say what a page of another origin may send.

        Args:
            channel: A browser's question before the request itself, its
                origin checked.

        Returns:
            The headers of the answer.
        """
        headers = [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-max-age", _PREFLIGHT_AGE),
        ]
        names = channel.header("access-control-request-headers")
        if _HEADER_NAMES.fullmatch(names):
            headers.append((b"access-control-allow-headers", names.encode("latin-1")))
        if channel.header("access-control-request-private-network") == "true":
            headers.append((b"access-control-allow-private-network", b"true"))
        return headers


def _checked_origin(origin: str) -> str:
    """Read an origin, and write it as browsers do: in ASCII, and without the usual port."""
    try:
        if not _ORIGIN.fullmatch(origin.lower()):
            raise ValueError
        parts = urlsplit(origin.lower())
        host, port = checked_host(parts.hostname or ""), parts.port
    except ValueError as exc:
        # Also of a port that is none; an InvalidOption is one, too.
        raise InvalidOption(
            f"{origin!r} is no origin of a web page.", hint="For example: http://localhost:3000"
        ) from exc
    shown = f"[{host}]" if ":" in host else host
    usual = port is None or port == _USUAL_PORTS.get(parts.scheme)
    return f"{parts.scheme}://{shown}" if usual else f"{parts.scheme}://{shown}:{port}"


def checked_key(key: str, shown: str = "the gateway's key") -> str:
    """
    Check that a header can hold a key.

    Args:
        key: The key; it is not shown.
        shown: What it is called in errors.

    Returns:
        The key.

    Raises:
        InvalidOption: If it is empty, too long, or has blanks or other characters
            that no header takes.
    """
    if not isinstance(key, str):
        raise InvalidOption(f"{shown} is no str but {type(key).__name__}.")
    if not key:
        raise InvalidOption(f"{shown} is empty.")
    if len(key) > MAX_KEY:
        raise InvalidOption(f"{shown} is longer than {MAX_KEY} characters.")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise InvalidOption(f"{shown} has a blank or another character that no header takes.")
    return key


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()
