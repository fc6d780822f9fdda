"""
The way that the bytes go: proxy, name, connection and TLS, one at a time.

For the doctor only: the client's own connections do all this at once.
"""

from __future__ import annotations

import os
import socket
import ssl
from urllib.parse import urlsplit

from certifi import where
from requests.utils import get_environ_proxies, select_proxy

from ..errors import ConnectFailed, InvalidOption

__all__ = ["Route"]

# Seconds; the client's own limit is the same.
_PATIENCE = 5.0


class Route:
    """
    The way to a Space, walked in the order of the methods.

    Args:
        url: The Space's base URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._secure = urlsplit(url).scheme == "https"
        self._proxy: str | None = None
        self._addresses: list[str] = []
        self._host, self._port = _door(url)

    def find_proxy(self) -> str:
        """Tell which proxy the environment names for this Space."""
        proxy = select_proxy(self._url, get_environ_proxies(self._url))
        if not proxy:
            return "none"
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        self._proxy = proxy
        try:
            self._host, self._port = _door(proxy)
        except ValueError as exc:
            raise InvalidOption(
                "a proxy variable of the environment holds no URL.",
                hint="Make it http://host:port.",
            ) from exc
        # Without the user and the password that its URL may hold.
        return f"{self._host}:{self._port} (proxy variables of the environment)"

    def resolve(self) -> str:
        """Look up the name of the next hop."""
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise ConnectFailed(
                f"the name {self._host} cannot be resolved: {getattr(exc, 'strerror', None) or exc}.",
                stage="proxy" if self._proxy else "dns",
            ) from exc
        self._addresses = sorted({str(entry[4][0]) for entry in found})
        return f"{self._host} is {', '.join(self._addresses)}"

    def connect(self) -> str:
        """Connect to the next hop."""
        try:
            with socket.create_connection((self._host, self._port), _PATIENCE):
                return f"port {self._port} accepts connections"
        except OSError as exc:
            raise ConnectFailed(
                f"{self._host} does not accept a connection to port {self._port}: "
                f"{exc.strerror or exc}.",
                stage="proxy" if self._proxy else "tcp",
            ) from exc

    def greet(self) -> str:
        """Shake hands as TLS does, where the Space does so and no proxy stands before it."""
        if not self._secure:
            return "not used by this URL"
        if self._proxy:
            return "goes through the proxy; seen in the next step"
        # As requests chooses them.
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or where()
        try:
            context = ssl.create_default_context(
                cafile=None if os.path.isdir(bundle) else bundle,
                capath=bundle if os.path.isdir(bundle) else None,
            )
            with (
                socket.create_connection((self._host, self._port), _PATIENCE) as plain,
                context.wrap_socket(plain, server_hostname=self._host) as secure,
            ):
                return f"{secure.version()}, certificate trusted (authorities: {bundle})"
        except OSError as exc:
            reason = getattr(exc, "verify_message", "") or exc.strerror or str(exc)
            raise ConnectFailed(
                f"TLS with {self._host} failed: {reason} (authorities: {bundle}).", stage="tls"
            ) from exc


def _door(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme, 1080)
    if not parts.hostname:
        raise ValueError("no host")
    # A zone's percent sign, as it is written in a URL (RFC 6874).
    return parts.hostname.replace("%25", "%"), parts.port or usual
