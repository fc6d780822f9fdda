"""
Writes that are gathered: a head leaves with the first text, the last text with the end.

uvicorn writes the head, each part of the body and the end of it one by one, and each
write is a call of the system and wakes the reader: of a short answer it is half of the
cost. It is put around uvicorn's protocol with asyncio's interface alone. (To send at
the loop's next round what was written by then is simpler, and 0.1 ms later.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping
from typing import Any

from .channel import Send

__all__ = ["Writes"]


class Writes:
    """The connections whose writes can be held back for a moment."""

    def __init__(self) -> None:
        self._transports: dict[Any, _Transport] = {}

    def gathering(self, protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
        """
        Have a protocol's writes held back when that is wanted.

        Args:
            protocol: What speaks HTTP.

        Returns:
            The same, with a transport that can do so.
        """
        transports = self._transports

        # A class that is a variable is more than mypy knows.
        class Gathering(protocol):  # type: ignore[valid-type, misc]
            def connection_made(self, transport: asyncio.Transport) -> None:
                held = _Transport(transport)
                self._held_peer = _peer(transport.get_extra_info("peername"))
                transports[self._held_peer] = held
                super().connection_made(held)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self._held_peer, None)
                super().connection_lost(exc)

        return Gathering

    def gathered(self, peer: Any, send: Send) -> Send:
        """
        Gather the writes of a response.

        Args:
            peer: Host and port of the client, as in ASGI.
            send: ASGI's way to it.

        Returns:
            The same, with fewer writes.
        """
        transport = self._transports.get(_peer(peer))
        if transport is None:
            return send

        async def gathered(message: MutableMapping[str, Any]) -> None:
            transport.hold()
            try:
                await send(message)
            finally:
                # A body follows each head at once.
                if message["type"] != "http.response.start":
                    transport.release()

        return gathered


class _Transport:
    """
    A transport that can hold back what is written.

    Args:
        transport: The transport itself.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._holds = False
        self._held: list[bytes] = []

    def hold(self) -> None:
        """Hold back what is written from now on."""
        self._holds = True

    def release(self) -> None:
        """Send what was held back, in one piece."""
        self._holds = False
        if self._held:
            held, self._held = self._held, []
            self._transport.write(b"".join(held))

    def write(self, data: bytes) -> None:
        """Send something, or hold it back."""
        if self._holds:
            self._held.append(data)
        else:
            self._transport.write(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Send several things, or hold them back."""
        self.write(b"".join(pieces))

    def close(self) -> None:
        """Close the connection once all is sent."""
        self.release()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _peer(address: Any) -> tuple[Any, ...]:
    """Name a client; there is none if it has left already."""
    return tuple(address or ())[:2]
