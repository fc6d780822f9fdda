"""Text of a Space cannot command a terminal, and loses nothing."""

from __future__ import annotations

import pytest

from qwen72b.escape import escape, escape_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello, Wörld\t1\n2", "Hello, Wörld\t1\n2"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("one\r\ntwo", "one\ntwo"),
        ("over\rwritten", "over\\x0dwritten"),
        ("half \ud83d", "half \\ud83d"),
        ("\x7f\x08", "\\x7f\\x08"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    """C0, C1, marks of direction and lone surrogates are escapes; Windows' line ends are ours."""
    assert escape(text) == shown
    assert escape(text, "ascii") == shown.replace("ö", "\\xf6")


def test_what_an_encoding_lacks_is_escaped() -> None:
    """No character is lost, whatever the terminal's encoding."""
    assert escape("ä → 𝄞", "cp1252") == "ä \\u2192 \\U0001d11e"


def test_a_line_stays_a_line() -> None:
    """Line ends and tabs are blanks where a text shares its line with others."""
    assert escape_line("one\r\ntwo\n\n\tthree\x1b") == "one two three\\x1b"
