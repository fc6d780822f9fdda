"""clocks: limits are checked when they are given."""

from __future__ import annotations

from typing import Any

import pytest

from qwen72b import InvalidOption, Timeout
from qwen72b.timeout import to_timeout
from qwen72b.transport.deadlines import Deadlines
from qwen72b.transport.scope import CallScope


@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "5", [1]])
def test_limits_are_positive_numbers(value: Any) -> None:
    """Anything else is refused, by the field's name."""
    with pytest.raises(InvalidOption, match="queue"):
        Timeout(queue=value)


def test_a_number_limits_the_whole_call() -> None:
    """The other limits stay."""
    mine = Timeout(connect=1, read=2, queue=3, first_token=4)
    assert to_timeout(9, mine) == Timeout(connect=1, read=2, queue=3, first_token=4, total=9)
    assert to_timeout(None, mine) is mine
    assert to_timeout(Timeout(), mine) == Timeout()


def test_what_is_no_timeout_is_refused() -> None:
    """A timeout of another type is an InvalidOption."""
    with pytest.raises(InvalidOption):
        to_timeout("soon", Timeout())  # type: ignore[arg-type]


def test_without_limits_nothing_expires() -> None:
    """None is no limit."""
    clock = Deadlines(Timeout(None, None, None, None, None))
    scope = CallScope(clock)
    for phase in ("connect", "queue", "first_token", "total"):
        clock.start(phase)
    clock.listen()
    assert scope.limit() is None
    assert clock.expired() is None
    assert not clock.would_exceed(1e9)


def test_the_first_deadline_counts() -> None:
    """The clock that runs out first is named."""
    clock = Deadlines(Timeout(queue=1e-9, total=1e-6))
    scope = CallScope(clock)
    clock.start("queue")
    clock.start("total")
    with pytest.raises(TimeoutError):
        while True:
            scope.limit()
    error = clock.expired()
    assert error is not None
    assert error.phase == "queue"
    clock.stop("queue")
    clock.stop("total")
    assert clock.expired() is None


def test_silence_has_a_clock_of_its_own() -> None:
    """It starts anew whenever something is expected, and can rest."""
    clock = Deadlines(Timeout(read=1e-9))
    scope = CallScope(clock)
    clock.listen()
    with pytest.raises(TimeoutError):
        while True:
            scope.limit()
    error = clock.expired()
    assert error is not None
    assert error.phase == "read"
    clock.rest()
    assert scope.limit() is None
