"""
The race of a name's addresses: the first that answers gets the connection.

A name may have an address that nobody answers at, such as that of a broken
IPv6. Tried one after the other, it would use up the call's time. So they are
tried together, each a little after the one before, or at once when that one
has failed (RFC 8305, "Happy Eyeballs"), and all within one clock.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import zip_longest
from time import monotonic
from typing import Any

from .interrupts import from_signal_handler
from .scope import CallScope, shut_down
from .sockets import BoundedSocket

__all__ = ["race"]

# Seconds from one address to the next (RFC 8305, section 5).
_STAGGER = 0.25

# Seconds between two looks at whether the call was ended; shutting a socket down
# that is still connecting does not wake its reader everywhere.
_LOOK = 0.1

_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN)


def race(
    addresses: Iterable[Any], scope: CallScope, prepare: Callable[[socket.socket], None]
) -> BoundedSocket:
    """
    Connect to the first address that answers.

    Args:
        addresses: What ``getaddrinfo`` found, in its order.
        scope: The call, which ends the race early.
        prepare: Sets a socket up before it connects.

    Returns:
        The socket, connected.

    Raises:
        OSError: If none answers, or the call ended or is late.
    """
    racers = _Racers(prepare)
    scope.hang_up_with(racers.shut_down)
    waiting = _interleaved(list(addresses))
    due = monotonic()
    try:
        while racers.sockets or waiting:
            limit = scope.limit()
            now = monotonic()
            if waiting and (now >= due or not racers.sockets):
                winner = racers.start(waiting.pop(0))
                due = now + _STAGGER
            else:
                patience = min(_LOOK, due - now) if waiting else _LOOK
                failed = len(racers.failures)
                winner = racers.look(patience if limit is None else min(patience, limit))
                if len(racers.failures) > failed:
                    due = now
            if winner is not None:
                return winner
    finally:
        racers.close()
    raise racers.failures[-1] if racers.failures else OSError("the name has no address")


class _Racers:
    """
    The sockets that are connecting.

    Args:
        prepare: As in ``race``.
    """

    def __init__(self, prepare: Callable[[socket.socket], None]) -> None:
        self.sockets: list[BoundedSocket] = []
        self.failures: list[OSError] = []
        self._prepare = prepare
        # Not ``select.select``, which knows no descriptor above 1,023.
        self._selector = selectors.DefaultSelector()

    def start(self, found: Any) -> BoundedSocket | None:
        """Set out for one address; return the socket if it is there at once."""
        family, kind, protocol, _, address = found
        try:
            sock = BoundedSocket(family, kind, protocol)
        except OSError as exc:
            if from_signal_handler(exc):
                raise
            self.failures.append(exc)
            return None
        self.sockets.append(sock)
        try:
            self._prepare(sock)
            sock.settimeout(0.0)
            code = sock.connect_ex(address)
            if code in _UNDER_WAY:
                self._selector.register(sock, selectors.EVENT_WRITE)
                return None
        except OSError as exc:
            if from_signal_handler(exc):
                raise
            self._drop(sock, exc)
            return None
        return self._arrived(sock, code)

    def look(self, patience: float) -> BoundedSocket | None:
        """Wait for the next to arrive or to fail; return the one that arrived."""
        for key, _ in self._selector.select(patience):
            sock = key.fileobj
            assert isinstance(sock, BoundedSocket)
            self._selector.unregister(sock)
            winner = self._arrived(sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            if winner is not None:
                return winner
        return None

    def shut_down(self) -> None:
        """Wake whoever waits for one of them; from any thread."""
        for sock in tuple(self.sockets):
            with suppress(OSError):
                shut_down(sock)

    def close(self) -> None:
        """Close all but the winner."""
        self._selector.close()
        for sock in self.sockets:
            sock.close()

    def _arrived(self, sock: BoundedSocket, code: int) -> BoundedSocket | None:
        if code:
            self._drop(sock, OSError(code, os.strerror(code)))
            return None
        self.sockets.remove(sock)
        return sock

    def _drop(self, sock: BoundedSocket, failure: OSError) -> None:
        self.sockets.remove(sock)
        self.failures.append(failure)
        sock.close()


def _interleaved(addresses: list[Any]) -> list[Any]:
    """Put the two families in turn, beginning with the system's first choice (section 4)."""
    first = [found for found in addresses if found[0] == addresses[0][0]]
    others = [found for found in addresses if found[0] != addresses[0][0]]
    return [found for pair in zip_longest(first, others) for found in pair if found is not None]
