"""When failures end a batch."""

from __future__ import annotations

from typing import Any

import pytest

from qwen72b import (
    AuthenticationError,
    ConnectFailed,
    EndpointNotFound,
    GenerationFailed,
    HTTPStatusError,
    InvalidMessages,
    InvalidOption,
    QueueFull,
    QuotaExceeded,
    Qwen72BError,
    RateLimited,
    RequestTimeout,
    SpaceUnavailable,
    StreamInterrupted,
)
from qwen72b.batch.brake import HOPELESS, Brake

LASTING: list[Qwen72BError] = [
    ConnectFailed("nobody is there."),
    AuthenticationError("the Space answered 401.", status_code=401),
    AuthenticationError("the Space answered 403.", status_code=403),
    EndpointNotFound("the Space has nothing to ask."),
    HTTPStatusError("the Space answered 404.", status_code=404),
    SpaceUnavailable("the Space is paused.", stage="PAUSED", status_code=200),
    GenerationFailed("The upstream answered 401: Incorrect API key provided."),
    GenerationFailed("http://a:1/v1/chat/completions answered 404: no such thing."),
    GenerationFailed("401 Unauthorized"),
    GenerationFailed("The model `Qwen/Qwen2-72B` does not exist."),
    GenerationFailed("model 'qwen' not found, try pulling it first"),
    GenerationFailed("You exceeded your current quota: insufficient_quota"),
    GenerationFailed("This app requires a logged-in user."),
    GenerationFailed("Refused by the organization's policy."),
    GenerationFailed("Access denied"),
]
OWN: list[Qwen72BError] = [
    GenerationFailed("The upstream answered 400: maximum context length is 32768 tokens."),
    GenerationFailed("The upstream answered 422: bad."),
    GenerationFailed("The prompt triggered Azure OpenAI's content management policy."),
    GenerationFailed("403: your input was flagged by moderation"),
    HTTPStatusError("the Space answered 413.", status_code=413),
]
PASSING: list[Qwen72BError] = [
    QueueFull("the Space's queue is full."),
    RateLimited("too many requests."),
    QuotaExceeded("You have exceeded your GPU quota."),
    HTTPStatusError("the Space answered 502.", status_code=502),
    SpaceUnavailable("it is starting.", status_code=503),
]
UNKNOWN: list[Qwen72BError] = [
    GenerationFailed("CUDA out of memory"),
    RequestTimeout("no answer in time."),
    StreamInterrupted("the stream was cut."),
    HTTPStatusError("the Space answered 500.", status_code=500),
]


def numbered(error: Qwen72BError, number: int) -> Qwen72BError:
    """The same error with other numbers in it."""
    fields = {"stage": "PAUSED"} if getattr(error, "stage", None) == "PAUSED" else {}
    if isinstance(error, HTTPStatusError | SpaceUnavailable):
        fields["status_code"] = error.status_code  # type: ignore[assignment]
    return type(error)(f"{error.reason} request {number}", **fields)  # type: ignore[arg-type]


def row(brake: Brake, error: Qwen72BError, count: int) -> list[bool]:
    return [brake.failed(numbered(error, number)) for number in range(count)]


@pytest.mark.parametrize("error", LASTING, ids=str)
def test_row_of_a_lasting_reason_ends_it(error: Qwen72BError) -> None:
    """Twenty in a row end a batch, at its beginning and after any number of answers."""
    for answers in (0, 500):
        brake = Brake("lasting")
        for _ in range(answers):
            brake.answered()
        assert row(brake, error, HOPELESS) == [False] * (HOPELESS - 1) + [True]


@pytest.mark.parametrize("error", UNKNOWN, ids=str)
def test_row_of_another_reason_ends_what_has_no_answer(error: Qwen72BError) -> None:
    """What may be an item's own counts only where nothing was answered."""
    assert row(Brake("lasting"), error, HOPELESS)[-1]
    brake = Brake("lasting")
    brake.answered()
    assert not any(row(brake, error, 10 * HOPELESS))


@pytest.mark.parametrize("error", [*OWN, *PASSING, InvalidMessages("it is empty.")], ids=str)
def test_row_that_says_nothing_of_the_others(error: Qwen72BError) -> None:
    """An item's own fault and a refusal for now end nothing."""
    assert not any(row(Brake("lasting"), error, 10 * HOPELESS))


def test_row_is_broken() -> None:
    """An answer, another reason and an item's own failure begin the row anew; a bad item does not."""
    brake = Brake("lasting")
    for breaks in (brake.answered, lambda: brake.failed(LASTING[2]), lambda: brake.failed(OWN[0])):
        assert not any(row(brake, LASTING[0], HOPELESS - 1))
        assert not breaks()
    assert not any(row(brake, LASTING[0], HOPELESS - 1))
    assert not brake.failed(InvalidMessages("it is empty."))
    assert brake.failed(numbered(LASTING[0], 99))


def test_no_more_go_than_may_fail() -> None:
    """Until an answer, and in a row, items under way and failures are no more than end it."""
    brake = Brake("lasting")
    assert [brake.allows(HOPELESS - 1), brake.allows(HOPELESS)] == [True, False]
    brake.answered()
    assert brake.allows(10**6 - 1)
    brake.failed(LASTING[0])
    assert [brake.allows(HOPELESS - 2), brake.allows(HOPELESS - 1)] == [True, False]
    brake.answered()
    assert brake.allows(10**6 - 1)


def test_failures_are_counted() -> None:
    """A number of failures ends a batch, whatever they are and what is between them."""
    brake = Brake(False, 4)
    assert [brake.allows(3), brake.allows(4)] == [True, False]
    ended = [brake.failed(PASSING[0]), brake.failed(InvalidMessages("")), brake.failed(OWN[0])]
    brake.answered()
    assert brake.allows(1000)
    assert [*ended, brake.failed(LASTING[0])] == [False, False, False, True]
    assert Brake(True).failed(PASSING[0])
    assert not any(row(Brake(False), LASTING[0], 100))


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3", 10**19])
def test_count_that_is_none(value: Any) -> None:
    """What counts no failures is refused."""
    with pytest.raises(InvalidOption, match="max_failures"):
        Brake(False, value)


@pytest.mark.parametrize("value", ["", "always", 1, None])
def test_unknown_way_to_stop(value: Any) -> None:
    """Nor is any other word taken for one of the three."""
    with pytest.raises(InvalidOption, match="stop_on_error"):
        Brake(value)
