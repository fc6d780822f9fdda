"""
What does the Space say about a job? The steps of a scripted answer.

Strategy: text in a script is text added to the answer; every other step is an
object. `JobStream` knows what has been said and adds what a real server adds:
``process_starts`` before the first text, edits instead of snapshots where the
version has them. It never corrects a step: a script may complete twice, close
early or send edits that do not fit.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .dialect import Dialect
from .edits import make_diff
from .exchange import Body, Request
from .layout import Role
from .steps import Close, Step
from .wire import Connection

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
    "Job",
    "JobStream",
    "Log",
    "Message",
    "Outputs",
    "Progress",
    "Snapshot",
    "Start",
    "StreamEnded",
    "StreamStep",
    "UnexpectedError",
]

_MARK = "the text goes here"


@dataclass(eq=False)
class Job:
    """
    A job that a client has joined, and what became of it.

    Attributes:
        session_hash: The client's.
        event_id: The server's.
        fn_index: The function that was called.
        request: The request that carried the data, once it has come.
        data: The function's arguments as they were sent.
        query: What was asked.
        history: The chatbot's value as it was sent.
        system: The system text.
        state: ``waiting`` for a stream, ``running``, ``finished`` (a completion
            was sent), ``cancelled`` (the client hung up before) or ``broken``
            (the script ended the stream without a completion).
        cancelled_at: When the client hung up, on `time.monotonic`'s clock.
        connection: The stream's connection, by number.
        outputs: What part each of the function's results plays.
        replica: The cookie that the client had when it joined.
    """

    session_hash: str
    event_id: str
    fn_index: int
    outputs: Sequence[Role | None] = ()
    request: Request | None = None
    data: list[Any] = field(default_factory=list)
    query: Any = None
    history: Any = None
    system: Any = None
    state: Literal["waiting", "running", "finished", "cancelled", "broken"] = "waiting"
    cancelled_at: float | None = None
    connection: int | None = None
    replica: str | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the client hung up before the end."""
        return self.state == "cancelled"

    def take(self, request: Request, roles: Sequence[Role | None]) -> None:
        """Read the data of a join."""
        data = request.json().get("data")
        self.data = data if isinstance(data, list) else []
        for role, value in zip(roles, self.data, strict=False):
            if role == "query":
                self.query = value
            elif role == "chat":
                self.history = value
            elif role == "system":
                self.system = value
        self.request = request


class StreamEnded(Exception):
    """The script has ended the body in good order."""


