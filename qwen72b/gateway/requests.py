"""
What a client asks: the body of ``POST /chat/completions``, read and checked.

What a Space can do is done, what changes nothing but the style of an answer is
left out, and what would change what the answer *is* (JSON modes, required tools,
several answers, images) is refused: it would be silently wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ..protocol.jsontext import TooManyValues, check_structure
from .answers import Refusal, count_tokens

__all__ = ["ChatRequest", "read_chat_request"]

# As many as OpenAI takes; longer ones than this are no stop sequences.
_MOST_STOPS = 4
_LONGEST_STOP = 256

# What is read here; all else is ignored by its name.
_READ = frozenset(
    {
        "audio",
        "function_call",
        "logprobs",
        "messages",
        "modalities",
        "model",
        "n",
        "response_format",
        "stop",
        "stream",
        "stream_options",
        "tool_choice",
        "top_logprobs",
    }
)

_ROLES = {"system", "developer", "user", "assistant", "tool", "function"}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """
    What a client asks for.

    Args:
        messages: The chat as role dicts that ``AsyncClient.stream`` takes.
        model: The model's name; ``None`` for whichever there is.
        stream: Whether the answer comes in pieces.
        include_usage: Whether a streamed answer ends with the counts.
        stops: Text that ends the answer.
        sampling: ``temperature``, ``top_p`` and ``max_tokens``, where given.
        ignored: Names of what was given and is not read.
    """

    messages: list[dict[str, Any]]
    model: str | None = None
    stream: bool = False
    include_usage: bool = False
    stops: tuple[str, ...] = ()
    sampling: dict[str, float] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def count_tokens(self) -> int:
        """Estimate the tokens of the messages."""
        return sum(
            count_tokens(part)
            for message in self.messages
            for part in _texts_of(message["content"])
        )


def read_chat_request(body: bytes) -> ChatRequest:
    """
    Read the body of a request.

    Args:
        body: JSON in UTF-8.

    Returns:
        What is asked for.

    Raises:
        Refusal: If it is malformed, or asks for what a Space cannot do.
    """
    fields = _Fields(_parse(body))
    _refuse_unsupported(fields)
    options = _Fields(fields.get("stream_options", dict, "an object") or {}, "stream_options.")
    return ChatRequest(
        messages=_read_messages(fields.values.get("messages")),
        model=fields.get("model", str, "a string"),
        stream=fields.get("stream", bool, "a boolean") or False,
        include_usage=options.get("include_usage", bool, "a boolean") or False,
        stops=_read_stops(fields.values.get("stop")),
        sampling=_read_sampling(fields),
        ignored=tuple(
            name
            for name, value in fields.values.items()
            if value and name not in _READ and name not in fields.taken
        ),
    )


class _Fields:
    """
    The members of a JSON object, each with its type.

    Args:
        values: The object.
        place: What its members' names begin with in errors.
    """

    def __init__(self, values: dict[str, Any], place: str = "") -> None:
        self.values = values
        self.taken: set[str] = set()
        self._place = place

    def get(self, name: str, kind: type, what: str) -> Any:
        """Give a member; ``None`` if it is missing or null."""
        value = self.values.get(name)
        if value is None or type(value) is kind:
            return value
        _refuse(f"{self._place}{name}", f"must be {what}.")

    def number(self, name: str, fits: Callable[[float], bool], what: str) -> Any:
        """Give a number."""
        self.taken.add(name)
        value = self.values.get(name)
        if value is None or (type(value) in (int, float) and fits(value)):
            return value
        _refuse(f"{self._place}{name}", f"must be {what}.")


def _refuse(param: str, words: str, code: str = "invalid_value") -> NoReturn:
    raise Refusal(400, f"{param} {words}", param=param, code=code)


def _unsupported(param: str, words: str) -> NoReturn:
    _refuse(param, f"{words}: a Space cannot do that.", "unsupported_value")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8-sig", "surrogatepass")
        check_structure(text)
        value = json.loads(text)
    except TooManyValues as exc:
        raise Refusal(400, f"the body is refused: {exc}.", code="invalid_json") from exc
    except ValueError as exc:
        raise Refusal(400, "the body is no JSON.", code="invalid_json") from exc
    if not isinstance(value, dict):
        raise Refusal(400, "the body is no JSON object.", code="invalid_json")
    return value


def _refuse_unsupported(fields: _Fields) -> None:
    """Refuse what would make the answer another thing than was asked for."""
    values = fields.values
    if fields.number("n", lambda n: n >= 1, "a count of at least 1") not in (None, 1):
        _unsupported("n", "is more than 1")
    for name in ("logprobs", "top_logprobs"):
        if values.get(name):
            _unsupported(name, "asks for probabilities")
    choice = values.get("tool_choice")
    if choice not in (None, "auto", "none"):
        _unsupported("tool_choice", "wants a tool to be called")
    if values.get("function_call") not in (None, "auto", "none"):
        _unsupported("function_call", "wants a function to be called")
    form = fields.get("response_format", dict, "an object") or {}
    if form.get("type", "text") != "text":
        _unsupported("response_format", "wants another form than text")
    if values.get("audio"):
        _unsupported("audio", "wants more than text")
    if values.get("modalities") not in (None, ["text"]):
        _unsupported("modalities", "wants more than text")


def _read_sampling(fields: _Fields) -> dict[str, float]:
    def positive(value: float) -> bool:
        return type(value) is int and value >= 1

    count = "a whole number of at least 1"
    longest = fields.number("max_completion_tokens", positive, count)
    given = {
        "temperature": fields.number(
            "temperature", lambda value: 0 <= value <= 2, "a number from 0 to 2"
        ),
        "top_p": fields.number("top_p", lambda value: 0 <= value <= 1, "a number from 0 to 1"),
        # The newer name of the same counts where both are given.
        "max_tokens": fields.number("max_tokens", positive, count) if longest is None else longest,
    }
    return {name: value for name, value in given.items() if value is not None}


def _read_stops(value: object) -> tuple[str, ...]:
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        _refuse("stop", "must be a string or an array of strings.")
    if len(stops) > _MOST_STOPS or not all(0 < len(stop) <= _LONGEST_STOP for stop in stops):
        _refuse(
            "stop", f"may be {_MOST_STOPS} strings of 1 to {_LONGEST_STOP} characters each at most."
        )
    return tuple(stops)


def _read_messages(value: object) -> list[dict[str, Any]]:
    """
    Read the chat.

    An agent's history may hold calls of tools and their results, from another
    model. A Space's history has text alone: a message that is nothing but calls
    is left out, and a result is something that the user says.
    """
    if not isinstance(value, list) or not value:
        _refuse("messages", "must be an array of messages, and not empty.")
    messages = []
    for index, message in enumerate(value):
        place = f"messages[{index}]"
        if not isinstance(message, Mapping):
            _refuse(place, "must be an object.")
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            _refuse(f"{place}.role", f"must be one of {', '.join(sorted(_ROLES))}.")
        content = _read_content(message.get("content"), role, f"{place}.content")
        if content is not None:
            role = "user" if role in ("tool", "function") else role
            messages.append({"role": role, "content": content})
    return messages


def _read_content(content: object, role: str, place: str) -> str | list[dict[str, str]] | None:
    if isinstance(content, str) or (content is None and role == "assistant"):
        return content
    if not isinstance(content, list):
        _refuse(place, "must be a string or an array of parts.")
    return [_read_part(part, f"{place}[{index}]") for index, part in enumerate(content)]


def _read_part(part: object, place: str) -> dict[str, str]:
    if not isinstance(part, Mapping):
        _refuse(place, "must be an object.")
    kind = part.get("type")
    if kind not in ("text", "refusal"):
        _unsupported(place, "is no text")
    text = part.get(kind)
    if not isinstance(text, str):
        _refuse(f"{place}.{kind}", "must be a string.")
    return {"type": "text", "text": text}


def _texts_of(content: str | list[dict[str, str]]) -> list[str]:
    return [content] if isinstance(content, str) else [part["text"] for part in content]
