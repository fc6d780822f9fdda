"""diff: edits applied to values."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from qwen72b import InvalidDiff
from qwen72b.protocol.diff import Allowance, apply_edits


@pytest.mark.parametrize(
    ("value", "edits", "result"),
    [
        ("a", [["append", [], "b"]], "ab"),
        ([["q", "a"]], [["append", [0, 1], "b"]], [["q", "ab"]]),
        ([["q", None]], [["replace", [0, 1], ""]], [["q", ""]]),
        ([1], [["replace", [], {"a": 1}]], {"a": 1}),
        ([], [["add", [0], "x"], ["add", [1], "y"]], ["x", "y"]),
        (None, [["add", [], "x"]], "x"),
        ({}, [["add", ["k"], 1]], {"k": 1}),
        ({"k": 1, "l": 2}, [["delete", ["k"], None]], {"l": 2}),
        ({"k": {"l": "a"}}, [["append", ["k", "l"], "b"]], {"k": {"l": "ab"}}),
        ([{"c": [{"t": "a"}]}], [["append", [0, "c", 0, "t"], "b"]], [{"c": [{"t": "ab"}]}]),
        ([0, 1, 2], [], [0, 1, 2]),
    ],
)
def test_each_action_at_any_depth(value: Any, edits: Any, result: Any) -> None:
    """append, replace, add and delete work on the output itself and below it."""
    before = copy.deepcopy((value, edits))
    assert apply_edits(value, edits) == result
    assert (value, edits) == before
    assert apply_edits(value, edits, in_place=True) == result


@pytest.mark.parametrize(
    "edits",
    [
        [["delete", [1], None], ["delete", [2], None]],
        [["delete", [1], None], ["delete", [1], None]],
        [["delete", [2], None], ["delete", [1], None]],
        [["delete", [1]], ["delete", [1]]],
    ],
)
def test_a_run_of_deletes_cuts_the_tail(edits: Any) -> None:
    """Both numberings of deletes mean the same cut."""
    assert apply_edits(["a", "b", "c"], edits) == ["a"]
    nested = [[edit[0], ["k", *edit[1]], None] for edit in edits]
    assert apply_edits({"k": ["a", "b", "c"]}, nested) == {"k": ["a"]}


def test_a_delete_inside_a_list_removes_that_element() -> None:
    """Deletes that do not cut the tail are applied in turn."""
    assert apply_edits(["a", "b", "c"], [["delete", [0], None]]) == ["b", "c"]


def test_deletes_in_different_lists_are_different_runs() -> None:
    """A run ends where another list's begins."""
    edits = [["delete", [0, 1], None], ["delete", [1, 0], None], ["delete", [1, 1], None]]
    assert apply_edits([["a", "b"], ["c", "d"]], edits) == [["a"], []]


@pytest.mark.parametrize(
    ("value", "edits"),
    [
        ([], "append"),
        ([], None),
        ([], ["append"]),
        ([], [["append", [0]]]),
        ([], [["append"]]),
        ([], [["move", [0], 1]]),
        ([], [[["append"], [0], 1]]),
        ([], [["append", 0, "x"]]),
        ([1], [["append", [0], "x"]]),
        (["a"], [["append", [0], 1]]),
        (["a"], [["append", [1], "x"]]),
        (["a"], [["append", [-1], "x"]]),
        (["a"], [["append", [True], "x"]]),
        (["a"], [["append", ["0"], "x"]]),
        ({"a": "b"}, [["append", ["c"], "x"]]),
        ({"a": "b"}, [["append", [0], "x"]]),
        ("a", [["replace", [0], "x"]]),
        ("a", [["add", [0], "x"]]),
        ([], [["replace", [0], "x"]]),
        ([], [["add", [1], "x"]]),
        ([], [["add", ["k"], "x"]]),
        ({}, [["add", [0], "x"]]),
        ({}, [["delete", ["k"], None]]),
        ([], [["delete", [0], None]]),
        (["a"], [["delete", [0], None], ["delete", [5], None]]),
        ("a", [["delete", [], None]]),
        ({"k": [1]}, [["delete", ["k", 5], None]]),
        (["a"], [["delete", ["k"], None]]),
        ([[1]], [["replace", [0, 0, 0], 2]]),
    ],
)
def test_edits_that_do_not_fit_are_refused(value: Any, edits: Any) -> None:
    """An impossible edit raises InvalidDiff, whatever is wrong with it."""
    with pytest.raises(InvalidDiff):
        apply_edits(value, edits)


