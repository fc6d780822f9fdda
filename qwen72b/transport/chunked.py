"""
The decoder of chunked bodies, wherever the network cut them.

``http.client`` does it too, but cannot stop in the middle of a chunk's head, as
whoever reads on an event loop must; and it takes every chunk apart by itself,
where one receive brings hundreds.
"""

from __future__ import annotations

import re
from http.client import HTTPException

__all__ = ["ChunkedDecoder"]

# Bytes of a chunk's head, and of all trailers: what http.client allows a line.
_MAX_HEAD = 65536

# A chunk's head; from the second on with the line end of the chunk before it.
_HEAD = rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n"
_FIRST = re.compile(_HEAD)
_NEXT = re.compile(rb"\r\n" + _HEAD)


class ChunkedDecoder:
    """The state of a body with ``Transfer-Encoding: chunked`` (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        #: Whether the whole body has come.
        self.ended = False
        #: Whether more came than the body.
        self.overrun = False
        #: What is wrong with what came last; what follows is not looked at.
        self.failure: HTTPException | None = None
        # Bytes of payload that the present chunk lacks.
        self._missing = 0
        self._head = _FIRST
        # The beginning of a head, or of a line of the trailers, as it came:
        # put together once its end is there, or it would be gone through anew
        # for each byte that a server sends of it.
        self._rest: list[bytes] = []
        self._held = 0
        self._in_trailers = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """
        Take what the network brought.

        Args:
            data: Bytes, cut anywhere.

        Returns:
            The payload in them, up to a ``failure``; often empty.
        """
        if self._rest:
            if self._held >= 2 and b"\n" not in data:
                self._hold(data)
                return b""
            data = b"".join([*self._rest, data])
            self._rest, self._held = [], 0
        payload = []
        at = 0
        while not self._in_trailers:
            if self._missing:
                piece = data[at : at + self._missing]
                payload.append(piece)
                at += len(piece)
                self._missing -= len(piece)
                if self._missing:
                    break
            head = self._head.match(data, at)
            if head is None:
                rest = data[at:]
                if rest == b"\r\n" and self._head is _NEXT:
                    # The common case: the network brought a whole chunk.
                    self._rest, self._held = [rest], 2
                else:
                    self._keep(rest)
                break
            at = head.end()
            self._missing = int(head[1], 16)
            self._head = _NEXT
            self._in_trailers = not self._missing
        if self._in_trailers:
            self._take_trailers(data[at:])
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _keep(self, rest: bytes) -> None:
        """Keep the beginning of a head, unless none can begin like this."""
        lines = 1 if self._head is _FIRST else 2
        fits = lines == 1 or b"\r\n".startswith(rest[:2])
        if not fits or rest.count(b"\n") >= lines:
            self.failure = HTTPException("malformed chunk in the body")
        self._hold(rest)

    def _hold(self, data: bytes) -> None:
        if data:
            self._rest.append(data)
            self._held += len(data)
        if self._held + self._trailer_bytes > _MAX_HEAD:
            where = "trailers behind" if self._in_trailers else "malformed chunk in"
            self.failure = HTTPException(f"endless {where} the body")

    def _take_trailers(self, data: bytes) -> None:
        at = 0
        while end := data.find(b"\n", at) + 1:
            if data[at:end].strip() == b"":
                self.ended = True
                self.overrun = end < len(data)
                return
            at = end
        self._trailer_bytes += at
        self._hold(data[at:])
