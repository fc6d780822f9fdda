"""Words stay whole on a terminal, however they come."""

from __future__ import annotations

import pytest

from qwen72b.cli.wrap import Wrapper

pyte = pytest.importorskip("pyte")

LONG = "x" * 27


def shown(pieces: list[str], columns: int) -> list[str]:
    """Show wrapped text on a terminal; give its lines."""
    screen = pyte.Screen(columns, 30)
    stream = pyte.Stream(screen)
    wrapper = Wrapper()
    for piece in pieces:
        stream.feed(wrapper.take(piece, columns).replace("\n", "\r\n"))
    return "\n".join(line.rstrip() for line in screen.display).rstrip("\n").split("\n")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three four", ["one two", "three", "four"]),
        ("one two\nthree", ["one two", "three"]),
        ("one two  \n\nthree", ["one two", "", "three"]),
        ("12345678 12", ["12345678", "12"]),
        ("123456789 1", ["123456789", "1"]),
        ("a 123456789", ["a", "123456789"]),
        ("a\tb c", ["a       b", "c"]),
        (f"a {LONG} b", ["a", LONG[:10], LONG[:10], LONG[:7] + " b"]),
        ("```\na long line of code\n```\nlong prose too", ["```", "a long lin", "e of code", "```", "long", "prose too"]),
        ("文字文字文字", ["文字文字", "文字"]),
        ("a 文字文字文", ["a 文字文", "字文"]),
        ("abcd\u00e9e\u0301gh ij", ["abcd\u00e9\u00e9gh", "ij"]),
    ],
)  # fmt: skip
def test_lines_end_between_words(text: str, lines: list[str]) -> None:
    """Text comes out the same, whole, in pieces, and letter by letter."""
    for pieces in ([text], list(text), [text[:5], text[5:]]):
        drawn = [line.replace(" ", "") for line in shown(pieces, 10)]
        assert drawn == [line.replace(" ", "") for line in lines]


@pytest.mark.parametrize("columns", [0, 1, 2, 3])
def test_narrow_terminals_lose_nothing(columns: int) -> None:
    """There is no width that swallows letters."""
    out = Wrapper().take("some words 文", columns)
    assert set("somewrd文") <= set(out)
