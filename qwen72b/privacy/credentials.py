"""
What is secret of the headers, the logins and the proxies that a caller has.

A value is taken for a secret unless it looks like a word or an address, which
may stand anywhere: masked there, it would make sentences unreadable.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from .redaction import Hidden, hide

__all__ = [
    "is_plain",
    "is_secret_name",
    "secrets_of_auth",
    "secrets_of_headers",
    "secrets_of_urls",
]

# Headers that say who asks for what, and nothing that is private.
_PLAIN_HEADERS = (
    r"(?i)accept.*|cache-control|connection|content-.*|dnt|forwarded|from|host|if-.*|origin|pragma|"
    r"priority|range|referer|sec-.*|te|trace(?:parent|state)|upgrade.*|user-agent|via|"
    r"x-forwarded-.*|x-requested-with|.*[_-]ip"
)

# Names of what is private: of headers, and of a page's boxes.
_SECRET_NAME = r"(?i)authoriz|cookie|credential|pass ?-?(?:word|wd|phrase)|secret|token(?!s)|api[ _-]?key|^key$"

# Names of headers that a caller sends for who it is.
_SECRET_HEADER = (
    _SECRET_NAME + r"|auth|session|signature|jwt|(?:^|[_-])(?:key|sig|sid|pin|pass|pw)$"
)

# Characters of a word, or of a number, that is no secret by itself.
_MOST_WORD = 16

# A host's name or address, perhaps with a path of words behind it.
_HOST = (
    r"(?:[a-z0-9-]{1,32}\.)+[a-z]{2,12}(?:/[a-z0-9._/-]*)?|[0-9]+(?:\.[0-9]+){3}|\[[0-9a-f:.]*\]?"
)

# Characters of a name that are looked at.
_MOST_NAME = 200

# What our own sentences, other words and addresses may be: letters as a word has
# them, several joined; numbers, dates and addresses of digits.
_PLAIN = r"(?:[A-Za-z][a-z]*)?(?:[-_'./ ](?:[A-Za-z][a-z]*)?)*|[0-9.:/-]+"


def secrets_of_headers(headers: Mapping[str, Any]) -> list[str]:
    """
    Tell what may be secret of the headers that a caller gave.

    Args:
        headers: The headers.

    Returns:
        Their values, taken apart: a scheme such as ``Bearer`` is none. Words,
        numbers and addresses are left out unless the header's name says that
        it has a secret.
    """
    secrets = []
    for name, value in headers.items():
        # requests takes bytes, too.
        name, value = (
            hide(it.decode("latin-1") if isinstance(it, bytes) else it) for it in (name, value)
        )
        if not isinstance(name, str) or not isinstance(value, str):
            continue
        if re.fullmatch(_PLAIN_HEADERS, name):
            continue
        parts: list[str] = [hide(part) for part in re.split(r"""[\s;,=?&:"]+|//+""", value)]
        if not re.search(_SECRET_HEADER, name):
            parts = [part for part in parts if not _is_harmless(part)]
        elif value[:6].lower() == "basic " and ":" in (login := _decoded(value[6:])):
            parts.append(hide(login.partition(":")[2]))
        secrets += parts
    return secrets


def secrets_of_auth(auth: Any) -> list[str]:
    """
    Tell what is secret of a login: the password, and what Basic authentication sends.

    Args:
        auth: User and password, or one of requests' that has them; anything
            else has none.
    """
    if not isinstance(auth, (tuple, list)):
        auth = (getattr(auth, "username", None), getattr(auth, "password", None))
    # requests takes bytes, too.
    login = [hide(it.decode("latin-1") if isinstance(it, bytes) else it) for it in auth]
    if len(login) != 2 or not all(isinstance(it, str) for it in login):
        return []
    secrets = [login[1]]
    for encoding in ("latin-1", "utf-8"):
        sent = b64encode(":".join(login).encode(encoding, "replace"))
        secrets.append(hide(sent.decode().rstrip("=")))
    return secrets


def secrets_of_urls(urls: Iterable[str]) -> list[str]:
    """
    Tell what is secret of the URLs of proxies, and of the Hub: their logins.

    Args:
        urls: The URLs; a proxy's may be without a scheme.
    """
    secrets = []
    for url in urls:
        login = hide(str(url).rpartition("://")[2].rpartition("@")[0])
        if login:
            # Late: it takes a while to load.
            from urllib.parse import unquote

            plain = hide(login.partition(":")[::2])
            secrets += [plain[1], *secrets_of_auth([hide(unquote(it)) for it in plain])]
    return secrets


def _decoded(text: str) -> str:
    try:
        return Hidden(b64decode(text, validate=True).decode("utf-8", "replace"))
    except ValueError:
        return ""


def _is_harmless(part: str) -> bool:
    """Tell whether it is a word or two, a short number, or where a host is."""
    words = is_plain(part) and max(map(len, re.split(r"[^0-9A-Za-z]", part))) <= _MOST_WORD
    return bool(words or re.fullmatch(_HOST, part))


def is_secret_name(name: str) -> bool:
    """
    Tell whether what has a name is private.

    Args:
        name: The name of a header, or of a box of a page.
    """
    return re.search(_SECRET_NAME, name[:_MOST_NAME]) is not None


def is_plain(text: str) -> bool:
    """
    Tell whether a text may stand in anybody's sentence: words, a number, an address of digits.

    Args:
        text: The text.
    """
    return re.fullmatch(_PLAIN, text) is not None
