"""
The reading of JSON from a stranger.

Python's own decoder lets four things through that must not reach the rest:
``NaN`` and its kin, a ``RecursionError`` for deep nesting (from wherever the
stack then happens to be), a plain ``ValueError`` for absurd integers, and
values by the million: it holds the interpreter's lock for as long as it works,
and makes 100 bytes and more of three characters. So the structure is counted
before anything is made of it, with string operations that are linear and
written in C: a pattern for strings would start anew at every quote of one that
is never closed.

What may be read, and what it costs (measured on 3.11): 200,000 values take 30
to 60 ms and 60 MB at most, whatever they are, and a string its own length again. 64
kB of the costliest shape (brackets 50 deep) take 5 ms.
"""

from __future__ import annotations

import json
from array import array
from itertools import accumulate
from typing import Any

__all__ = [
    "MAX_DEPTH",
    "MAX_VALUES",
    "NotJSON",
    "TooManyValues",
    "check_structure",
    "read_json",
    "takes_long",
]


class NotJSON(ValueError):
    """A text is no JSON, or JSON that no honest server sends."""


class TooManyValues(NotJSON):
    """A text has more values than are made of one text."""


# NaN and Infinity are no JSON, but Python servers write them; null is what
# JavaScript clients would read.
_DECODER = json.JSONDecoder(parse_constant=lambda name: None)

# Digits of a whole number in a text from a size on: what fits in a float has 309. A
# number costs the square of its digits, up to the 4,300 that Python reads; a call
# for each number costs less than that, and more than a short text may take.
_MOST_DIGITS = 309
_LONG = 65536


def _read_int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise NotJSON(f"a number in it has {len(digits):,} digits")
    return int(digits)


_DECODER_OF_LONG = json.JSONDecoder(parse_constant=lambda name: None, parse_int=_read_int)

# Commas and opening brackets outside strings. A chat of 10,000 turns has some
# 80,000 of them in Gradio 6, the configuration of a large app 50,000.
MAX_VALUES = 200_000

# Those of a text that does not take long. The costliest, messages of a chat that say
# next to nothing, take a microsecond each, decoded and looked at: 2 ms of an event
# loop. In Gradio 6 a chat of 250 turns has as many.
_MOST_BRIEFLY = 2000

# Gradio's own messages and configurations nest about 20 deep.
MAX_DEPTH = 200

# What a bracket does to the depth, as signed bytes; all else is left out.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_PIECE = 128
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_json(text: str) -> Any:
    """
    Decode JSON text.

    Args:
        text: The text.

    Returns:
        The value, with ``None`` for ``NaN`` and the infinities.

    Raises:
        TooManyValues: If the text has more than ``MAX_VALUES`` values.
        NotJSON: If the text is not JSON, nests too deep or has a number with
            thousands of digits.
    """
    # Stripped here, because the decoder's own search for white space at both
    # ends takes a fifth of the time of a short text.
    text = text.strip(" \t\r\n")
    # A delta is too short to be deep.
    if len(text) > 2 * MAX_DEPTH:
        check_structure(text)
    decoder = _DECODER if len(text) <= _LONG else _DECODER_OF_LONG
    try:
        value, end = decoder.raw_decode(text)
    except NotJSON:
        raise
    except ValueError as exc:
        raise NotJSON(str(exc)) from exc
    if end != len(text):
        raise NotJSON(f"something follows its end at character {end}")
    return value


def takes_long(text: str) -> bool:
    """
    Tell whether to read a text may take milliseconds, although it is short.

    60 kB may be one string, or 30,000 numbers. What looks like a value within a
    string counts as well.

    Args:
        text: The text.
    """
    if len(text) <= _MOST_BRIEFLY:
        return False
    return text.count(",") + text.count("[") + text.count("{") > _MOST_BRIEFLY


def check_structure(text: str) -> None:
    """
    Refuse what has too many values or nests too deep, before anything is made of it.

    Args:
        text: What may be JSON.

    Raises:
        TooManyValues: As ``read_json``.
        NotJSON: If it nests too deep.
    """
    brackets = text.count("[") + text.count("{")
    short = len(text) <= MAX_VALUES
    if brackets <= MAX_DEPTH and (short or brackets + text.count(",") <= MAX_VALUES):
        return
    # Without escaped quotes, what lies outside strings is every other piece.
    # What an escape outside a string does to that is of no concern: there the
    # decoder stops.
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    # A value has two strings at most, if one of them is its key.
    if text.count('"') > 4 * (MAX_VALUES + 1):
        raise TooManyValues(f"it has more than {MAX_VALUES:,} values")
    outside = "".join(text.split('"')[::2])
    brackets = outside.count("[") + outside.count("{")
    if brackets + outside.count(",") > MAX_VALUES:
        raise TooManyValues(f"it has more than {MAX_VALUES:,} values")
    if brackets <= MAX_DEPTH:
        return
    steps = outside.encode("ascii", "ignore").translate(_STEPS, _NO_BRACKETS)
    # A piece is gone through step by step only where it may reach the limit, which
    # saves a fifth of what the costliest shape takes in all.
    depth = 0
    for at in range(0, len(steps), _PIECE):
        piece = steps[at : at + _PIECE]
        opened = piece.count(1)
        near = depth + opened > MAX_DEPTH
        if near and depth + max(accumulate(array("b", piece))) > MAX_DEPTH:
            raise NotJSON("it nests too deep")
        depth += 2 * opened - len(piece)
