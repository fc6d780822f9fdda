"""Stop sequences: a text in pieces is cut where it is cut as a whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qwen72b.gateway.stops import StopCutter, cut_at_stop

TEXTS = st.text("ab", max_size=12)
STOPS = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4)


def _in_pieces(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    cutter = StopCutter(stops)
    text = "".join(map(cutter.feed, pieces))
    return text + cutter.flush(), cutter.found


@given(st.lists(TEXTS, max_size=6), STOPS)
def test_borders_of_pieces_do_not_matter(pieces: list[str], stops: list[str]) -> None:
    """However a text comes, it ends before the stop sequence that is complete first."""
    text = "".join(pieces)
    before = cut_at_stop(text, stops)
    expected = (text, False) if before is None else (before, True)
    assert _in_pieces(pieces, stops) == expected
    assert _in_pieces(list(text), stops) == expected
    assert _in_pieces([text], stops) == expected


@given(TEXTS, STOPS)
def test_what_is_left_has_no_stop_sequence(text: str, stops: list[str]) -> None:
    """Nothing that was asked to end the answer is in it."""
    left, _ = _in_pieces(list(text), stops)
    assert not any(stop in left for stop in stops)


def test_sequence_that_is_complete_first_counts() -> None:
    """One that began earlier and would have ended later does not."""
    assert cut_at_stop("abcdef", ["abcdef", "cd"]) == "ab"
