"""
What is said in a queue? ``Job``: payloads out, server messages in, events out.

A job is one question to the Space. It does no I/O and knows no clock; all of
its state is here.

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
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from ..errors import (
    GenerationFailed,
    InvalidDiff,
    InvalidOption,
    InvalidServerMessage,
    QueueFull,
    QuotaExceeded,
    Qwen72BError,
    StreamInterrupted,
)
from ..events import Delta, Event, Finished, Logged, Progress, Queued, Revised, Started
from ..messages import Prompt
from .chat import Answer, encode_history, find_answer
from .config import Endpoint
from .diff import apply_edits
from .jsontext import NotJSON, read_json
from .textbuffer import Growing

__all__ = ["Job", "failure"]

_SURROGATES = re.compile("[\ud800-\udfff]")


class Job:
    """
    One question on its way through a Space's queue.

    Args:
        endpoint: The Space's chat function.
        prompt: The question.
        session_hash: The random token that ties the join to the stream.

    Raises:
        InvalidOption: If the prompt has a system text and the Space takes none.
    """

    def __init__(self, endpoint: Endpoint, prompt: Prompt, *, session_hash: str) -> None:
        if prompt.system is not None and endpoint.system is None:
            raise InvalidOption(
                "this Space takes no system text.", hint="Leave the system message out."
            )
        self.session_hash = session_hash
        self.joined = False
        self.started = False
        self.done = False
        # Messages that were no JSON object; the shell logs them.
        self.skipped = 0
        # Under ``sse``: the data that the server has asked for.
        self.upload: dict[str, Any] | None = None
        self._endpoint = endpoint
        self._position = endpoint.output
        self._sent = encode_history(prompt.history, endpoint.chat_format)
        self._data = list(endpoint.inputs)
        self._data[endpoint.query] = prompt.query
        self._data[endpoint.history] = self._sent
        if endpoint.system is not None and prompt.system is not None:
            self._data[endpoint.system] = prompt.system
        self._event_id: str | None = None
        self._text = Growing()
        # The chatbot's last value. Text appended since then to the answer is
        # in ``_text`` only, until another edit needs it here (``_behind``).
        self._value: Any = None
        self._behind = False
        self._answer = Answer("")
        self._folding = False

    @property
    def text(self) -> str:
        """The answer so far."""
        return _printable(str(self._text))

    @property
    def has_text(self) -> bool:
        """Whether any of the answer has come."""
        return bool(self._text)

    def join_payload(self) -> dict[str, Any]:
        """
        Write the body of the join.

        Returns:
            The JSON object that a browser posts (gradio ``data_classes.py``,
            ``PredictBody``).
        """
        return {
            "data": self._data,
            "event_data": None,
            "fn_index": self._endpoint.fn_index,
            "trigger_id": self._endpoint.trigger_id,
            "session_hash": self.session_hash,
        }

    def stream_query(self) -> dict[str, str]:
        """
        Write the query of the stream's GET.

        Returns:
            Its parameters.
        """
        if self._endpoint.protocol.stream_first:
            return {"fn_index": str(self._endpoint.fn_index), "session_hash": self.session_hash}
        return {"session_hash": self.session_hash}

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
            QueueFull: If the queue takes no more.
            StreamInterrupted: If the Space ended the stream too early.
            ProtocolError: If a message has an impossible shape.
        """
        try:
            message = read_json(data)
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
        if not self._endpoint.protocol.stream_first or self.joined:
            return []
        if not isinstance(event_id, str) or not event_id:
            raise InvalidServerMessage("the Space's send_data names no event_id.")
        self._event_id = event_id
        self.joined = True
        self.upload = {**self.join_payload(), "event_id": event_id}
        return []

    def _estimation(self, message: dict[str, Any]) -> list[Event]:
        rank, size = message.get("rank"), message.get("queue_size")
        return [
            Queued(
                rank if type(rank) is int else None,
                size if type(size) is int else None,
                _seconds(message.get("rank_eta")),
            )
        ]

    def _starts(self, message: dict[str, Any]) -> list[Event]:
        return self._start(_seconds(message.get("eta")))

    def _start(self, eta: float | None = None) -> list[Event]:
        if self.started:
            return []
        self.started = True
        return [Started(eta)]

    def _generating(self, message: dict[str, Any]) -> list[Event]:
        output = message.get("output")
        if type(output) is not dict:
            output = {}
        if message.get("success") is False or ("error" in output and "data" not in output):
            raise failure(message)
        data = output.get("data")
        if type(data) is not list or len(data) <= self._position:
            raise InvalidServerMessage("a process_generating of the Space has no such output.")
        if not self._folding:
            # From now on edits, if the protocol has them.
            self._folding = self._endpoint.protocol.edits
            events = self._take(data[self._position])
        else:
            try:
                events = self._fold(data[self._position])
            except InvalidDiff:
                if not self.skipped:
                    raise
                # An unreadable message may have carried the edits that these
                # build on. The completion has the whole text.
                events = []
        return events if self.started else self._start() + events

    def _fold(self, edits: Any) -> list[Event]:
        """Apply the chatbot's edits; text that extends the answer is the common case."""
        if type(edits) is list and len(edits) == 1:
            edit = edits[0]
            if (
                type(edit) is list
                and len(edit) == 3
                and edit[0] == "append"
                and edit[1] == self._answer.path
                and type(edit[2]) is str
            ):
                self._behind = True
                return self._extend(edit[2])
        if edits == []:
            return []
        if type(edits) is list and not any(map(self._concerns_answer, edits)):
            self._value = apply_edits(self._value, edits)
            return []
        if self._behind:
            self._value = apply_edits(self._value, [["replace", self._answer.path, self._last()]])
        return self._take(apply_edits(self._value, edits))

    def _concerns_answer(self, edit: Any) -> bool:
        """Tell whether an edit can change what the answer is or where it stands."""
        root = self._answer.root
        path = edit[1] if type(edit) is list and len(edit) > 1 else None
        if root is None or type(path) is not list or len(path) < len(root):
            return True
        return bool(path[: len(root)] == root or path[len(root) - 1] == "role")

    def _take(self, value: Any) -> list[Event]:
        """Take the chatbot's whole value and tell how the answer changed."""
        if value is not None and type(value) not in (list, dict):
            raise InvalidServerMessage("what the Space sent as its chat is no list of turns.")
        self._value, self._behind = value, False
        self._answer = find_answer(value, self._sent)
        new = self._answer.text
        old = str(self._text)
        if new == old:
            # In one piece, and the same as in the value.
            self._text = Growing(new)
            return []
        if new.startswith(old):
            return self._extend(new[len(old) :])
        offset = _shared_length(old, new)
        self._text = Growing(new)
        return [Revised(_printable(new[offset:]), offset)]

    def _last(self) -> str:
        """Return the present text at the answer's path."""
        target = self._value
        for key in self._answer.path or ():
            target = target[key]
        return str(target) + str(self._text)[len(self._answer.text) :]

    def _extend(self, text: str) -> list[Event]:
        if not text:
            return []
        self._text.add(text)
        return [Delta(_printable(text))]

    def _completed(self, message: dict[str, Any]) -> list[Event]:
        output = message.get("output")
        if message.get("success") is not True:
            raise failure(message)
        if type(output) is not dict:
            raise InvalidServerMessage("the Space's process_completed has no output.")
        if "data" not in output:
            # Measured on 4.36 to 6.31: success without data is what POST
            # /cancel leaves behind. The answer was cut by somebody else.
            raise GenerationFailed(
                "the Space cancelled the job before its answer was complete.", hint="Ask again."
            )
        data = output["data"]
        if type(data) is not list or len(data) <= self._position:
            raise InvalidServerMessage("the Space's process_completed has no such output.")
        events = self._start()
        # null: the app's generator yielded nothing more than it had before.
        if data[self._position] is not None:
            events += self._take(data[self._position])
        self.done = True
        return [*events, Finished(self.text)]

    def _log(self, message: dict[str, Any]) -> list[Event]:
        text, level, title = message.get("log"), message.get("level"), message.get("title")
        return [
            Logged(
                _printable(text) if isinstance(text, str) else "",
                level if isinstance(level, str) else "info",
                _printable(title) if isinstance(title, str) else "",
            )
        ]

    def _progress(self, message: dict[str, Any]) -> list[Event]:
        steps = message.get("progress_data")
        return [
            Progress(
                _number(step.get("index")),
                _number(step.get("length")),
                step["unit"] if isinstance(step.get("unit"), str) else "steps",
                _number(step.get("progress")),
                _printable(step["desc"]) if isinstance(step.get("desc"), str) else "",
            )
            for step in (steps if isinstance(steps, list) else [])
            if isinstance(step, dict)
        ]

    def _queue_full(self, message: dict[str, Any]) -> list[Event]:
        raise QueueFull("the Space's queue is full.", hint="Ask again later.")

    def _unexpected_error(self, message: dict[str, Any]) -> list[Event]:
        text = message.get("message")
        words = text if isinstance(text, str) and text else "no reason given"
        lost = message.get("session_not_found") is True or "session not found" in words.lower()
        if lost or words == "Server stopped unexpectedly.":
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


