"""notice: what a local Space's client is told of an answer that failed."""

from __future__ import annotations

import pytest

from qwen72b.errors import (
    ConnectFailed,
    GenerationFailed,
    HTTPStatusError,
    InvalidOption,
    InvalidServerMessage,
    Qwen72BError,
    RateLimited,
    RequestTimeout,
    SpaceUnavailable,
    StreamInterrupted,
)
from qwen72b.local.notice import Notice, notice

PASSING = [
    (RateLimited("x"), "Busy"),
    (RateLimited("x", status_code=529), "Busy"),
    (HTTPStatusError("x", status_code=502), "Unavailable for now"),
    (HTTPStatusError("x", status_code=503), "Unavailable for now"),
    (HTTPStatusError("x", status_code=504), "Unavailable for now"),
    (SpaceUnavailable("x"), "Unavailable for now"),
    (SpaceUnavailable("x", status_code=500), "Unavailable for now"),
    (ConnectFailed("x"), "Unavailable for now"),
    (ConnectFailed("x", stage="dns"), "Unavailable for now"),
    (StreamInterrupted("x", hint="Ask again."), "Unavailable for now"),
]

LASTING = [
    *(HTTPStatusError("x", status_code=status) for status in (400, 401, 403, 404, 422, 429, 500)),
    ConnectFailed("x", stage="tls"),
    GenerationFailed("x"),
    InvalidOption("x", hint="y"),
    InvalidServerMessage("x"),
    RequestTimeout("x", phase="read"),
]


@pytest.mark.parametrize(("error", "title"), PASSING, ids=repr)
def test_what_passes_has_a_title(error: Qwen72BError, title: str) -> None:
    """Before any text it is a refusal, and once there is some an interruption."""
    assert notice(error, begun=False) == Notice("x", title, None)
    assert notice(error, begun=True) == Notice("x", "Interrupted", None)


@pytest.mark.parametrize("error", LASTING, ids=repr)
@pytest.mark.parametrize("begun", [False, True])
def test_what_lasts_is_an_error_like_any_other(error: Qwen72BError, begun: bool) -> None:
    """With its words, its hint, and the title and duration that Gradio gives it."""
    assert notice(error, begun=begun) == Notice(str(error), "Error", 10)


@pytest.mark.parametrize(
    ("asked", "told"),
    [(None, None), (0.0, 1.0), (0.01, 1.0), (30.0, 30.0), (900.0, 900.0), (1e9, 900.0)],
)
def test_wait_that_a_server_names_is_passed_on(asked: float | None, told: float | None) -> None:
    """No less than a second, and no more than a quarter of an hour."""
    assert notice(RateLimited("x", retry_after=asked), begun=False).duration == told
