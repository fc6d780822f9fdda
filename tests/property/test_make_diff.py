"""What `make_diff` promises, for any two JSON values."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen72b.testing import make_diff

NUMBERINGS = ["original", "sequential"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=12,
)


def follow(value: Any, edits: list[Any]) -> Any:
    """Do edits by the letter of the protocol; list deletes cut at their smallest index."""
    value = [copy.deepcopy(value)]
    cuts: list[tuple[list[Any], int]] = []
    for action, path, new in edits:
        *way, last = [0, *path]
        place: Any = value
        for key in way:
            place = place[key]
        if action == "append":
            place[last] += new
        elif action == "add" and isinstance(place, list):
            assert last == len(place)
            place.append(new)
        elif action == "delete" and isinstance(place, list):
            cuts.append((place, last))
        elif action == "delete":
            del place[last]
        else:
            place[last] = new
    for place, smallest in cuts:
        del place[smallest:]
    return value[0]


@pytest.mark.parametrize("deletes", NUMBERINGS)
@given(old=JSON, new=JSON)
def test_edits_turn_the_old_value_into_the_new(deletes: Any, old: Any, new: Any) -> None:
    """The edits, followed, give the new value, and neither value is touched."""
    kept = copy.deepcopy((old, new))
    edits = make_diff(old, new, deletes=deletes)
    assert follow(old, edits) == new
    assert (old, new) == kept
    assert (edits == []) == (old == new)


@given(old=st.text(), more=st.text(min_size=1))
def test_longer_text_is_one_append(old: str, more: str) -> None:
    """A text that only grew is told by what was added."""
    assert make_diff([[old]], [[old + more]]) == [["append", [0, 0], more]]


@pytest.mark.parametrize(("deletes", "places"), [("original", [1, 2]), ("sequential", [1, 1])])
def test_deletes_are_numbered_in_two_ways(deletes: Any, places: list[int]) -> None:
    """A cut tail is numbered by the old list, or as the elements go."""
    edits = make_diff([0, 1, 2], [0], deletes=deletes)
    assert edits == [["delete", [place], None] for place in places]


def test_list_that_lost_its_first_element_is_compared_by_position() -> None:
    """Lists are never shifted: the elements that remain are replaced."""
    assert make_diff(["a", "b"], ["b"]) == [["replace", [0], "b"], ["delete", [1], None]]
