"""
An answer as it comes: the iterator that ``Client.stream`` returns.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from ..events import Delta, Event, Revised
from ..messages import Prompt
from ..protocol.config import Endpoint
from ..reply import Reply, Timings
from ..retry import Retry
from ..timeout import Timeout
from .answer import Turns
from .appendonly import Chunks
from .exchange import Talk

if TYPE_CHECKING:
    from typing_extensions import Self

    from .client import Client

__all__ = ["Stream"]

log = logging.getLogger("qwen72b")


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
        retry: Retry | None = None,
        fallback: Endpoint | None = None,
        on_end: Callable[[str, BaseException | None], None] | None = None,
    ) -> None:
        self._prompt = prompt
        self._talk = Talk(
            client.routes, prompt, timeout=timeout, retry=retry or client.retry, fallback=fallback
        )
        #: Who is at it.
        self.turns = Turns(self._talk)
        # Told the text once the stream is over, and the error if it failed; none
        # if it was stopped. Perhaps from two threads, if both end it.
        self._on_end = on_end
        self._told = False
        self._chunks = Chunks()
        #: ``to_chunk`` for the text of a ``Delta``, the path of every piece.
        self.hand_out = self._chunks.delta
        self._pending: deque[Event] = deque()

    @property
    def text(self) -> str:
        """The answer so far; after the end, exactly the Space's final text."""
        return self._talk.text

    @property
    def revised(self) -> bool:
        """Whether text was taken back after iteration had handed it out."""
        return self._chunks.revised

    @property
    def closed(self) -> bool:
        """Whether the stream is over: read to its end, failed, or closed."""
        return self._talk.over or self._talk.call.aborted

    def __iter__(self) -> Generator[str, None, None]:
        pending, hand_out = self._pending, self.hand_out
        try:
            while pending or self._step():
                event = pending.popleft()
                # to_chunk, unrolled: this is the path of every piece of text.
                chunk = hand_out(event.text) if type(event) is Delta else self.to_chunk(event)
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
            from ..progress import ProgressBar

            with ProgressBar() as bar:
                for event in self.events():
                    bar.take(event)
        for _ in self.events():
            pass
        if not self._talk.complete:
            raise self.turns.closed_error()
        return Reply(self.text, self.timings, self._chat())

    def display(self) -> Reply:
        """
        Draw the answer as it comes, as one Markdown output of a notebook: ``notebook.show``.

        Returns:
            The whole answer.

        Raises:
            Qwen72BError: If the answer fails or is cut; what came stays on the page.
        """
        from ..notebook.display import show

        return show(self)

    @property
    def timings(self) -> Timings:
        """How long the answer took, or has taken so far."""
        return self._talk.timings

    def close(self) -> None:
        """Hang up, from any thread; a blocked reader wakes and raises. Again does nothing."""
        self.end("close()")

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

    def begin(self) -> list[Event]:
        """
        Join the queue, unless that is done.

        Returns:
            The first events; empty if it was done.

        Raises:
            Qwen72BError: If it fails.
        """
        return self.read_batch() if self._talk.begun is None else []

    def take_batch(self) -> list[Event] | None:
        """
        Take the events that have come, in a turn.

        Returns:
            The events, perhaps none; ``None`` at the end.

        Raises:
            Qwen72BError: If the answer fails, is cut or was closed.
        """
        return self._tracked(self.turns.take)

    def __enter__(self) -> Self:
        if self._talk.begun is None:
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
        if hasattr(self, "_pending"):
            self.end("garbage collection")

    def __repr__(self) -> str:
        state = "closed" if self.closed else "new" if self._talk.begun is None else "open"
        return f"<{type(self).__name__} {state}, {len(self.text)} characters>"

    def disown(self) -> None:
        """Leave the answer to the parent process, after a fork; here it is over."""
        self.turns.disown()
        self._on_end = None

    def end(self, by: str) -> None:
        """
        Hang up: ``close``, for those who have another name for it.

        Args:
            by: Who does it, for the reader's error.
        """
        self.turns.close(by)
        self._tell_end(None)

    def _tell_end(self, error: BaseException | None) -> None:
        if self._told:
            return
        self._told = True
        if self._talk.begun is not None and log.isEnabledFor(logging.DEBUG):
            if error is not None:
                how = f"failed with {type(error).__name__}"
            else:
                how = "complete" if self._talk.complete else "stopped"
            size = len(self.text)
            log.debug("%s: %s, %d characters, %s", self._talk.call, how, size, self.timings)
        if self._on_end is not None:
            self._on_end(self.text, error)

    def _step(self) -> bool:
        """Get the next events; tell whether there are any."""
        if self._pending:
            return True
        events = self._tracked(self.turns.step)
        if events is None:
            return False
        self._pending.extend(events)
        return True

    def _tracked(self, step: Callable[[], list[Event] | None]) -> list[Event] | None:
        """Run a step, and tell of the end if it was the last."""
        try:
            events = step()
        except BaseException as exc:
            # Ctrl-C is no Exception: it stops an answer, as closing does.
            failed = isinstance(exc, Exception) and not self._talk.call.aborted
            self._tell_end(exc if failed else None)
            raise
        if self._talk.over:
            self._tell_end(None)
        return events

    def to_chunk(self, event: Event) -> str:
        """
        Tell what iteration hands out for an event of ``read_batch``.

        Args:
            event: The event; each one once, in order.

        Returns:
            Text; empty for events that bring none.
        """
        if type(event) is Delta:
            return self.hand_out(event.text)
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
