"""
What is done, in order, to get an answer?

Strategy: one generator, ``_run``, does all the talking with the Space, in plain
order; each of its steps is one network read and yields the events that it
brought. Whoever wants the next event runs one step. Closing from outside ends
the call, which wakes the step that is blocked; the generator's own ``finally``
then hangs up, in the thread that was reading.

An event loop must not be blocked, so whoever reads on one runs such steps as
only take what has come, as long as ``source`` is set, and leaves the others to
a thread. Who takes a step, or waits for the source, has the turn; nobody else
frees anything meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from time import monotonic
from uuid import uuid4

from .body import Body
from .call import Call
from .clocks import Clock, Timeout
from .config import Endpoint
from .debuglog import begun as log_begin
from .debuglog import traced
from .errors import AuthenticationError, QueueFull, Qwen72BError, StreamInterrupted
from .events import Delta, Event, Finished, Revised, Started
from .failures import IO_ERRORS, translate
from .framing import Shield, read_events
from .messages import Prompt
from .protocol import Job
from .reply import Timings
from .retry import Attempts, Retry
from .routes import Routes

__all__ = ["Talk", "new_session_hash"]

log = logging.getLogger("qwen72b")

# Seconds to wait, after the answer, for the end of the body, which lets the
# connection be used again. Gradio ends it at once.
_DRAIN = 0.25

# Seconds between two looks at whether the call was ended, while another reader
# has the turn.
_LOOK = 0.25

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
        self.call = Call(Clock(timeout))
        # Read to its end, or failed.
        self.over = False
        self.begun: float | None = None
        # What the next step takes its bytes from, if that is all it does.
        self.source: Body | None = None
        # Whether the present step may wait.
        self._waits = True
        self._handed_out = False
        self._routes = routes
        self._prompt = prompt
        self._fallback = fallback
        self._job: Job | None = None
        self._session_hash = new_session_hash()
        self._turn = threading.Lock()
        self._steps = self._run()
        self._closed_by = ""
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

    def step(self) -> list[Event] | None:
        """
        Go on until one network read brings events.

        Returns:
            The events; ``None`` at the end.

        Raises:
            Qwen72BError: If the answer fails, is cut or was closed.
        """
        if self._turn.locked():
            self._await_turn()
        with self._turn:
            self._waits = True
            self._listen()
            events = self._step()
        if self.call.aborted:
            self._release()
        return events

    def begin_turn(self) -> bool:
        """
        Take the turn for steps that only take what has come.

        Returns:
            Whether it was to be had; if not, another reader has it or the next
            step may wait, and ``step`` is the way to go on.
        """
        if self.source is None or not self._turn.acquire(blocking=False):
            return False
        if self.source is None:
            self._turn.release()
            return False
        self._waits = False
        self._listen()
        return True

    def awaited(self) -> tuple[int, float | None] | None:
        """
        Tell what to wait for before ``take``, in a turn.

        Returns:
            The file descriptor that has to be readable, and for how many seconds
            to wait for it at most; ``None`` if there is nothing to wait for.
        """
        source = self.source
        if source is None or not source.starved:
            return None
        try:
            return source.fileno(), self.call.limit()
        except OSError:
            # Ended or late, as taking will tell.
            return None

    def take(self) -> list[Event] | None:
        """
        Take what has come, in a turn.

        Returns:
            The events in it, perhaps none; ``None`` at the end.

        Raises:
            Qwen72BError: If the answer fails, is cut or was closed.
        """
        return self._step()

    def end_turn(self) -> None:
        """Give the turn back."""
        self._turn.release()
        if self.call.aborted:
            self._release()

    def _await_turn(self) -> None:
        # Another reader that waits on an event loop which was left never gives
        # the turn back; then only the end of the call lets this one go.
        while not self._turn.acquire(timeout=_LOOK):
            if self.call.aborted:
                raise self.closed_error()
        self._turn.release()

    def _listen(self) -> None:
        # A slow consumer is not the Space's silence.
        if self._handed_out:
            self._handed_out = False
            self.call.clock.listen()

    def _step(self) -> list[Event] | None:
        try:
            events = next(self._steps, None)
        except BaseException as exc:
            self.over = True
            if isinstance(exc, Qwen72BError) and not exc.partial:
                exc.partial = self.text
            raise
        if events is None and not self.over:
            raise self.closed_error()
        self._handed_out = bool(events)
        return events

    def close(self, by: str) -> None:
        """
        Hang up, from any thread; whoever is in ``step`` wakes and gets an error.

        Args:
            by: Who does it, for the error's words.
        """
        if not self.over and not self._closed_by:
            self._closed_by = by
        self.call.abort()
        self._release()

    def closed_error(self) -> StreamInterrupted:
        """Make the error for who reads on after ``close``."""
        return StreamInterrupted(
            f"the stream was ended by {self._closed_by or 'close()'} before the answer was complete.",
            partial=self.text,
        )

    def disown(self) -> None:
        """Leave the answer to the parent process, after a fork; here it is over."""
        self.call.disown()
        self._closed_by = "a fork"
        self._turn = threading.Lock()
        self._steps = _nothing()
        self.source = None

    def _release(self) -> None:
        """Free what an ended call holds, unless a reader is at work, who then does it."""
        if self._turn.acquire(blocking=False):
            try:
                self._steps.close()
            finally:
                self._turn.release()

    def _run(self) -> Generator[list[Event], None, None]:
        """Yield the events of each network read, joining anew where that is safe."""
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
                raise self.closed_error() from error
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
                raise self.closed_error() from error
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
                    if not self._waits:
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
                # Only now: the upload has stopped this clock.
                clock.listen()
                if events:
                    yield events
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
        return body.read() if self._waits else body.read_now()

    def _leave_loop(self) -> Generator[list[Event], None, None]:
        """Go on in a step that may wait."""
        self.source = None
        if not self._waits:
            yield []


def _nothing() -> Generator[list[Event], None, None]:
    yield from ()
