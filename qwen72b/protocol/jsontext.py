"""
How is JSON from a stranger read?

Python's own decoder lets three things through that must not reach the rest:
``NaN`` and its kin, a ``RecursionError`` for deep nesting (from wherever the
stack then happens to be), and a plain ``ValueError`` for absurd integers.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["NotJSON", "read_json"]


class NotJSON(ValueError):
    """A text is no JSON, or JSON that no honest server sends."""


# NaN and Infinity are no JSON, but Python servers write them; null is what
# JavaScript clients would read.
_DECODER = json.JSONDecoder(parse_constant=lambda name: None)


# Gradio's own messages and configurations nest about 20 deep.
_MOST_DEPTH = 200

# A chat of 10,000 turns has 30,000 of them.
_MOST_BRACKETS = 1_000_000

# A string, an opening bracket, or a closing one.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|([\[{])|[\]}]')


def read_json(text: str) -> Any:
    """
    Decode JSON text.

    Args:
        text: The text.

    Returns:
        The value, with ``None`` for ``NaN`` and the infinities.

    Raises:
        NotJSON: If the text is not JSON, nests too deep or has a number with
            thousands of digits.
    """
    # Stripped here, because the decoder's own search for white space at both
    # ends takes a fifth of the time of a short text.
    text = text.strip(" \t\r\n")
    # A delta is too short to be deep.
    if len(text) > 2 * _MOST_DEPTH and _is_deep(text):
        raise NotJSON("it nests too deep")
    try:
        value, end = _DECODER.raw_decode(text)
    except ValueError as exc:
        raise NotJSON(str(exc)) from exc
    if end != len(text):
        raise NotJSON(f"something follows its end at character {end}")
    return value


def _is_deep(text: str) -> bool:
    """Tell whether brackets nest too deep, or are so many that counting them takes long."""
    brackets = text.count("[") + text.count("{")
    if brackets <= _MOST_DEPTH:
        return False
    if brackets > _MOST_BRACKETS:
        return True
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[1]:
            depth += 1
            if depth > _MOST_DEPTH:
                return True
        elif token[0][0] != '"':
            depth -= 1
    return False
