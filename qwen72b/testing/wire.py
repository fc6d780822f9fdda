"""
Connection that sends every byte as a script wants it.

Strategy: a thin hand on one socket, used by the connection's own thread, which
may block; any other thread may wake it (`Connection.wake`,
`Connection.abandon`). Throttling and cutting are settings of the connection,
so that they hold for whatever is sent on it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable

__all__ = ["Connection", "ConnectionOver"]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ConnectionOver(Exception):
    """The connection has ended; `Connection.hung_up` tells whether the client did it."""


class Connection:
    """
    One accepted connection, in its own thread.

    Attributes:
        number: Counts the server's connections, from 1.
        hung_up: The client has left (or the server is being closed).
        throttle: Bytes per write and seconds after each, or None: all at once.
        budget: Bytes that may still be sent before `when_spent`, or None.
        when_spent: What to do then.
    """

    def __init__(
        self,
        dispose: Callable[[Connection, socket.socket], None],
        sock: socket.socket,
        number: int,
    ) -> None:
        self.number = number
        self.hung_up = False
        self.throttle: tuple[int, float] | None = None
        self.budget: int | None = None
        self.when_spent: Callable[[Connection], None] = Connection.close
        self._dispose = dispose
        self._sock = sock
        self._buffer = bytearray()
        self._changed = threading.Condition()
        self._closed = False

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the server's side of a TLS handshake."""
        # Not during wrap_socket: another thread could not shut the socket down meanwhile.
        self._sock = context.wrap_socket(
            self._sock, server_side=True, do_handshake_on_connect=False
        )
        self._guard(self._sock.do_handshake)

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """
        Send bytes, as fast and as far as the connection's settings allow.

        Raises:
            ConnectionOver: If the client has left or the budget is spent.
        """
        spent = self.budget is not None and len(data) >= self.budget
        if self.budget is not None:
            data = memoryview(data)[: self.budget]
            self.budget -= len(data)
        if self.throttle is None:
            self._send_all(data)
        else:
            size, seconds = self.throttle
            for start in range(0, len(data), size):
                self._send_all(data[start : start + size])
                self.wait(seconds)
        if spent:
            self.when_spent(self)
            raise ConnectionOver

    def wait(self, seconds: float | None, until: Callable[[], bool] = lambda: False) -> None:
        """
        Wait for a time, for something, or for ever; but only while the client stays.

        Args:
            seconds: At most so long; None has no limit.
            until: Asked again after each `wake`.

        Raises:
            ConnectionOver: If the client leaves.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.hung_up or until(), seconds)
        if self.hung_up:
            raise ConnectionOver

    def wake(self) -> None:
        """Have `wait` ask again, from any thread."""
        with self._changed:
            self._changed.notify_all()

    def read_until(self, end: bytes, limit: int = 1 << 20) -> bytes:
        """Read up to and with `end`."""
        while (found := self._buffer.find(end)) < 0:
            if len(self._buffer) > limit:
                raise ConnectionOver
            self._fill()
        return self._take(found + len(end))

    def read_exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        while len(self._buffer) < size:
            self._fill()
        return self._take(size)

    def read_some(self) -> bytes:
        """Read what there is; wait for something."""
        if not self._buffer:
            self._fill()
        return self._take(len(self._buffer))

    def close(self) -> None:
        """End the connection in good order, once what was sent has been read."""
        if not self._closed:
            self._closed = True
            # Unread input would turn the end into a reset: take it in first.
            with contextlib.suppress(OSError):
                socket.socket.setblocking(self._sock, False)
                while socket.socket.recv(self._sock, 65536):
                    pass
            self._shut(socket.SHUT_WR)
            self._dispose(self, self._sock)

    def reset(self) -> None:
        """End the connection with an RST."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._dispose(self, self._sock)

    def mark_hung_up(self) -> bool:
        """Note that the client is gone, and wake whoever waits; not if it was closed here."""
        with self._changed:
            self.hung_up = self.hung_up or not self._closed
            self._changed.notify_all()
        return self.hung_up

    def abandon(self) -> None:
        """Wake the connection's thread, whatever it does, and have it end."""
        self.mark_hung_up()
        self._shut(socket.SHUT_RDWR)

    def fileno(self) -> int:
        """The socket's descriptor, for ``select``."""
        return self._sock.fileno()

    def _shut(self, how: int) -> None:
        # Unbound: SSLSocket.shutdown would pull its TLS state from under another thread.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, how)

    def _send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.hung_up or self._closed:
            raise ConnectionOver
        self._guard(lambda: self._sock.sendall(data))

    def _fill(self) -> None:
        data = b""
        if not self._closed:
            data = self._guard(lambda: self._sock.recv(65536))
        if not data:
            self.mark_hung_up()
            raise ConnectionOver
        self._buffer += data

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _guard(self, act: Callable[[], bytes | None]) -> bytes:
        try:
            return act() or b""
        # ssl raises ValueError when its socket was shut down under it.
        except (OSError, ValueError) as exc:
            self.mark_hung_up()
            raise ConnectionOver from exc
