"""
What answers: a backend, and one answer in the making.

Strategy: an answer is made by a thread of its own and handed over through a
queue. The side that reads it can then look up now and then even while the
model is silent (a long prompt, a busy server), which is what lets Gradio close
the generator soon after its client has hung up: it can only do so between two
yields.
"""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from time import monotonic

from qwen72b.errors import SpaceUnavailable

__all__ = ["MANY", "Backend", "Generation"]

Messages = Sequence[Mapping[str, str]]

# Answers at a time of a backend that only passes them on: what a replica of vLLM
# makes at once. Each has two threads, Gradio's and its own.
MANY = 200

# Seconds of silence after which an empty piece is yielded: at first so soon that a
# person sees the question taken, then so often that a client that hangs up is
# noticed within the second that is promised. Each of them costs Gradio some
# milliseconds of CPU.
FIRST_LOOK, KEEP_ALIVE = 0.1, 0.75


class Generation:
    """
    One answer in the making; iterating it yields the pieces of its text.

    A piece may be empty: nothing new, but the reader gets a chance to stop.

    Args:
        produce: Called with this object in a thread of its own; it calls
            ``emit`` for each piece and returns at the end or once ``stopped``.
        pace: Seconds between two pieces at least; what comes meanwhile is one.
    """

    def __init__(self, produce: Callable[[Generation], None], pace: float = 0.0) -> None:
        self._produce = produce
        self._pace = pace
        self._pieces: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._on_stop: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="qwen72b-generation", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._produce(self)
        except Exception as exc:  # noqa: BLE001 - raised where the answer is read
            self._pieces.put(exc)
        else:
            self._pieces.put(None)

    @property
    def stopped(self) -> bool:
        """Whether nobody wants the rest of this answer."""
        return self._stop.is_set()

    def emit(self, text: str) -> bool:
        """Hand over a piece; return whether more is wanted."""
        self._pieces.put(text)
        return not self._stop.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait, or less if stopped; return whether more is wanted."""
        return not self._stop.wait(seconds)

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` wake the producer out of a blocking call."""
        with self._lock:
            self._on_stop = callback
            if not self._stop.is_set():
                return
        callback()

    def stop(self) -> None:
        """Ask the producer to end; returns at once, from any thread."""
        with self._lock:
            if self._stop.is_set():
                return
            self._stop.set()
            callback = self._on_stop
        if callback is not None:
            callback()

    def join(self) -> None:
        """Wait until the producer has ended."""
        self._thread.join()

    def __iter__(self) -> Iterator[str]:
        silence, due = FIRST_LOOK, 0.0
        try:
            while True:
                try:
                    piece = self._pieces.get(timeout=silence)
                except queue.Empty:
                    silence = KEEP_ALIVE
                    yield ""
                    continue
                text, end = self._gather(piece, due)
                if text:
                    yield text
                    due = monotonic() + self._pace
                if isinstance(end, Exception):
                    raise end
                if end is None:
                    break
            if self.stopped:
                raise SpaceUnavailable("The local Space was stopped.")
        finally:
            # No join: Gradio runs this on its event loop.
            self.stop()

    def _gather(
        self, piece: str | Exception | None, due: float
    ) -> tuple[str, str | Exception | None]:
        """Join a piece with those that come until some time; give what comes after them, too."""
        text = ""
        while isinstance(piece, str):
            text += piece
            piece = ""
            left = due - monotonic()
            if left <= 0:
                break
            with suppress(queue.Empty):
                piece = self._pieces.get(timeout=left)
        return text, piece


class Backend(ABC):
    """
    Something that answers chat messages.

    Attributes:
        label: What answers, for people.
        stand_in: Whether it is another model than Qwen2-72B-Instruct.
        concurrency: Answers that it can make at a time, unless the Space is told
            another number; more wait in its queue, where they are told their rank.
    """

    #: Seconds between two pieces that a client gets, at least.
    pace = 0.0

    def __init__(self, label: str, *, stand_in: bool, concurrency: int) -> None:
        self.label = label
        self.stand_in = stand_in
        self.concurrency = concurrency
        self._lock = threading.Lock()
        self._closed = False
        self._generations: set[Generation] = set()

    @abstractmethod
    def produce(self, messages: Messages, generation: Generation) -> None:
        """Emit the answer to ``messages`` piece by piece, in a thread of its own."""

    def stream(self, messages: Messages) -> Iterator[str]:
        """
        Answer chat messages.

        Args:
            messages: Mappings with ``role`` and ``content``.

        Yields:
            Pieces of the answer; an empty one where there is nothing new for
            some time. Closing the iterator stops the answer.

        Raises:
            Qwen72BError: If the answer fails.
        """
        with self._lock:
            if self._closed:
                raise SpaceUnavailable("The local Space was stopped.")
            generation = Generation(lambda it: self._tracked(messages, it), self.pace)
            self._generations.add(generation)
        yield from generation

    def _tracked(self, messages: Messages, generation: Generation) -> None:
        try:
            self.produce(messages, generation)
        finally:
            with self._lock:
                self._generations.discard(generation)

    def close(self) -> None:
        """Stop all answers, wait for their threads, and free the model."""
        with self._lock:
            self._closed = True
            generations = list(self._generations)
        for generation in generations:
            generation.stop()
        for generation in generations:
            generation.join()
        self.release()

    def settle(self) -> None:
        """
        Wait until it can answer.

        Raises:
            InvalidOption: If it never can.
        """

    def release(self) -> None:
        """Free what this backend holds; called once no answer is in the making."""
