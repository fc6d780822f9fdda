"""
The head of an answer, behind whatever was sent ahead of it.

http.client reads a head as if it were that of an e-mail, which took an eighth of
a question's time. A plain head, which nearly all are, is read here; any other is
left to it, and so are all that have no body.
"""

from __future__ import annotations

import re
from http.client import HTTPException, HTTPMessage, HTTPResponse, LineTooLong, RemoteDisconnected
from typing import Any

__all__ = ["Head"]

# Answers that may come ahead of the one that was asked for. A server sends one
# or two; more than this many is no server's.
_MOST_AHEAD = 100

# Lines of their heads, and bytes of each, as http.client has it.
_MOST_HEADERS = 100
_MOST_BYTES = 65536

# The one that is final: "Switching Protocols", which nobody asked for.
_SWITCHING = 101

# No more headers than http.client takes; no folded lines, and nothing that it
# would take for a line's end.
_PLAIN = re.compile(
    rb"HTTP/1\.1 ([2-9]\d\d)(?: ([\x20-\x7e]*))?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*\r\n){0,99})\r\n"
)

# Without a body, whatever their heads say (RFC 9110, section 6.4.1).
_BODILESS = (204, 304)


class _Lines:
    """
    A reader that keeps its last line: http.client takes the end of a connection for a head's.

    Args:
        reader: The reader.
    """

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.last: bytes | None = None

    def readline(self, *size: int) -> bytes:
        """Read a line."""
        self.last = line = self._reader.readline(*size)
        return bytes(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


class Head(HTTPResponse):
    """http.client's response, which skips every 1xx (RFC 9110, section 15.2), not only 100."""

    def _read_status(self) -> tuple[str, int, str]:
        # Asked by ``HTTPResponse.begin``; and by what sets up a tunnel, whose proxy
        # may send something ahead as well.
        for _ in range(_MOST_AHEAD):
            version, status, reason = super()._read_status()  # type: ignore[misc]  # private
            if not 100 <= status < 200 or status == _SWITCHING:
                return version, status, reason
            self._skip_headers()
        raise HTTPException(f"got more than {_MOST_AHEAD} answers ahead of the final one")

    def _skip_headers(self) -> None:
        reader: Any = self.fp
        for _ in range(_MOST_HEADERS):
            line = reader.readline(_MOST_BYTES + 1)
            if len(line) > _MOST_BYTES:
                raise LineTooLong("header line")
            if line in (b"\r\n", b"\n", b""):
                return
        raise HTTPException(f"got more than {_MOST_HEADERS} headers")

    def begin(self) -> None:
        """Read the head of the final answer."""
        if self.headers is not None:
            return
        reader: Any = self.fp
        plain = None if self.debuglevel else _PLAIN.match(reader.peek())
        if plain is None or int(plain[1]) in _BODILESS:
            lines: Any = _Lines(reader)
            self.fp = lines
            super().begin()
            if self.fp is lines:
                self.fp = reader
            if lines.last == b"":
                raise RemoteDisconnected("it was closed in the middle of an answer's head")
            return
        reader.read(plain.end())
        # What ``HTTPResponse.begin`` sets.
        status, reason, lines = plain.groups()
        self.code = self.status = int(status)
        self.reason = (reason or b"").decode("ascii").strip()
        self.version = 11
        self.headers = self.msg = message = HTTPMessage()
        for line in lines.decode("ascii").split("\r\n")[:-1]:
            name, _, value = line.partition(":")
            message.set_raw(name, value.lstrip(" \t"))
        coding = message.get("transfer-encoding", "")
        length = message.get("content-length", "")
        self.chunked = coding.lower() == "chunked"
        self.chunk_left = None
        self.length = None
        if length and not self.chunked:
            try:
                self.length = max(int(length), -1)
            except ValueError:
                pass
            if self.length == -1:
                self.length = None
        self.will_close = "close" in message.get("connection", "").lower() or (
            not self.chunked and self.length is None
        )
