"""
The forms of a Space's chat history, and the place of the answer in it.

Gradio's Chatbot has had three forms (measured on 4.0 to 6.31)::

    PAIRS  [[user, assistant], ...]                          4.x, and 5.x on request
    ROLES  [{"role": ..., "content": text}, ...]             4.44 and 5.x
    PARTS  [{"role": ..., "content": [{"type": "text", "text": text}]}, ...]    6.x

The wrong form is answered with an error that names no reason, so the history
goes out in the form that ``/config`` tells. The answer is read from the shape
that came, which is never ambiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..messages import Turn

__all__ = ["Answer", "ChatFormat", "encode_history", "find_answer"]


class ChatFormat(Enum):
    """The form of a Chatbot's value."""

    PAIRS = "pairs"
    ROLES = "roles"
    PARTS = "parts"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    The present answer in a Chatbot's value.

    Args:
        text: The answer; empty if there is none yet.
        path: Where appended text extends it; ``None`` if nowhere.
        root: The path of everything that the answer is read from.
    """

    text: str
    path: list[Any] | None = None
    root: list[Any] | None = None


NO_ANSWER = Answer("")


def encode_history(turns: Sequence[Turn], form: ChatFormat) -> list[Any]:
    """
    Write the turns before the query in a Chatbot's form.

    Args:
        turns: Roles and texts; roles alternate.
        form: The form that the Space's Chatbot has.

    Returns:
        JSON-ready history. An assistant text with no user text before it is
        paired with an empty one.
    """
    if form is ChatFormat.PARTS:
        return [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
    if form is ChatFormat.ROLES:
        return [{"role": role, "content": text} for role, text in turns]
    pairs: list[Any] = []
    for role, text in turns:
        if role == "user":
            pairs.append([text, None])
        elif pairs and pairs[-1][1] is None:
            pairs[-1][1] = text
        else:
            pairs.append(["", text])
    return pairs


def find_answer(value: Any, sent: list[Any], spend: Callable[[int], None] | None = None) -> Answer:
    """
    Find the answer in a Chatbot's value: the assistant's text of the last turn.

    An app may first return the history as it got it, without the new turn;
    the answer of an old turn must not be taken for the new one.

    Args:
        value: The Chatbot's value, in any of the three forms.
        sent: The history that was sent, in the Space's form.
        spend: Told how many characters are to be compared; may raise to stop.

    Returns:
        The answer, and where it stands.
    """
    if isinstance(value, dict) and isinstance(value.get("value"), list):
        # A component update: {"__type__": "update", "value": [...]}.
        inner = find_answer(value["value"], sent, spend)
        return Answer(
            inner.text,
            None if inner.path is None else ["value", *inner.path],
            None if inner.root is None else ["value", *inner.root],
        )
    if not isinstance(value, list) or not value:
        return NO_ANSWER
    last = len(value) - 1
    if last < len(sent) and _same_turn(value[last], sent[last], spend):
        return NO_ANSWER
    turn = value[last]
    if isinstance(turn, list):
        if len(turn) != 2:
            return NO_ANSWER
        # Other than text it is a file.
        root: list[Any] = [last, 1]
        return Answer(turn[1], root, root) if isinstance(turn[1], str) else Answer("", None, root)
    if isinstance(turn, dict) and turn.get("role") == "assistant":
        return _read(turn.get("content"), [last, "content"])
    return NO_ANSWER


def _read(content: Any, root: list[Any]) -> Answer:
    """Read a content: text, one text part, or a list of parts."""
    if isinstance(content, str):
        return Answer(content, root, root)
    if isinstance(content, dict):
        text = content.get("text")
        return (
            Answer(text, [*root, "text"], root) if isinstance(text, str) else Answer("", None, root)
        )
    if not isinstance(content, list):
        return Answer("", None, root)
    texts: list[str] = []
    path: list[Any] | None = None
    for index, part in enumerate(content):
        # Not by another call: a list of thousands of parts is read at every snapshot.
        if isinstance(part, str):
            texts.append(part)
            path = [*root, index]
        elif isinstance(part, dict) and isinstance(text := part.get("text"), str):
            texts.append(text)
            path = [*root, index, "text"]
    return Answer("".join(texts), path, root)


def _same_turn(turn: Any, sent: Any, spend: Callable[[int], None] | None) -> bool:
    """Compare a returned turn with the one sent; the Chatbot may have re-indented its text."""
    returned, own = _texts(turn), _texts(sent)
    return len(returned) == len(own) and all(
        _same_words(*texts, spend) for texts in zip(returned, own, strict=True)
    )


def _texts(turn: Any) -> list[str]:
    if isinstance(turn, dict):
        parts = [turn.get("role"), _read(turn.get("content"), []).text]
    elif isinstance(turn, list):
        # Of a pair; anything longer is none.
        parts = turn[:3]
    else:
        parts = []
    return [part if isinstance(part, str) else "" for part in parts]


def _same_words(text: str, sent: str, spend: Callable[[int], None] | None) -> bool:
    """Compare words, but take apart only what may well have the same ones."""
    if text == sent:
        return True
    # White space hardly makes a text eight times as long.
    if max(len(text), len(sent)) > 8 * min(len(text), len(sent)) + 1000:
        return False
    if spend is not None:
        spend(len(text) + len(sent))
    return text.split() == sent.split()
