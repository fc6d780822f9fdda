"""
HTTP/1.1 by hand: requests as they came, responses as a test wants them.

Strategy: requests are read in full and kept as a record; responses are
written from parts that a test can choose one by one (status line, headers,
framing, borders), because the standard library's server would mend just what
a test wants broken.
"""

from __future__ import annotations

import http.client
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from .wire import Connection

__all__ = ["Body", "Framing", "Request", "read_request", "write_head"]

Framing = Literal["chunked", "close", "length"]


@dataclass(frozen=True)
class Request:
    """
    A request that a client made.

    Attributes:
        method: Such as ``"POST"``.
        target: As it stood in the request line.
        headers: Names in lower case; of equal ones the last.
        header_list: Names and values as they came, in order.
        body: Its bytes, without the framing.
        connection: The number of its connection, from 1.
        time: When it had been read, on `time.monotonic`'s clock, in seconds.
        phase: What it is in the protocol: ``config``, ``join``, ``stream``,
            ``login``, ``other``.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    header_list: Sequence[tuple[str, str]]
    body: bytes
    connection: int
    time: float = field(default_factory=time.monotonic)
    phase: str = "other"

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's fields; of equal ones the last."""
        fields = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[-1] for name, values in fields.items()}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies it carries."""
        pairs = (pair.partition("=") for pair in self.headers.get("cookie", "").split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


def read_request(connection: Connection) -> Request:
    """
    Read the next request of a connection.

    Raises:
        ConnectionOver: If the client leaves instead.
    """
    lines = connection.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    pairs = [line.split(":", 1) for line in lines[1:] if ":" in line]
    header_list = [(name.strip(), value.strip()) for name, value in pairs]
    headers = {name.lower(): value for name, value in header_list}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(connection.read_until(b"\r\n").split(b";")[0], 16):
            body += connection.read_exactly(size + 2)[:-2]
        connection.read_until(b"\r\n")
    else:
        body = connection.read_exactly(int(headers.get("content-length", "0")))
    target = rest.rpartition(" ")[0]
    return Request(method, target, headers, header_list, body, connection.number)


def write_head(status: int, headers: Sequence[tuple[str, str]], reason: str | None = None) -> bytes:
    """Write a status line and headers, exactly these."""
    if reason is None:
        reason = http.client.responses.get(status, "")
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Body:
    """
    A response's body, written piece by piece under a framing.

    Args:
        connection: Where it goes.
        framing: ``chunked``: each piece is one HTTP chunk; ``close``: the body
            ends with the connection; ``length``: the head said how long it is.
        gzip: Compress each piece, flushed so that it arrives as a piece.
        piece: Bytes per piece at most (before compression), or None: as given.
    """

    def __init__(
        self,
        connection: Connection,
        framing: Framing,
        *,
        gzip: bool = False,
        piece: int | None = None,
    ) -> None:
        self.connection = connection
        self._framing = framing
        self._gzip = zlib.compressobj(wbits=31) if gzip else None
        self._piece = piece

    def write(self, data: bytes) -> None:
        """Send a piece; with a limit on pieces, several."""
        size = self._piece or len(data)
        for start in range(0, len(data), size or 1):
            piece = data[start : start + size]
            if self._gzip is not None:
                piece = self._gzip.compress(piece) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
            self._send(piece)

    def write_frames(self, frames: bytes) -> None:
        """Send pieces that `frame` has framed before."""
        self.connection.send(frames)

    @property
    def plain(self) -> bool:
        """Whether pieces can be framed before, by `frame`."""
        return self._gzip is None and self._piece is None

    def frame(self, piece: bytes) -> bytes:
        """Wrap a piece, without sending it."""
        if self._framing == "chunked":
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        return piece

    def end(self) -> None:
        """End it in good order."""
        if self._gzip is not None:
            self._send(self._gzip.flush())
        if self._framing == "chunked":
            self.connection.send(b"0\r\n\r\n")
        elif self._framing == "close":
            self.connection.close()

    def _send(self, piece: bytes) -> None:
        self.connection.send(self.frame(piece))
