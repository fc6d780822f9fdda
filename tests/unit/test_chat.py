"""history: the Chatbot's forms, and where the answer stands in them."""

from __future__ import annotations

from typing import Any

import pytest

from qwen72b.protocol.chat import Answer, ChatFormat, encode_history, find_answer

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


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ([["q", "a"]], Answer("a", [0, 1], [0, 1])),
        ([["q", None]], Answer("", None, [0, 1])),
        ([["q", ["file"]]], Answer("", None, [0, 1])),
        ([["q", "a"], ["r", "b"]], Answer("b", [1, 1], [1, 1])),
        (
            [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
            Answer("a", [1, "content"], [1, "content"]),
        ),
        (
            [{"role": "assistant", "content": [part("a"), {"type": "file"}, part("b"), ["c"]]}],
            Answer("ab", [0, "content", 2, "text"], [0, "content"]),
        ),
        (
            [{"role": "assistant", "content": part("a")}],
            Answer("a", [0, "content", "text"], [0, "content"]),
        ),
        (
            {"__type__": "update", "value": [["q", "a"]]},
            Answer("a", ["value", 0, 1], ["value", 0, 1]),
        ),
        ({"__type__": "update", "value": []}, Answer("")),
        ([{"role": "user", "content": "q"}], Answer("")),
        ([{"role": "assistant", "content": None}], Answer("", None, [0, "content"])),
        ([{"role": "assistant", "content": {}}], Answer("", None, [0, "content"])),
        ([["q", "a", "b"]], Answer("")),
        ([5], Answer("")),
        ([], Answer("")),
        (None, Answer("")),
        ({"__type__": "update"}, Answer("")),
    ],
)
def test_answer_is_the_assistants_text_of_the_last_turn(value: Any, answer: Answer) -> None:
    """Each form is read at its last turn; anything else has no answer."""
    assert find_answer(value, []) == answer


@pytest.mark.parametrize(
    ("sent", "value", "text"),
    [
        ([["q", "a b"]], [["q", "a  b"]], ""),
        ([["q", "a"]], [["q", "a"], ["r", None]], ""),
        ([["q", "a"], ["r", "b"]], [["q", "a"]], ""),
        ([["q", "a"], ["r", "b"]], [["r", "b"], ["s", "c"]], "c"),
        (
            [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
            [
                {"role": "user", "content": "q", "metadata": None},
                {"role": "assistant", "content": "a", "metadata": None},
            ],
            "",
        ),
        ([["q", "a"]], [7], ""),
    ],
)
def test_answer_of_an_old_turn_is_not_the_new_one(sent: Any, value: Any, text: str) -> None:
    """A history returned as it was sent holds no answer yet."""
    assert find_answer(value, sent).text == text
