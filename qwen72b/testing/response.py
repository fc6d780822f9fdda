"""
Steps that answer a request with a response of the test's own.

What may come instead of the Space's answer? Strategy: one step whose every
part (status, headers, framing, length) a test can choose, and lie about; pages
and redirects are such a step, made by functions.
"""

from __future__ import annotations

import html
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .http11 import Body, Framing, write_head
from .steps import Stage, Step

__all__ = ["Respond", "page", "redirect"]


@dataclass(frozen=True, kw_only=True)
class Respond(Step):
    """
    Answer with a response of the test's own.

    Attributes:
        status: Its code.
        body: Bytes, text, or anything else to be written as JSON.
        headers: Further headers, such as ``{"Retry-After": "3"}``; a value
            None takes one of the usual headers away.
        content_type: By default JSON or plain text, as the body is.
        framing: How the body's end is told.
        length: A Content-Length that may lie; by default the true one.
        reason: The reason phrase; by default the usual one.
        gzip: Whether the body is compressed.

    Example:
        >>> busy = Respond(status=429, body={"detail": "Busy."}, headers={"Retry-After": "3"})
        >>> with FakeSpace() as space:
        ...     space.fault("join", busy)
    """

    answers = True

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    content_type: str | None = None
    framing: Framing = "length"
    length: int | None = None
    reason: str | None = None
    gzip: bool = False

    def run(self, stage: Stage) -> None:
        """Do it."""
        body = self._bytes()
        if self.gzip:
            packer = zlib.compressobj(wbits=31)
            body = packer.compress(body) + packer.flush()
        stage.connection.send(write_head(self.status, self._head(len(body)), self.reason))
        # HTTP knows no body here, and a client would take one for the next response.
        if self.status not in (204, 304):
            writer = Body(stage.connection, self.framing)
            if body:
                writer.write(body)
            writer.end()

    def _bytes(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()

    def _head(self, size: int) -> Sequence[tuple[str, str]]:
        kind = "text/plain" if isinstance(self.body, (bytes, str)) else "application/json"
        head: dict[str, str | None] = {
            "server": "uvicorn",
            "content-type": self.content_type or kind,
        }
        if self.gzip:
            head["content-encoding"] = "gzip"
        if self.framing == "chunked":
            head["transfer-encoding"] = "chunked"
        elif self.framing == "length" and self.status not in (204, 304):
            head["content-length"] = str(size if self.length is None else self.length)
        else:
            head["connection"] = "close" if self.framing == "close" else None
        head |= {name.lower(): value for name, value in self.headers.items()}
        return [(name, value) for name, value in head.items() if value is not None]


def page(title: str, status: int = 503, text: str = "") -> Respond:
    """
    Make an HTML page, as the Hub shows instead of a Space that is asleep or broken.

    Example:
        >>> with FakeSpace() as space:
        ...     space.fault("config", page("This Space is sleeping."), times=None)
        ...     print(Client(space.url).status().ready)
        False
    """
    shown = html.escape(title)
    body = f"<!DOCTYPE html><html><head><title>{shown}</title></head><body>{text or shown}</body>"
    return Respond(status=status, body=body + "</html>", content_type="text/html; charset=utf-8")


def redirect(location: str, status: int = 307) -> Respond:
    """
    Make a redirect; `location` may be a path or another `FakeSpace`'s URL.

    Example:
        >>> with FakeSpace() as space, FakeSpace() as other:
        ...     space.fault("config", redirect(f"{other.url}/config"))
    """
    return Respond(status=status, headers={"Location": location})
