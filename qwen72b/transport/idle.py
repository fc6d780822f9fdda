"""
The connections of a pool that nobody uses.

urllib3 keeps them in a ``queue.LifoQueue``, whose lock cannot be taken twice by
one thread. A signal handler, a destructor or a trace function that closes a
client comes in the middle of any code of its thread, there too, and would wait
for itself. ``HTTPConnectionPool.QueueCls`` is where another class goes.
"""

from __future__ import annotations

from collections import deque
from queue import Empty, Full

from urllib3.connection import HTTPConnection

__all__ = ["IdleConnections"]


class IdleConnections:
    """
    A stack without a lock: each step on the deque within is one that nothing interrupts.

    Args:
        most: How many connections are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: deque[HTTPConnection] = deque()
        self._closed = False

    def put(self, connection: HTTPConnection | None, block: bool = True) -> None:
        """
        Keep a connection.

        Args:
            connection: The connection; urllib3 also fills a queue with ``None``
                as places for connections to come, which nobody needs here.
            block: Not looked at: it never waits.

        Raises:
            Full: If there are too many.
        """
        if connection is None:
            return
        if len(self._connections) >= self._most:
            raise Full
        self._connections.append(connection)
        if self._closed:
            # Meanwhile: whoever closed did not see it.
            self.close()

    def get(self, block: bool = True, timeout: float | None = None) -> HTTPConnection:
        """
        Take the connection that was used last.

        Args:
            block: Not looked at: it never waits.
            timeout: Not looked at.

        Returns:
            The connection.

        Raises:
            Empty: If there is none; then urllib3 makes one.
        """
        try:
            return self._connections.pop()
        except IndexError:
            raise Empty from None

    def qsize(self) -> int:
        """Count the connections."""
        return len(self._connections)

    def close(self) -> None:
        """Close the connections, and whatever is put here later."""
        self._closed = True
        while True:
            try:
                connection = self._connections.pop()
            except IndexError:
                return
            connection.close()
