"""
The lines of the journal.

One JSON object per line, in a shape of our own or in that of OpenAI's batch
output. Both begin with the key ``id``, both are read back.

To go on from a journal, the ids of its answers are wanted, a million of them,
and the answers are not. So a line of exactly the form in which ``write_record``
writes an answer is told by patterns, in less than half the time. They take
nothing that ``read_record`` would not take, and tell what it would; all else,
such as what somebody edited, is left to that.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any

from ..protocol.model import MODEL
from ..reply import Timings
from .result import Result

__all__ = ["Record", "answered_id", "is_torn", "read_outcome", "read_record", "write_record"]

# How every line begins; what a torn one is known by, with what comes behind the id, or
# its first part.
_OPENING = b'{"id": "'
_TORN = re.compile(rb'\{"id": "[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)')
_SECOND_KEYS = (b', "answer": ', b', "custom_id": ')

# Seconds beyond it, 30,000 years, nothing took.
_MOST_SECONDS = 1e12

# What is written as JSON's escapes: lone surrogates, which UTF-8 cannot say;
# what ends a line for some readers; and what a terminal would obey.
_ESCAPED = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

# A JSON string without escapes; a number as seconds are written.
_PLAIN = r'[^"\\\x00-\x1f]*'
_SECONDS = r"(?:(?!0[0-9])[0-9]{1,12}\.[0-9]{1,6}|null)"

# What stands around the answer, which JSON's own decoder reads from its quote on. A
# pattern takes four times as long as a comparison for what is always the same.
_HEAD = re.compile(rf'\{{"id": "({_PLAIN})"')
_OWN_MIDDLE = ', "answer": "'
_OWN_TIMES = ', "error": null, "seconds": {"queue": '
_OWN_TAIL = re.compile(
    rf'{_SECONDS}, "first_token": {_SECONDS}, "total": {_SECONDS}\}}, "tries": [1-9][0-9]{{0,8}}\}}\n'
)
_OPENAI_MIDDLE = re.compile(
    rf', "custom_id": "({_PLAIN})", "response": \{{"status_code": 200, '
    rf'"request_id": "{_PLAIN}", "body": \{{"id": "{_PLAIN}", '
    r'"object": "chat\.completion", "created": [1-9][0-9]{0,14}, '
)
_OPENAI_CHOICE = (
    f'"model": "{MODEL}", "choices": [{{"index": 0, "message": {{"role": "assistant", "content": "'
)
_OPENAI_TAIL = '}, "finish_reason": "stop"}]}}, "error": null}\n'

_DECODER = json.JSONDecoder()

# It takes numbers of any length.
_PATIENT = json.JSONDecoder(parse_int=str)


@dataclass(frozen=True, slots=True)
class Record:
    """
    What a line says.

    Args:
        id: The item's id.
        answer: Its answer; ``None`` if it failed.
        timings: How long that took; ``None`` if the line does not say.
    """

    id: str
    answer: str | None
    timings: Timings | None = None


def write_record(result: Result, *, openai: bool) -> bytes:
    """
    Write a line.

    Args:
        result: What became of the item.
        openai: Whether to use the shape of OpenAI's batch output.

    Returns:
        The line, with its end.
    """
    record = _openai_record(result) if openai else _own_record(result)
    return _ESCAPED.sub(_escape, json.dumps(record, ensure_ascii=False)).encode() + b"\n"


def read_record(line: bytes) -> Record | None:
    """
    Read a line of either shape.

    Args:
        line: The line.

    Returns:
        What it says; ``None`` if it is no line of ours.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    if "custom_id" in record:
        answer = _openai_answer(record)
        name, timings = record["custom_id"], None
    else:
        if "answer" not in record or "error" not in record:
            return None
        answer = record["answer"]
        name, timings = record.get("id"), _timings(record.get("seconds"))
    if not isinstance(name, str) or not isinstance(answer, str | None):
        return None
    return Record(name, answer, timings)


