"""
The lifeline of one call: its clock, and the means to end it from outside.

A thread that is blocked in ``recv`` is woken by shutting its socket down, plain
or TLS, within milliseconds; closing the response or the socket does not wake it
(urllib3 CHANGES 2.3.0). Before there is a socket, in a name lookup for
example, the work runs in a thread of its own that can be left behind.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Generic, TypeVar

from .deadlines import Deadlines

__all__ = ["Call", "Hangup", "current_call", "shut_down"]

T = TypeVar("T")

_local = threading.local()

# Calls of this process, told apart in the log.
_numbers = count(1)

# Seconds between two looks at the deadlines, where a thread has to look.
_LOOK = 0.25


class Hangup(OSError):
    """The call was ended from outside; never seen by users."""


def current_call() -> Call | None:
    """Return the call that this thread is making a request for."""
    call = getattr(_local, "call", None)
    return call if isinstance(call, Call) else None


class Call:
    """
    One call of a user, over all of its requests.

    Args:
        clock: Its deadlines.
    """

    def __init__(self, clock: Deadlines) -> None:
        self.clock = clock
        self.aborted = False
        self._number = next(_numbers)
        # A signal handler or a destructor may end the call in the very thread
        # that holds the lock.
        self._lock = threading.RLock()
        self._hang_up: Callable[[], None] | None = None
        self._waiting: threading.Event | None = None
        self._watched: threading.Event | None = None

    def __str__(self) -> str:
        """Name the call in the log."""
        return f"call {self._number}"

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this the call that the thread's connections belong to."""
        before = getattr(_local, "call", None)
        _local.call = self
        try:
            yield
        finally:
            _local.call = before

    def limit(self) -> float | None:
        """
        Tell how long the next blocking step may take.

        Returns:
            Seconds; ``None`` without a limit.

        Raises:
            Hangup: If the call was ended.
            TimeoutError: If a deadline has passed.
        """
        if self.aborted:
            raise Hangup("the call was ended")
        return self.clock.remaining()

    def abort(self) -> None:
        """End the call from any thread, waking whoever is blocked in it; again does nothing."""
        with self._lock:
            if self.aborted:
                return
            self.aborted = True
            self._wake()

    def disown(self) -> None:
        """End the call in a forked child, without hanging up on the parent's."""
        # Another thread, which the child does not have, may hold the old one.
        self._lock = threading.RLock()
        self._hang_up = self._waiting = self._watched = None
        self.aborted = True

    def hang_up_with(self, hang_up: Callable[[], None] | None) -> None:
        """
        Set how to wake the reader of the present connection.

        Args:
            hang_up: Shuts the socket down; ``None`` if there is none.
        """
        with self._lock:
            self._hang_up = hang_up
            if self._watched is not None:
                self._watched.set()
                self._watched = None
            if self.aborted:
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
        """
        self.hang_up_with(hang_up)
        self._watched = released = threading.Event()
        threading.Thread(
            target=self._watch, args=(hang_up, released), name="qwen72b-watch", daemon=True
        ).start()

    def _watch(self, hang_up: Callable[[], None], released: threading.Event) -> None:
        try:
            # Deadlines move, so look again four times a second.
            while not released.wait(min(self.limit() or _LOOK, _LOOK)):
                pass
        except OSError:
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
        self._wait(threading.Event(), seconds)

    def wait(self, event: threading.Event) -> None:
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
        """
        errand = _Errand(work, discard)
        threading.Thread(target=errand.do, name="qwen72b-errand", daemon=True).start()
        try:
            self.wait(errand.done)
        except BaseException:
            errand.abandon()
            raise
        if not errand.outcome:
            # Only an ended call sets the event without an outcome.
            errand.abandon()
            raise Hangup("the call was ended")
        outcome = errand.outcome[0]
        if isinstance(outcome, _Failed):
            raise outcome.error
        return outcome

    def _wait(self, event: threading.Event, seconds: float | None) -> None:
        with self._lock:
            self._waiting = event
        try:
            limit = self.limit()
            if seconds is not None and (limit is None or seconds < limit):
                limit = seconds
            event.wait(limit)
            self.limit()
        finally:
            with self._lock:
                self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
        if self._hang_up is not None:
            _quietly(self._hang_up)


def _quietly(hang_up: Callable[[], None]) -> None:
    """Hang up; if the socket is gone or back in its pool, nobody is blocked in it."""
    with suppress(OSError, ValueError, RuntimeError):
        hang_up()


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Errand(Generic[T]):
    """Work in a thread of its own, whose result may come too late."""

    def __init__(self, work: Callable[[], T], discard: Callable[[T], None]) -> None:
        self.done = threading.Event()
        self.outcome: list[T | _Failed] = []
        self._work = work
        self._discard = discard
        self._lock = threading.Lock()
        self._abandoned = False

    def do(self) -> None:
        outcome: T | _Failed
        try:
            outcome = self._work()
        except BaseException as exc:  # noqa: BLE001  # raised again where it is awaited
            outcome = _Failed(exc)
        with self._lock:
            if not self._abandoned:
                self.outcome.append(outcome)
                self.done.set()
                return
        if not isinstance(outcome, _Failed):
            self._discard(outcome)

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            late = self.outcome[:]
        for outcome in late:
            if not isinstance(outcome, _Failed):
                self._discard(outcome)


def shut_down(sock: socket.socket) -> None:
    """
    Shut a socket down in both directions, which wakes its reader.

    ``SSLSocket.shutdown`` forgets its TLS state first, under the reader's feet;
    the plain method does only what is wanted.

    Args:
        sock: The socket, plain or TLS.
    """
    socket.socket.shutdown(sock, socket.SHUT_RDWR)
