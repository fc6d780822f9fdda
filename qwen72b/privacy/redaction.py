"""
Secrets that do not show: in tracebacks with local variables, messages and logs.

What may be one is wrapped where it comes in, before anything else is done with
it, so that no frame of ours holds it bare. A value that is refused is shown
only as far as no user, password or query can be in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from reprlib import Repr
from typing import Any

__all__ = ["Hidden", "HiddenURL", "hide", "hide_url", "hide_values", "redact", "shown", "shown_url"]

# What can be shown of a URL that is refused: a scheme, a host, a port of
# digits, a path.
_HARMLESS = (
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^\s@?#:\\%]*|\[[0-9A-Fa-f:.]*\]?)"
    r"(?::[0-9]{0,5})?(?:/[^\s@?#:\\%]*)?"
)

# What can be shown of a name of a Space that is refused: words.
_WORDS = r"[\w./\\,;'+\s-]+"

# What stands before a secret, or in its beginning.
_TELLTALE = r"(?i)hf_|\b(?:bearer|basic|token|key|secret|pass\w*)\b"

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

# Characters of a refused value that are shown.
_SHOWN = 200

# How deep a secret is looked for.
_MOST_LEVELS = 50

_REPR = Repr()
_REPR.maxstring = _REPR.maxother = _SHOWN


class Hidden(str):
    """Text that its ``repr`` does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


class HiddenURL(str):
    """A URL whose ``repr`` shows it without user, password and query."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(shown_url(self))


def hide(value: Any) -> Any:
    """
    Wrap what may be a secret.

    Args:
        value: A text, or several in a tuple, a list or a mapping.

    Returns:
        The same, with each text ``Hidden``; anything else as it is.
    """
    # Most options are not given.
    return None if value is None else _hide(value, {}, _MOST_LEVELS)


def _hide(value: Any, seen: dict[int, Any], levels: int) -> Any:
    """Wrap a value once, wherever it stands; what holds itself, or is too deep, is left as it is."""
    if isinstance(value, str):
        # What is hidden may be of a kind of its own.
        return value if isinstance(value, Hidden) else Hidden(value)
    if not levels or not isinstance(value, (tuple, list, Mapping)):
        return value
    if id(value) not in seen:
        seen[id(value)] = value
        if isinstance(value, Mapping):
            hidden: Any = {
                _hide_name(name): _hide(item, seen, levels - 1) for name, item in value.items()
            }
        else:
            hidden = tuple([_hide(item, seen, levels - 1) for item in value])
        seen[id(value)] = hidden
    return seen[id(value)]


def hide_url(value: Any) -> Any:
    """
    Wrap a URL, which may hold a password or a token.

    Args:
        value: The URL.

    Returns:
        A ``HiddenURL``; anything but a text as it is.
    """
    return HiddenURL(value) if isinstance(value, str) else value


def hide_values(inputs: Any) -> Any:
    """
    Wrap what may be a secret among the values of a mapping; its keys are none.

    Args:
        inputs: The mapping; anything else is returned as it is.
    """
    if not isinstance(inputs, Mapping):
        return inputs
    seen: dict[int, Any] = {}
    return {label: _hide(value, seen, _MOST_LEVELS) for label, value in inputs.items()}


def shown_url(url: str) -> str:
    """
    Show a URL, or what was meant to be one, without a secret.

    Args:
        url: The URL, as somebody typed it.

    Returns:
        It, if neither user, password, query nor token can be in it; else what
        surely is its host, between dots.
    """
    text = str(url).strip()
    begin = text[:_SHOWN]
    if re.fullmatch(_HARMLESS, begin) and not text.lower().startswith("hf_"):
        return begin
    if re.fullmatch(_WORDS, begin) and not re.search(_TELLTALE, begin) and "@" not in text:
        return begin
    # Behind the last @ stands the host; before it, anything.
    host = re.match(r"[A-Za-z0-9.-]+", text.rpartition("@")[2]) if "@" in text else None
    if host is None and (
        found := re.match(r"([a-z0-9+.-]+://[A-Za-z0-9.-]+)(?=[/?#])", text, re.IGNORECASE)
    ):
        return f"{found[1]}..."
    return f"...@{host[0]}..." if host is not None else "..."


def shown(value: object) -> str:
    """
    Show a value that is refused, whatever it is.

    Args:
        value: The value.

    Returns:
        Its ``repr``, cut; or its kind, if it has none, as a number of thousands
        of digits, or one that says where it is in memory.
    """
    if isinstance(value, (Hidden, HiddenURL)):
        return repr(value)[:_SHOWN]
    try:
        # A text as such, whatever its class makes of it. Of a large value no
        # more is looked at than is shown.
        plain = str.__getitem__(value, slice(_SHOWN)) if isinstance(value, str) else value
        text = _REPR.repr(plain)[:_SHOWN]
    except Exception:  # noqa: BLE001 - whatever its class does
        text = ""
    return text if text and " at 0x" not in text else f"a {type(value).__name__[:_SHOWN]}"


def redact(text: str) -> str:
    """
    Take what may be users, passwords and queries out of a line about URLs.

    Args:
        text: The line.

    Returns:
        It, with dots in their place.
    """
    return _WORD.sub(_redact_word, text)


# What a URL can be; gone through once, however long it is.
_WORD = re.compile(r"[^\s'\"<>]+")


def _redact_word(match: re.Match[str]) -> str:
    word = match[0]
    before, at, rest = word.rpartition("@")
    if at:
        found = re.search(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://", before)
        word = f"{found[0] if found else ''}...@{rest}"
    path = word.find("://")
    query = word.find("?", path)
    return word if path < 0 or query < 0 else f"{word[:query]}?..."


def _hide_name(name: Any) -> Any:
    """A header's name is none; where something else stands there, it may be."""
    return Hidden(name) if isinstance(name, str) and not re.fullmatch(_NAME, name) else name
