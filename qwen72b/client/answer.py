"""
The owner of one running answer.

Its text, its timings, who may take the next step and who may end it are here,
and nowhere else. ``Stream`` and ``AsyncStream`` are faces of it, of equal rank.

Whoever takes a step, or waits on an event loop for the next one, is the reader;
there is one at a time. Closing from outside ends the call, which wakes the
reader; what the exchange holds is then freed by the reader itself, and by
nobody else under its feet.

A signal handler, a destructor or a trace function may close at any point, in the
middle of the reader's step too. So closing waits for nobody, and neither calls
back nor logs: the end is noted here, and who wants to know (a conversation, the
log) looks when it is its turn.

Above 300 lines: whoever ends an answer, and from where, is to be read in one
place.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from copy import copy
from time import monotonic
from typing import Literal

from ..errors import Qwen72BError, StreamInterrupted
from ..events import Delta, Event, Finished, Revised, Started
from ..messages import Prompt
from ..reply import Reply, Timings
from ..transport.deadlines import Deadlines
from ..transport.interrupts import in_signal_handler
from ..transport.scope import CallScope, Hangup
from ..transport.translate import translate
from .exchange import Exchange
from .options import CallOptions
from .space import Space

__all__ = ["Answer", "tell_stop"]

log = logging.getLogger("qwen72b")


class Answer:
    """
    The answer to one question, while it comes and afterwards.

    Args:
        space: Who is asked.
        prompt: The question.
        options: What the call was told.
        leave: Told when nothing of it runs any more, and whether ``finish`` is
            due; perhaps more than once and at any point of any code, so it must
            be one step or two.
    """

    def __init__(
        self,
        space: Space,
        prompt: Prompt,
        options: CallOptions,
        leave: Callable[[Answer, bool], None],
    ) -> None:
        #: Whether it came to its end.
        self.complete = False
        self._scope = CallScope(Deadlines(options.timeout), options.headers)
        self._exchange = Exchange(space, prompt, options, self._scope)
        self._steps = self._exchange.steps()
        self._prompt = prompt
        self._leave = leave
        # As a whole; by default only its phases are.
        self._limited = options.timeout.total is not None
        # Held by the reader.
        self._reading = threading.Lock()
        self._failed = False
        # Read to its end, or failed.
        self._over = False
        # What its readers were told, if they were told of a failure.
        self._failure: Qwen72BError | None = None
        self._logged = False
        self._closed_by = ""
        self._begun: float | None = None
        # Whether a thread is waited for.
        self._queues_here = False
        self._marks: dict[str, float] = {}

    @property
    def text(self) -> str:
        """The answer so far; after the end, exactly the Space's final text."""
        return self._exchange.text

    @property
    def timings(self) -> Timings:
        """How long it took, or has taken so far."""
        marks = self._marks
        now = 0.0 if self._begun is None else monotonic() - self._begun
        return Timings(marks.get("queue"), marks.get("first_token"), marks.get("total", now))

    @property
    def begun(self) -> bool:
        """Whether anything was sent."""
        return self._begun is not None

    @property
    def closed(self) -> bool:
        """Whether it is over: read to its end, failed, or closed."""
        return self._over or self._scope.cancelled

    @property
    def settled(self) -> bool:
        """Whether it is over, and no reader is left who might still add to its text."""
        return self._over or (self._scope.cancelled and not self._reading.locked())

    @property
    def kept(self) -> str:
        """What a chat remembers of it, once it is over: its text, unless it failed."""
        return "" if self._failed else self.text

    @property
    def state(self) -> str:
        """``new``, ``open`` or ``closed``."""
        return "closed" if self.closed else "open" if self.begun else "new"

    @property
    def opened(self) -> bool:
        """Whether the stream is open."""
        return self._exchange.opened

    @property
    def impatient(self) -> bool:
        """Whether it is late, or closed, so that ``queue_here`` would raise."""
        scope = self._scope
        return scope.cancelled or monotonic() >= scope.deadlines.nearest

    def queue_here(self) -> None:
        """
        Go on waiting for a thread, which is waiting in the queue.

        Raises:
            RequestTimeout: If a deadline has passed.
            StreamInterrupted: If it was closed.
        """
        scope, deadlines = self._scope, self._scope.deadlines
        if self._begun is None:
            self._begin()
            deadlines.start("queue")
            self._queues_here = True
        try:
            scope.limit()
        except Hangup as exc:
            raise self._closed_error() from exc
        except OSError as exc:
            error = translate(exc, scope, "waiting for a thread", self._exchange.base_url)
            error.partial = self.text
            self._failed = self._over = True
            self._log_end(f"failed with {type(error).__name__}")
            self.close()
            raise error from exc

    def step(self, *, only_open: bool = False) -> list[Event] | None:
        """
        Go on until one network read brings events.

        Args:
            only_open: Whether to go on, if the stream is not open yet, no farther
                than that. There are no events then.

        Returns:
            The events; ``None`` at the end.

        Raises:
            Qwen72BError: If the answer fails, is cut or was closed.
        """
        try:
            with self._reading:
                self._exchange.waits, self._exchange.only_opens = True, only_open
                if self._queues_here:
                    # The Space's own queue has a clock of its own.
                    self._queues_here = False
                    self._scope.deadlines.stop("queue")
                return self._take()
        finally:
            if self._scope.cancelled:
                self._release()

    def begin_now(self) -> list[Event] | tuple[int, float | None] | Literal[False] | None:
        """
        Become the reader, for steps that only take what has come, and take the first.

        Returns:
            As ``take_now``, and ``release`` is due afterwards. ``False`` if there is
            another reader or the next step may wait: then ``step`` is the way to
            go on.

        Raises:
            Qwen72BError: As ``take_now``; ``release`` is not due then.
        """
        exchange = self._exchange
        if exchange.source is None or not self._reading.acquire(blocking=False):
            return False
        try:
            if exchange.source is not None:
                exchange.waits = False
                return self.take_now()
        except BaseException:
            self.release()
            raise
        self._reading.release()
        return False

    def take_now(self) -> list[Event] | tuple[int, float | None] | None:
        """
        Take what has come; for the reader.

        Returns:
            The events, perhaps none; ``None`` at the end. Where nothing has come:
            the file descriptor that has to be readable first, and for how many
            seconds to wait for it at most.

        Raises:
            Qwen72BError: If the answer fails, is cut or was closed.
        """
        events = self._take()
        body = self._exchange.source
        if events or events is None or body is None or body.socket is None:
            return events
        if not body.starved:
            # What came was no whole event, or even the end: there may be no more to
            # wait for.
            return events
        return body.socket.fileno(), body.patience

    def release(self) -> None:
        """Be the reader no longer."""
        self._reading.release()
        if self._scope.cancelled:
            self._release()

    def wait(self) -> Reply:
        """
        Wait for the end.

        Returns:
            The whole answer.

        Raises:
            Qwen72BError: If it fails, is cut or was closed.
        """
        while self.step() is not None:
            pass
        return self.reply()

    def reply(self) -> Reply:
        """
        Return the whole answer, once it has come.

        Raises:
            StreamInterrupted: If it did not come to its end.
        """
        if not self.complete:
            raise self._closed_error() if self._failure is None else copy(self._failure)
        text, job = self.text, self._exchange.job
        return Reply(
            text,
            self.timings,
            self._prompt.to_messages(text),
            folded=self._exchange.folded,
            thoughts=() if job is None else job.thoughts,
            attachments=() if job is None else job.attachments,
        )

    def close(self, by: str = "close()") -> None:
        """
        Hang up, from any thread and at any point; the reader wakes and gets an error; idempotent.

        Args:
            by: Who does it, for the error's words.
        """
        if not self._over and not self._closed_by:
            self._closed_by = by
        self._scope.cancel()
        self._release()
        self._leave(self, True)

    def finish(self) -> None:
        """Do what closing may have left: free everything, and say so in the log."""
        self._release()
        self._log_end("stopped")

    def _log_end(self, how: str) -> None:
        """Say in the log how it ended, once."""
        if not self._logged:
            self._logged = True
            if self.begun and log.isEnabledFor(logging.DEBUG):
                log.debug(
                    "%s: %s, %d characters, %s", self._scope, how, len(self.text), self.timings
                )

    def disown(self) -> None:
        """Leave the answer to the parent process, after a fork; here it is over."""
        self._scope.disown()
        self._exchange.source = None
        self._closed_by = "a fork"
        self._reading = threading.Lock()
        self._steps = _nothing()

    def _take(self) -> list[Event] | None:
        """Take one step; note the end if it was the last."""
        if self._failure is not None:
            # Whoever reads on, in another thread or later, is told the same.
            raise copy(self._failure)
        if self._begun is None:
            self._begin()
        try:
            events = next(self._steps, None)
            if events is None and not self.complete:
                raise self._closed_error()
        except BaseException as exc:
            # Ctrl-C is no Exception: it stops an answer, as closing does.
            self._failed = isinstance(exc, Exception) and not self._scope.cancelled
            self._over = True
            if isinstance(exc, Qwen72BError) and not exc.partial:
                exc.partial = self.text
            self._log_end(f"failed with {type(exc).__name__}" if self._failed else "stopped")
            self._leave(self, False)
            tell_stop(exc)
            error = self._closed_error() if isinstance(exc, Hangup) else exc
            if isinstance(error, Qwen72BError):
                # A copy: the frames of the one that is raised lead back here.
                self._failure = copy(error)
            if error is not exc:
                raise error from exc
            raise
        if events:
            self._mark(events)
        elif events is None:
            self._leave(self, False)
        return events

    def _begin(self) -> None:
        self._begun = monotonic()
        if self._limited:
            self._scope.deadlines.start("total")

    def _mark(self, events: list[Event]) -> None:
        """Note the times of what happened, and set the clocks accordingly."""
        marks, deadlines = self._marks, self._scope.deadlines
        # Once text has come, all that is left to note is the end.
        answering = "first_token" in marks
        started = False
        for event in events[-1:] if answering else events:
            kind = type(event)
            if kind is Finished:
                marks["total"] = monotonic() - (self._begun or 0.0)
                self.complete = self._over = True
                self._log_end("complete")
            elif answering:
                continue
            elif kind is Started:
                started = True
                marks["queue"] = monotonic() - (self._begun or 0.0)
                deadlines.stop("queue")
            elif kind is Delta or kind is Revised:
                answering = True
                marks["first_token"] = monotonic() - (self._begun or 0.0)
                if not started:
                    deadlines.stop("first_token")
        if started and not answering:
            deadlines.start("first_token")

    def _closed_error(self) -> StreamInterrupted:
        return StreamInterrupted(
            f"the stream was ended by {self._closed_by or 'close()'} "
            "before the answer was complete.",
            partial=self.text,
        )

    def _release(self) -> None:
        """Free what an ended call holds, unless a reader is at work, who then does it."""
        if self._exchange.shares_pool and in_signal_handler():
            # What it interrupted may hold the pool's lock. Whoever uses or drops the
            # answer next comes here again.
            return
        # Looked at, not acquired: an exception out of a signal handler that came
        # right after would leave it held for ever.
        if not self._reading.locked():
            with self._reading:
                self._steps.close()


def tell_stop(error: BaseException) -> None:
    """
    Have a notebook tell of an interrupt in one line.

    Args:
        error: What ended a step; an exception of ours or a failure stays as it is.
    """
    if not isinstance(error, Exception):
        line = f"{type(error).__name__}: the answer was stopped."
        # IPython asks for this before it lays out frames.
        error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]


def _nothing() -> Generator[list[Event], None, None]:
    yield from ()
