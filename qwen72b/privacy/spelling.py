"""
The ways in which a server may write what it repeats.

As a URL, a page or JSON does, or two of these after each other: each character of a
secret has a pattern of its own, and what a server made of it costs time in
proportion, whatever the secret is.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["spelling", "spellings"]

# Letters that a backslash makes a character of.
_ESCAPED = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f"}


# A backslash, as it is or in a URL; and several that each writing added to escape what
# follows. They have an end: a server may send them by the million.
_BACKSLASH = r"(?:\\|%(?:25)*(?i:5c))"
_ADDED = f"{_BACKSLASH}{{0,8}}"
_NEEDED = f"{_BACKSLASH}{{1,8}}"


def _written(character: str) -> str:
    """Tell, as a pattern, how a character may be written, once or in two of these ways."""
    if character.isascii() and character.isalnum():
        return character
    if character == "\\":
        return _row(1, 2)
    whole, escaped = map("|".join, _ways(character))
    return f"(?:{_ADDED}(?:{whole})|{_NEEDED}(?:{escaped}))"


def _ways(character: str) -> tuple[list[str], list[str]]:
    """List, as patterns, how a character may be written: by itself, and behind a backslash."""
    # Late, and only if something failed.
    from html.entities import codepoint2name

    code = ord(character)
    utf8 = character.encode("utf-8", "replace")
    utf16 = character.encode("utf-16-be", "surrogatepass")
    units = [f"u(?i:{utf16[i : i + 2].hex()})" for i in range(0, len(utf16), 2)]
    name = codepoint2name.get(code, "apos" if character == "'" else "")
    # What is longer comes first: & begins those of pages, too.
    whole = [f"&(?:amp;)*{name};"] if name else []
    whole += [
        f"&(?:amp;)*#(?:0*{code}|[xX]0*(?i:{code:x}))(?:;|(?![0-9A-Fa-f]))",
        "".join(f"%(?:25)*(?i:{byte:02x})" for byte in utf8),
    ]
    escaped = [_NEEDED.join(units), f"U(?i:{code:08x})"]
    if code < 256:
        escaped.append(f"x(?i:{code:02x})")
    if 128 <= code < 256:
        whole.append(f"%(?i:{code:02x})")
    if not character.isascii():
        # Decoded as http.client decodes.
        whole.append(re.escape(utf8.decode("latin-1")))
    if character in _ESCAPED:
        escaped.append(_ESCAPED[character])
    if character == " ":
        whole.append(r"\+")
    return [*whole, re.escape(character)], escaped


def spellings(text: str, least: int) -> re.Pattern[str]:
    """
    Make the pattern of all spellings of a text.

    Args:
        text: The text.
        least: Characters of its beginning that have to be there.

    Returns:
        The pattern; of a longer text, with a group that matches if all of it is there.
    """
    ways: list[str] = []
    rest: list[str] = []
    for match in re.finditer(r"\\+|[^\\]", text):
        begin, end = match.span()
        if match[0][0] != "\\":
            way = _written(match[0])
        else:
            # It may be cut where the beginning that has to be there ends.
            fewest = max(1, min(end, least) - begin)
            way = _row(fewest, 8 * (end - begin), ends=end < least)
        (ways if begin < least else rest).append(way)
    tail = "()" if len(text) > least else ""
    for way in reversed(rest):
        tail = f"(?:{way}{tail})?"
    return re.compile("".join(ways) + tail)


def _row(least: int, most: int, *, ends: bool = False) -> str:
    """
    Tell, as a pattern, how backslashes in a row may be written.

    In one, since a pattern for each of them would try all ways to share out what
    there is. What follows has one of them at most, if the row ``ends`` there, so
    that there are two places for its beginning.
    """
    whole, escaped = _ways("\\")
    plainly = f"{_BACKSLASH}{{{least},{most}}}" + (f"(?!{_BACKSLASH}{{2}})" if ends else "")
    ways = [f"{_NEEDED}(?:{'|'.join(escaped)})", whole[0]]
    return f"(?:{'|'.join(f'(?:{way}){{{least},{most}}}' for way in ways)}|{plainly})"


@lru_cache(maxsize=512)
def spelling(character: str) -> re.Pattern[str]:
    """
    Make the pattern of all spellings of a character.

    Args:
        character: The character.
    """
    return re.compile(_written(character))
