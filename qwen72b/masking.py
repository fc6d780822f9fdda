"""
The masking of our own secrets in what a server says.

A server may repeat what it was sent: in a page, a header, the words of an app.
So what is a secret is known by value, too, for as long as a client or a call has
it, and masked in every error and every line of the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakValueDictionary

from .redaction import Hidden, hide, redact

__all__ = ["Secrets", "is_secret_name", "mask", "secrets_of_headers", "shown_headers"]

# Characters of the shortest secret that is masked: a shorter one may be part of
# any word. From as many on, its beginning is masked, too, where it was cut.
_LEAST = 8

# Headers that say who asks for what, and nothing that is private.
_PLAIN_HEADERS = re.compile(
    r"accept.*|cache-control|connection|content-.*|dnt|forwarded|from|host|origin|pragma|referer|"
    r"sec-.*|te|upgrade.*|user-agent|via|x-forwarded-.*|x-requested-with",
    re.IGNORECASE,
)

# Names of what is private: of headers, and of a page's boxes.
_SECRET_NAME = re.compile(
    r"authoriz|cookie|credential|pass ?-?(?:word|wd|phrase)|secret|token(?!s)|api[ _-]?key|^key$",
    re.IGNORECASE,
)

# Headers that hold a URL, which may begin with its path.
_URL_HEADERS = frozenset(["content-location", "link", "location", "referer", "refresh"])

# Characters of a name that are looked at.
_MOST_NAME = 200

_known: WeakValueDictionary[int, Secrets] = WeakValueDictionary()


class Secrets:
    """
    Secrets of a client or a call, masked for as long as it has them.

    Args:
        values: The secrets; those of fewer than eight characters are left out.
    """

    __slots__ = ("__weakref__", "_forms", "_values")

    def __init__(self, values: Iterable[str]) -> None:
        self._values = tuple(Hidden(value) for value in values if len(value) >= _LEAST)
        self._forms: frozenset[str] | None = None
        if self._values:
            _known[id(self)] = self

    def forms(self) -> frozenset[str]:
        """Tell in which forms a server may repeat them: plain, and as a URL, a page or JSON has it."""
        if self._forms is None:
            # Late, and only if something failed: they take a while to load.
            from html import escape
            from json import dumps
            from urllib.parse import quote, quote_plus

            forms = set()
            for value in map(str, self._values):
                forms |= {value, repr(value)[1:-1], dumps(value)[1:-1]}
                forms |= {escape(value), quote(value, "", errors="replace")}
                forms |= {
                    quote_plus(value, errors="replace"),
                    dumps(value, ensure_ascii=False)[1:-1],
                }
            self._forms = frozenset(map(Hidden, forms))
        return self._forms

    def __repr__(self) -> str:
        return "Secrets(...)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Secrets, (self._values,)


def secrets_of_headers(headers: Mapping[str, Any]) -> list[str]:
    """
    Tell what may be secret of the headers that a caller gave.

    Args:
        headers: The headers.

    Returns:
        Their values, taken apart: a scheme such as ``Bearer`` is none.
    """
    return [
        hide(part)
        for name, value in headers.items()
        # requests takes bytes, too.
        if isinstance(name, str) and isinstance(value, str) and not _PLAIN_HEADERS.fullmatch(name)
        for part in re.split(r"""[\s;,=?&:"]+|//+""", value)
    ]


def is_secret_name(name: str) -> bool:
    """
    Tell whether what has a name is private.

    Args:
        name: The name of a header, or of a box of a page.
    """
    return _SECRET_NAME.search(name[:_MOST_NAME]) is not None


def mask(text: str) -> str:
    """
    Take our own secrets out of a text that a server had a part in.

    Args:
        text: The text of an error or a line of a log.

    Returns:
        It, with dots in their place; also of one that was cut, unless it begins
        as any word may.
    """
    if not _known:
        return text
    # In one step, since another thread may make a client.
    kept = [reference() for reference in _known.valuerefs()]
    forms = {form for secrets in kept if secrets is not None for form in secrets.forms()}
    for form in sorted(forms, key=len, reverse=True):
        begin = form[:_LEAST]
        if begin in text:
            # A word may begin as a word does.
            word = begin.isalpha() and begin.islower()
            text = text.replace(form, "...") if word else _masked(text, str(form))
    return text


def _masked(text: str, secret: str) -> str:
    """Replace a secret, and each beginning of it."""
    parts = text.split(secret[:_LEAST])
    rest = secret[_LEAST:]
    for i, part in enumerate(parts[1:], 1):
        same = 0
        while same < len(rest) and part[same : same + 1] == rest[same]:
            same += 1
        parts[i] = part[same:]
    return "...".join(parts)


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Show the headers of a response without what is private in them.

    Args:
        headers: The headers.

    Returns:
        A copy; cookies and tokens without their values, URLs without users,
        passwords and queries.
    """
    return {name: _shown_header(name.lower(), mask(value)) for name, value in headers.items()}


def _shown_header(name: str, value: str) -> str:
    if "cookie" in name:
        return re.sub(r"=[^;,]*", "=...", value)
    if _SECRET_NAME.search(name) and not value.isdigit():
        return "..."
    value = redact(value)
    return re.sub(r"[?#][^\s'\"<>;,]+", "?...", value) if name in _URL_HEADERS else value
