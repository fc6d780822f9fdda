"""
Who takes the next step of a talk, and who may end it?

Whoever takes a step, or waits on an event loop for the next one, has the turn.
Closing from outside ends the call, which wakes that reader; what the talk holds
is then freed by the reader itself, and by nobody else under its feet.
"""

from __future__ import annotations

import threading
from collections.abc import Generator

from ..errors import Qwen72BError, StreamInterrupted
from ..events import Event
from ..transport.scope import Hangup
from .exchange import Talk

__all__ = ["Turns"]


class Turns:
    """
    The steps of one talk, one at a time.

    Args:
        talk: The talk.
    """

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._steps = talk.steps()
        self._turn = threading.Lock()
        self._closed_by = ""

    def step(self) -> list[Event] | None:
        """
        Go on until one network read brings events.

        Returns:
            The events; ``None`` at the end.

        Raises:
            Qwen72BError: If the answer fails, is cut or was closed.
        """
        with self._turn:
            self._talk.waits = True
            events = self.take()
        self._release_if_ended()
        return events

    def begin(self) -> bool:
        """
        Take the turn for steps that only take what has come.

        Returns:
            Whether it was to be had; if not, another reader has it or the next
            step may wait, and ``step`` is the way to go on.
        """
        if self._talk.source is None or not self._turn.acquire(blocking=False):
            return False
        if self._talk.source is None:
            self._turn.release()
            return False
        self._talk.waits = False
        return True

    def awaited(self) -> tuple[int, float | None] | None:
        """
        Tell what to wait for where ``take`` found nothing, in the same turn.

        Returns:
            The file descriptor that has to be readable, and for how many seconds
            to wait for it at most; ``None`` if there is nothing to wait for.
        """
        source = self._talk.source
        readable = None if source is None else source.awaited()
        if readable is None:
            return None
        try:
            return readable, self._talk.call.limit()
        except OSError:
            # Ended or late, as taking will tell.
            return None

    def take(self) -> list[Event] | None:
        """
        Take one step, in a turn.

        Returns:
            Its events, perhaps none; ``None`` at the end.

        Raises:
            Qwen72BError: If the answer fails, is cut or was closed.
        """
        talk = self._talk
        try:
            events = next(self._steps, None)
        except Hangup as exc:
            talk.over = True
            raise self.closed_error() from exc
        except BaseException as exc:
            talk.over = True
            if isinstance(exc, Qwen72BError) and not exc.partial:
                exc.partial = talk.text
            raise
        if events is None and not talk.over:
            raise self.closed_error()
        return events

    def end(self) -> None:
        """Give the turn back."""
        self._turn.release()
        self._release_if_ended()

    def close(self, by: str) -> None:
        """
        Hang up, from any thread; whoever is in a step wakes and gets an error.

        Args:
            by: Who does it, for the error's words.
        """
        if not self._talk.over and not self._closed_by:
            self._closed_by = by
        self._talk.call.abort()
        self._release_if_ended()

    def closed_error(self) -> StreamInterrupted:
        """Make the error for who reads on after ``close``."""
        return StreamInterrupted(
            f"the stream was ended by {self._closed_by or 'close()'} before the answer was complete.",
            partial=self._talk.text,
        )

    def disown(self) -> None:
        """Leave the answer to the parent process, after a fork; here it is over."""
        self._talk.call.disown()
        self._talk.source = None
        self._closed_by = "a fork"
        self._turn = threading.Lock()
        self._steps = _nothing()

    def _release_if_ended(self) -> None:
        """Free what an ended call holds, unless a reader is at work, who then does it."""
        if self._talk.call.aborted and self._turn.acquire(blocking=False):
            try:
                self._steps.close()
            finally:
                self._turn.release()


def _nothing() -> Generator[list[Event], None, None]:
    yield from ()
