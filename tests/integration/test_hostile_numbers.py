"""Numbers that nothing counts with are refused where they come in, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qwen72b import (
    AsyncClient,
    Client,
    InvalidOption,
    Progress,
    Queued,
    Retry,
    Timeout,
)
from qwen72b.testing import FakeSpace, Message

URL = "http://127.0.0.1:9"


class Unshowable:
    """An object whose repr fails."""

    def __repr__(self) -> str:
        raise RuntimeError


NUMBERS = [10**400, -(10**400), 10**5000, float("nan"), -1, "x", True, Unshowable()]

PLACES: dict[str, Callable[[Any], object]] = {
    "total": lambda number: Timeout(total=number),
    "connect": lambda number: Timeout(connect=number),
    "base": lambda number: Retry(base=number),
    "cap": lambda number: Retry(cap=number),
    "timeout": lambda number: Client(URL, timeout=number),
    "async timeout": lambda number: AsyncClient(URL, timeout=number),
    "wait_for_space": lambda number: Client(URL, wait_for_space=number),
    "rate": lambda number: Client(URL).map([], rate=number),
    "max_in_flight": lambda number: Client(URL).map([], max_in_flight=number),
    "async rate": lambda number: AsyncClient(URL).map([], rate=number),
    "one call": lambda number: Client(URL).stream("Hi", timeout=number),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: type(number).__name__)
def test_number_that_cannot_be(place: str, number: Any) -> None:
    """It is an option without sense, and its error can be shown."""
    with pytest.raises(InvalidOption) as caught:
        PLACES[place](number)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("number", [1e-320, 1e300])
def test_rate_that_no_clock_has(number: float) -> None:
    """So is a rate of one item in more time than there is."""
    with pytest.raises(InvalidOption):
        Client(URL).map([], rate=number)


@pytest.mark.parametrize("number", [float("inf"), 1e308, 10**300, 1e-300])
def test_limits_that_are_none(number: float) -> None:
    """A limit may be as long, or as short, as a number is."""
    assert Timeout(total=number).total == number


@pytest.mark.parametrize("number", [-1, -0.5, -(2**53), 1e300, 2**60])
def test_numbers_that_a_space_cannot_mean(number: float) -> None:
    """Ranks, times and steps below nothing are none, and so is more than the whole."""
    bar = {"index": number, "length": number, "progress": number}
    said = [
        Message("estimation", rank=number, queue_size=number, rank_eta=number),
        Message("progress", progress_data=[bar, {"progress": 1.5}]),
    ]
    with FakeSpace() as space, Client(space.url) as client:
        space.answer(*said, "Hello")
        events = list(client.stream("Hi").events())
    assert Queued(None, None, None) in events
    assert events.count(Progress()) == 2
