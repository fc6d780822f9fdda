"""completions: what an OpenAI-compatible server says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwen72b.errors import (
    GenerationFailed,
    HTTPStatusError,
    Qwen72BError,
    RateLimited,
    SpaceUnavailable,
)
from qwen72b.local.completions import Piece, read_piece, refused
from qwen72b.protocol.failure import Refusal


def failed(chunk: Any) -> Qwen72BError:
    with pytest.raises(Qwen72BError) as caught:
        read_piece(json.dumps(chunk))
    return caught.value


BUSY: list[Any] = [
    {"error": {"message": "Slow down", "code": 429}},
    {"error": {"message": "Slow down", "code": "429", "type": "throttling_error"}},
    {"error": {"message": "Slow down", "code": 529}},
    {"error": {"message": "Slow down", "type": "rate_limit_error"}},
    {"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}},
    {"error": {"message": "Slow down", "type": "overloaded_error"}, "type": "error"},
    {"error": {"message": "Slow down", "type": "too_many_requests"}},
    {"error": {"message": "Slow down", "code": "limit_requests"}},
    {"error": "Slow down", "error_type": "overloaded"},
    {"object": "error", "message": "Slow down", "code": 429, "type": "TooManyRequests"},
    {"error": "The model is overloaded."},
    {"error": {"message": "Too many requests, slow down"}},
]

AWAY: list[Any] = [
    {"error": {"message": "Gone", "code": 500, "type": "InternalServerError"}},
    {"error": {"message": "Gone", "code": "502"}},
    {"error": {"message": "Gone", "code": 503, "type": "unavailable_error"}},
    {"error": {"message": "Gone", "code": 504}},
    {"error": {"message": "Gone", "type": "server_error", "code": None}},
    {"error": {"message": "Gone", "type": "service_unavailable"}},
    {"object": "error", "message": "Gone", "code": 503, "type": "ServiceUnavailable"},
]

LASTING: list[Any] = [
    {"error": {"message": "No", "code": 400, "type": "invalid_request_error"}},
    {"error": {"message": "No", "code": "401"}},
    {"error": {"message": "No", "code": 404, "type": "NotFoundError"}},
    {"error": {"message": "No rate limit here", "code": 400}},
    {"error": {"message": "No", "code": 501}},
    {"error": {"message": "No", "code": "insufficient_quota", "type": "insufficient_quota"}},
    {"error": {"message": "No", "code": "context_length_exceeded"}},
    {"error": {"message": "No", "code": True}},
    {"error": {"message": "No", "code": [429], "type": {"code": 503}}},
    {"error": {"message": "No", "code": 9 * 10**40}},
    {"error": "out of memory"},
    {"error": 5},
    {"error": [503]},
]


@pytest.mark.parametrize("chunk", BUSY, ids=json.dumps)
def test_event_of_a_busy_server(chunk: Any) -> None:
    """By its code, its names, or its words where it has neither, it passes."""
    assert type(failed(chunk)) is RateLimited


@pytest.mark.parametrize("chunk", AWAY, ids=json.dumps)
def test_event_of_a_server_that_failed(chunk: Any) -> None:
    """A status of the fives, or its name, passes too."""
    error = failed(chunk)
    assert type(error) is SpaceUnavailable
    assert error.reason == "The upstream failed: Gone."


@pytest.mark.parametrize("chunk", LASTING, ids=json.dumps)
def test_event_of_what_lasts(chunk: Any) -> None:
    """Anything else is a failure, and asking again is useless."""
    assert type(failed(chunk)) is GenerationFailed


def test_words_of_an_answer_are_no_error() -> None:
    """An answer may speak of errors, and be an object in itself."""
    said = '{"error": {"code": 429}} Too many requests'
    chunk = {"object": "chat.completion.chunk", "error": None}
    choice = {"delta": {"content": said}, "finish_reason": None}
    assert read_piece(json.dumps({**chunk, "choices": [choice]})) == Piece(said, False)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, "", RateLimited),
        (429, '{"error": {"code": "rate_limit_exceeded"}}', RateLimited),
        (529, "{}", RateLimited),
        (429, '{"error": {"code": "insufficient_quota"}}', HTTPStatusError),
        (503, "loading", HTTPStatusError),
        (400, '{"error": {"code": 429}}', HTTPStatusError),
        (500, '{"error": {"message": "X: OpenAIException - Connection error."}}', SpaceUnavailable),
        (500, '{"error": {"message": "[Errno 111] Connection refused"}}', SpaceUnavailable),
        (500, "All connection attempts failed", SpaceUnavailable),
        (500, '{"error": {"message": "index out of range"}}', HTTPStatusError),
        (400, "Connection error", HTTPStatusError),
    ],
)
def test_status_of_a_refusal(status: int, body: str, kind: type[Exception]) -> None:
    """The status counts, but for a quota that no wait renews."""
    error = refused(Refusal(status, "", {"retry-after": "7"}, body, 0.0), "It")
    assert type(error) is kind
    assert (error.status_code, error.retry_after) == (status, 7.0)
