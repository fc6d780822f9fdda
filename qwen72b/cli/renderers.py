"""
The looks of an answer: a stream, a whole, its code, or JSON.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from json import dumps
from typing import TYPE_CHECKING

from ..errors import GenerationFailed, Qwen72BError
from ..events import Delta, Event, Finished, Logged, Progress, Queued, Revised, Started
from ..fences import code_blocks
from ..progress import queue_words
from .exits import describe, exit_status, hint_for

if TYPE_CHECKING:
    from ..client.stream import Stream
    from ..reply import Timings
    from .console import Console

__all__ = [
    "CodeRenderer",
    "JSONRenderer",
    "Renderer",
    "StreamRenderer",
    "WholeRenderer",
    "follow",
    "timings_line",
]


def follow(stream: Stream, console: Console, *, counting: bool = False) -> Iterator[list[Event]]:
    """
    Read an answer and keep the status line up to date.

    Args:
        stream: The answer.
        console: Where the status line is.
        counting: Whether it also tells how the answer grows, for renderers that
            do not show it yet.

    Yields:
        The events that came together.
    """
    console.status("Connecting...")
    while batch := stream._read_batch():
        for event in batch:
            _tell(event, console)
            if counting and isinstance(event, (Delta, Revised)):
                console.status(f"Answering, {len(stream.text)} characters so far...")
        yield batch
    console.erase()


def _tell(event: Event, console: Console) -> None:
    if isinstance(event, Queued):
        console.status(f"{queue_words(event)}...")
    elif isinstance(event, Started):
        console.status("Waiting for the first word...")
    elif isinstance(event, Progress):
        console.status(_progress_line(event))
    elif isinstance(event, Logged):
        title = f"{event.title}: " if event.title else ""
        console.say(f"the Space says: {title}{event.text}")


def _progress_line(event: Progress) -> str:
    words = event.description or "Working"
    if event.index is not None and event.length is not None:
        return f"{words}: {event.index:g} of {event.length:g} {event.unit}"
    if event.fraction is not None:
        return f"{words}: {event.fraction:.0%}"
    return f"{words}..."


def timings_line(timings: Timings) -> str:
    """Say how long an answer took."""
    parts = (
        ("queue", timings.queue),
        ("first text", timings.first_token),
        ("total", timings.total),
    )
    return ", ".join(f"{name} {took:.2f} s" for name, took in parts if took is not None)


class Renderer(ABC):
    """
    A way to show one answer.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    @abstractmethod
    def show(self, stream: Stream) -> None:
        """Show an answer to its end."""

    def fail(self, error: BaseException) -> None:
        """Take note of what ended the command."""


class StreamRenderer(Renderer):
    """Each piece as it comes."""

    def show(self, stream: Stream) -> None:
        """Show an answer to its end."""
        try:
            for batch in follow(stream, self.console):
                for event in batch:
                    self.console.write(stream._to_chunk(event))
        except BrokenPipeError:
            raise
        except BaseException:
            self.console.end()
            raise
        self.console.end()


class WholeRenderer(Renderer):
    """The whole text at the end: exact, even where the Space took text back."""

    def show(self, stream: Stream) -> None:
        """Show an answer to its end, or what came of it."""
        try:
            for _ in follow(stream, self.console, counting=True):
                pass
        finally:
            self.console.write(stream.text)
            self.console.end()


class CodeRenderer(Renderer):
    """
    Code blocks, once the answer is complete; half a program is of no use.

    Args:
        console: Where to.
        which: Which of the blocks.
    """

    def __init__(self, console: Console, which: slice) -> None:
        super().__init__(console)
        self._which = which

    def show(self, stream: Stream) -> None:
        """Show an answer's code."""
        for _ in follow(stream, self.console, counting=True):
            pass
        blocks = list(code_blocks(stream.text))
        if not blocks:
            raise GenerationFailed(
                "the answer holds no code block.", hint="Ask for the whole answer."
            )
        self.console.write("\n\n".join(blocks[self._which]))
        self.console.end()


class JSONRenderer(Renderer):
    """The events as JSON Lines; an error is the last of them."""

    def show(self, stream: Stream) -> None:
        """Show what happens."""
        for event in chain.from_iterable(follow(stream, self.console)):
            fields = asdict(event)
            if isinstance(event, Finished):
                fields["timings"] = asdict(stream.timings)
            self._line(type(event).__name__.lower(), fields)

    def fail(self, error: BaseException) -> None:
        """Write the error."""
        if isinstance(error, BrokenPipeError):
            return
        if isinstance(error, KeyboardInterrupt):
            fields = {"error": "KeyboardInterrupt", "message": "interrupted.", "hint": ""}
        elif isinstance(error, Qwen72BError):
            fields = {
                "error": type(error).__name__,
                "message": error.reason,
                "hint": hint_for(error),
                "partial": error.partial,
            }
        else:
            fields = {"error": type(error).__name__, "message": describe(error)[0], "hint": ""}
        self._line("error", {**fields, "exit_status": exit_status(error)})

    def _line(self, kind: str, fields: dict[str, object]) -> None:
        self.console.line(dumps({"type": kind, **fields}))
