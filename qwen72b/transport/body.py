"""
The body of a response, read as it comes.

``iter_content`` waits for whole blocks where a body is not chunked, so an
event may lie there for as long as the answer lasts. On connections of our own
the bytes are received straight from the socket, which costs one system call for
all that has come and can be done without waiting. Anything else (a content
coding, a known length, a caller's own session) is left to urllib3's ``read1``,
at 10 microseconds a chunk. Receiving straight from the socket is an accelerator:
without it a burst costs 2.7 times as much (async 15 times), and nothing else
changes.
"""

from __future__ import annotations

from http.client import HTTPException, HTTPResponse
from time import monotonic
from typing import Any

import requests

from ..errors import InvalidServerMessage
from ..privacy.masking import mask
from .chunked import ChunkedDecoder
from .scope import CallScope
from .sockets import BoundedSocket

__all__ = ["Body", "read_whole"]

_READ_BYTES = 32768

# Characters of a content encoding that are shown.
_MOST_NAME = 40


class Body:
    """
    The body of a streamed response.

    Args:
        response: The response, opened with ``stream=True``.
        scope: The call that it belongs to.
    """

    def __init__(self, response: requests.Response, scope: CallScope) -> None:
        self._response = response
        self._scope = scope
        self._ended = False
        self._failure: Exception | None = None
        # Whether it is compressed in a way that was not asked for.
        self._unreadable = False
        #: The socket, if the bytes are received straight from it.
        self.socket: BoundedSocket | None = None
        #: Whether ``read_now`` found nothing at the socket, and so has to wait; and
        #: for how many seconds, until the socket is readable.
        self.starved = False
        self.patience: float | None = None
        #: Whether the bytes are to come as they are, and their number is known.
        self.counted = False
        coding = response.headers.get("content-encoding", "").lower()
        if coding not in ("", "identity"):
            self._unreadable = not _is_read(coding, response.raw)
            return
        if getattr(response.raw, "length_remaining", None) is not None:
            self.counted = True
            return
        # Mocks of requests put something else there.
        original = getattr(response.raw, "_original_response", None)
        if not isinstance(original, HTTPResponse):
            return
        # Where http.client hides its reader in another way, its own reading will do.
        reader: Any = getattr(original, "fp", None)
        chunked: bool | None = getattr(original, "chunked", None)
        sock = getattr(getattr(reader, "raw", None), "_sock", None)
        if not isinstance(sock, BoundedSocket) or chunked is None:
            return
        self.socket = sock
        self._original = original
        self._chunked = ChunkedDecoder() if chunked else None
        # What came together with the response's head.
        sock.streams = True
        self._early: bytes = reader.peek()

    def read(self) -> bytes:
        """
        Wait for bytes.

        Returns:
            What has come; empty at the end of the body, which gives the
            connection back to its pool.

        Raises:
            OSError: If the connection failed, or the call ended or is late.
            HTTPException: If the body is malformed.
        """
        if self.socket is None:
            return self._read_through_urllib3()
        while not self._ended:
            data = self._take(self._early or self._receive(self.socket))
            if data:
                return data
        return b""

    def read_now(self) -> bytes | None:
        """
        Take what has come, without waiting; nothing without a ``socket``.

        Returns:
            The bytes; empty at the end of the body. ``None`` if none have come,
            or none of the payload.

        Raises:
            OSError: As ``read``.
            HTTPException: As ``read``.
        """
        self.starved = False
        if self.socket is None:
            return None
        if self._ended:
            return b""
        if self._failure is not None:
            # What follows a malformed chunk may look like a good end.
            raise self._failure
        data: bytes | None
        if self._early:
            data, self.patience = self._early, 0.0
        else:
            try:
                data, self.patience = self.socket.receive_now(_READ_BYTES)
            except OSError as exc:
                self._failure = exc
                raise
            if data is None:
                self.starved = True
                return None
        return self._take(data) or (b"" if self._ended else None)

    def close(self) -> None:
        """Hang up, unless the body was read to its end."""
        self._scope.hang_up_with(None)
        # Its traceback leads back here.
        self._failure = None
        self._response.close()

    def _receive(self, sock: BoundedSocket) -> bytes:
        if self._failure is not None:
            raise self._failure
        try:
            return sock.receive(_READ_BYTES)
        except OSError as exc:
            self._failure = exc
            raise

    def _take(self, data: bytes) -> bytes:
        """Take what was received out of its framing; empty at the end, and in between too."""
        self._early = b""
        chunked = self._chunked
        if chunked is None:
            self._ended = not data
        elif data:
            data = chunked.feed(data)
            # Told by the next read; what came before it is good.
            self._failure = chunked.failure
            self._ended = chunked.ended
        else:
            self._failure = HTTPException("the connection was closed before the end of the body")
            raise self._failure
        if self._ended:
            self._give_back()
        return data

    def _give_back(self) -> None:
        """Let the connection be used again, if nothing but this body came over it."""
        # The next call may have it at once.
        self._scope.hang_up_with(None)
        self._original.close()
        overrun = self._chunked is not None and self._chunked.overrun
        if overrun or self._scope.cancelled:
            self._response.close()
        else:
            self._response.raw.release_conn()

    def _read_through_urllib3(self) -> bytes:
        if self._unreadable:
            coding = mask(self._response.headers["content-encoding"])[:_MOST_NAME]
            raise InvalidServerMessage(
                f"the Space sent a body with the content encoding {coding!r}, "
                "which was not asked for and cannot be read."
            )
        try:
            data: bytes = self._response.raw.read1(_READ_BYTES, decode_content=True)
        except (ValueError, AttributeError):
            # How a body that was shut down under its reader may surface; with a
            # call that goes on, it is a fault of ours.
            self._scope.limit()
            raise
        if not data:
            # So may the end: not every framing tells a good one.
            self._scope.limit()
        return data


def _is_read(coding: str, raw: Any) -> bool:
    """Tell whether urllib3 takes a content encoding, which it leaves as it is if not."""
    # Mocks of requests, and other adapters, have none of these.
    known = getattr(raw, "CONTENT_DECODERS", None)
    return known is None or all(name.strip() in known for name in coding.split(","))


def read_whole(response: requests.Response, scope: CallScope, most: int, *, doing: str) -> bytes:
    """
    Read a body to its end, within bounds, and close it.

    Args:
        response: The response, opened with ``stream=True``.
        scope: The call that it belongs to.
        most: Bytes that are taken at most.
        doing: What this is for, as in "while ...".

    Returns:
        The whole body.

    Raises:
        InvalidServerMessage: If it is larger.
        OSError: As ``Body.read``.
        HTTPException: As ``Body.read``.
    """
    body = Body(response, scope)
    chunks: list[bytes] = []
    size = 0
    try:
        while chunk := body.read():
            chunks.append(chunk)
            size += len(chunk)
            if size > most:
                raise InvalidServerMessage(
                    f"the Space sent more than {most >> 20} MiB while {doing}."
                )
            if monotonic() >= scope.deadlines.nearest:
                scope.limit()
            if body.counted and response.raw.length_remaining == 0:
                break
    finally:
        body.close()
    return b"".join(chunks)
