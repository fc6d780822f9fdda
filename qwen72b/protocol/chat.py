"""
The forms of a Space's chat history.

Gradio's Chatbot has had three forms (measured on 4.0 to 6.31)::

    PAIRS  [[user, assistant], ...]                          4.x, and 5.x on request
    ROLES  [{"role": ..., "content": text}, ...]             4.44 and 5.x
    PARTS  [{"role": ..., "content": [{"type": "text", "text": text}]}, ...]    6.x

The wrong form is answered with an error that names no reason, so the history
goes out in the form that ``/config`` tells. The answer (``reading``) is read from
the shape that came, which is never ambiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from ..messages import Turn

__all__ = ["ChatFormat", "encode_history"]


class ChatFormat(Enum):
    """The form of a Chatbot's value."""

    PAIRS = "pairs"
    ROLES = "roles"
    PARTS = "parts"


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
