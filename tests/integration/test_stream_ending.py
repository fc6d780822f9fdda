"""A stream that nobody reads any more ends at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from qwen72b import Client
from qwen72b.testing import FakeSpace, Stall


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer("Hel", Stall())
        yield space


def test_dropping_the_last_reference_hangs_up(space: FakeSpace) -> None:
    """A half-read stream that is dropped stops its job without waiting for the collector."""
    gc.disable()
    try:
        with Client(space.url) as client:
            assert next(client.stream("Hi")) == "Hel"
            assert space.wait_for_disconnect().query == "Hi"
    finally:
        gc.enable()
