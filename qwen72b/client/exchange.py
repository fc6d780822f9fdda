"""
The driver of one question: all that is said to the Space and heard from it.

Strategy: one generator does all of it in plain order; each of its steps is one
network read and yields the events that it brought. Whoever wants the next event
runs one step (``Answer`` decides who may).

An event loop must not be blocked. With ``waits`` off, a step takes no more than
what has come, and ends before anything that may wait; ``source`` tells when that
is enough to go on.

What is asked is a plan: functions of the Space that are called one after the
other, in one session and one scope, and that end together. Each is a join and a
stream of its own, and gets what those before it gave.

Above 300 lines: all the talking in plain order, which is what it is for.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from time import monotonic
from uuid import uuid4

from ..errors import (
    AuthenticationError,
    GenerationFailed,
    InvalidServerMessage,
    QueueFull,
    Qwen72BError,
    StreamInterrupted,
)
from ..events import Delta, Event
from ..messages import Prompt
from ..protocol.fill import Filled, fill
from ..protocol.job import Job
from ..protocol.jsontext import takes_long
from ..protocol.plan import Plan, Step, StepKind
from ..protocol.reading import ChatReader, TextReader
from ..protocol.sse import EventSplitter
from ..transport.body import Body
from ..transport.debuglog import log_environment, tracer
from ..transport.interrupts import from_signal_handler
from ..transport.scope import CallScope, Hangup
from ..transport.translate import IO_ERRORS, pass_on, plain_cause, translate
from .attempts import Attempts
from .net import EXPECTED, unreadable
from .options import CallOptions
from .space import Space

__all__ = ["Exchange", "new_session_hash"]

log = logging.getLogger("qwen72b")

# Seconds to wait, after the answer, for the end of the body, which lets the
# connection be used again. Gradio ends it at once.
_DRAIN = 0.25

# Bytes of an unfinished event from which on its end is awaited in a thread: on
# an event loop, taking it apart would be felt (1 MB takes some 10 ms). A read, which
# may bring its end, takes 32 kB.
_LARGE_EVENT = 16384

# Seconds for which messages of one read may hold an event loop.
_TURN = 0.002

# Streams that are opened for a job before its session is taken for lost: with
# two replicas and no sticky sessions one of two is the other's.
_MOST_STREAMS = 5


class _Moved(Exception):
    """The Space is asked in another way since its configuration was read."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan


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
        self._filled: Filled | None = None
        # To join, once one has failed.
        self._joining: Attempts | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        job = self._job
        return "" if job is None else job.text

    @property
    def job(self) -> Job | None:
        """The job of the step that runs, or ran last."""
        return self._job

    @property
    def folded(self) -> tuple[str, ...]:
        """What was folded into the question: ``"system"``, ``"history"``."""
        return () if self._filled is None else self._filled.folded

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
        if log.isEnabledFor(logging.DEBUG):
            log_environment(scope, base_url)
        lost = moved = False
        plan: Plan | None = None
        while True:
            error: Qwen72BError
            try:
                yield from self._ask(plan)
                return
            except Qwen72BError as exc:
                if from_signal_handler(exc):
                    raise
                error = exc
            except IO_ERRORS as exc:
                error = translate(exc, scope, "waiting for the answer", base_url)
                error.__cause__ = plain_cause(exc)
            if scope.cancelled:
                raise Hangup("the call was ended") from error
            job = self._job
            if job is None or job.has_text:
                raise error
            yield from self._leave_loop()
            if isinstance(error, QueueFull) or job.refused:
                # The queue's word on the stream, or the app's.
                self._pause(error)
            elif isinstance(error, StreamInterrupted) and job.joined and not lost:
                lost = True
                log.info("Lost the stream before any text; joining anew: %s", error.reason)
            elif moved or (plan := self._look_again(job, error)) is None:
                raise error
            else:
                moved = True
                self._session_hash = new_session_hash()
                log.info("The Space has changed; asking once more: %s", error.reason)
            scope.deadlines.stop("first_token")

    def _look_again(self, job: Job, error: Qwen72BError) -> Plan | None:
        """Find out whether a failure is due to a Space that was changed; return the new plan."""
        if not (job.unclear or isinstance(error, InvalidServerMessage)):
            return None
        if self._filled is None or not self._space.plans.may_look_again():
            return None
        old = self._filled.plan
        try:
            plan, _ = self._space.plans.find(self._scope, self._options, instead_of=old)
        except Qwen72BError as exc:
            log.info("The Space's configuration was not to be read again: %s", exc.reason)
            return None
        return None if plan == old else plan

    def _ask(self, plan: Plan | None) -> Generator[list[Event], None, None]:
        """Go through the steps of the plan once; where it turns out to be stale, of the new one."""
        fresh = plan is not None
        if plan is None:
            plan, fresh = self._space.plans.find(self._scope, self._options)
        while True:
            try:
                yield from self._follow(plan, fresh)
                return
            except _Moved as exc:
                plan, fresh = exc.plan, True

    def _follow(self, plan: Plan, fresh: bool) -> Generator[list[Event], None, None]:
        """Call the functions of a plan, one after the other."""
        asked = self._options.asked
        try:
            filled = fill(plan, self._prompt, inputs=asked.inputs, fold=asked.fold)
        except EXPECTED:
            raise
        except Exception as exc:
            raise unreadable(exc) from exc
        if len(filled.steps) > 1 and self._filled is not None:
            # What an earlier attempt left in the session's states is not for this one.
            self._session_hash = new_session_hash()
        self._filled = filled
        for i, step in enumerate(filled.steps):
            if i:
                # The next join may wait.
                yield from self._leave_loop()
            try:
                yield from self._converse(filled, step, fresh or i > 0)
            except GenerationFailed as error:
                if step.kind is not StepKind.LOAD:
                    raise
                log.info("What the page does when it opens failed: %s", error.reason)
                continue
            job = self._job
            assert job is not None
            filled.write_back(step, job.outputs)

    def _converse(
        self, filled: Filled, step: Step, fresh: bool
    ) -> Generator[list[Event], None, None]:
        """Join the queue for one step, then yield the events of each read until the body ends."""
        plan = filled.plan
        job, body = self._open(filled, step, fresh)
        streams = 1
        scope = self._scope
        trace = tracer(scope) if log.isEnabledFor(logging.DEBUG) else None
        deadlines = scope.deadlines
        splitter = EventSplitter()
        warned = answering = False
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
                try:
                    texts = splitter.split(data)
                except EXPECTED:
                    raise
                except Exception as exc:
                    raise unreadable(exc) from exc
                if body.socket is not None:
                    self.source = body if splitter.held < _LARGE_EVENT else None
                if not texts:
                    scope.limit()
                    if not self.waits:
                        yield []
                    continue
                if trace is not None:
                    # Outside the net: a handler of the log is the caller's.
                    for text in texts:
                        trace(text)
                events: list[Event] = []
                turn = monotonic() + _TURN
                try:
                    for text in texts:
                        if not self.waits and takes_long(text):
                            # In a thread, which then goes on.
                            source, self.source = self.source, None
                            yield events
                            events, self.source = [], source
                        events += job.receive_data(text)
                        now = monotonic()
                        # ``scope.limit`` looks too; here it is asked for every event.
                        if scope.cancelled or now >= deadlines.nearest:
                            scope.limit()
                        pauses = now >= turn and not self.waits
                        if not answering and events and type(events[-1]) is Delta:
                            answering = True
                            # The first word is not to wait for what came with it.
                            pauses = pauses or text is not texts[-1]
                        if pauses:
                            # Others on the event loop have their turn, too.
                            yield events
                            events, turn = [], monotonic() + _TURN
                            deadlines.listen()
                except Exception as exc:
                    # What came before the failure is handed out before it.
                    if events:
                        yield events
                    if not isinstance(exc, EXPECTED):
                        raise unreadable(exc) from exc
                    if not job.astray or streams == _MOST_STREAMS or plan.protocol.stream_first:
                        raise
                    streams += 1
                    yield from self._leave_loop()
                    body.close()
                    body, splitter = self._space.open_stream(scope, plan, job), EventSplitter()
                    continue
                if job.skipped and not warned:
                    warned = True
                    log.warning("Skipped what is no JSON object among the Space's messages.")
                if job.upload is not None:
                    yield from self._leave_loop()
                    self._space.upload(scope, plan, job)
                if events or not self.waits:
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

    def _open(self, filled: Filled, step: Step, fresh: bool) -> tuple[Job, Body]:
        """Join the queue and open the stream; in ``sse`` the stream comes first."""
        space, scope, plan = self._space, self._scope, filled.plan
        data = filled.data(step)
        reader = self._reader(filled) if step is filled.steps[-1] else None
        told = "" if self._job is None else self._job.told
        while True:
            job = self._job = Job(
                plan, step, data, session_hash=self._session_hash, reader=reader, check=scope.limit
            )
            job.told = told
            try:
                scope.deadlines.start("queue")
                if plan.protocol.stream_first:
                    return job, space.open_stream(scope, plan, job)
                space.join(scope, plan, job)
                break
            except Qwen72BError as error:
                if fresh or not space.may_be_stale(error):
                    self._pause(error)
                    continue
                # The Space may have changed since its configuration was read.
                found, _ = space.plans.find(scope, self._options, instead_of=plan)
                if found.asks_like(plan) and not isinstance(error, AuthenticationError):
                    raise
                raise _Moved(found) from error
        opening: Attempts | None = None
        while True:
            try:
                return job, space.open_stream(scope, plan, job)
            except Qwen72BError as error:
                # Refused before any byte: the job still waits to be heard.
                opening = opening or Attempts(self._options.retry, scope)
                self._pause(error, opening)

    def _reader(self, filled: Filled) -> ChatReader | TextReader:
        """Make the reader of the answer."""
        if not filled.plan.chat:
            return TextReader()
        files = f"{self._space.base_url}{filled.plan.prefix}/file="
        return ChatReader(filled.sent, filled.query, files=files)

    def _pause(self, error: Qwen72BError, opening: Attempts | None = None) -> None:
        """
        Wait before another attempt, or raise; a deadline or a hang-up meanwhile is named.

        Args:
            error: Why the last one failed.
            opening: The attempts to open a stream; else it is those to join.
        """
        attempts = opening or self._joining or Attempts(self._options.retry, self._scope)
        if opening is None:
            self._joining = attempts
        try:
            attempts.pause(error, repeatable=opening is not None)
        except Qwen72BError:
            raise
        except OSError as exc:
            pass_on(exc)
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
        except IO_ERRORS as exc:
            # What was asked for is complete; only the connection is lost.
            pass_on(exc)
        finally:
            self._scope.deadlines.stop("drain")

    def _leave_loop(self) -> Generator[list[Event], None, None]:
        """Go on in a step that may wait."""
        self.source = None
        if not self.waits:
            yield []
