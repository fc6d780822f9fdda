"""
What somebody typed for an input, as its component takes it.

A command line has nothing but text, and ``2`` is a number to a slider and a text
to a text box. So what was typed stays text until the page is known; then the kind
of the component and its choices decide. Values that Python gives are not read.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..privacy.redaction import Hidden
from .limits import NUMBERS, TRUTHS, is_same
from .plan import Setting

__all__ = ["Typed", "read_typed"]

# Components whose value is text.
_TEXTS = frozenset({"textbox", "code", "colorpicker", "datetime", "html", "markdown"})

# What people type for a tick, and for none.
_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_WHOLE = r"[+-]?[0-9]+"

# What is none of the choices; ``None`` may be one.
_NOTHING = object()


class Typed(Hidden):
    """Text that somebody typed; what it means is up to the component that it is for."""

    __slots__ = ()


def read_typed(text: str, setting: Setting) -> Any:
    """
    Read what was typed for an input.

    Args:
        text: The text.
        setting: The input.

    Returns:
        Its value, which the limits may still refuse.

    Raises:
        ValueError: If it is no such value.
    """
    if setting.kind in _TEXTS:
        return text
    if setting.kind == "multimodaltextbox":
        value = _read_json(text)
        return value if isinstance(value, dict) else {"text": text, "files": []}
    if setting.kind in TRUTHS:
        try:
            return _WORDS[text.strip().lower()]
        except KeyError:
            raise ValueError("no truth") from None
    if setting.kind in NUMBERS:
        return None if text.strip() == "null" else _read_number(text)
    if setting.choices is not None:
        return _read_choices(text, setting)
    return _read_json(text)


def _read_choices(text: str, setting: Setting) -> Any:
    """Read one of the choices, or a list of them; where any value goes, a text is one."""
    found = _find_choice(text, setting)
    if found is not _NOTHING:
        return [found] if setting.many else found
    value = _read_json(text)
    if setting.many and isinstance(value, list):
        # A number in the list is looked for as it was typed: it may be a text there.
        words = json.loads(text, parse_int=str, parse_float=str)
        hits = [_find_choice(w, setting) if isinstance(w, str) else _NOTHING for w in words]
        return [each if hit is _NOTHING else hit for hit, each in zip(hits, value, strict=True)]
    if setting.limits.choices is not None:
        return value
    return [text] if setting.many else text


def _find_choice(text: str, setting: Setting) -> Any:
    """Find a choice: by its value's text, by what is shown for it, by its number."""
    choices = setting.choices or ()
    for _, value in choices:
        if value is not None and text == str(value):
            return value
    for name, value in choices:
        if text == name:
            return value
    try:
        wanted: Any = _read_number(text)
    except ValueError:
        wanted = {"true": True, "false": False}.get(text.strip().lower(), _NOTHING)
    return next((value for _, value in choices if is_same(wanted, value)), _NOTHING)


def _read_number(text: str) -> int | float:
    text = text.strip()
    if re.fullmatch(_WHOLE, text):
        return int(text)
    return _finite(text if re.fullmatch(_NUMBER, text) else "nan")


def _read_json(text: str) -> Any:
    """Read JSON, or else the text that it is."""
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return text


def _finite(text: str) -> float:
    """Read a number; Python reads NaN and 1e999 as well, which JSON cannot say."""
    number = float(text)
    if not abs(number) < float("inf"):
        raise ValueError("no finite number")
    return number