def answered_id(line: bytes) -> str | None:
    """
    Tell the id of a line with an answer, quickly and without reading that.

    Args:
        line: The line, with its end.

    Returns:
        What ``read_record`` would give as its id; ``None`` if only that can tell.
    """
    try:
        # Lone surrogates pass, as in ``json.loads``.
        text = line.decode("utf-8", "surrogatepass")
        head = _HEAD.match(text)
        if head is None:
            return None
        place = head.end()
        if text.startswith(_OWN_MIDDLE, place):
            _, place = _DECODER.raw_decode(text, place + len(_OWN_MIDDLE) - 1)
            is_whole = text.startswith(_OWN_TIMES, place) and bool(
                _OWN_TAIL.fullmatch(text, place + len(_OWN_TIMES))
            )
            return head[1] if is_whole else None
        head = _OPENAI_MIDDLE.match(text, place)
        if head is None or not text.startswith(_OPENAI_CHOICE, head.end()):
            return None
        _, place = _DECODER.raw_decode(text, head.end() + len(_OPENAI_CHOICE) - 1)
        return head[1] if text[place:] == _OPENAI_TAIL else None
    except ValueError:
        return None


def read_outcome(line: bytes) -> tuple[str, bool] | None:
    """
    Tell the id of a line of either shape, and whether it has an answer.

    Args:
        line: The line.

    Returns:
        Both; ``None`` if it is no line of ours.
    """
    name = answered_id(line)
    if name is not None:
        return name, True
    record = read_record(line)
    return None if record is None else (record.id, record.answer is not None)


def is_torn(tail: bytes) -> bool:
    """
    Tell whether the end of a file may be the beginning of a line of ours.

    Args:
        tail: What comes after the last whole line.
    """
    # A power cut may leave zeros where the line was to be.
    tail = tail.rstrip(b"\0")
    if _OPENING.startswith(tail):
        return True
    found = _TORN.match(tail)
    if found is None or b"\r" in tail:
        return False
    rest = tail[found.end() :]
    if not any(rest.startswith(key) or key.startswith(rest) for key in _SECOND_KEYS):
        return False
    # What is whole is no beginning: it is somebody's, and whatever stands behind it, too.
    try:
        _PATIENT.raw_decode(tail.decode("utf-8", "replace"))
    except RecursionError:
        # Ours are not deep.
        return False
    except ValueError:
        return True
    return False


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _own_record(result: Result) -> dict[str, Any]:
    record: dict[str, Any] = {"id": result.id, "answer": None, "error": None}
    if result.reply is not None:
        record["answer"] = str(result.reply)
        timings = result.reply.timings
        if timings is not None:
            record["seconds"] = {
                "queue": _rounded(timings.queue),
                "first_token": _rounded(timings.first_token),
                "total": _rounded(timings.total),
            }
    else:
        error = result.error
        record["error"] = {
            "type": type(error).__name__,
            "message": str(error),
            "partial": getattr(error, "partial", ""),
        }
    record["tries"] = result.tries
    return record


def _openai_record(result: Result) -> dict[str, Any]:
    # The fields of https://platform.openai.com/docs/api-reference/batch/request-output
    # and of a chat completion. The Space counts no tokens, so there is no usage.
    record: dict[str, Any] = {
        "id": f"batch_req_{result.id}",
        "custom_id": result.id,
        "response": None,
        "error": None,
    }
    if result.reply is not None:
        message = {"role": "assistant", "content": str(result.reply)}
        record["response"] = {
            "status_code": 200,
            "request_id": f"req_{result.id}",
            "body": {
                "id": f"chatcmpl-{result.id}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": MODEL,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            },
        }
    else:
        record["error"] = {"code": type(result.error).__name__, "message": str(result.error)}
    return record


def _openai_answer(record: dict[str, Any]) -> Any:
    try:
        return record["response"]["body"]["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return None


def _timings(seconds: Any) -> Timings | None:
    if not isinstance(seconds, dict):
        return None
    total = _number(seconds.get("total"))
    if total is None:
        return None
    return Timings(_number(seconds.get("queue")), _number(seconds.get("first_token")), total)


def _number(value: Any) -> float | None:
    """Read seconds; ``None`` for what is no time, such as infinity."""
    return value if type(value) in (int, float) and 0 <= value <= _MOST_SECONDS else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
