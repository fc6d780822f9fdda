"""A reply is a str in every respect, and keeps what it knows when it is copied."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable

import pytest

from qwen72b import Reply, Timings

TIMINGS = Timings(queue=0.1, first_token=0.5, total=2.0)
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "*Hello*"}]

copies = pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        *[
            lambda reply, protocol=protocol: pickle.loads(pickle.dumps(reply, protocol))
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
        ],
    ],
)


@pytest.fixture
def reply() -> Reply:
    return Reply("*Hello*", TIMINGS, MESSAGES)


def test_reply_is_text(reply: Reply) -> None:
    """It equals, hashes, joins and prints as its text."""
    assert reply == "*Hello*"
    assert {reply: 1}["*Hello*"] == 1
    assert f"{reply}!" == "*Hello*!"
    assert repr(reply) == "'*Hello*'"
    assert type(reply.upper()) is str


def test_text_is_a_plain_str(reply: Reply) -> None:
    """``text`` is what other libraries' answers have, without all that a reply knows."""
    assert type(reply.text) is str
    assert reply.text == reply


def test_reply_knows_its_timings_and_chat(reply: Reply) -> None:
    """It has the timings and the chat up to and with itself; alone, it has none."""
    assert reply.timings == TIMINGS
    assert reply.messages == MESSAGES
    assert Reply("Hi").timings == Timings(None, None, 0.0)
    assert Reply("Hi").messages == []


def test_reply_keeps_its_own_list(reply: Reply) -> None:
    """A list that is changed afterwards does not change the reply."""
    messages = list(MESSAGES)
    made = Reply("*Hello*", None, messages)
    messages.clear()
    assert made.messages == MESSAGES


def test_reply_is_json_text(reply: Reply) -> None:
    """In JSON it is a plain string."""
    assert json.loads(json.dumps({"answer": reply})) == {"answer": "*Hello*"}


@copies
def test_reply_survives_copying(reply: Reply, copied: Callable[[Reply], Reply]) -> None:
    """Copies and pickles are replies with the same timings and messages."""
    twin = copied(reply)
    assert type(twin) is Reply
    assert twin == reply
    assert twin.timings == TIMINGS
    assert twin.messages == MESSAGES


def test_deep_copy_is_independent(reply: Reply) -> None:
    """What is done to a deep copy's messages does not show in the original."""
    copy.deepcopy(reply).messages[0]["content"] = "changed"
    assert reply.messages[0]["content"] == "Hi"


def test_reply_is_drawn_as_markdown(reply: Reply) -> None:
    """A notebook takes its plain text for Markdown."""
    markdown = reply._repr_markdown_()
    assert markdown == "*Hello*"
    assert type(markdown) is str
