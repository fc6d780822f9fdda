"""
One job's part of a stream, written in the words of a version.

What does a real server add? `JobStream` knows what has been said and adds
``process_starts`` before the first text, and edits instead of snapshots where
the version has them. It never corrects a script: that may complete twice,
close early or send edits that do not fit.
"""

from __future__ import annotations

import copy
import functools
import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .dialect import Dialect
from .edits import make_diff
from .http11 import Body
from .job import Job
from .layout import Role
from .steps import Step
from .wire import Connection

__all__ = ["JobStream", "StreamEnded"]

_MARK = "the text goes here"


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
        finished: Callable[[Job], None],
        ended: Callable[[Job], None],
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
        self._ended = ended
        self._started = False
        self._pieces: list[str] = []
        self._said: list[Any] | None = None
        # Text was appended since: what was said last is no longer the whole.
        self._appended = False
        # What is said shows the text where it belongs, so that an edit can append to it.
        self._plain = False
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
        if self._said is not None and self._plain and self._dialect.diffs:
            # The cost must be that of the piece, not that of the answer so far.
            before, after = self._frame()
            self._append([text])
            self.event(before + self._dialect.encode(text) + after)
        else:
            self.show(self.text + text)

    def burst(self, texts: Sequence[str], per_write: int) -> None:
        """Let the answer grow by many pieces that are all encoded first."""
        self.add(texts[0])
        if not (self._dialect.diffs and self._body.plain and self._plain):
            for text in texts[1:]:
                self.add(text)
            return
        before, after = self._frame()
        before, after, encode = b"data: " + before, after + self._end, self._dialect.encode
        frame = self._body.frame
        frames = [frame(before + encode(text) + after) for text in texts[1:]]
        self._append(texts[1:])
        for start in range(0, len(frames), per_write):
            self._body.write_frames(b"".join(frames[start : start + per_write]))

    def show(self, text: str) -> None:
        """Let the answer be this text."""
        self.outputs(self._values(text))
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
        self._said, self._appended, self._around = values, False, None
        text = self._read(values)
        self._plain = text is not None and not self._clean
        self._pieces = [text or ""]

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
            output["is_generating"] = known is not None and not self._dialect.diffs
        if self._dialect.titles:
            fields = {"title": None, **fields}
        self.completed = True
        self._finished(self.job)
        self.message("process_completed", output=output, success=success, **fields)

    def fail(
        self, text: str | None, title: str | None, quotes: bool | None, duration: float | None
    ) -> None:
        """Send the ``process_completed`` of an exception."""
        self.start()
        output = self._dialect.error(text, title=title, quotes=quotes, duration=duration)
        self.complete(output, success=False)

    def log(self, text: str, level: str) -> None:
        """Send what ``gr.Info`` or ``gr.Warning`` sends."""
        self.start()
        extras: dict[str, Any] = {}
        if self._dialect.error_extras:
            extras = {"duration": 10.0, "visible": True}
        if self._dialect.titles:
            extras["title"] = level.capitalize()
        self.message("log", log=text, level=level, **extras)

    def close_stream(self) -> None:
        """Say that nothing more comes, in the versions that do."""
        if self._dialect.protocol == "sse_v3":
            self.closed = True
            self.message("close_stream", event_id=None)

    def end(self) -> None:
        """End the body."""
        # Before the end is sent: a client that leaves upon it has not cancelled anything.
        self._ended(self.job)
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
        if self._appended and self._said is not None:
            said = self._said = copy.deepcopy(self._said)
            self._appended = False
            *path, last = self._text_path(said)
            functools.reduce(operator.getitem, path, said)[last] = self.text
        return self._said

    def _append(self, texts: Sequence[str]) -> None:
        self._pieces.extend(texts)
        self._appended = True

    def _text_path(self, values: list[Any]) -> list[Any]:
        """Say where in the outputs the text is."""
        chat = self.job.outputs.index("chat")
        return [chat, *self._dialect.text_path(values[chat])]

    def _read(self, values: list[Any]) -> str | None:
        """Read the text out of outputs; None if it is not where it belongs."""
        try:
            text = functools.reduce(operator.getitem, self._text_path(values), values)
        except (LookupError, TypeError, ValueError):
            return None
        return text if isinstance(text, str) else None

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
            assert self._said is not None
            chat, *path = self._text_path(self._said)
            data: list[Any] = [[] for _ in self.job.outputs]
            data[chat] = [["append", path, _MARK]]
            whole = self._message("process_generating", self._generating(data))
            before, _, after = whole.partition(self._dialect.encode(_MARK))
            self._around = before, after
        return self._around
