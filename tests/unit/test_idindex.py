"""The table of ids and their numbers."""

from __future__ import annotations

import tracemalloc

import pytest

from qwen72b.batch.idindex import IdIndex


class Twin(str):
    """An id that has the same hash as all of its kind."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 2**40 + 1


def test_ids_are_found_with_their_numbers() -> None:
    """Each id has its own number, also after the table has grown; another has none."""
    index = IdIndex()
    names = [f"name {number}" for number in range(5000)]
    for number, name in enumerate(names):
        assert index.find(name) == []
        index.add(name, 7 * number)
    assert [index.find(name) for name in names] == [[7 * number] for number in range(5000)]
    assert index.find("another") == []


def test_id_that_comes_again_has_both_numbers() -> None:
    """The latest number comes first, also after the table has grown; any size of them fits."""
    index = IdIndex()
    for number in (3, 2**62, 0):
        index.add("twice", number)
    for number in range(1000):
        index.add(str(number), number)
    assert index.find("twice") == [0, 2**62, 3]


def test_ids_of_one_hash_keep_their_numbers() -> None:
    """Ids that share a hash take no number from each other, and no other's bytes for theirs."""
    index = IdIndex()
    for number in range(600):
        index.add(Twin(number), number)
        # A number that looks like that hash, from any byte on.
        index.add(str(number), hash(Twin()) >> 8 * (number % 6))
    assert index.find(Twin("x")) == list(reversed(range(600)))


def test_lone_surrogates_are_told_apart() -> None:
    """Ids that UTF-8 cannot say are ids like others."""
    index = IdIndex()
    names = ["a\ud800", "a\udfff", "a?", "a\ufffd", "\udc00\ud800", ""]
    for number, name in enumerate(names):
        index.add(name, number)
    assert [index.find(name) for name in names] == [[number] for number in range(len(names))]


@pytest.mark.parametrize("count", [10_000, 50_000])
def test_memory_of_an_id(count: int) -> None:
    """Even while it grows, a table takes less than 60 bytes an id."""
    tracemalloc.start()
    try:
        index = IdIndex()
        for number in range(count):
            index.add(str(number), number)
            if number % 512 == 511:
                _, peak = tracemalloc.get_traced_memory()
                assert peak < 60 * number + 2000
    finally:
        tracemalloc.stop()
