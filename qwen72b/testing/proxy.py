"""
Forward proxy and SOCKS5 proxy on loopback, with a record of what passes through.

Strategy: the least that a client's proxy support needs (absolute targets,
``CONNECT``, SOCKS5 without a password), with a record of what came by, so that
a test can tell that the proxy was used and what it was shown.
"""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import struct
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .http11 import Request, read_request
from .response import Respond
from .server import Server
from .steps import Step
from .wire import Connection

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FakeProxy", "FakeSocksProxy"]


class _Proxy:
    """What both proxies share: a server, and the way to and fro."""

    scheme = "http"

    def __init__(self) -> None:
        self.targets: list[str] = []
        self._server = Server(self._handle)

    @property
    def url(self) -> str:
        """The proxy's address."""
        return f"{self.scheme}://127.0.0.1:{self._server.port}"

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return self._server.open_connections

    def close(self) -> None:
        """
        End at once: no connection, thread or socket stays.

        Example:
            >>> proxy = FakeProxy()
            >>> proxy.close()
        """
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _handle(self, connection: Connection) -> None:
        raise NotImplementedError

    @staticmethod
    def _join(connection: Connection, upstream: socket.socket, header: bytes = b"") -> None:
        """Pass bytes to and fro until one side ends; a header goes behind the status line."""
        near, far = connection.fileno(), upstream.fileno()
        poll = select.poll()
        poll.register(near, select.POLLIN)
        poll.register(far, select.POLLIN)
        with contextlib.suppress(OSError):
            while True:
                ready = {number for number, _ in poll.poll()}
                if near in ready:
                    upstream.sendall(connection.read_some())
                if far in ready:
                    data = upstream.recv(65536)
                    if not data:
                        return
                    if header and b"\r\n" in data:
                        data, header = data.replace(b"\r\n", b"\r\n" + header, 1), b""
                    connection.send(data)


class FakeProxy(_Proxy):
    """
    A forward proxy for http (absolute targets) and https (``CONNECT``).

    Args:
        auth: A user and a password that it asks for, with 407.

    Attributes:
        requests: The requests that came, ``CONNECT`` among them.
        targets: Where they wanted to go, as ``host:port``.

    Example:
        >>> with FakeSpace() as space, FakeProxy() as proxy:
        ...     space.answer("Hello!")
        ...     print(Client(space.url, proxy=proxy.url).ask("Hi"))
        ...     print(proxy.targets[0] in space.url)
        Hello!
        True
    """

    def __init__(self, auth: tuple[str, str] | None = None) -> None:
        self.requests: list[Request] = []
        self._wanted = auth and "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        self._faults: deque[tuple[Step, ...]] = deque()
        super().__init__()

    def fault(self, *steps: Step) -> None:
        """
        Script what the next request meets (`Respond`, `Stall`, `Reset`, ...); then it ends.

        Example:
            >>> with FakeSpace() as space, FakeProxy() as proxy:
            ...     proxy.fault(Respond(status=502))
            ...     space.answer("Hello!")
            ...     print(Client(space.url, proxy=proxy.url).ask("Hi"))  # tried again
            Hello!
        """
        self._faults.append(steps)

    def _handle(self, connection: Connection) -> None:
        request = read_request(connection)
        self.requests.append(request)
        stage = _ProxyStage(connection)
        if self._faults:
            for step in self._faults.popleft():
                step.run(stage)
            return
        if self._wanted and request.headers.get("proxy-authorization") != self._wanted:
            ask = {"Proxy-Authenticate": 'Basic realm="proxy"', "Connection": "close"}
            Respond(status=407, headers=ask).run(stage)
            return
        parts = urlsplit(f"//{request.target}" if request.method == "CONNECT" else request.target)
        host, port = parts.hostname or "", parts.port or 80
        self.targets.append(f"{host}:{port}")
        try:
            upstream = socket.create_connection((host, port), timeout=5)
        except OSError:
            Respond(status=502, headers={"Connection": "close"}).run(stage)
            return
        with upstream:
            upstream.settimeout(None)
            if request.method == "CONNECT":
                connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._join(connection, upstream)
            else:
                upstream.sendall(_pass_on(request))
                # Said, lest the client begin another request as it ends.
                self._join(connection, upstream, b"Connection: close\r\n")


class FakeSocksProxy(_Proxy):
    """
    A SOCKS5 proxy without a password.

    Attributes:
        targets: Where clients wanted to go, as ``host:port``; names as they came.

    Example:
        >>> with FakeSpace() as space, FakeSocksProxy() as proxy:
        ...     space.answer("Hello!")
        ...     print(Client(space.url, proxy=proxy.url).ask("Hi"))
        Hello!
    """

    scheme = "socks5h"

    def _handle(self, connection: Connection) -> None:
        _, methods = connection.read_exactly(2)
        connection.read_exactly(methods)
        connection.send(b"\x05\x00")
        _, _, _, kind = connection.read_exactly(4)
        if kind == 3:
            host = connection.read_exactly(connection.read_exactly(1)[0]).decode("latin-1")
        else:
            host = socket.inet_ntop(
                socket.AF_INET if kind == 1 else socket.AF_INET6,
                connection.read_exactly(4 if kind == 1 else 16),
            )
        (port,) = struct.unpack("!H", connection.read_exactly(2))
        self.targets.append(f"{host}:{port}")
        try:
            upstream = socket.create_connection((host, port), timeout=5)
        except OSError:
            connection.send(b"\x05\x05\x00\x01" + bytes(6))
            return
        with upstream:
            upstream.settimeout(None)
            connection.send(b"\x05\x00\x00\x01" + bytes(6))
            self._join(connection, upstream)


class _ProxyStage:
    """Where a proxy's faults play."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def proceed(self) -> None:
        """Refuse: a fault of a proxy is not followed by what was asked for."""
        raise TypeError("Proceed has no meaning in a proxy")

    def play(self, step: Step) -> None:
        """Do one step."""
        step.run(self)


def _pass_on(request: Request) -> bytes:
    """Write a request as it goes to its origin; one connection serves one request."""
    kept = [
        f"{name}: {value}"
        for name, value in request.header_list
        if name.lower()
        not in ("connection", "proxy-connection", "proxy-authorization", "transfer-encoding")
    ]
    parts = urlsplit(request.target)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{request.method} {target} HTTP/1.1", *kept, "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + request.body
