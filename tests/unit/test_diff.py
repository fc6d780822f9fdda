"""diff: edits applied to values."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from qwen72b import InvalidDiff
from qwen72b.protocol.diff import apply_edits


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
    before = copy.deepcopy(value)
    assert apply_edits(value, edits) == result
    assert value == before


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
