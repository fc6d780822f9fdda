"""Spaces and addresses that are slow in every way: silent, or trickling without end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from timing import MS

from qwen72b.testing import Heartbeat, Repeat, Send, Stall, Throttle, Trickle, page

__all__ = ["ENDLESS_HEAD", "HEARTBEATS", "SLOW", "full_backlog", "slow_names"]

HEAD = b"HTTP/1.1 200 OK\r\n"
ENDLESS_HEAD = [Send(HEAD), Repeat(Trickle(b"X-Filler: yes\r\n", 20 * MS))]
ENDLESS_BODY = [
    Send(HEAD + b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"),
    Repeat(Send(b" "), interval=20 * MS),
]
ENDLESS_REST = [
    Send(HEAD + b"Content-Type: application/json\r\nConnection: close\r\n\r\n"),
    Repeat(Send(b" "), interval=20 * MS),
]
ENDLESS_CHUNKS = [
    Send(HEAD + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"),
    Repeat(Send(b"1\r\nx\r\n"), interval=20 * MS),
]

# What a request may meet instead of an answer.
SLOW: list[tuple[str, Sequence[Any]]] = [
    ("silence", [Stall()]),
    ("status_line", [Repeat(Trickle(b"HTTP/1.1 200 OK and on and on ", 20 * MS))]),
    ("head", ENDLESS_HEAD),
    ("body", ENDLESS_BODY),
    ("rest", ENDLESS_REST),
    ("chunks", ENDLESS_CHUNKS),
    ("page", [Throttle(1, 50 * MS), page("A page that never ends " * 100)]),
    ("interim", [Repeat(Send(b"HTTP/1.1 100 Continue\r\n\r\n"), interval=20 * MS)]),
]

HEARTBEATS = Repeat(Heartbeat(), interval=20 * MS)


@contextmanager
def full_backlog() -> Iterator[str]:
    """Give the URL of a port whose queue of connections is full: nothing more is accepted."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    others = []
    # More than the backlog; the last ones wait for ever.
    for _ in range(3):
        other = socket.socket()
        other.setblocking(False)
        other.connect_ex(server.getsockname())
        others.append(other)
    yield "http://{}:{}".format(*server.getsockname())
    for sock in [server, *others]:
        sock.close()


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every name lookup wait until the test is over."""
    over = threading.Event()
    look_up: Callable[..., Any] = socket.getaddrinfo

    def wait(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "space.invalid":
            over.wait()
            raise socket.gaierror("too late")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    yield
    over.set()
