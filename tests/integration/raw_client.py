"""A client that trusts nothing: what the tests of `FakeSpace` look through."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from timing import PATIENCE

from qwen72b.testing import FakeSpace

if TYPE_CHECKING:
    from typing_extensions import Self


def payload(query: Any = "Hi", history: Any = (), **fields: Any) -> dict[str, Any]:
    """The body of a join, as a browser sends it."""
    return {
        "data": [query, list(history), "Be brief."],
        "event_data": None,
        "fn_index": 0,
        "trigger_id": 11,
        "session_hash": "abc",
        **fields,
    }


def connect(space: FakeSpace) -> http.client.HTTPConnection:
    """A connection to a Space."""
    parts = urlsplit(space.url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)


def fetch(
    space: FakeSpace, method: str, path: str, body: Any = None, **headers: str
) -> http.client.HTTPResponse:
    """One request on a connection of its own; the body is read, and in `.text`."""
    connection = connect(space)
    try:
        text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        connection.request(method, path, text, headers)
        response = connection.getresponse()
        response.text = response.read().decode()  # type: ignore[attr-defined]
        return response
    finally:
        connection.close()


def messages(body: bytes) -> Iterator[dict[str, Any]]:
    """The server messages of a whole body."""
    for event in body.decode().split("\n\n")[:-1]:
        yield json.loads(event.removeprefix("data: "))


def join(space: FakeSpace, **fields: Any) -> str:
    """Join a job; give its event id."""
    response = fetch(space, "POST", space.dialect.join_path, payload(**fields))
    assert response.status == 200, response.text
    event_id: str = json.loads(response.text)["event_id"]
    return event_id


def stream_target(space: FakeSpace, session_hash: str = "abc") -> str:
    """Where the stream is."""
    return f"{space.dialect.stream_path}?session_hash={session_hash}"


def chat(space: FakeSpace, **fields: Any) -> list[dict[str, Any]]:
    """Join a job and read its stream to the end."""
    join(space, **fields)
    connection = connect(space)
    try:
        connection.request("GET", stream_target(space, fields.get("session_hash", "abc")))
        return list(messages(connection.getresponse().read()))
    finally:
        connection.close()


def names(said: list[dict[str, Any]]) -> list[str]:
    """What the messages are called."""
    return [message["msg"] for message in said]


class Raw:
    """A socket to a Space."""

    def __init__(self, space: FakeSpace) -> None:
        parts = urlsplit(space.url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
        self.seen = b""

    def ask(self, target: str = "/config", method: str = "GET") -> None:
        """Send a request."""
        self.socket.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def until(self, text: bytes) -> bytes:
        """Read until a text has come."""
        while text not in self.seen:
            data = self.socket.recv(65536)
            assert data, f"the end came before {text!r}: {self.seen!r}"
            self.seen += data
        return self.seen

    def rest(self) -> bytes:
        """Read to the end; a reset raises."""
        while data := self.socket.recv(65536):
            self.seen += data
        return self.seen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
