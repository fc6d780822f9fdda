"""
The masking of our own secrets in what a server says.

A server may repeat what it was sent: in a page, a header, the words of an app.
So what is a secret is known by value, too, for as long as a client or a call has
it, and masked in every error and every line of the log.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

from .credentials import is_plain, is_secret_name
from .redaction import Hidden, redact
from .spelling import spelling, spellings

__all__ = ["Secrets", "mask", "shown_headers"]

# Characters of the shortest secret that is masked: a shorter one may be part of
# any word. From as many on, its beginning is masked, too, where it was cut.
_LEAST = 8

# Characters that are looked for as one pattern, whose parts stand in each other.
_MOST_NESTED = 56

# Characters that a mere word has at most: each of its occurrences is gone through
# to its end.
_MOST_PLAIN = 100

# Two characters of Base64, as they are written where URLs are.
_URL_SAFE = str.maketrans("+/", "-_")

# Headers that hold a URL, which may begin with its path.
_URL_HEADERS = frozenset(["content-location", "link", "location", "referer", "refresh"])

_known: WeakValueDictionary[int, Secrets] = WeakValueDictionary()


class Secrets:
    """
    Secrets of a client or a call, masked for as long as it has them.

    Args:
        values: The secrets; those of fewer than eight characters are left out.
    """

    __slots__ = ("__weakref__", "_finders", "_values")

    def __init__(self, values: Iterable[str]) -> None:
        self._values = tuple(Hidden(value) for value in values if len(value) >= _LEAST)
        self._finders: tuple[_Finder, ...] | None = None
        if self._values:
            _known[id(self)] = self

    def finders(self) -> tuple[_Finder, ...]:
        """Make what finds them, if something failed: few clients need it."""
        if self._finders is None:
            forms = (form for value in self._values for form in _forms(value))
            self._finders = tuple(map(_Finder, dict.fromkeys(forms)))
        return self._finders

    def __repr__(self) -> str:
        return "Secrets(...)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Secrets, (self._values,)


def _forms(secret: Hidden) -> Iterator[Hidden]:
    """
    Walk over what a secret is looked for as: itself, in capitals or without any, in Base64.

    In Base64 it stands in one of three ways, whatever is before and behind it
    (a user's name, for one). Each is without the characters that depend on that.
    """
    yield secret
    if not is_plain(secret):
        yield Hidden(secret.lower())
        yield Hidden(secret.upper())
    size = len(secret.encode("utf-8", "replace"))
    for before in range(3):
        sure = slice((8 * before + 5) // 6, 8 * (before + size) // 6)
        written = Hidden(_in_base64(secret, before)[sure])
        yield written
        yield Hidden(written.translate(_URL_SAFE))


def _in_base64(secret: Hidden, before: int) -> Hidden:
    return Hidden(b64encode(bytes(before) + secret.encode("utf-8", "replace")).decode())


class _Finder:
    """
    What finds one secret, each of its characters as text, a URL, a page or JSON writes it.

    Args:
        secret: The secret.
    """

    def __init__(self, secret: Hidden) -> None:
        begin = secret[:_LEAST]
        self.secret = secret
        #: Whether our own sentences may have it, and longer words it as a part.
        self.is_plain = len(secret) <= _MOST_PLAIN and is_plain(secret)
        self._begins_plainly = len(secret) <= _MOST_PLAIN and is_plain(begin)
        # Letters and digits are written in one way only.
        self._anchor = Hidden(max(re.findall("[0-9A-Za-z]*", begin), key=len))
        # What is masked wherever it stands is looked for as far as it goes.
        odd = not (self.is_plain or self._begins_plainly)
        self._first = Hidden(secret[: _MOST_NESTED if odd else _LEAST])
        self._pattern: re.Pattern[str] | None = None

    def replace(self, text: str) -> str:
        """Put dots in its place, and in that of what was left of it by a cut."""
        if self._anchor not in text:
            return text
        if self._pattern is None:
            self._pattern = spellings(self._first, _LEAST)
        if len(self._first) == len(self.secret) and not self.is_plain:
            # In one go: a hostile server may send millions of it.
            return self._pattern.sub("...", text)
        parts = []
        done = 0
        for match in self._pattern.finditer(text):
            start, end = match.span()
            if start < done:
                continue
            count = len(self._first)
            if count > _LEAST and not match.lastindex:
                meant = True
            else:
                end, count = self._follow(text, end, count)
                meant = self._is_meant(text, start, end, count)
            if meant:
                parts += [text[done:start], "..."]
                done = end
        return "".join([*parts, text[done:]])

    def _follow(self, text: str, end: int, count: int) -> tuple[int, int]:
        """Tell how far an occurrence goes on, and how many characters of the secret it has."""
        while count < len(self.secret) and end < len(text):
            found = spelling(self.secret[count]).match(text, end)
            if found is None:
                break
            end = found.end()
            count += 1
        return end, count

    def _is_meant(self, text: str, start: int, end: int, count: int) -> bool:
        """Tell an occurrence, whole or its beginning, from a word that anybody may say."""
        whole = count == len(self.secret)
        if not (self.is_plain if whole else self._begins_plainly):
            return True
        before = text[max(0, start - 6) : start]
        if _IN_WORD.search(before) and not re.search(_ESCAPE, before):
            return False
        if whole:
            return not _WORD.match(text, end)
        return end == len(text) and count > _LEAST


_WORD = re.compile(r"\w")
_IN_WORD = re.compile(r"\w\Z")

# What ends in a letter or a digit, and is no part of a word.
_ESCAPE = r"(?:%[0-9A-Fa-f]{2}|\\[abfnrtv]|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4})\Z"


def mask(text: str, *, own: bool = False) -> str:
    """
    Take our own secrets out of a text that a server had a part in.

    Args:
        text: The text of an error or a line of a log.
        own: Whether it is a sentence of ours, in which what a server said is
            masked by now: a secret that is a mere word is left in it.

    Returns:
        It, with dots in their place; also of one that was cut, unless it begins
        as any word may.
    """
    if not _known:
        return text
    # In one step, since another thread may make a client.
    kept = [reference() for reference in _known.valuerefs()]
    finders = [finder for secrets in kept if secrets is not None for finder in secrets.finders()]
    for finder in sorted(finders, key=lambda finder: len(finder.secret), reverse=True):
        if not (own and finder.is_plain):
            text = finder.replace(text)
    return text


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Show the headers of a response without what is private in them.

    Args:
        headers: The headers.

    Returns:
        A copy; cookies and tokens without their values, URLs without users,
        passwords and queries.
    """
    return {mask(name): _shown_header(name.lower(), mask(value)) for name, value in headers.items()}


def _shown_header(name: str, value: str) -> str:
    if "cookie" in name:
        return re.sub(r"=[^;,]*", "=...", value)
    if is_secret_name(name) and not value.isdigit():
        return "..."
    value = redact(value)
    return re.sub(r"[?#][^\s'\"<>;,]+", "?...", value) if name in _URL_HEADERS else value
