"""
How are a response's bytes read as they come, waiting for them or not?

``iter_content`` waits for whole blocks where a body is not chunked, so an
event may lie there for as long as the answer lasts. On connections of our own
the bytes are received straight from the socket, which costs one system call for
all that has come and can be done without waiting. Anything else (a content
coding, a known length, a caller's own session) is left to urllib3's ``read1``,
at 10 microseconds a chunk.
"""

from __future__ import annotations

from http.client import HTTPException, HTTPResponse
from typing import Any

import requests

from .chunked import Chunked
from .scope import Call
from .sockets import BoundedSocket
from .translate import IO_ERRORS

__all__ = ["Body"]

_READ_BYTES = 32768


class Body:
    """
    The body of a streamed response.

    Args:
        response: The response, opened with ``stream=True``.
        call: The call that it belongs to.
    """

    def __init__(self, response: requests.Response, call: Call) -> None:
        self._response = response
        self._call = call
        self._ended = False
        self._failure: Exception | None = None
        #: The socket, if the bytes are received straight from it.
        self.socket: BoundedSocket | None = None
        # Mocks of requests put something else there.
        original = getattr(response.raw, "_original_response", None)
        coded = response.headers.get("content-encoding", "identity").lower() != "identity"
        counted = getattr(response.raw, "length_remaining", None) is not None
        if not isinstance(original, HTTPResponse) or coded or counted:
            return
        reader: Any = original.fp
        sock = getattr(getattr(reader, "raw", None), "_sock", None)
        if not isinstance(sock, BoundedSocket):
            return
        self.socket = sock
        self._original = original
        self._chunked = Chunked() if original.chunked else None
        # What came together with the response's head.
        sock.streams = True
        self._early: bytes = reader.peek()

    def read(self) -> bytes:
        """
        Wait for bytes.

        Returns:
            What has come; empty at the end of the body, which gives the
            connection back to its pool.
        """
        if self.socket is None:
            data: bytes = self._response.raw.read1(_READ_BYTES, decode_content=True)
            return data
        while not (data := self._receive(self.socket, wait=True) or b"") and not self._ended:
            pass
        return data

    def read_now(self) -> bytes | None:
        """
        Take what has come, without waiting; nothing without a ``socket``.

        Returns:
            The bytes; empty at the end of the body, ``None`` if none have come.
        """
        if self.socket is None:
            return None
        return self._receive(self.socket, wait=False) or (b"" if self._ended else None)

    def awaited(self) -> int | None:
        """
        Tell what to wait for where ``read_now`` found nothing.

        Returns:
            The file descriptor that has to be readable; ``None`` if there may be
            more to take at once.
        """
        sock = self.socket
        over = self._ended or self._failure is not None
        if sock is None or over or not sock.drained:
            return None
        sock.drained = False
        return sock.fileno()

    def close(self) -> None:
        """Hang up, unless the body was read to its end."""
        self._call.hang_up_with(None)
        # Its traceback leads back here.
        self._failure = None
        self._response.close()

    def _receive(self, sock: BoundedSocket, *, wait: bool) -> bytes | None:
        if self._ended:
            return b""
        if self._failure is not None:
            # What follows a malformed chunk may look like a good end.
            raise self._failure
        try:
            data = self._early or sock.receive(_READ_BYTES, wait=wait)
            self._early = b""
            if data and self._chunked is not None:
                data = self._chunked.feed(data)
                # Told by the next read; what came before it is good.
                self._failure = self._chunked.failure
                self._ended = self._chunked.ended
            elif data == b"":
                if self._chunked is not None:
                    raise HTTPException("the connection was closed before the end of the body")
                self._ended = True
        except IO_ERRORS as exc:
            self._failure = exc
            raise
        if self._ended:
            self._give_back()
        return data

    def _give_back(self) -> None:
        """Let the connection be used again, if nothing but this body came over it."""
        # The next call may have it at once.
        self._call.hang_up_with(None)
        self._original.close()
        if self._chunked is not None and self._chunked.overrun:
            self._response.close()
        else:
            self._response.raw.release_conn()
