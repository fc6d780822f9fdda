"""
The sans-I/O state machine of one queued job: payloads out, server messages in, events out.

A job is one function of the Space that was asked to run. It does no I/O and
knows no clock; all of its state is here.

===========  ==========================  =======================================
state        entered by                  a server message then
===========  ==========================  =======================================
created      construction                ``send_data`` (``sse`` only)
joined       ``receive_join``            ``estimation``, ``process_starts``
running      ``process_starts`` or the   ``process_generating``, ``progress``,
             first output                ``log``, ``process_completed``
done         ``process_completed`` with  anything; ignored
             ``success: true``
===========  ==========================  =======================================

A failure raises, and the job is not used again. Only ``process_completed`` of
this very job is success: a stream that ends before it was cut.

Unknown messages and unknown fields are ignored, since the protocol grows.

How the answer changes in what the messages bring is told by ``Shown``.

Above 300 lines: one state machine, whose states would not be clearer apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..errors import (
    GenerationFailed,
    InvalidDiff,
    InvalidServerMessage,
    QueueFull,
    Qwen72BError,
    SpaceUnavailable,
    StreamInterrupted,
)
from ..events import (
    Attachment,
    Event,
    Finished,
    Logged,
    Progress,
    Queued,
    Started,
    Thought,
)
from ..privacy.masking import mask
from .joberror import MAX_WORDS, job_error
from .jsontext import NotJSON, TooManyValues, read_json
from .plan import Plan, Step
from .reading import ChatReader, TextReader
from .shown import Shown
from .surrogates import replace_surrogates

__all__ = ["Job"]

# Numbers beyond it are none that a queue or a progress bar has, and many of
# them fit in no float. JavaScript, which counts in floats, has it too.
_MOST = 2**53

# Progress bars that an app shows at once.
_MOST_BARS = 100

# Seconds beyond which an estimate says nothing: some 30 years.
_MOST_SECONDS = 1e9


class Job:
    """
    One function of a Space on its way through the queue.

    Args:
        plan: The plan that it is part of.
        step: The function.
        data: Its arguments.
        session_hash: The random token that ties the join to the stream.
        reader: Who finds the answer in what the plan's last step gives; ``None``
            for a step before, whose ``outputs`` are for the steps after it.
        check: Called now and then where a message takes long; may raise to stop.
    """

    def __init__(
        self,
        plan: Plan,
        step: Step,
        data: list[Any],
        *,
        session_hash: str,
        reader: ChatReader | TextReader | None = None,
        check: Callable[[], object] | None = None,
    ) -> None:
        self.session_hash = session_hash
        self.joined = False
        self.started = False
        self.done = False
        # Messages that were no JSON object; the shell logs them.
        self.skipped = 0
        # Under ``sse``: the data that the server has asked for.
        self.upload: dict[str, Any] | None = None
        # What a step before the last gave in the end, one for each output.
        self.outputs: list[Any] = []
        # What the Space last told its user (gr.Warning, gr.Info).
        self.told = ""
        # Whether it failed in a way that a changed Space would: without a word.
        self.unclear = False
        # Whether its stream knew no such session from the start, as another
        # replica's does not (gradio 9070, 10487).
        self.astray = False
        # Whether its app said that it cannot answer for now.
        self.refused = False
        self._heard = False
        self._plan = plan
        #: The body of the join: the JSON object that a browser posts (gradio
        #: ``data_classes.py``, ``PredictBody``).
        self.payload: dict[str, Any] = {
            "data": data,
            "event_data": None,
            "fn_index": step.fn_index,
            "trigger_id": step.trigger_id,
            "session_hash": session_hash,
        }
        #: The query of the stream's GET.
        self.query = {"session_hash": session_hash}
        if plan.protocol.stream_first:
            self.query = {"fn_index": str(step.fn_index), **self.query}
        self._position = 0 if reader is None else plan.output
        self._shown = None if reader is None else Shown(reader, chat=plan.chat, check=check)
        self._event_id: str | None = None
        self._folding = False

    @property
    def text(self) -> str:
        """The answer so far."""
        return "" if self._shown is None else self._shown.text

    @property
    def thoughts(self) -> tuple[Thought, ...]:
        """The thoughts of the answer so far, as last read."""
        return () if self._shown is None else self._shown.answer.thoughts

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The files of the answer so far."""
        return () if self._shown is None else self._shown.answer.attachments

    @property
    def has_text(self) -> bool:
        """Whether any of the answer has come."""
        return self._shown is not None and self._shown.has_text

    def receive_join(self, text: str) -> None:
        """
        Take the body of the join's answer, ``{"event_id": ...}``.

        Args:
            text: JSON text.

        Raises:
            InvalidServerMessage: If it names no event.
        """
        try:
            answer = read_json(text)
        except NotJSON as exc:
            raise InvalidServerMessage(
                f"the Space's answer to the join is not JSON: {exc}."
            ) from exc
        event_id = answer.get("event_id") if isinstance(answer, dict) else None
        if not isinstance(event_id, str) or not event_id:
            raise InvalidServerMessage("the Space's answer to the join names no event_id.")
        self._event_id = event_id
        self.joined = True

    def receive_data(self, data: str) -> list[Event]:
        """
        Take the data of one SSE event.

        The first ``process_generating`` carries whole outputs. What later ones
        carry is told by the announced protocol, never by the look of the data:
        an edit list and a chat history are both lists of lists.

        Args:
            data: Joined ``data`` lines of one SSE event; JSON text.

        Returns:
            Events in order; empty for heartbeats, unknown messages, messages
            of other jobs, and data that is no JSON object (counted in
            ``skipped``; the final text then comes with the completion).

        Raises:
            GenerationFailed: If the app failed.
            QuotaExceeded: If it failed for want of GPU quota.
            QueueFull: If the queue takes no more, or the app says that it is busy.
            SpaceUnavailable: If the app says that it cannot answer for now.
            StreamInterrupted: If the Space ended the stream too early, or the
                app says that its answer was cut.
            ProtocolError: If a message has an impossible shape.
        """
        try:
            message = read_json(data)
        except TooManyValues as exc:
            raise InvalidServerMessage(f"a message of the Space is too large: {exc}.") from exc
        except NotJSON:
            message = None
        if type(message) is not dict:
            self.skipped += 1
            return []
        if self.done:
            return []
        event_id = message.get("event_id")
        if event_id != self._event_id and event_id is not None and self._event_id is not None:
            return []
        name = message.get("msg")
        handler = self._HANDLERS.get(name) if type(name) is str else None
        if self._shown is not None:
            self._shown.allowance.came += len(data)
        return handler(self, message) if handler else []

    def receive_eof(self) -> None:
        """
        Take the end of the stream.

        Raises:
            StreamInterrupted: If the job was not done.
        """
        if not self.done:
            raise StreamInterrupted(
                "the stream ended before the answer did.",
                hint="The Space or a proxy dropped it; ask again.",
            )

    def _send_data(self, message: dict[str, Any]) -> list[Event]:
        event_id = message.get("event_id")
        if not self._plan.protocol.stream_first or self.joined:
            return []
        if not isinstance(event_id, str) or not event_id:
            raise InvalidServerMessage("the Space's send_data names no event_id.")
        self._event_id = event_id
        self.joined = True
        self.upload = {**self.payload, "event_id": event_id}
        return []

    def _estimation(self, message: dict[str, Any]) -> list[Event]:
        self._heard = True
        rank, size = message.get("rank"), message.get("queue_size")
        return [
            Queued(
                rank if type(rank) is int and 0 <= rank <= _MOST else None,
                size if type(size) is int and 0 <= size <= _MOST else None,
                _seconds(message.get("rank_eta")),
            )
        ]

    def _starts(self, message: dict[str, Any]) -> list[Event]:
        self._heard = True
        return self._start(_seconds(message.get("eta")))

    def _start(self, eta: float | None = None) -> list[Event]:
        # The work on the answer begins with the step that gives it.
        if self.started or self._shown is None:
            return []
        self.started = True
        return [Started(eta)]

    def _generating(self, message: dict[str, Any]) -> list[Event]:
        output = message.get("output")
        if type(output) is not dict:
            output = {}
        if message.get("success") is False or ("error" in output and "data" not in output):
            raise self._failure(message)
        data = output.get("data")
        shown = self._shown
        if shown is None:
            # A step before the answer: what it gives in the end is what counts.
            return []
        if type(data) is not list or len(data) <= self._position:
            raise InvalidServerMessage("a process_generating of the Space has no such output.")
        if not self._folding:
            # From now on edits, if the protocol has them.
            self._folding = self._plan.protocol.edits
            events = shown.take(data[self._position])
        else:
            events = []
            try:
                shown.fold(data[self._position], events)
            except InvalidDiff:
                if not self.skipped:
                    raise
                # An unreadable message may have carried the edits that these
                # build on. The completion has the whole text.
                shown.lose()
        return events if self.started else self._start() + events

    def _failure(self, message: dict[str, Any]) -> Qwen72BError:
        output = message.get("output")
        # "None" is what 4.0 to 4.22 make of a hidden reason.
        self.unclear = not isinstance(output, dict) or output.get("error") in (None, "", "None")
        error = job_error(message)
        self.refused = isinstance(error, (QueueFull, SpaceUnavailable))
        return error

    def _completed(self, message: dict[str, Any]) -> list[Event]:
        output = message.get("output")
        if message.get("success") is not True:
            raise self._failure(message)
        if type(output) is not dict:
            raise InvalidServerMessage("the Space's process_completed has no output.")
        if "data" not in output:
            # Measured on 4.36 to 6.31: success without data is what POST
            # /cancel leaves behind. The answer was cut by somebody else.
            raise GenerationFailed(
                "the Space cancelled the job before its answer was complete.", hint="Ask again."
            )
        data = output["data"]
        shown = self._shown
        if shown is None:
            self.outputs = data if type(data) is list else []
            self.done = True
            return []
        if type(data) is not list or len(data) <= self._position:
            raise InvalidServerMessage("the Space's process_completed has no such output.")
        events = self._start()
        # null: the app's generator yielded nothing more than it had before.
        if data[self._position] is not None:
            events += shown.take(data[self._position], last=True)
        if not shown.answer.given:
            self.unclear = True
            raise GenerationFailed(
                f"the Space gave no answer: {self.told}"
                if self.told
                else "the Space ended without an answer.",
                hint="Ask again.",
            )
        self.done = True
        return [*events, Finished(self.text)]

    def _log(self, message: dict[str, Any]) -> list[Event]:
        text, level, title = message.get("log"), message.get("level"), message.get("title")
        words = mask(replace_surrogates(text)) if isinstance(text, str) else ""
        self.told = words[:MAX_WORDS] or self.told
        return [
            Logged(
                words,
                level if isinstance(level, str) else "info",
                mask(replace_surrogates(title)) if isinstance(title, str) else "",
            )
        ]

    def _progress(self, message: dict[str, Any]) -> list[Event]:
        steps = message.get("progress_data")
        return [
            Progress(
                _number(step.get("index")),
                _number(step.get("length")),
                step["unit"] if isinstance(step.get("unit"), str) else "steps",
                _fraction(step.get("progress")),
                replace_surrogates(step["desc"]) if isinstance(step.get("desc"), str) else "",
            )
            for step in (steps[:_MOST_BARS] if isinstance(steps, list) else [])
            if isinstance(step, dict)
        ]

    def _queue_full(self, message: dict[str, Any]) -> list[Event]:
        raise QueueFull("the Space's queue is full.", hint="Ask again later.")

    def _unexpected_error(self, message: dict[str, Any]) -> list[Event]:
        text = message.get("message")
        words = mask(text[:MAX_WORDS]) if isinstance(text, str) and text else "no reason given"
        lost = message.get("session_not_found") is True or "session not found" in words.lower()
        if lost or words == "Server stopped unexpectedly.":
            self.astray = lost and not self._heard
            raise StreamInterrupted(f"the Space lost the job: {words}", hint="Ask again.")
        raise GenerationFailed(f"the Space's queue failed: {words}")

    def _close_stream(self, message: dict[str, Any]) -> list[Event]:
        raise StreamInterrupted(
            "the Space closed the stream before the answer was complete.", hint="Ask again."
        )

    _HANDLERS: ClassVar[dict[str, Callable[[Job, dict[str, Any]], list[Event]]]] = {
        "send_data": _send_data,
        "estimation": _estimation,
        "process_starts": _starts,
        "process_generating": _generating,
        "process_completed": _completed,
        "log": _log,
        "progress": _progress,
        "queue_full": _queue_full,
        "unexpected_error": _unexpected_error,
        "close_stream": _close_stream,
    }


def _number(value: Any) -> float | None:
    """Read a number that can be counted to; not so infinity, and hundreds of digits."""
    return value if type(value) in (int, float) and 0 <= value <= _MOST else None


def _seconds(value: Any) -> float | None:
    """Read a time that may be waited for; an estimate that is over by now says nothing."""
    possible = type(value) in (int, float) and 0 <= value <= _MOST_SECONDS
    return float(value) if possible else None


def _fraction(value: Any) -> float | None:
    """Read a part of a whole."""
    return value if _number(value) is not None and value <= 1 else None
