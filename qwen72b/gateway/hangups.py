"""
The hang-up of a client that has sent more than one request.

uvicorn does not read on while what has come is not yet wanted: the next request, or
more of a body than the app has taken. Nor does it see then that the client leaves,
and the Space would go on for nobody. So a little is read all the same.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["noticing"]

# Bytes that a connection may send ahead; beyond them its client waits, and its
# hang-up is seen later.
_AHEAD = 64 * 1024


def noticing(protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
    """
    Have a hang-up noticed where a protocol wants to read no more.

    Args:
        protocol: What speaks HTTP, and keeps what comes early.

    Returns:
        The same, with a transport that reads on for a while.
    """

    # A class that is a variable is more than mypy knows.
    class Noticing(protocol):  # type: ignore[valid-type, misc]
        def connection_made(self, transport: asyncio.Transport) -> None:
            self._reading = _Reading(transport)
            super().connection_made(self._reading)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._reading.took(len(data))

    return Noticing


class _Reading:
    """
    A transport that pauses only once much has come that is not wanted.

    Args:
        transport: The transport itself.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # What may still come; ``None`` while all is wanted.
        self._room: int | None = None
        # Called for each piece of an answer.
        self.write = transport.write

    def pause_reading(self) -> None:
        """Read a little more and no further."""
        self._room = _AHEAD

    def resume_reading(self) -> None:
        """Read what comes."""
        self._room = None
        self._transport.resume_reading()

    def took(self, count: int) -> None:
        """Note that so many bytes have come."""
        if self._room is not None:
            self._room -= count
            if self._room < 0:
                self._transport.pause_reading()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
