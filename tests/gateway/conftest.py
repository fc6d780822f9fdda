"""The gateway before real clients, which are installed by ``tox -e gateway`` alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Its helpers are those of the integration tests and of the live ones.
sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("integration", "live")]

from doors import Door, door

from qwen72b.testing import FakeSpace, words

# An answer in pieces, and what they join to.
PIECES = tuple(words("It is blue. 天空是蓝色的。\n\tReally."))
LINES = "".join(PIECES)


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """The clients keep pools, threads and loops of their own."""


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace("5.50.0") as space:
        space.answer(*PIECES)
        yield space


@pytest.fixture
def gateway(space: FakeSpace) -> Iterator[Door]:
    with door(space.url, key="s3cret") as gateway:
        yield gateway
