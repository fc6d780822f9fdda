"""
How are a response's bytes read as they come?

``iter_content`` waits for whole blocks where a body is not chunked, so an
event may lie there for as long as the answer lasts. ``read1`` hands over what
has come. urllib3's costs 10 microseconds a chunk, the one of ``http.client``
below it about 2; the latter is used where no content coding is to be undone.
"""

from __future__ import annotations

from http.client import HTTPResponse
from typing import Any

import requests

from .call import Call
from .failures import IO_ERRORS
from .sockets import BoundedSocket

__all__ = ["Body"]

_READ_BYTES = 65536


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
        self._failure: Exception | None = None
        original = getattr(response.raw, "_original_response", None)
        coded = response.headers.get("content-encoding", "identity").lower() != "identity"
        # urllib3 counts the bytes of a body of known length itself.
        counted = getattr(response.raw, "length_remaining", None) is not None
        # Mocks of requests put something else there.
        plain = isinstance(original, HTTPResponse) and not coded and not counted
        self._direct: Any = original if plain else None
        # The socket, where it is one of ours.
        reader: Any = getattr(self._direct, "fp", None)
        sock = getattr(getattr(reader, "raw", None), "_sock", None)
        self._socket = sock if isinstance(sock, BoundedSocket) else None
        if self._socket is not None:
            self._socket.streams = True

    def read(self) -> bytes:
        """
        Wait for bytes.

        Returns:
            What has come; empty at the end of the body, which gives the
            connection back to its pool.
        """
        if self._failure is not None:
            # http.client shows a good end after a malformed chunk; the
            # connection would then be used again, with bytes left in it.
            raise self._failure
        try:
            if self._direct is None:
                data: bytes = self._response.raw.read1(_READ_BYTES, decode_content=True)
            else:
                data = self._direct.read1(_READ_BYTES)
        except IO_ERRORS as exc:
            self._failure = exc
            raise
        if not data and self._direct is not None:
            # Lets urllib3 see the end, and keep the connection.
            self._response.raw.read1(1)
        return data

    def has_event(self) -> bool:
        """Tell whether the end of an event has come already, so that ``read`` would not wait."""
        sock = self._socket
        # Without a reader the body has ended.
        reader: Any = getattr(self._direct, "fp", None)
        if sock is None or reader is None:
            return False
        sock.waits = False
        try:
            return b"\n\n" in reader.peek(1)
        except OSError:
            # What came before the failure is taken first; ``read`` fails next.
            return False
        finally:
            sock.waits = True

    def close(self) -> None:
        """Hang up, unless the body was read to its end."""
        self._call.hang_up_with(None)
        # Its traceback leads back here.
        self._failure = None
        self._response.close()
