"""generation: one answer in the making, and what its reader gets of it."""

from __future__ import annotations

import threading

import pytest
from timing import PATIENCE

from qwen72b.errors import GenerationFailed
from qwen72b.local.generation import Generation


def say(*pieces: str | Exception, pace: float = 0.0) -> Generation:
    """Make an answer that is complete, or has failed, before it is read."""

    def produce(generation: Generation) -> None:
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            generation.emit(piece)

    generation = Generation(produce, pace)
    generation.join()
    return generation


def test_pieces_come_as_they_are() -> None:
    """Without a pace each piece is handed out by itself."""
    assert list(say("a", "b", "c")) == ["a", "b", "c"]


def test_pieces_within_the_pace_are_one() -> None:
    """The first goes at once; what comes before the next may go is one piece, as is the end."""
    assert list(say("a", "b", "c", pace=PATIENCE)) == ["a", "bc"]


@pytest.mark.parametrize("pace", [0.0, PATIENCE])
def test_text_before_a_failure_is_handed_out(pace: float) -> None:
    """Whatever was said before it."""
    pieces = iter(say("a", "b", GenerationFailed("No."), pace=pace))
    assert [next(pieces), next(pieces)] == ["a", "b"]
    with pytest.raises(GenerationFailed, match=r"No\."):
        next(pieces)


def test_silence_is_an_empty_piece() -> None:
    """So that whoever reads can leave; leaving ends the answer."""
    ended = threading.Event()

    def produce(generation: Generation) -> None:
        generation.pause(PATIENCE)
        ended.set()

    pieces = iter(Generation(produce))
    assert next(pieces) == ""
    pieces.close()  # type: ignore[attr-defined]  # a generator
    assert ended.wait(PATIENCE)
