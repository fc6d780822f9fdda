"""chunks: what an iterator hands out that cannot take anything back."""

from __future__ import annotations

import pytest

from qwen72b.client.appendonly import AppendOnlyText


def test_added_text_is_handed_out_as_it_is() -> None:
    """Text that was added is the chunk."""
    chunks = AppendOnlyText()
    assert [chunks.add("a"), chunks.add(" b")] == ["a", " b"]
    assert not chunks.revised


@pytest.mark.parametrize(
    ("handed", "present", "chunk"),
    [
        ("1. First\n ", "1. First\n- s", "- s"),
        ("1. First\n- s", "1. First\n   - s\n2.", "\n2."),
        ("leading", "  leading and", " and"),
        ("a  ", "a b", "b"),
        ("a ", "a\nb", "\nb"),
        ("a\n", "a\n\nb", "\nb"),
        ("", "a", "a"),
        (" ", "a", "a"),
        ("a b", "ab", ""),
    ],
)
def test_moved_white_space_repeats_nothing(handed: str, present: str, chunk: str) -> None:
    """Where only white space moved, it goes on behind the characters handed out."""
    chunks = AppendOnlyText()
    chunks.add(handed)
    assert chunks.revise(present, 0) == chunk
    assert "".join((handed + chunk).split()) == "".join(present.split())
    assert chunks.revised
    assert not chunks.restarted


@pytest.mark.parametrize(
    ("handed", "text", "offset", "chunk"),
    [
        ("Thinking...", "The answer", 0, "\nThe answer"),
        ("Thinking\n", "Done", 0, "Done"),
        ("Hello wor", "", 5, "\nHello"),
        ("Hello wor", "there", 6, "\nHello there"),
    ],
)
def test_other_changes_start_over_on_a_new_line(
    handed: str, text: str, offset: int, chunk: str
) -> None:
    """Where other characters changed, the whole present text comes again."""
    chunks = AppendOnlyText()
    chunks.add(handed)
    assert chunks.revise(text, offset) == chunk
    assert chunks.restarted


def test_text_goes_on_behind_a_revision() -> None:
    """After a revision, what is added is handed out again, and revisions compare with all."""
    chunks = AppendOnlyText()
    handed = [chunks.add("wrong"), chunks.revise("right", 0), chunks.add(" on")]
    handed.append(chunks.revise("  right on time", 0))
    assert "".join(handed) == "wrong\nright on time"
