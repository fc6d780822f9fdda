"""
The time that the head of a request may take.

uvicorn waits for ever: a client that opens connections and sends half a head keeps
them. The limit is put around uvicorn's protocol, with asyncio's interface alone:
bytes that come while no request of the connection is answered begin a head.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["HeadTimes"]

# Seconds for a head, from the connection or its first byte on; as nginx's and
# Apache's limits, which are longer, and no client needs one.
HEAD_TIME = 10.0


class HeadTimes:
    """The clocks of the connections that have no request yet."""

    def __init__(self) -> None:
        self._clocks: dict[Any, asyncio.TimerHandle] = {}
        # A request may begin while the one before it is being put away.
        self._answering: Counter[Any] = Counter()

    @contextmanager
    def answering(self, peer: Any) -> Iterator[None]:
        """
        Stop a connection's clock while its request is answered.

        Args:
            peer: Host and port of the client, as in ASGI.
        """
        peer = tuple(peer or ())
        self._answering[peer] += 1
        self._stop(peer)
        try:
            yield
        finally:
            self._answering[peer] -= 1
            if not self._answering[peer]:
                del self._answering[peer]

    def limiting(self, protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
        """
        Limit the time of heads.

        Args:
            protocol: What speaks HTTP.

        Returns:
            The same, with the limit.
        """
        times = self

        # A class that is a variable is more than mypy knows.
        class Limited(protocol):  # type: ignore[valid-type, misc]
            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                self._way = transport
                # There is none if the client has left already.
                self._peer = tuple(transport.get_extra_info("peername") or ())[:2]
                times._start(self._peer, transport)

            def data_received(self, data: bytes) -> None:
                if self._peer not in times._answering:
                    times._start(self._peer, self._way)
                super().data_received(data)

            def connection_lost(self, exc: Exception | None) -> None:
                times._stop(self._peer)
                super().connection_lost(exc)

        return Limited

    def _start(self, peer: Any, transport: asyncio.Transport) -> None:
        if peer not in self._clocks:
            loop = asyncio.get_running_loop()
            self._clocks[peer] = loop.call_later(HEAD_TIME, transport.close)

    def _stop(self, peer: Any) -> None:
        clock = self._clocks.pop(peer, None)
        if clock is not None:
            clock.cancel()
