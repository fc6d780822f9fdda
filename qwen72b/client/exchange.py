"""
What is done, in order, to get an answer?

Strategy: one generator does all the talking with the Space, in plain order; each
of its steps is one network read and yields the events that it brought. Whoever
wants the next event runs one step (see ``turns``).

An event loop must not be blocked. With ``waits`` off, a step takes no more than
what has come, and ends before anything that may wait; ``source`` tells when that
is enough to go on.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from time import monotonic
from uuid import uuid4

from ..errors import AuthenticationError, QueueFull, Qwen72BError, StreamInterrupted
from ..events import Delta, Event, Finished, Revised, Started
from ..messages import Prompt
from ..protocol.config import Endpoint
from ..protocol.job import Job
from ..protocol.sse import Shield, read_events
from ..reply import Timings
from ..retry import Retry
from ..timeout import Timeout
from ..transport.body import Body
from ..transport.deadlines import Deadlines
from ..transport.debuglog import begun as log_begin
from ..transport.debuglog import traced
from ..transport.scope import Call, Hangup
from ..transport.translate import IO_ERRORS, translate
from .attempts import Attempts
from .space import Routes

__all__ = ["Talk", "new_session_hash"]

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


class Talk:
    """
    One question put to a Space, with all that it takes.

    Args:
        routes: The Space's routes.
        prompt: The question.
        timeout: How long it may take.
        retry: How stubborn to be.
        fallback: What to assume if the configuration cannot be read.
    """

    def __init__(
        self,
        routes: Routes,
        prompt: Prompt,
        *,
        timeout: Timeout,
        retry: Retry,
        fallback: Endpoint | None = None,
    ) -> None:
        self.retry = retry
        self.call = Call(Deadlines(timeout))
        # Read to its end, or failed.
        self.over = False
        self.begun: float | None = None
        # Whether a step may wait.
        self.waits = True
        # What the next step takes its bytes from, if that is all it does.
        self.source: Body | None = None
        self._routes = routes
        self._prompt = prompt
        self._fallback = fallback
        self._job: Job | None = None
        self._session_hash = new_session_hash()
        self._marks: dict[str, float] = {}

    @property
    def text(self) -> str:
        """The answer so far."""
        job = self._job
        return "" if job is None else job.text

    @property
    def complete(self) -> bool:
        """Whether the Space said that the answer is complete."""
        return "total" in self._marks

    @property
    def timings(self) -> Timings:
        """How long it took, or has taken so far."""
        marks, begun = self._marks, self.begun
        now = 0.0 if begun is None else monotonic() - begun
        return Timings(marks.get("queue"), marks.get("first_token"), marks.get("total", now))

    def steps(self) -> Generator[list[Event], None, None]:
        """
        Talk, joining anew where that is safe.

        Yields:
            The events of each network read; none if the step was not to wait.

        Raises:
            Qwen72BError: If the answer fails or is cut.
            Hangup: If the call was ended.
        """
        begun = self.begun = monotonic()
        log_begin(self.call, self._routes.base_url)
        self.call.clock.start("total")
        attempts = Attempts(self.retry, self.call)
        lost = False
        while True:
            error: Qwen72BError
            try:
                for events in self._converse(attempts):
                    self._mark(events, monotonic() - begun)
                    yield events
                return
            except Qwen72BError as exc:
                error = exc
            except IO_ERRORS as exc:
                error = translate(exc, self.call, "waiting for the answer", self._routes.base_url)
                error.__cause__ = exc
            if self.call.aborted:
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
            self.call.clock.stop("first_token")

    def _pause(self, attempts: Attempts, error: Qwen72BError, *, repeatable: bool = False) -> None:
        """Wait before another try, or raise; a deadline or a hang-up meanwhile is named."""
        try:
            attempts.pause(error, repeatable=repeatable)
        except Qwen72BError:
            raise
        except OSError as exc:
            if self.call.aborted:
                raise Hangup("the call was ended") from error
            raise (self.call.clock.expired() or error) from exc

    def _mark(self, events: list[Event], now: float) -> None:
        """Note the times of what happened, and set the clocks accordingly."""
        marks, clock = self._marks, self.call.clock
        # Once text has come, all that is left to note is the end.
        for event in events[-1:] if "first_token" in marks else events:
            kind = type(event)
            if kind is Started:
                marks["queue"] = now
                clock.stop("queue")
                clock.start("first_token")
            elif kind is Delta or kind is Revised:
                marks.setdefault("first_token", now)
                clock.stop("first_token")
            elif kind is Finished:
                marks["total"] = now
                self.over = True

    def _converse(self, attempts: Attempts) -> Generator[list[Event], None, None]:
        """Ask once: join, then yield the events of each read until the body ends."""
        endpoint, job, body = self._open(attempts)
        receive = traced(self.call, job.receive_data)
        clock = self.call.clock
        shield = Shield()
        warned = False
        try:
            while not job.done:
                data = self._read(body)
                if data is None:
                    yield []
                    continue
                if not data:
                    job.receive_eof()
                block = shield.feed(data)
                if body.socket is not None:
                    self.source = body if shield.held < _LARGE_EVENT else None
                if not block:
                    self.call.limit()
                    if not self.waits:
                        yield []
                    continue
                events: list[Event] = []
                try:
                    for text in read_events(block):
                        events += receive(text)
                except Qwen72BError:
                    # What came before the failure is handed out before it.
                    if events:
                        yield events
                    raise
                if job.skipped and not warned:
                    warned = True
                    log.warning("Skipped what is no JSON object among the Space's messages.")
                if job.upload is not None:
                    yield from self._leave_loop()
                    self._routes.upload(self.call, endpoint, job)
                if events:
                    yield events
                # Only now: neither a slow consumer nor the upload, which stops
                # this clock, is the Space's silence.
                clock.listen()
            clock.rest()
            yield from self._drain(body)
        finally:
            self.source = None
            body.close()

    def _open(self, attempts: Attempts) -> tuple[Endpoint, Job, Body]:
        """Join the queue and open the stream; in ``sse`` the stream comes first."""
        routes, call = self._routes, self.call
        endpoint, fresh = routes.endpoint(call, self._fallback)
        while True:
            job = self._job = Job(endpoint, self._prompt, session_hash=self._session_hash)
            try:
                call.clock.start("queue")
                if not endpoint.protocol.stream_first:
                    routes.join(call, endpoint, job)
                    break
                return endpoint, job, routes.open_stream(call, endpoint, job)
            except Qwen72BError as error:
                if fresh or not routes.may_be_stale(error):
                    self._pause(attempts, error)
                    continue
                # The Space may have changed since its configuration was read.
                found, fresh = routes.endpoint(call, self._fallback, instead_of=endpoint)
                if found == endpoint and not isinstance(error, AuthenticationError):
                    raise
                endpoint = found
        attempts = Attempts(self.retry, call)
        while True:
            try:
                return endpoint, job, routes.open_stream(call, endpoint, job)
            except Qwen72BError as error:
                # Refused before any byte: the job still waits to be heard.
                self._pause(attempts, error, repeatable=True)

    def _drain(self, body: Body) -> Generator[list[Event], None, None]:
        """Read to the end of the body, if it comes soon, so that the connection can be kept."""
        self.call.clock.start("drain", _DRAIN)
        try:
            while (data := self._read(body)) != b"":
                if data is None:
                    yield []
        except IO_ERRORS:
            # The answer is complete; only the connection is lost.
            pass

    def _read(self, body: Body) -> bytes | None:
        return body.read() if self.waits else body.read_now()

    def _leave_loop(self) -> Generator[list[Event], None, None]:
        """Go on in a step that may wait."""
        self.source = None
        if not self.waits:
            yield []
