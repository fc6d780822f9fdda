"""Text that grows by pieces is whole at any time, for every thread."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from qwen72b.protocol.textbuffer import TextBuffer


@given(st.text(), st.lists(st.text(min_size=1)))
def test_pieces_make_the_text(begin: str, pieces: list[str]) -> None:
    """The text is its beginning and all pieces; without any of them it is false."""
    text = TextBuffer(begin)
    for piece in pieces:
        text.add(piece)
    assert str(text) == begin + "".join(pieces)
    assert bool(text) == bool(str(text))


def test_many_pieces() -> None:
    """Pieces are joined on the way, in order."""
    text = TextBuffer("<")
    for number in range(12_345):
        text.add(f"{number} ")
    assert str(text) == "<" + "".join(f"{number} " for number in range(12_345))


def test_readers_see_a_beginning() -> None:
    """A thread that looks while another one adds sees what has been added so far, once."""
    whole = "".join(chr(33 + number % 90) for number in range(50_000))
    text = TextBuffer()

    def add() -> None:
        for piece in whole:
            text.add(piece)

    writer = threading.Thread(target=add)
    writer.start()
    while writer.is_alive():
        assert whole.startswith(str(text))
    assert str(text) == whole