def test_texts_that_grow_by_turns() -> None:
    """Pieces of several texts, with edits around them, end where they belong."""
    value: Any = ["a", {"t": "b"}, "c"]
    edits: list[Any] = []
    for _ in range(3):
        edits += [["append", [0], "x"], ["append", [1, "t"], "y"], ["append", [2], "z"]]
    edits += [["add", [1], "new"], ["append", [3], "!"], ["append", [2, "t"], "?"]]
    edits += [["delete", [0], None], ["append", [0], "er"]]
    assert apply_edits(value, edits) == ["newer", {"t": "byyy?"}, "czzz!"]
    assert value == ["a", {"t": "b"}, "c"]


@pytest.mark.parametrize(
    ("edits", "result"),
    [
        ([["append", ["k"], "x"], ["replace", ["k"], "new"]], {"k": "new"}),
        ([["append", ["k"], "x"], ["delete", ["k"], None], ["add", ["k"], "new"]], {"k": "new"}),
        ([["append", ["k"], "x"], ["add", ["k"], "new"]], {"k": "new"}),
        ([["append", ["k"], "x"], ["replace", [], "new"]], "new"),
        ([["replace", ["k"], {"l": ""}], ["append", ["k", "l"], "x"]], {"k": {"l": "x"}}),
    ],
)
def test_text_that_grew_and_is_replaced(edits: Any, result: Any) -> None:
    """Pieces of what is gone are gone."""
    before = copy.deepcopy(edits)
    assert apply_edits({"k": "a"}, edits) == result
    assert edits == before


def test_ten_thousand_edits_of_a_long_list() -> None:
    """An edit does not copy what it does not change."""
    value: list[Any] = [None] * 100_000
    edits = [["replace", [n], n] for n in range(10_000)]
    edits += [["add", [100_000 + n], n] for n in range(10_000)]
    edits += [["delete", [0], None]] * 10_000
    changed = apply_edits(value, edits)
    assert value == [None] * 100_000
    assert changed == [None] * 90_000 + list(range(10_000))


@pytest.mark.parametrize(
    "edits",
    [
        [["add", [0], 1]] * 2000,
        [["delete", [n % 2], None] for n in range(2000)],
        [["append", [1], "x"], ["add", [0], None], ["append", [2], "x"], ["delete", [0], None]]
        * 1000,
    ],
    ids=["add", "delete", "append"],
)
def test_edits_that_move_far_more_than_they_change(edits: Any) -> None:
    """A few bytes that have megabytes moved again and again are refused."""
    with pytest.raises(InvalidDiff, match="move"):
        apply_edits([None, "x" * 100_000, *[None] * 100_000], edits)


def test_an_allowance_grows_with_what_comes() -> None:
    """What one call leaves is there for the next, up to a limit, and what came adds to it."""
    allowance = Allowance()
    value = ["x" * 3_000_000]
    for _ in range(2):
        value = apply_edits(value, [["append", [0], "y"]], in_place=True, allowance=allowance)
    with pytest.raises(InvalidDiff, match="move"):
        apply_edits(value, [["append", [0], "y"]], in_place=True, allowance=allowance)
    allowance = Allowance()
    for _ in range(20):
        allowance.came += len(value[0])
        value = apply_edits(value, [["append", [0], "y"]], in_place=True, allowance=allowance)
    assert value == ["x" * 3_000_000 + "y" * 22]


def test_the_clock_is_looked_at_on_the_way() -> None:
    """Many edits can be left in the middle."""

    class Late(Exception):
        pass

    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise Late

    with pytest.raises(Late):
        apply_edits({"k": 1}, [["replace", ["k"], n] for n in range(1000)], check=check)
