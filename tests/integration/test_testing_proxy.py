"""The proxies pass on what they are given, and say what it was."""

from __future__ import annotations

import contextlib
import socket
import struct
from urllib.parse import urlsplit

import pytest
from timing import PATIENCE

from qwen72b.testing import FakeProxy, FakeSocksProxy, FakeSpace, Reset, Respond, Stall


def dial(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)


def read_all(sock: socket.socket) -> bytes:
    with sock:
        seen = b""
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(65536):
                seen += data
        return seen


def ask(proxy: FakeProxy, target: str, method: str = "GET", header: str = "X: 1") -> bytes:
    sock = dial(proxy.url)
    sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: h\r\n{header}\r\n\r\n".encode())
    return read_all(sock)


def test_absolute_targets_are_passed_on() -> None:
    """A request for http goes to its origin, without what is the proxy's."""
    with FakeSpace() as space, FakeProxy() as proxy:
        answer = ask(proxy, f"{space.url}/config?a=1", header="Proxy-Connection: keep-alive")
        assert answer.startswith(b"HTTP/1.1 200 OK")
        seen = space.requests[0]
        assert (seen.target, "proxy-connection" in seen.headers) == ("/config?a=1", False)
        assert proxy.targets == [space.url.removeprefix("http://")]
        assert proxy.requests[0].target == f"{space.url}/config?a=1"


def test_connect_opens_a_tunnel() -> None:
    """After CONNECT the bytes pass to and fro as they are."""
    with FakeSpace() as space, FakeProxy() as proxy:
        sock = dial(proxy.url)
        target = space.url.removeprefix("http://")
        sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        assert sock.recv(100) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        sock.sendall(b"GET /config HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert b'"protocol"' in read_all(sock)
        assert proxy.targets == [target]


def test_proxy_asks_for_its_password() -> None:
    """Without its password a proxy answers 407."""
    with FakeSpace() as space, FakeProxy(auth=("a", "b")) as proxy:
        assert ask(proxy, f"{space.url}/config").startswith(b"HTTP/1.1 407")
        given = "Proxy-Authorization: Basic YTpi"
        assert ask(proxy, f"{space.url}/config", header=given).startswith(b"HTTP/1.1 200")
        assert "proxy-authorization" not in space.requests[0].headers


def test_proxy_faults() -> None:
    """A proxy can fail on its own, or not reach its target."""
    with FakeProxy() as proxy:
        proxy.fault(Respond(status=503))
        proxy.fault(Reset())
        assert ask(proxy, "http://x/").startswith(b"HTTP/1.1 503")
        assert ask(proxy, "http://x/") == b""
        with FakeSpace() as space:
            gone = space.url
        assert ask(proxy, gone).startswith(b"HTTP/1.1 502")
        proxy.fault(Stall())
        sock = dial(proxy.url)
        sock.sendall(b"GET http://x/ HTTP/1.1\r\n\r\n")
    assert read_all(sock) == b""
    assert proxy.open_connections == 0


@pytest.mark.parametrize(
    ("address", "name"),
    [(b"\x01\x7f\x00\x00\x01", "127.0.0.1"), (b"\x03\x09localhost", "localhost")],
)
def test_socks_proxy_opens_a_tunnel(address: bytes, name: str) -> None:
    """A SOCKS5 proxy connects to addresses and names, and keeps the names."""
    with FakeSpace() as space, FakeSocksProxy() as proxy:
        port = urlsplit(space.url).port or 0
        sock = dial(proxy.url)
        sock.sendall(b"\x05\x01\x00")
        assert sock.recv(2) == b"\x05\x00"
        sock.sendall(b"\x05\x01\x00" + address + struct.pack("!H", port))
        assert sock.recv(10)[:2] == b"\x05\x00"
        sock.sendall(b"GET /config HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert b'"protocol"' in read_all(sock)
        assert proxy.targets == [f"{name}:{port}"]


def test_socks_proxy_tells_what_it_cannot_reach() -> None:
    """A target that refuses is SOCKS5's reply 5."""
    with FakeSpace() as space:
        port = urlsplit(space.url).port or 0
    with FakeSocksProxy() as proxy:
        sock = dial(proxy.url)
        sock.sendall(b"\x05\x01\x00")
        sock.recv(2)
        sock.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + struct.pack("!H", port))
        assert sock.recv(10)[:2] == b"\x05\x05"
        sock.close()
