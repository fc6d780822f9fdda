"""messages: from chat messages to a query, a history and a system text."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from qwen72b import InvalidMessages
from qwen72b.messages import Prompt, format_prompt, to_prompt

CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye"},
]


def test_text_alone_is_the_query() -> None:
    """A str is the user's message."""
    assert to_prompt("Hi") == Prompt("Hi")


def test_chat_becomes_query_history_and_system() -> None:
    """The last message is the query, the ones before it are the history."""
    assert to_prompt(CHAT) == Prompt("Bye", (("user", "Hi"), ("assistant", "Hello.")), "Be brief.")


def test_list_is_untouched() -> None:
    """The caller's list is never changed."""
    before = copy.deepcopy(CHAT)
    to_prompt(CHAT)
    assert before == CHAT


@pytest.mark.parametrize(
    ("messages", "argument", "system"),
    [
        ([{"role": "user", "content": "x"}], None, None),
        ([{"role": "system", "content": ""}, {"role": "user", "content": "x"}], None, ""),
        ([{"role": "user", "content": "x"}], "", ""),
        ([{"role": "developer", "content": "d"}, {"role": "user", "content": "x"}], None, "d"),
        (
            [
                {"role": "system", "content": "a"},
                {"role": "user", "content": "x"},
                {"role": "system", "content": "b"},
                {"role": "user", "content": "y"},
            ],
            "first",
            "first\na\nb",
        ),
    ],
)
def test_system_texts_are_joined(messages: Any, argument: str | None, system: str | None) -> None:
    """System texts are joined by a newline; an empty one is sent, none is left to the Space."""
    assert to_prompt(messages, system=argument).system == system


def test_consecutive_messages_of_a_role_are_joined() -> None:
    """A Space's history alternates, so neighbours of one role become one."""
    chat = [
        {"role": "assistant", "content": "Welcome."},
        {"role": "assistant", "content": "Ask me."},
        {"role": "user", "content": "One"},
        {"role": "system", "content": "s"},
        {"role": "user", "content": "Two"},
    ]
    assert to_prompt(chat) == Prompt("One\n\nTwo", (("assistant", "Welcome.\n\nAsk me."),), "s")


def test_text_parts_are_joined_by_lines() -> None:
    """A list of text parts reads as their texts, a line each."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert to_prompt([{"role": "user", "content": parts}]).query == "a\nb"


@pytest.mark.parametrize(
    ("text", "sent"),
    [("a\ud83d", "a\ufffd"), ("\udc00b", "\ufffdb"), ("\ud83d\ude00", "\U0001f600"), ("é", "é")],
)
def test_lone_surrogates_are_replaced(text: str, sent: str) -> None:
    """What no UTF-8 can carry is replaced, a pair of surrogates is mended."""
    assert to_prompt(text, system=text) == Prompt(sent, system=sent)


@pytest.mark.parametrize(
    ("messages", "index", "words"),
    [
        (None, None, "not NoneType"),
        ({"role": "user", "content": "x"}, None, "not dict"),
        (({"role": "user", "content": "x"},), None, "not tuple"),
        ([], None, "empty"),
        (["x"], 0, "not a dict"),
        ([{"content": "x"}], 0, "no 'role'"),
        ([{"role": "user"}], 0, "no 'content'"),
        ([*CHAT, {"role": "tool", "content": "x"}], 4, "'tool'"),
        ([{"role": ["user"], "content": "x"}], 0, "unknown role"),
        ([{"role": "user", "content": None}], 0, "NoneType"),
        ([{"role": "user", "content": 3}], 0, "int"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], 0, "no text"),
        ([{"role": "user", "content": ["x"]}], 0, "no text"),
        ([{"role": "user", "content": [{"type": "text", "text": None}]}], 0, "no text"),
        (CHAT[:3], 2, "'assistant'"),
        (CHAT[:1], 0, "'system'"),
    ],
)
def test_malformed_messages_are_refused(messages: Any, index: int | None, words: str) -> None:
    """The error says which message is wrong, and why."""
    with pytest.raises(InvalidMessages, match=words) as caught:
        to_prompt(messages)
    assert caught.value.index == index
    assert caught.value.hint


def test_system_argument_must_be_text() -> None:
    """A system text of another type is refused."""
    with pytest.raises(InvalidMessages, match="not int"):
        to_prompt("x", system=3)  # type: ignore[arg-type]


def test_one_message_is_its_bare_text() -> None:
    """A single message is folded into its text alone."""
    assert format_prompt([{"role": "user", "content": "Hi"}]) == "Hi"


def test_more_messages_are_lines() -> None:
    """More messages are folded into a line each and a last one to go on from."""
    assert format_prompt(CHAT[1:]) == "User: Hi\nAssistant: Hello.\nUser: Bye\nAssistant:"
