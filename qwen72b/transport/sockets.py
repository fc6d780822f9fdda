"""
For how long may a socket wait, and what does it give without waiting?

A timeout of Python's is per ``recv``. These sockets ask their call before every
step that may wait how long it may take, so that no trickle of bytes outlasts a
deadline.
"""

from __future__ import annotations

import errno
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from .scope import Call

__all__ = ["BoundedSocket", "CallSocket", "TLSSocket"]

T = TypeVar("T")

# Seconds that the main thread waits before it looks for a signal, such as Ctrl-C,
# that came just before the system call and so did not end it.
_GLANCE = 0.1

# Seconds by which a socket's timeout may differ from the call's limit.
_SLACK = 0.1


class BoundedSocket(socket.socket):
    """A socket whose every receive is bounded by its call."""

    call: Call | None = None
    # While True the socket carries a body that is taken with ``receive``; what
    # buffers it gives nothing more to whoever looks into them.
    streams = False
    # Whether a short receive has taken all that had come; TLS may hold bytes that
    # the system no longer shows.
    takes_all = False
    # All that had come was taken; set to False by whoever waits for more.
    drained = False

    def belong_to(self, call: Call) -> None:
        """Keep to a call's limits from now on."""
        self.call = call
        self.settimeout(call.limit())

    def settimeout(self, value: float | None) -> None:
        # Deadlines come nearer with every look at them. A little late will do,
        # and spares a system call; early would be an error.
        before = self.gettimeout()
        if value and before and 0 <= before - value <= _SLACK:
            return
        super().settimeout(value)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if self.streams:
            raise BlockingIOError(errno.EAGAIN, "the body is received directly")
        return self.patiently(super().recv_into, *args, **kwargs)

    def receive(self, most: int, *, wait: bool) -> bytes | None:
        """
        Take what has come.

        Args:
            most: Bytes.
            wait: Whether to wait for some, as long as the call may.

        Returns:
            Bytes; empty at the end, ``None`` if none have come.

        Raises:
            OSError: If the connection failed, or the call ended or is late.
        """
        if wait:
            data = self.patiently(self.recv, most)
        else:
            self.limit()
            if self.drained:
                return None
            try:
                data = self.receive_now(most)
            except (BlockingIOError, ssl.SSLWantReadError):
                self.drained = True
                return None
            except ssl.SSLWantWriteError:
                # TLS has something to say before it goes on (RFC 8446, 4.6.3).
                return None
        self.drained = self.takes_all and len(data) < most
        return data

    def receive_now(self, most: int) -> bytes:
        """Receive without waiting; raises if nothing has come."""
        self.settimeout(0.0)
        return self.recv(most)

    def patiently(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Do a step that may wait, for as long as the call may."""
        while True:
            limit = self.limit()
            on_main = threading.get_ident() == threading.main_thread().ident
            self.bound(min(limit or _GLANCE, _GLANCE) if on_main else limit)
            try:
                return step(*args, **kwargs)
            except (TimeoutError, BlockingIOError):
                # The socket's timeout; whether it is the call's, the limit tells.
                continue
            finally:
                # A TLS handshake, behind a proxy's answer, takes the timeout over.
                self.settimeout(limit)

    def bound(self, seconds: float | None) -> None:
        """Set the longest wait."""
        self.settimeout(seconds)

    def limit(self) -> float | None:
        """Tell how long the call may wait; raises if it ended or is late."""
        return None if self.call is None else self.call.limit()


class CallSocket(BoundedSocket):
    """
    A plain socket that waits with the kernel's timeouts instead of Python's.

    With Python's each step is two system calls, and five where the timeout
    changes; each lets go of the interpreter's lock, for which many streams in
    threads then queue (1,000 of them took 1.4 times as long, and 200 joins at
    once 1.2 times).
    """

    takes_all = True

    # The kernel's timeouts in seconds; 0 is none.
    _bound = 0.0

    def belong_to(self, call: Call) -> None:
        if self.call is None:
            self.settimeout(None)
        self.call = call

    def settimeout(self, value: float | None) -> None:
        # Once it is connected, its call's limits are the only ones.
        if self.call is None:
            super().settimeout(value)

    def sendall(self, data: Any, flags: int = 0) -> None:
        view = memoryview(data).cast("B")
        while view:
            view = view[self.patiently(self.send, view, flags) :]

    def receive_now(self, most: int) -> bytes:
        return self.recv(most, socket.MSG_DONTWAIT)

    def bound(self, seconds: float | None) -> None:
        # Deadlines move all the time; a tenth of a second late will do, and
        # early costs another look.
        bound = seconds or 0.0
        if bound and self._bound and abs(bound - self._bound) <= _SLACK or bound == self._bound:
            return
        whole = int(bound)
        timeval = struct.pack("@ll", whole, int((bound - whole) * 1e6))
        for option in socket.SO_RCVTIMEO, socket.SO_SNDTIMEO:
            self.setsockopt(socket.SOL_SOCKET, option, timeval)
        self._bound = bound


class TLSSocket(BoundedSocket, ssl.SSLSocket):
    """A socket of a call with TLS."""
