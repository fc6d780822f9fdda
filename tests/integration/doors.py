"""The gateway before a fake Space, and a bare client of it."""

from __future__ import annotations

import http.client
import io
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
from timing import PATIENCE

from qwen72b import AsyncClient, Retry
from qwen72b.gateway import running

HI = [{"role": "user", "content": "Hi"}]


class _Bytes:
    """What http.client wants of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


class Answer:
    """
    A response.

    Args:
        method: What it answers.
        data: All of its bytes.
    """

    def __init__(self, method: str, data: bytes) -> None:
        response = http.client.HTTPResponse(_Bytes(data), method=method)  # type: ignore[arg-type]
        response.begin()
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def events(self) -> list[Any]:
        """What the events of a stream say; comments are left out."""
        lines = self.body.decode().splitlines()
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in data]

    @property
    def text(self) -> str:
        """The text of a stream's chunks."""
        return "".join(
            choice["delta"].get("content", "")
            for event in self.events
            if event != "[DONE]"
            for choice in event.get("choices", ())
        )


class Door:
    """
    A gateway that runs.

    Args:
        url: Where.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = urlsplit(url).port or 0

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request on a connection of its own; read until the gateway has closed it, too."""
        named = {"Host": f"127.0.0.1:{self.port}", "Connection": "close"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body or method == "POST":
            named["Content-Length"] = str(len(body))
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in named.items()),
        ]
        with self.connect() as there:
            there.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            return Answer(method, read_until(there, b"\0"))

    def ask(self, messages: Any = HI, **fields: Any) -> Answer:
        """Ask for a completion."""
        body = json.dumps({"messages": messages, **fields}).encode()
        return self.send("POST", "/v1/chat/completions", body)

    def begin(self, **fields: Any) -> socket.socket:
        """Ask for a completion, and read nothing of it."""
        body = json.dumps({"messages": HI, **fields}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
        )
        there = self.connect()
        there.sendall(head.encode() + b"\r\n\r\n" + body)
        return there

    def connect(self) -> socket.socket:
        """Connect, and say nothing."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


@contextmanager
def door(url: str, **options: Any) -> Iterator[Door]:
    """Run a gateway before a Space, which is asked once."""
    client = AsyncClient(url, retry=Retry(attempts=1))
    try:
        with running(client, **options) as gateway:
            yield Door(gateway)
    finally:
        anyio.run(client.close)


def read_until(there: socket.socket, words: bytes) -> bytes:
    """Read until words have come, or the end."""
    seen = b""
    while words not in seen and (more := there.recv(65536)):
        seen += more
    return seen
