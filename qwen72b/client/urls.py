"""
The URLs of the Space and of the Hub, checked before any I/O.

A message shows them without user, password and query; no frame of ours holds
them bare.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ..errors import InvalidOption
from ..privacy.redaction import hide_url, shown_url
from ..protocol.hub import PUBLIC_SPACE, space_url
from ..transport.auth import origin_of

__all__ = ["checked_url", "hub_url", "is_text", "may_have_token", "split_url"]


def checked_url(url: str | None, space: str | None) -> str:
    """
    Tell where the Space is.

    Args:
        url: As ``base_url`` of ``Client``.
        space: ``"owner/name"``, if it was given.

    Raises:
        InvalidOption: If it is no URL of a Space.
    """
    if url is None:
        if space is not None:
            return space_url(space)
        url = hide_url(os.environ.get("QWEN72B_BASE_URL", "").strip()) or space_url(PUBLIC_SPACE)
    if not isinstance(url, str):
        raise InvalidOption(f"base_url must be a str, not {type(url).__name__}.")
    return _without_problem(url)


# Only what is good is kept, and so no secret: what raises is not.
@lru_cache(maxsize=64)
def _without_problem(url: str) -> str:
    if problem := _problem_of_url(url):
        raise InvalidOption(problem[0], hint=problem[1])
    # There is no secret in it, so it may be shown.
    return str(url).strip().rstrip("/")


def _problem_of_url(url: str) -> tuple[str, str] | None:
    """Tell what is wrong with a base_url, and what to do about it."""
    parts = split_url(url.strip().rstrip("/"))
    if page := _hub_page(url.strip().rstrip("/")):
        return (
            f"base_url {shown_url(url)!r} is a Space's page on the Hub, or its name.",
            f'Pass space="{page}" instead.',
        )
    if parts is None or parts.scheme not in ("http", "https"):
        return (
            f"base_url {shown_url(url)!r} is not a URL.",
            "Pass https://host or http://host:port.",
        )
    if parts.username is not None or parts.password is not None:
        return "base_url holds a user or a password.", 'Pass auth=("user", "password") instead.'
    if parts.query or parts.fragment or re.search(r"[\s\\\x00-\x1f?#]", url.strip()):
        return (
            f"base_url {shown_url(url)!r} has a query, a fragment, a blank or a backslash.",
            "Pass the Space's address alone.",
        )
    return None


# The page of a Space on the Hub, or its name alone.
_HUB_PAGE = (
    r"(?:(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/spaces/(?=[^/]+/[^/]+))?"
    r"((?<=/)[\w.-]+/[\w.-]+(?=/|$)|^[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9][\w.-]*$)(?:/.*)?"
)


def _hub_page(url: str) -> str:
    """Tell whose page on the Hub it is, as ``owner/name``; empty if it is none."""
    # The usual URL is none at first sight.
    may_be = "/spaces/" in url or "://" not in url
    page = re.fullmatch(_HUB_PAGE, url) if may_be else None
    return "" if page is None else str(page[1])


def split_url(url: str) -> Any:
    """
    Take a URL apart.

    Args:
        url: The URL.

    Returns:
        Its parts as ``urlsplit`` has them; ``None`` if it is malformed.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # reading it is what checks it
    except ValueError:
        return None
    # RFC 1035: a name has 253 characters at most. A surrogate is none.
    return parts if 0 < len(parts.hostname or "") <= 253 and is_text(url) else None


def is_text(value: str) -> bool:
    """
    Tell whether a text can be sent: a lone surrogate cannot.

    Args:
        value: The text.
    """
    return not any("\ud800" <= character <= "\udfff" for character in value)


def hub_url() -> str:
    """
    Tell where the Hub is.

    Raises:
        InvalidOption: If ``HF_ENDPOINT`` names it, and is no URL.
    """
    # It may hold a user and a password.
    hub: str = hide_url(os.environ.get("HF_ENDPOINT", "").strip().rstrip("/"))
    if not hub:
        return "https://huggingface.co"
    if not _is_hub(hub):
        raise InvalidOption(
            f"the variable HF_ENDPOINT, {shown_url(hub)!r}, is not the URL of a Hub.",
            hint="Set it to https://host, or unset it.",
        )
    return hub


def _is_hub(hub: str) -> bool:
    parts = split_url(hub)
    return (
        parts is not None
        and parts.scheme in ("http", "https")
        and not re.search(r"[\s\\\x00-\x1f?#]", hub)
    )


@lru_cache(maxsize=64)
def may_have_token(base_url: str, hub: str) -> bool:
    """
    Tell whether the token of the environment may go to a Space.

    It was put there for the Hub, and opens all that its owner has there: it
    goes to the Hub's Spaces, and not to whoever a URL names.

    Args:
        base_url: Where the Space is.
        hub: Where the Hub is.

    Returns:
        Whether it is one of Hugging Face's Spaces, reached by TLS, or the Hub.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    return (parts.scheme == "https" and host.endswith(".hf.space")) or (
        origin_of(base_url) == origin_of(hub)
    )
