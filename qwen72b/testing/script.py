"""
Steps of a scripted answer: what the Space says about a job.

Strategy: text in a script is text added to the answer, as a model adds it;
every other step is an object. The steps go from what a well-behaved app does
(`Snapshot`, `Log`, `Fail`) to what no Gradio would say (`Edits`, `Event`,
`Chunk`), and each says exactly what it is told to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .jobstream import JobStream, StreamEnded
from .steps import Close, Step

if TYPE_CHECKING:
    from .steps import Stage

__all__ = [
    "AwaitData",
    "Burst",
    "Chunk",
    "CloseStream",
    "Complete",
    "Edits",
    "End",
    "Estimation",
    "Event",
    "Fail",
    "Heartbeat",
    "Log",
    "Message",
    "Outputs",
    "Progress",
    "Snapshot",
    "Start",
    "StreamStep",
    "UnexpectedError",
]


class StreamStep(Step):
    """A step that has a meaning only inside of an answer."""

    def run(self, stage: Stage) -> None:
        """Do it."""
        if not isinstance(stage, JobStream):
            raise TypeError(f"{self!r} belongs into an answer")
        self.tell(stage)

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Estimation(StreamStep):
    """Tell the place in the queue: `rank` 0 is next. Those that begin a script replace the usual one."""

    rank: int = 0
    size: int = 1
    eta: float | None = None

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.message("estimation", rank=self.rank, queue_size=self.size, rank_eta=self.eta)


@dataclass(frozen=True)
class Start(StreamStep):
    """Say ``process_starts`` now, not only with the first text."""

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.start()


@dataclass(frozen=True)
class AwaitData(StreamStep):
    """Ask for the data (Gradio 4.0's ``send_data``) and wait for them."""

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.message("send_data")
        stream.connection.wait(None, lambda: stream.job.request is not None)


@dataclass(frozen=True)
class Snapshot(StreamStep):
    """Let the answer so far be this text, whatever it was."""

    text: str

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.show(self.text)


@dataclass(frozen=True)
class Outputs(StreamStep):
    """Let the outputs be these values: component updates, odd chatbot values, and so on."""

    values: Sequence[Any]

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.outputs(list(self.values))


@dataclass(frozen=True)
class Edits(StreamStep):
    """Send ``process_generating`` with this data as it is: edits that do not fit, and so on."""

    data: Any

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.generating(self.data)


class Burst(StreamStep):
    """
    Add many pieces at once, encoded before the first is sent.

    Args:
        texts: The pieces; each is an event of its own.
        per_write: How many events one write to the socket carries.
    """

    def __init__(self, texts: Iterable[str], per_write: int = 1) -> None:
        self._texts = list(texts)
        self._per_write = per_write

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.burst(self._texts, self._per_write)


@dataclass(frozen=True)
class Log(StreamStep):
    """Send what ``gr.Info`` or ``gr.Warning`` sends."""

    text: str
    level: str = "info"

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.log(self.text, self.level)


@dataclass(frozen=True)
class Progress(StreamStep):
    """Send what ``gr.Progress`` sends."""

    index: int | None = 0
    length: int | None = None
    desc: str | None = None
    progress: float | None = None
    unit: str = "steps"

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.start()
        unit = {"index": self.index, "length": self.length, "unit": self.unit}
        stream.message(
            "progress", progress_data=[unit | {"progress": self.progress, "desc": self.desc}]
        )


@dataclass(frozen=True)
class Heartbeat(StreamStep):
    """Send a heartbeat."""

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.message("heartbeat", event_id=None)


class Message(StreamStep):
    """
    Send any message.

    Args:
        msg: Its name.
        fields: Its fields; ``event_id`` is the job's unless it is given, and
            left out (before Gradio 4.44) or null if it is given as None.
    """

    def __init__(self, msg: str, /, **fields: Any) -> None:
        self._msg = msg
        self._fields = fields

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.message(self._msg, **self._fields)


@dataclass(frozen=True)
class Event(StreamStep):
    """Send one event with this as its data, be it JSON or not."""

    data: str | bytes

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.event(self.data if isinstance(self.data, bytes) else self.data.encode())


@dataclass(frozen=True)
class Chunk(StreamStep):
    """Send bytes as a piece of the body: comments, a BOM, half an event."""

    data: bytes

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.chunk(self.data)


class Complete(StreamStep):
    """
    Send ``process_completed``.

    Args:
        output: Its ``output``; by default the present outputs, in full.
        success: Its ``success``.
        fields: Further fields, or other ones (``event_id``).
    """

    def __init__(self, output: Any = None, *, success: bool = True, **fields: Any) -> None:
        self._output = output
        self._success = success
        self._fields = fields

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.complete(self._output, self._success, **self._fields)


@dataclass(frozen=True)
class Fail(StreamStep):
    """
    Let the app raise: a ``gr.Error`` with this text, or an exception that is hidden (None).

    Attributes:
        text: The error's text, before the quotes that the version adds.
        title: The error's title, in the versions that have one.
        quotes: Whether there are quotes, against what the version does.
        duration: Seconds for which it is shown, in the versions that have it.
    """

    text: str | None = None
    title: str | None = None
    quotes: bool | None = None
    duration: float | None = 10

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.fail(self.text, self.title, self.quotes, self.duration)


@dataclass(frozen=True)
class UnexpectedError(StreamStep):
    """Send ``unexpected_error`` and cut the body, as Gradio does."""

    text: str = "404: Session not found."

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.message("unexpected_error", event_id=None, message=self.text, success=False)
        Close().run(stream)


@dataclass(frozen=True)
class CloseStream(StreamStep):
    """Send ``close_stream`` now."""

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.close_stream()


@dataclass(frozen=True)
class End(StreamStep):
    """End the body in good order now, completed or not."""

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.end()
        raise StreamEnded
