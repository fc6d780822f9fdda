"""
Server on loopback: it accepts, and notices that a client has left.

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
import threading
import time
from collections import deque
from collections.abc import Callable

from .wire import Connection, ConnectionOver

__all__ = ["Server"]

# Without POLLRDHUP (it is Linux's), the leaving of a client shows later, when something is sent.
_LEFT = getattr(select, "POLLRDHUP", select.POLLHUP)
_GONE = _LEFT | select.POLLHUP | select.POLLERR | select.POLLNVAL
_CLOSE_SECONDS = 5.0


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

    def close(self, timeout: float = _CLOSE_SECONDS) -> None:
        """
        End at once: no connection, no thread and no socket stays.

        Args:
            timeout: Seconds that a test's own callable may still take.

        Raises:
            RuntimeError: If it does not return.
        """
        if not self._watcher.is_alive():
            return
        # First of all: a connection that comes in while the others end would be left behind.
        self.refuse(True)
        deadline = time.monotonic() + timeout
        while threads := self._running():
            for connection in list(self._open.values()):
                connection.abandon()
            # A thread that was just starting may not have been in the list of open ones.
            threads[0].join(0.02)
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
                        if self._open[number].mark_hung_up():
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
        connection = Connection(self.dispose, sock, self.connections)
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
