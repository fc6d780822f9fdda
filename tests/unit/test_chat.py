"""chat: the forms of a Chatbot's value."""

from __future__ import annotations

from typing import Any

import pytest

from qwen72b.protocol.chat import ChatFormat, encode_history

TURNS = (("user", "q"), ("assistant", "a"))


def part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("turns", "form", "encoded"),
    [
        (TURNS, ChatFormat.PAIRS, [["q", "a"]]),
        ((("assistant", "hi"), *TURNS), ChatFormat.PAIRS, [["", "hi"], ["q", "a"]]),
        (
            TURNS,
            ChatFormat.ROLES,
            [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
        ),
        (
            TURNS,
            ChatFormat.PARTS,
            [
                {"role": "user", "content": [part("q")]},
                {"role": "assistant", "content": [part("a")]},
            ],
        ),
        ((), ChatFormat.PARTS, []),
    ],
)
def test_history_goes_out_in_the_form_that_is_wanted(
    turns: Any, form: ChatFormat, encoded: Any
) -> None:
    """Each form is written as Gradio accepts it."""
    assert encode_history(turns, form) == encoded
