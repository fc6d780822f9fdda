"""
The scope of one call: its deadlines, and the means to end it from outside.

A thread that is blocked in ``recv`` is woken by shutting its socket down, plain
or TLS, within milliseconds; closing the response or the socket does not wake it
(urllib3 CHANGES 2.3.0). Before there is a socket, in a name lookup for
example, the work runs in a thread of its own that can be left behind.

Ending a call waits for nobody, takes no lock, and calls nothing but the system: a
signal handler, a destructor or a trace function may do it at any point. Nor can an
exception out of a signal handler leave a lock held. Instead, who ends the call says
so (``cancelled``) before it looks for what to shut down, and the reader takes away
what can be shut down before it looks whether the call was ended: if it was, the
connection may be shut down at any time, and is not to be used for another call.
"""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from time import monotonic
from typing import TypeVar

from .deadlines import Deadlines
from .errand import Errand
from .latch import Latch
from .threads import start_thread

__all__ = ["GLANCE", "CallScope", "Hangup", "active", "shut_down"]

T = TypeVar("T")

#: ``scope`` is the one that this thread is making a request in; requests passes
#: nothing through to the connections.
active = threading.local()

# Calls of this process, told apart in the log.
_numbers = count(1)

# Seconds between two looks at the deadlines, where a thread has to look.
_LOOK = 0.25

#: Seconds that the main thread waits before it looks for a signal, such as Ctrl-C,
#: that came just before the system call and so did not end it.
GLANCE = 0.1

# Seconds. The system counts the milliseconds of a socket's timeout in 31 bits.
_LONGEST = 1e6


class Hangup(OSError):
    """The call was ended from outside; never seen by users."""


class CallScope:
    """
    One call of a user, over all of its requests.

    Args:
        deadlines: Until when each of its phases may last.
        headers: Sent with its requests to the Space, beside the client's.
    """

    def __init__(self, deadlines: Deadlines, headers: Mapping[str, str] | None = None) -> None:
        self.deadlines = deadlines
        self.headers = headers or {}
        self.cancelled = False
        self._number = next(_numbers)
        self._hang_up: Callable[[], None] | None = None
        self._waiting: Latch | None = None
        self._watched: Latch | None = None

    def __str__(self) -> str:
        """Name the call in the log."""
        return f"call {self._number}"

    def limit(self) -> float | None:
        """
        Tell how long the next blocking step may take.

        Returns:
            Seconds, from a millisecond to eleven days; ``None`` without a limit.

        Raises:
            Hangup: If the call was ended.
            TimeoutError: If a deadline has passed.
        """
        if self.cancelled:
            raise Hangup("the call was ended")
        # ``nearest`` is read here and not asked for: this is done for every
        # network read.
        deadline = self.deadlines.nearest
        if deadline == math.inf:
            return None
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError("a deadline of the call has passed")
        return min(max(left, 0.001), _LONGEST)

    def cancel(self) -> None:
        """End the call from any thread, waking whoever is blocked in it; idempotent."""
        self.cancelled = True
        # Again, too: an exception out of a signal handler may have come in between.
        self._wake()

    def disown(self) -> None:
        """End the call in a forked child, without hanging up on the parent's."""
        self._hang_up = self._waiting = self._watched = None
        self.cancelled = True

    def hang_up_with(self, hang_up: Callable[[], None] | None) -> None:
        """
        Set how to wake the reader of the present connection.

        If the call is ``cancelled`` afterwards, the connection before this one may
        still be shut down, and must not be used again.

        Args:
            hang_up: Shuts the socket down; ``None`` if there is none.
        """
        self._hang_up = hang_up
        watched, self._watched = self._watched, None
        if watched is not None:
            watched.set()
        if self.cancelled:
            self._wake()

    @contextmanager
    def keeping_hang_up(self) -> Iterator[None]:
        """Let another connection of the call come and go while one is being read."""
        before = self._hang_up
        try:
            yield
        finally:
            self.hang_up_with(before)

    def watch(self, hang_up: Callable[[], None]) -> None:
        """
        Guard a connection that does not know its call, with a thread.

        Args:
            hang_up: Shuts the socket down; called when the call is ended or a
                deadline passes, unless ``hang_up_with`` comes before.

        Raises:
            TransportError: If there is no thread to be had.
        """
        self.hang_up_with(hang_up)
        self._watched = released = Latch()
        start_thread(lambda: self._watch(hang_up, released), "qwen72b-watch")

    def _watch(self, hang_up: Callable[[], None], released: Latch) -> None:
        try:
            # Deadlines move, so look again four times a second.
            while not released.wait(min(self.limit() or _LOOK, _LOOK)):
                pass
        except OSError:
            # It may begin so late that the connection is another call's by now.
            if not released.is_set():
                _quietly(hang_up)

    def sleep(self, seconds: float) -> None:
        """
        Wait, unless the call is ended or a deadline passes.

        Args:
            seconds: How long.

        Raises:
            Hangup: If the call was ended.
            TimeoutError: If a deadline has passed.
        """
        self._wait(Latch(), seconds)

    def wait(self, event: Latch) -> None:
        """
        Wait for an event, unless the call is ended or a deadline passes.

        Args:
            event: What to wait for; it is set if the call is ended.

        Raises:
            Hangup: If the call was ended.
            TimeoutError: If a deadline has passed.
        """
        while not event.is_set():
            self._wait(event, None)

    def run(self, work: Callable[[], T], discard: Callable[[T], None] = lambda result: None) -> T:
        """
        Do something that cannot be interrupted, in a thread that can be left behind.

        Args:
            work: What to do.
            discard: Frees the result, should it come when nobody waits.

        Returns:
            What ``work`` returned.

        Raises:
            Hangup: If the call was ended.
            TimeoutError: If a deadline has passed.
            TransportError: If there is no thread to be had.
        """
        errand = Errand(work, discard)
        start_thread(errand.do, "qwen72b-errand")
        try:
            self.wait(errand.done)
            # Set without an outcome if the call was ended.
            if not errand.finished:
                raise Hangup("the call was ended")
        except BaseException:
            errand.abandon()
            raise
        return errand.result()

    def _wait(self, event: Latch, seconds: float | None) -> None:
        self._waiting = event
        try:
            limit = self.limit()
            if seconds is not None and (limit is None or seconds < limit):
                limit = seconds
            if threading.get_ident() != threading.main_thread().ident:
                event.wait(limit)
            else:
                until = math.inf if limit is None else monotonic() + limit
                while not event.wait(min(GLANCE, max(until - monotonic(), 0.0))):
                    if monotonic() >= until:
                        break
            self.limit()
        finally:
            self._waiting = None

    def _wake(self) -> None:
        waiting = self._waiting
        if waiting is not None:
            waiting.set()
        hang_up = self._hang_up
        if hang_up is not None:
            _quietly(hang_up)


def _quietly(hang_up: Callable[[], None]) -> None:
    """Hang up; if the socket is gone or back in its pool, nobody is blocked in it."""
    with suppress(OSError, ValueError, RuntimeError):
        hang_up()


def shut_down(sock: socket.socket) -> None:
    """
    Shut a socket down in both directions, which wakes its reader.

    ``SSLSocket.shutdown`` forgets its TLS state first, under the reader's feet;
    the plain method does only what is wanted.

    Args:
        sock: The socket, plain or TLS.
    """
    socket.socket.shutdown(sock, socket.SHUT_RDWR)