class JobStream:
    """
    One job's part of a stream.

    Attributes:
        connection: Where it goes.
        job: Whose it is.
        closed: ``close_stream`` has been sent.
        completed: ``process_completed`` has been sent.
        raw: The script says everything; nothing is added.
    """

    def __init__(
        self,
        body: Body,
        dialect: Dialect,
        job: Job,
        *,
        newline: str = "\n",
        clean: bool = False,
        finished: Callable[[Job], None] = lambda job: None,
    ) -> None:
        self.connection: Connection = body.connection
        self.job = job
        self.closed = False
        self.completed = False
        self.raw = False
        self._body = body
        self._dialect = dialect
        self._end = (newline * 2).encode()
        self._clean = clean
        self._finished = finished
        self._started = False
        self._pieces: list[str] = []
        self._said: list[Any] | None = None
        self._around: tuple[bytes, bytes] | None = None

    @property
    def text(self) -> str:
        """The answer so far, as the app made it."""
        return "".join(self._pieces)

    def play(self, step: Any) -> None:
        """Do one step; text is added to the answer."""
        if isinstance(step, str):
            self.add(step)
        elif isinstance(step, Step):
            step.run(self)
        else:
            raise TypeError(f"a script is made of text and steps, not of {step!r}")

    def proceed(self) -> None:
        """Refuse: in a stream there is nothing else to be answered."""
        raise TypeError("Proceed has no meaning inside of an answer")

    def event(self, data: bytes) -> None:
        """Send one server-sent event."""
        self._body.write(b"data: " + data + self._end)

    def chunk(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._body.write(data)

    def message(self, msg: str, /, **fields: Any) -> None:
        """Send a message of this job, in the version's own way."""
        self.event(self._message(msg, fields))

    def start(self) -> None:
        """Say that the job runs, once."""
        if not self._started:
            self._started = True
            self.message("process_starts", **({} if self._dialect.stream_first else {"eta": None}))

    def add(self, text: str) -> None:
        """Let the answer grow."""
        self.start()
        if self._said is not None and self._dialect.diffs and not self._clean:
            # The cost must be that of the piece, not that of the answer so far.
            before, after = self._frame()
            self._pieces.append(text)
            self.event(before + self._dialect.encode(text) + after)
        else:
            self.show(self.text + text)

    def burst(self, texts: Sequence[str], per_write: int) -> None:
        """Let the answer grow by many pieces that are all encoded first."""
        self.add(texts[0])
        if not (self._dialect.diffs and self._body.plain) or self._clean:
            for text in texts[1:]:
                self.add(text)
            return
        before, after = self._frame()
        before, after, encode = b"data: " + before, after + self._end, self._dialect.encode
        frame = self._body.frame
        frames = [frame(before + encode(text) + after) for text in texts[1:]]
        self._pieces.extend(texts[1:])
        for start in range(0, len(frames), per_write):
            self._body.write_frames(b"".join(frames[start : start + per_write]))

    def show(self, text: str) -> None:
        """Let the answer be this text."""
        outputs = self._values(text)
        self.outputs(outputs)
        self._pieces = [text]

    def outputs(self, values: list[Any]) -> None:
        """Let the outputs be these values; from the second time on as edits if so spoken."""
        self.start()
        known = self._present()
        data = values
        if known is not None and self._dialect.diffs:
            deletes = self._dialect.deletes
            data = [
                make_diff(old, new, deletes=deletes) for old, new in zip(known, values, strict=True)
            ]
        self.generating(data)
        self._said, self._around = values, None
        self._pieces = []

    def generating(self, data: Any) -> None:
        """Send ``process_generating`` with just this data."""
        self.start()
        self.event(self._message("process_generating", self._generating(data)))

    def complete(self, output: Any = None, success: bool = True, **fields: Any) -> None:
        """Send ``process_completed``; by default with the present outputs, or nulls."""
        self.start()
        if output is None:
            known = self._present()
            output = self._output([None] * len(self.job.outputs) if known is None else known)
            output["is_generating"] = self._dialect.protocol in ("sse", "sse_v1")
        if self._dialect.titles:
            fields = {"title": None, **fields}
        self.completed = True
        self._finished(self.job)
        self.message("process_completed", output=output, success=success, **fields)

    def fail(self, text: str | None, title: str | None, quotes: bool | None) -> None:
        """Send the ``process_completed`` of an exception."""
        self.start()
        output = self._dialect.error(text, title=title, quotes=quotes)
        self.complete(output, success=False, **({"title": title} if title else {}))

    def close_stream(self) -> None:
        """Say that nothing more comes, in the versions that do."""
        if self._dialect.protocol == "sse_v3":
            self.closed = True
            self.message("close_stream", event_id=None)

    def end(self) -> None:
        """End the body."""
        self._body.end()

    def _message(self, msg: str, fields: Mapping[str, Any]) -> bytes:
        message: dict[str, Any] = {"msg": msg}
        if not self._dialect.stream_first or msg == "send_data":
            message["event_id"] = self.job.event_id
        message |= fields
        if message.get("event_id", "") is None and not self._dialect.null_ids:
            del message["event_id"]
        return self._dialect.encode(message)

    def _output(self, data: Any) -> dict[str, Any]:
        output: dict[str, Any] = {
            "data": data,
            "is_generating": True,
            "duration": 0.05,
            "average_duration": 0.05,
        }
        if not self._dialect.ascii:
            output |= {"render_config": None, "changed_state_ids": []}
        return output

    def _generating(self, data: Any) -> dict[str, Any]:
        fields: dict[str, Any] = {"output": self._output(data), "success": True}
        if self._dialect.prefix:
            fields["time_limit"] = None
        return fields

    def _present(self) -> list[Any] | None:
        """Say what the outputs are now."""
        return self._said if not self._pieces else self._values(self.text)

    def _values(self, text: str) -> list[Any]:
        job = self.job
        shown, query = text, job.query
        if self._clean:
            shown = inspect.cleandoc(text)
            query = inspect.cleandoc(query) if isinstance(query, str) else query
        values: dict[Role | None, Any] = {
            "query": "",
            "chat": self._dialect.turns(job.history, query, shown),
            "system": job.system,
        }
        return [values.get(role) for role in job.outputs]

    def _frame(self) -> tuple[bytes, bytes]:
        """Encode what stands around the text in an event that only appends."""
        if self._around is None:
            chat = self.job.outputs.index("chat")
            path = self._dialect.text_path(self._values("")[chat])
            data: list[Any] = [[] for _ in self.job.outputs]
            data[chat] = [["append", path, _MARK]]
            whole = self._message("process_generating", self._generating(data))
            before, _, after = whole.partition(self._dialect.encode(_MARK))
            self._around = before, after
        return self._around


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
        stream.start()
        stream.message("log", log=self.text, level=self.level)


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
    """

    text: str | None = None
    title: str | None = None
    quotes: bool | None = None

    def tell(self, stream: JobStream) -> None:
        """Say it."""
        stream.fail(self.text, self.title, self.quotes)


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
