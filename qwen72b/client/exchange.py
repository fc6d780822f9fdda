"""
The driver of one question: all that is said to the Space and heard from it.

Strategy: one generator does all of it in plain order; each of its steps is one
network read and yields the events that it brought. Whoever wants the next event
runs one step (``Answer`` decides who may).

An event loop must not be blocked. With ``waits`` off, a step takes no more than
what has come, and ends before anything that may wait; ``source`` tells when that
is enough to go on.

What is asked is a plan: functions of the Space that are called one after the
other, in one session and one scope, and that end together. Today every plan has
one step.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from time import monotonic
from uuid import uuid4

from ..errors import AuthenticationError, QueueFull, Qwen72BError, StreamInterrupted
from ..events import Event
from ..messages import Prompt
from ..protocol.config import Endpoint
from ..protocol.job import Job
from ..protocol.sse import EventSplitter
from ..transport.body import Body
from ..transport.debuglog import log_environment, traced
from ..transport.scope import CallScope, Hangup
from ..transport.translate import IO_ERRORS, translate
from .attempts import Attempts
from .options import CallOptions
from .space import Space

__all__ = ["Exchange", "new_session_hash"]

log = logging.getLogger("qwen72b")

# Seconds to wait, after the answer, for the end of the body, which lets the
# connection be used again. Gradio ends it at once.
_DRAIN = 0.25

# Bytes of an unfinished event from which on its end is awaited in a thread: on
# an event loop, taking it apart would be felt (1 MB takes some 10 ms).
_LARGE_EVENT = 65536


def new_session_hash() -> str:
    """Make a session hash as browsers send it: 12 hexadecimal characters."""
    return uuid4().hex[:12]


class Exchange:
    """
    One question put to a Space, with all that it takes.

    Args:
        space: The Space.
        prompt: The question.
        options: What the call was told.
        scope: The call.
    """

    def __init__(
        self, space: Space, prompt: Prompt, options: CallOptions, scope: CallScope
    ) -> None:
        #: Whether a step may wait.
        self.waits = True
        #: Whether a step that may wait ends, with no events, where only bytes are
        #: waited for from then on, which an event loop does without a thread.
        self.only_opens = False
        #: What the next step takes its bytes from, if that is all it does.
        self.source: Body | None = None
        #: Whether the stream is open.
        self.opened = False
        self._space = space
        self._prompt = prompt
        self._options = options
        self._scope = scope
        self.base_url = space.base_url
        self.shares_pool = space.shares_pool
        self._job: Job | None = None
        self._session_hash = new_session_hash()

    @property
    def text(self) -> str:
        """The answer so far."""
        job = self._job
        return "" if job is None else job.text

    def steps(self) -> Generator[list[Event], None, None]:
        """
        Ask, joining anew where that is safe.

        Yields:
            The events of each network read; none if the step was not to wait.

        Raises:
            Qwen72BError: If the answer fails or is cut.
            Hangup: If the call was ended.
        """
        scope, base_url = self._scope, self.base_url
        log_environment(scope, base_url)
        attempts = Attempts(self._options.retry, scope)
        lost = False
        while True:
            error: Qwen72BError
            try:
                yield from self._ask(attempts)
                return
            except Qwen72BError as exc:
                error = exc
            except IO_ERRORS as exc:
                error = translate(exc, scope, "waiting for the answer", base_url)
                error.__cause__ = exc
            if scope.cancelled:
                raise Hangup("the call was ended") from error
            job = self._job
            if job is None or job.has_text:
                raise error
            yield from self._leave_loop()
            if isinstance(error, QueueFull):
                # The queue's word on the stream.
                self._pause(attempts, error)
            elif isinstance(error, StreamInterrupted) and job.joined and not lost:
                lost = True
                log.info("Lost the stream before any text; joining anew: %s", error.reason)
            else:
                raise error
            scope.deadlines.stop("first_token")

    def _ask(self, attempts: Attempts) -> Generator[list[Event], None, None]:
        """Go through the steps of the plan once."""
        plan, fresh = self._space.endpoint(self._scope, self._options.fallback)
        for step in (plan,):
            yield from self._converse(step, fresh, attempts)

    def _converse(
        self, step: Endpoint, fresh: bool, attempts: Attempts
    ) -> Generator[list[Event], None, None]:
        """Join the queue for one step, then yield the events of each read until the body ends."""
        job, body = self._open(step, fresh, attempts)
        scope = self._scope
        receive = traced(scope, job.receive_data)
        deadlines = scope.deadlines
        splitter = EventSplitter()
        warned = False
        self.opened = True
        try:
            if self.only_opens and body.socket is not None:
                self.source = body
                yield []
            while not job.done:
                data = body.read() if self.waits else body.read_now()
                if data is None:
                    yield []
                    continue
                if not data:
                    job.receive_eof()
                texts = splitter.split(data)
                if body.socket is not None:
                    self.source = body if splitter.held < _LARGE_EVENT else None
                if not texts:
                    scope.limit()
                    if not self.waits:
                        yield []
                    continue
                events: list[Event] = []
                try:
                    for text in texts:
                        events += receive(text)
                        # ``scope.limit`` looks too; here it is asked for every event.
                        if scope.cancelled or monotonic() >= deadlines.nearest:
                            scope.limit()
                except (Qwen72BError, OSError):
                    # What came before the failure is handed out before it.
                    if events:
                        yield events
                    raise
                if job.skipped and not warned:
                    warned = True
                    log.warning("Skipped what is no JSON object among the Space's messages.")
                if job.upload is not None:
                    yield from self._leave_loop()
                    self._space.upload(scope, step, job)
                if events:
                    yield events
                # Only now: neither a slow consumer nor the upload, which stops
                # this clock, is the Space's silence.
                deadlines.listen()
            deadlines.rest()
            yield from self._drain(body)
        finally:
            self.source = None
            self.opened = False
            body.close()

    def _open(self, step: Endpoint, fresh: bool, attempts: Attempts) -> tuple[Job, Body]:
        """Join the queue and open the stream; in ``sse`` the stream comes first."""
        space, scope, fallback = self._space, self._scope, self._options.fallback
        while True:
            data = step.data(self._prompt)
            job = self._job = Job(step, data, session_hash=self._session_hash)
            try:
                scope.deadlines.start("queue")
                if step.protocol.stream_first:
                    return job, space.open_stream(scope, step, job)
                space.join(scope, step, job)
                break
            except Qwen72BError as error:
                if fresh or not space.may_be_stale(error):
                    self._pause(attempts, error)
                    continue
                # The Space may have changed since its configuration was read.
                found, fresh = space.endpoint(scope, fallback, instead_of=step)
                if found == step and not isinstance(error, AuthenticationError):
                    raise
                step = found
        attempts = Attempts(self._options.retry, scope)
        while True:
            try:
                return job, space.open_stream(scope, step, job)
            except Qwen72BError as error:
                # Refused before any byte: the job still waits to be heard.
                self._pause(attempts, error, repeatable=True)

    def _pause(self, attempts: Attempts, error: Qwen72BError, *, repeatable: bool = False) -> None:
        """Wait before another attempt, or raise; a deadline or a hang-up meanwhile is named."""
        try:
            attempts.pause(error, repeatable=repeatable)
        except Qwen72BError:
            raise
        except OSError as exc:
            if self._scope.cancelled:
                raise Hangup("the call was ended") from error
            raise (self._scope.deadlines.expired() or error) from exc

    def _drain(self, body: Body) -> Generator[list[Event], None, None]:
        """Read to the end of the body, if it comes soon, so that the connection can be kept."""
        self._scope.deadlines.start("drain", _DRAIN)
        try:
            while (data := body.read() if self.waits else body.read_now()) != b"":
                if data is None:
                    yield []
        except IO_ERRORS:
            # The answer is complete; only the connection is lost.
            pass

    def _leave_loop(self) -> Generator[list[Event], None, None]:
        """Go on in a step that may wait."""
        self.source = None
        if not self.waits:
            yield []
