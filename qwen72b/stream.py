"""
An answer as it comes.

Strategy: one generator, ``_converse``, does all the talking with the Space, in
plain order; each of its steps is one network read and yields the events that
it brought. Whoever wants the next event runs one step. Closing from outside
ends the call, which wakes the step that is blocked; the generator's own
``finally`` then hangs up, in the thread that was reading.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import proxy

from .body import Body
from .call import Call
from .chunks import Chunks
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
from .reply import Reply, Timings
from .retry import Attempts

if TYPE_CHECKING:
    from typing_extensions import Self

    from .client import Client

__all__ = ["Stream", "new_session_hash"]

log = logging.getLogger("qwen72b")

# Seconds to wait, after the answer, for the end of the body, which lets the
# connection be used again. Gradio ends it at once.
_DRAIN = 0.25

# Bytes of events to gather in one step, where more have come already.
_BATCH_BYTES = 65536


def new_session_hash() -> str:
    """Make a session hash as browsers send it: 12 hexadecimal characters."""
    return uuid4().hex[:12]


class Stream(Iterator[str]):
    """
    The answer to one question, as it comes.

    An iterator of text, and a context manager. Nothing is sent before the
    first ``next()`` or ``with``. Made by ``Client.stream``.

    Leaving a ``for`` loop early, ``close()``, and dropping the last reference
    all hang up, which is what stops the job in the Space.
    """

    def __init__(
        self,
        client: Client,
        prompt: Prompt,
        *,
        timeout: Timeout,
        fallback: Endpoint | None = None,
        on_end: Callable[[str, BaseException | None], None] | None = None,
    ) -> None:
        self._client = client
        self._prompt = prompt
        self._fallback = fallback
        # Until it begins, its owner may be more or less stubborn than the client.
        self.retry = client.retry
        # Told the text once the stream is over, and the error if it failed; none
        # if it was stopped. Perhaps from two threads, if both end it.
        self._on_end = on_end
        self._call = Call(Clock(timeout))
        self._job: Job | None = None
        self._chunks = Chunks()
        self._pending: deque[Event] = deque()
        self._session_hash = new_session_hash()
        self._turn = threading.Lock()
        # Through a proxy: a generator that held its stream would keep it alive
        # when nobody reads it any more, and with it the job in the Space.
        self._steps = Stream._run(proxy(self))
        self._closed_by = ""
        self._over = False
        self._told = False
        self._begun: float | None = None
        self._marks: dict[str, float] = {}

    @property
    def text(self) -> str:
        """The answer so far; after the end, exactly the Space's final text."""
        job = self._job
        return "" if job is None else job.text

    @property
    def revised(self) -> bool:
        """Whether text was taken back after iteration had handed it out."""
        return self._chunks.revised

    @property
    def closed(self) -> bool:
        """Whether the stream is over: read to its end, failed, or closed."""
        return self._over or self._call.aborted

    def __iter__(self) -> Generator[str, None, None]:
        pending, delta = self._pending, self._chunks.delta
        try:
            while pending or self._step():
                event = pending.popleft()
                # to_chunk, unrolled: this is the path of every piece of text.
                chunk = delta(event.text) if type(event) is Delta else self.to_chunk(event)
                if chunk:
                    yield chunk
        finally:
            # Also when the loop around it was left early.
            self.close()

    def __next__(self) -> str:
        while self._pending or self._step():
            chunk = self.to_chunk(self._pending.popleft())
            if chunk:
                return chunk
        raise StopIteration

    def events(self) -> Generator[Event, None, None]:
        """
        Iterate over what happens, instead of over text.

        Yields:
            ``Queued``, ``Started``, ``Delta``, ``Revised``, ``Progress``,
            ``Logged`` and at last ``Finished``.

        Raises:
            Qwen72BError: If the answer fails or is cut; ``partial`` has what came.
        """
        try:
            while self._pending or self._step():
                event = self._pending.popleft()
                self.to_chunk(event)
                yield event
        finally:
            self.close()

    def result(self, *, progress: bool = False) -> Reply:
        """
        Wait for the end.

        Args:
            progress: Whether to show a tqdm bar meanwhile: the place in the
                queue, the Space's own progress, the characters that came.

        Returns:
            The whole answer.

        Raises:
            Qwen72BError: If the answer fails or is cut; ``partial`` has what came.
            InvalidOption: If a bar is wanted and tqdm is not installed.
        """
        if progress:
            from .progress import ProgressBar

            with ProgressBar() as bar:
                for event in self.events():
                    bar.take(event)
        for _ in self.events():
            pass
        if "total" not in self._marks:
            raise self._closed_error()
        return Reply(self.text, self.timings, self._chat())

    def display(self) -> Reply:
        """
        Draw the answer as it comes, as one Markdown output of a notebook: ``notebook.show``.

        Returns:
            The whole answer.

        Raises:
            Qwen72BError: If the answer fails or is cut; what came stays on the page.
        """
        from .notebook import show

        return show(self)

    @property
    def timings(self) -> Timings:
        """How long the answer took, or has taken so far."""
        marks = self._marks
        begun = self._begun
        now = 0.0 if begun is None else monotonic() - begun
        return Timings(marks.get("queue"), marks.get("first_token"), marks.get("total", now))

    def close(self) -> None:
        """Hang up, from any thread; a blocked reader wakes and raises. Again does nothing."""
        self._close("close()")

    def cancel(self) -> None:
        """Hang up: the same as ``close``."""
        self.close()

    def read_batch(self) -> list[Event]:
        """
        Wait for one network read that brings events.

        For callers that pay for each wait, such as the async side.

        Returns:
            The events that it brought, in order; empty at the end.

        Raises:
            Qwen72BError: If the answer fails or is cut; ``partial`` has what came.
        """
        if not self._pending:
            self._step()
        batch = list(self._pending)
        self._pending.clear()
        return batch

    def __enter__(self) -> Self:
        if self._begun is None:
            self._step()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A half-made stream, whose arguments were refused, has nothing to close.
        if hasattr(self, "_marks"):
            self._close("garbage collection")

    def __repr__(self) -> str:
        state = "closed" if self.closed else "new" if self._begun is None else "open"
        return f"<{type(self).__name__} {state}, {len(self.text)} characters>"

    def disown(self) -> None:
        """Leave the answer to the parent process, after a fork; here it is over."""
        self._call.disown()
        self._closed_by = "a fork"
        self._on_end = None
        self._turn = threading.Lock()
        self._steps = Stream._run(proxy(self))

    def _close(self, by: str) -> None:
        if not self._over and not self._closed_by:
            self._closed_by = by
        self._call.abort()
        self._release()
        self._tell_end(None)

    def _tell_end(self, error: BaseException | None) -> None:
        if self._told:
            return
        self._told = True
        if self._begun is not None and log.isEnabledFor(logging.DEBUG):
            if error is not None:
                how = f"failed with {type(error).__name__}"
            else:
                how = "complete" if "total" in self._marks else "stopped"
            size = len(self.text)
            log.debug("%s: %s, %d characters, %s", self._call, how, size, self.timings)
        if self._on_end is not None:
            self._on_end(self.text, error)

    def _release(self) -> None:
        """Free what an ended call holds, unless a reader is at work, who then does it."""
        if self._turn.acquire(blocking=False):
            try:
                self._steps.close()
            finally:
                self._turn.release()

    def _step(self) -> bool:
        """Run the conversation to the next events; tell whether there were any."""
        with self._turn:
            if self._pending:
                return True
            try:
                events = next(self._steps, None)
            except BaseException as exc:
                self._over = True
                if isinstance(exc, Qwen72BError) and not exc.partial:
                    exc.partial = self.text
                # Ctrl-C is no Exception: it stops an answer, as closing does.
                failed = isinstance(exc, Exception) and not self._call.aborted
                self._tell_end(exc if failed else None)
                raise
        if self._over:
            self._tell_end(None)
        if self._call.aborted:
            self._release()
        if events is None:
            if not self._over:
                raise self._closed_error()
            return False
        self._pending.extend(events)
        return True

    def _closed_error(self) -> StreamInterrupted:
        return StreamInterrupted(
            f"the stream was ended by {self._closed_by or 'close()'} before the answer was complete.",
            partial=self.text,
        )

    def to_chunk(self, event: Event) -> str:
        """
        Tell what iteration hands out for an event of ``read_batch``.

        Args:
            event: The event; each one once, in order.

        Returns:
            Text; empty for events that bring none.
        """
        if type(event) is Delta:
            return self._chunks.delta(event.text)
        if type(event) is Revised:
            before = self._chunks.restarted
            chunk = self._chunks.revision(event.text, event.offset)
            if self._chunks.restarted and not before:
                log.warning("The Space took text back; the answer starts over on a new line.")
            return chunk
        return ""

    def _chat(self) -> list[dict[str, str]]:
        prompt = self._prompt
        turns = [*prompt.history, ("user", prompt.query), ("assistant", self.text)]
        if prompt.system is not None:
            turns.insert(0, ("system", prompt.system))
        return [{"role": role, "content": text} for role, text in turns]

    def _run(self) -> Generator[list[Event], None, None]:
        """Yield the events of each network read, joining anew where that is safe."""
        begun = self._begun = monotonic()
        log_begin(self._call, self._client.base_url)
        self._call.clock.start("total")
        attempts = Attempts(self.retry, self._call)
        lost = False
        while True:
            error: Qwen72BError
            try:
                for events in Stream._converse(self, attempts):
                    self._mark(events, monotonic() - begun)
                    yield events
                return
            except Qwen72BError as exc:
                error = exc
            except IO_ERRORS as exc:
                error = translate(exc, self._call, "waiting for the answer", self._client.base_url)
                error.__cause__ = exc
            if self._call.aborted:
                raise self._closed_error() from error
            job = self._job
            if job is None or job.has_text:
                raise error
            if isinstance(error, QueueFull):
                # The queue's word on the stream.
                self._pause(attempts, error)
            elif isinstance(error, StreamInterrupted) and job.joined and not lost:
                lost = True
                log.info("Lost the stream before any text; joining anew: %s", error.reason)
            else:
                raise error
            self._call.clock.stop("first_token")

    def _pause(self, attempts: Attempts, error: Qwen72BError, *, repeatable: bool = False) -> None:
        """Wait before another try, or raise; a deadline or a hang-up meanwhile is named."""
        try:
            attempts.pause(error, repeatable=repeatable)
        except Qwen72BError:
            raise
        except OSError as exc:
            if self._call.aborted:
                raise self._closed_error() from error
            raise (self._call.clock.expired() or error) from exc

    def _mark(self, events: list[Event], now: float) -> None:
        """Note the times of what happened, and set the clocks accordingly."""
        marks, clock = self._marks, self._call.clock
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
                self._over = True

    def _converse(self, attempts: Attempts) -> Generator[list[Event], None, None]:
        """Ask once: join, then yield the events of each read until the body ends."""
        endpoint, job, body = self._open(attempts)
        receive = traced(self._call, job.receive_data)
        clock = self._call.clock
        shield = Shield()
        warned = False
        try:
            while not job.done:
                data = body.read()
                if not data:
                    job.receive_eof()
                block = shield.feed(data)
                # A failure in here is met again by the next read: what came
                # before it is to be handed out first.
                with suppress(Qwen72BError, *IO_ERRORS):
                    while len(block) < _BATCH_BYTES and body.has_event():
                        block += shield.feed(body.read())
                if not block:
                    self._call.limit()
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
                    self._client.upload(self._call, endpoint, job)
                if events:
                    yield events
                # Only now: neither a slow consumer nor the upload, which stops
                # this clock, is the Space's silence.
                clock.listen()
            clock.rest()
            self._drain(body)
        finally:
            body.close()

    def _open(self, attempts: Attempts) -> tuple[Endpoint, Job, Body]:
        """Join the queue and open the stream; in ``sse`` the stream comes first."""
        client, call = self._client, self._call
        endpoint, fresh = client.endpoint(call, self._fallback)
        while True:
            job = self._job = Job(endpoint, self._prompt, session_hash=self._session_hash)
            try:
                call.clock.start("queue")
                if not endpoint.protocol.stream_first:
                    client.join(call, endpoint, job)
                    break
                return endpoint, job, client.open_stream(call, endpoint, job)
            except Qwen72BError as error:
                if fresh or not client.may_be_stale(error):
                    self._pause(attempts, error)
                    continue
                # The Space may have changed since its configuration was read.
                found, fresh = client.endpoint(call, self._fallback, instead_of=endpoint)
                if found == endpoint and not isinstance(error, AuthenticationError):
                    raise
                endpoint = found
        attempts = Attempts(self.retry, call)
        while True:
            try:
                return endpoint, job, client.open_stream(call, endpoint, job)
            except Qwen72BError as error:
                # Refused before any byte: the job still waits to be heard.
                self._pause(attempts, error, repeatable=True)

    def _drain(self, body: Body) -> None:
        """Read to the end of the body, if it comes soon, so that the connection can be kept."""
        self._call.clock.start("drain", _DRAIN)
        try:
            while body.read():
                pass
        except IO_ERRORS:
            # The answer is complete; only the connection is lost.
            pass