def failure(message: dict[str, Any]) -> Qwen72BError:
    """
    Tell why a job failed.

    Gradio's default hides the reason of a plain exception (``error: null``);
    ``gr.Error`` shows it, up to 5.24 as a Python literal with its quotes.

    Args:
        message: A server message with ``success: false``.

    Returns:
        The error to raise.
    """
    output = message.get("output")
    fields = output if isinstance(output, dict) else {}
    title = fields.get("title", message.get("title"))
    title = title if isinstance(title, str) else None
    words = fields.get("error")
    words = _printable(_unquoted(words)) if isinstance(words, str) else ""
    # "None" is what 4.0 to 4.19 make of a hidden reason.
    if words.strip() in ("", "None"):
        return GenerationFailed(
            "the Space's app failed and hid the reason.",
            title=title,
            hint="Ask again, or shorten the chat; the Space's owner sees the reason in its log.",
        )
    if re.search(r"\bquota\b", words, re.IGNORECASE):
        return QuotaExceeded(
            words,
            retry_after=_wait(words),
            hint="Wait, or pass the token of an account with quota left.",
        )
    return GenerationFailed(words, title=title)


def _unquoted(words: str) -> str:
    """Undo the ``repr`` that Gradio up to 5.24 sends a ``gr.Error`` as."""
    if len(words) < 2 or words[0] != words[-1] or words[0] not in "'\"":
        return words
    from ast import literal_eval

    try:
        value = literal_eval(words)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return words[1:-1]
    return value if isinstance(value, str) else words[1:-1]


# "Try again in 0:05:23", "... in 1 day, 2:03:04": a Python timedelta (spaces'
# zero client); or a number with its unit.
_TIMEDELTA = re.compile(r"\b(?:in|after)\s+(?:(\d{1,4}) days?, )?(\d{1,4}):(\d\d):(\d\d)")
_COUNT = re.compile(r"\b(?:in|after)\s+(\d{1,6}(?:\.\d+)?)\s*(s|m|h)(?:ec|in|our|r|\b)")


def _wait(words: str) -> float | None:
    """Read the seconds to wait from a quota message."""
    if match := _TIMEDELTA.search(words):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    if match := _COUNT.search(words):
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
    return None


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) else None


def _seconds(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else float(number)


def _printable(text: str) -> str:
    """
    Replace lone surrogates, which no file or terminal takes.

    One character for one, so that offsets stay right.
    """
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _shared_length(old: str, new: str) -> int:
    """Count the characters that two texts begin with alike; by halves, so that C compares."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
