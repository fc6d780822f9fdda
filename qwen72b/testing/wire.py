"""
Who holds the sockets? A loopback server whose every byte is chosen.

Strategy: one thread per connection, which may block as long as a script wants,
and one thread that accepts and *watches*: it polls every socket for the
client's leaving (``POLLRDHUP``), so that a script that waits, or that is busy
elsewhere, learns at once that its client is gone, without reading ahead.
Sockets are closed by the watcher alone, so that no file descriptor is used
again while it is being polled.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Connection", "ConnectionOver", "Server"]

# Without POLLRDHUP (it is Linux's), the leaving of a client shows later, when something is sent.
_LEFT = getattr(select, "POLLRDHUP", select.POLLHUP)
_GONE = _LEFT | select.POLLHUP | select.POLLERR | select.POLLNVAL
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CLOSE_SECONDS = 5.0


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

    def __init__(self, server: Server, sock: socket.socket, number: int) -> None:
        self.number = number
        self.hung_up = False
        self.throttle: tuple[int, float] | None = None
        self.budget: int | None = None
        self.when_spent: Callable[[Connection], None] = Connection.close
        self._server = server
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
            self._server.dispose(self, self._sock)

    def reset(self) -> None:
        """End the connection with an RST."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._server.dispose(self, self._sock)

    def mark_hung_up(self) -> None:
        """Note that the client is gone, and wake whoever waits."""
        with self._changed:
            self.hung_up = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Wake the connection's thread, whatever it does, and have it end."""
        self.mark_hung_up()
        self._shut(socket.SHUT_RDWR)

    def fileno(self) -> int:
        """The socket's descriptor."""
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


class Server:
    """
    Accepts connections on a free port of 127.0.0.1 and hands each to `handle`.

    Args:
        handle: Runs in the connection's thread; may raise `ConnectionOver`.
        left: Called (in the watcher) when a client has hung up.
        closed: Called (in the watcher) when a connection is closed.
    """

    def __init__(
        self,
        handle: Callable[[Connection], None],
        left: Callable[[Connection], None] = lambda connection: None,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self.connections = 0
        self._handle = handle
        self._left = left
        self._on_closed = closed
        self._open: dict[int, Connection] = {}
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._orders: deque[Callable[[], None]] = deque()
        self._poll = select.poll()
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        self._poll.register(self._ear, select.POLLIN)
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._watcher = threading.Thread(target=self._watch, name=f"fake-{self.port}", daemon=True)
        self._watcher.start()

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    def refuse(self, refusing: bool) -> None:
        """Stop listening, so that connects are refused, or listen again on the same port."""
        done = threading.Event()

        def switch() -> None:
            if refusing and self._listener.fileno() >= 0:
                self._poll.unregister(self._listener)
                self._listener.close()
            elif not refusing and self._listener.fileno() < 0:
                self._listener = self._listen(self.port)
            done.set()

        self._order(switch)
        done.wait(_CLOSE_SECONDS)

    def dispose(self, connection: Connection, sock: socket.socket) -> None:
        """Close a connection's socket, in the watcher."""

        def close() -> None:
            if self._open.get(sock.fileno()) is connection:
                del self._open[sock.fileno()]
                with contextlib.suppress(KeyError):
                    self._poll.unregister(sock)
            sock.close()
            self._on_closed()

        self._order(close)

    def close(self) -> None:
        """
        End at once: no connection, no thread and no socket stays.

        Raises:
            RuntimeError: If a test's own callable does not return.
        """
        # First of all: a connection that comes in while the others end would be left behind.
        self.refuse(True)
        deadline = time.monotonic() + _CLOSE_SECONDS
        while threads := self._running():
            for connection in list(self._open.values()):
                connection.abandon()
            # A thread that was just starting may not have been in the list of open ones.
            threads[0].join(0.05)
            if time.monotonic() > deadline:
                raise RuntimeError(f"a script did not return: {threads[0].name}")
        self._order(None)
        self._watcher.join()

    def _running(self) -> list[threading.Thread]:
        with self._lock:
            return [thread for thread in self._threads if thread is not threading.current_thread()]

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        listener.setblocking(False)
        self._poll.register(listener, select.POLLIN)
        return listener

    def _order(self, act: Callable[[], None] | None) -> None:
        self._orders.append(act or self._stop)
        # Full: the watcher has plenty of reasons to wake up already. Closed: it has ended.
        with contextlib.suppress(OSError):
            self._mouth.send(b".")

    def _stop(self) -> None:
        raise StopIteration

    def _watch(self) -> None:
        with contextlib.suppress(StopIteration):
            while True:
                for number, event in self._poll.poll():
                    if number == self._ear.fileno():
                        self._ear.recv(4096)
                    elif number == self._listener.fileno():
                        self._accept()
                    elif event & _GONE and number in self._open:
                        self._poll.unregister(number)
                        self._open[number].mark_hung_up()
                        self._left(self._open[number])
                while self._orders:
                    self._orders.popleft()()
        for sock in (self._listener, self._ear, self._mouth):
            sock.close()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(True)
        # One event is one segment, as on a real server.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        connection = Connection(self, sock, self.connections)
        self._open[sock.fileno()] = connection
        self._poll.register(sock, _LEFT)
        thread = threading.Thread(
            target=self._serve, args=(connection,), name=f"fake-{self.port}-{self.connections}"
        )
        thread.daemon = True
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            with contextlib.suppress(ConnectionOver):
                self._handle(connection)
        finally:
            connection.close()
            with self._lock:
                self._threads.discard(threading.current_thread())
