"""
The words of OpenAI's API: chunks, whole completions, usage and errors.

The shapes are those of OpenAI's chat completions. What real clients need beyond
the letter: counts in ``usage`` are whole numbers and never null, and an error has a
``type`` and a ``message`` wherever it comes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import count
from time import time
from typing import Any
from uuid import uuid4

from ..errors import (
    AuthenticationError,
    GenerationFailed,
    HTTPStatusError,
    InvalidMessages,
    InvalidRequest,
    ModelNotFound,
    QueueFull,
    QuotaExceeded,
    Qwen72BError,
    RateLimited,
    RequestTimeout,
    SpaceUnavailable,
    StreamInterrupted,
)

__all__ = [
    "DONE",
    "Completion",
    "Refusal",
    "closing",
    "count_tokens",
    "models",
    "refusal",
    "to_json",
]

Headers = list[tuple[bytes, bytes]]

# ``json.dumps`` would make one for each call.
_encode = json.JSONEncoder(separators=(",", ":")).encode

#: What ends a stream that came to its end. After an error there is none: many
#: clients take a stream that merely stops for a success.
DONE = "data: [DONE]\n\n"


def _choice(delta: dict[str, Any], reason: str | None = None) -> str:
    """Write the one choice of a chunk, and the chunk's end."""
    return _encode({"index": 0, "delta": delta, "finish_reason": reason}) + "]}\n\n"


# What is the same in the chunks of all answers.
_OPENING = _choice({"role": "assistant", "content": ""})
_BEFORE_TEXT, _AFTER_TEXT = _choice({"content": 0}).split("0}", 1)
_AFTER_TEXT = "}" + _AFTER_TEXT
_CLOSING = _choice({}, "stop")

# Completions are told apart by the run of the program and their number in it: chance
# is drawn once, not for every request.
_RUN = uuid4().hex[:24]
_numbers = count(1)

# Seconds to wait where the Space refuses for now and does not say how long.
_WAIT = 5

# Bytes of UTF-8 for a token: about right for English (4 characters a token) and
# for Chinese (3 bytes a character, 0.7 tokens a character) in Qwen's vocabulary.
_BYTES_PER_TOKEN = 4


class Refusal(Exception):
    """
    A request that gets an error for an answer.

    Args:
        status: The HTTP status.
        message: What is wrong, for people.
        kind: OpenAI's ``type`` of the error.
        code: The error's name, for programs.
        param: The part of the request that is at fault, if one is.
        retry_after: Seconds to wait before asking again, if known.
        final: Whether asking again at once is useless: the Space was asked
            again here already, or would say the same.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        final: bool = False,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers: Headers = list(headers)
        if retry_after is not None:
            self.headers.append((b"retry-after", b"%d" % math.ceil(retry_after)))
        if final:
            self.headers.append((b"x-should-retry", b"false"))
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}

    def to_event(self) -> bytes:
        """Return the error as an event of a stream that has begun."""
        return b"data: " + to_json(self.body) + b"\n\n"


# What each error is in HTTP: status, OpenAI's type, our code. The first that fits
# counts. A Space that wants a login from the gateway is no 401: it is not the
# client's key that is wrong.
_TABLE: tuple[tuple[type[Qwen72BError], int, str, str | None], ...] = (
    (ModelNotFound, 404, "invalid_request_error", "model_not_found"),
    (InvalidRequest, 400, "invalid_request_error", None),
    (QueueFull, 429, "rate_limit_error", "queue_full"),
    (RateLimited, 429, "rate_limit_error", "rate_limit_exceeded"),
    (QuotaExceeded, 429, "insufficient_quota", "insufficient_quota"),
    (SpaceUnavailable, 503, "server_error", "space_unavailable"),
    (GenerationFailed, 502, "server_error", "generation_failed"),
    (RequestTimeout, 504, "server_error", "timeout"),
    (AuthenticationError, 502, "server_error", "space_authentication"),
    (StreamInterrupted, 502, "server_error", "interrupted"),
    (Qwen72BError, 502, "server_error", "space_error"),
)


def refusal(error: Qwen72BError) -> Refusal:
    """
    Tell what an error of the client is in this API.

    Args:
        error: What asking the Space raised.

    Returns:
        The answer to give. Hints are left out where they speak of the
        gateway's own settings, which are not its client's.
    """
    if type(error) is InvalidRequest:
        # Not what was asked is wrong, but when: the client behind the gateway is closed.
        return closing()
    status, kind, code = next(row[1:] for row in _TABLE if isinstance(error, row[0]))
    if isinstance(error, HTTPStatusError) and error.status_code in (502, 503, 504):
        status = 503
    wait = error.retry_after
    if wait is None and isinstance(error, (QueueFull, RateLimited)):
        wait = _WAIT
    return Refusal(
        status,
        str(error) if isinstance(error, InvalidRequest) else error.reason,
        kind=kind,
        code=code,
        param="messages" if isinstance(error, InvalidMessages) else None,
        retry_after=wait,
        # A cut is the one failure that was not tried again here and may pass.
        final=not isinstance(error, (InvalidRequest, StreamInterrupted)),
    )


def closing() -> Refusal:
    """Tell that there is no gateway any more."""
    return Refusal(503, "the gateway is shutting down.", kind="server_error", code="closed")


class Completion:
    """
    The answer to one request, in OpenAI's shapes.

    Args:
        model: The model's name.
    """

    def __init__(self, model: str) -> None:
        self._id = f"chatcmpl-{_RUN}{next(_numbers):08x}"
        self._created = int(time())
        self._model = model
        # What all chunks begin with.
        self._before = f"data: {_encode(self._head('chat.completion.chunk', []))[:-2]}"
        self._before_text = self._before + _BEFORE_TEXT

    def opening(self) -> str:
        """Return the chunk that says who speaks."""
        return self._before + _OPENING

    def piece(self, text: str) -> str:
        """
        Return the chunk of a piece of text.

        Args:
            text: The text.
        """
        return self._before_text + _encode(text) + _AFTER_TEXT

    def closing(self, usage: dict[str, int] | None) -> str:
        """
        Return what ends a stream.

        Args:
            usage: The counts, if they were asked for.
        """
        counts = "" if usage is None else f'{self._before}],"usage":{_encode(usage)}}}\n\n'
        return self._before + _CLOSING + counts + DONE

    def whole(self, text: str, usage: dict[str, int]) -> bytes:
        """
        Return the completion of an answer that is not streamed.

        Args:
            text: The answer.
            usage: The counts.
        """
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return to_json(self._head("chat.completion", [choice]) | {"usage": usage})

    def _head(self, kind: str, choices: list[Any]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


def count_tokens(text: str) -> int:
    """
    Estimate the tokens of a text.

    A Space does not count them, and a tokenizer would cost more than the rest of
    the gateway.

    Args:
        text: The text.

    Returns:
        A quarter of its bytes in UTF-8, rounded up.
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)


def models(names: Iterable[str]) -> list[dict[str, Any]]:
    """
    Describe models.

    Args:
        names: Their names.
    """
    return [
        {"id": name, "object": "model", "created": 0, "owned_by": "gradio-space"} for name in names
    ]


def to_json(value: Any) -> bytes:
    """
    Write JSON, without blanks and in ASCII, so that even half a surrogate pair can be sent.

    Args:
        value: What to write.
    """
    return _encode(value).encode()
