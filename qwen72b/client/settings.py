"""
The settings of a client, checked before any I/O.

A message never shows a value that may be a secret: tokens, header values, and
users, passwords and queries of URLs. Nor does a frame: secrets come in wrapped
(``redaction``), and what takes one apart has returned before it is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ..errors import InvalidOption
from ..masking import Secrets
from ..protocol.hub import PUBLIC_SPACE, space_url
from ..redaction import HiddenURL, hide, hide_url, shown, shown_url
from ..timeout import Timeout
from ..transport.auth import Secret, origin_of
from .headers import checked_headers

__all__ = ["Settings", "hub_url", "may_have_token", "read_settings"]


@dataclass(frozen=True)
class Settings:
    """
    Where a client goes, and how; what of it is pickled.

    Args:
        base_url: Where the Space is; without a slash at its end.
        space: ``"owner/name"`` on the Hub, if known.
        hub: Where the Hub is; ``HF_ENDPOINT`` names another one than
            huggingface.co, as in huggingface_hub.
        auth: User and password of the app's login.
        wait_for_space: Seconds to wait for a Space that is coming up.
        sending: How requests are sent: the arguments of ``Transport``.
        known: What is masked of it.
    """

    base_url: str
    space: str | None
    hub: str
    auth: tuple[str, str] | None
    wait_for_space: float | None
    sending: dict[str, Any]
    known: Secrets


def read_settings(
    base_url: str | None,
    *,
    space: str | None,
    token: str | bool | None,
    auth: tuple[str, str] | None,
    proxy: str | None,
    headers: Mapping[str, str] | None,
    verify: bool | str | None,
    cert: str | tuple[str, str] | None,
    wait_for_space: float | None,
) -> Settings:
    """
    Check what a client is told.

    Args:
        base_url: As in ``Client``, as all others.
        space: See there.
        token: See there.
        auth: See there.
        proxy: See there.
        headers: See there.
        verify: See there.
        cert: See there.
        wait_for_space: See there.

    Returns:
        The settings.

    Raises:
        InvalidOption: If one has no usable value.
    """
    if wait_for_space is not None:
        # The same rules as for every other limit.
        Timeout(total=wait_for_space)
    space = _checked_space(space)
    url = _checked_url(base_url, space)
    if space is not None:
        host = urlsplit(url).hostname or ""
        if host.endswith(".hf.space") and url.lower() != space_url(space).lower():
            raise InvalidOption(
                f"base_url {url!r} and space {space!r} name two different Spaces.",
                hint="Pass one.",
            )
    hub = hub_url()
    auth = _checked_auth(auth)
    return Settings(
        url,
        space,
        hub,
        auth,
        wait_for_space,
        {
            "secret": _checked_token(token, url, hub),
            "proxy": _checked_proxy(proxy),
            "verify": _checked_files("verify", verify),
            "cert": _checked_files("cert", cert),
            "headers": checked_headers(headers),
        },
        Secrets(() if auth is None else auth[1:]),
    )


def _checked_url(url: str | None, space: str | None) -> str:
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
    parts = _split(url.strip().rstrip("/"))
    if page := _HUB_PAGE.fullmatch(url.strip().rstrip("/")):
        return (
            f"base_url {shown_url(url)!r} is a Space's page on the Hub, or its name.",
            f'Pass space="{page[1]}" instead.',
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
_HUB_PAGE = re.compile(
    r"(?:(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/spaces/(?=[^/]+/[^/]+))?"
    r"((?<=/)[\w.-]+/[\w.-]+(?=/|$)|^[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9][\w.-]*$)(?:/.*)?"
)


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # reading it is what checks it
    except ValueError:
        return None
    # RFC 1035: a name has 253 characters at most. A surrogate is none.
    return parts if 0 < len(parts.hostname or "") <= 253 and _is_text(url) else None


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _checked_space(space: str | None) -> str | None:
    if space is None:
        return None
    part = r"[A-Za-z0-9][A-Za-z0-9._-]*"
    if not isinstance(space, str) or not re.fullmatch(f"{part}/{part}", space):
        raise InvalidOption(
            f"space={shown(space)} is not the name of a Space.", hint='Pass "owner/name".'
        )
    return str(space)


def _checked_token(token: str | bool | None, base_url: str, hub: str) -> Secret | None:
    if token is False:
        return None
    if token is None and may_have_token(base_url, hub):
        token = hide(os.environ.get("HF_TOKEN", ""))
    if token is None:
        return None
    if not isinstance(token, str):
        raise InvalidOption("token must be a str, False or None.")
    text: str = hide(token.strip())
    if not text:
        return None
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        # Without the token: it may be right but for a line end.
        raise InvalidOption(
            "the token holds a character that no header can carry.",
            hint="Copy it again from huggingface.co/settings/tokens.",
        )
    return Secret(text, origin_of(base_url))


def hub_url() -> str:
    """Tell where the Hub is."""
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or "https://huggingface.co"


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


def _checked_auth(auth: tuple[str, str] | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    if (
        not isinstance(auth, (tuple, list))
        or len(auth) != 2
        or not all(isinstance(part, str) for part in auth)
    ):
        raise InvalidOption('auth must be ("user", "password").')
    if not all(map(_is_text, auth)):
        raise InvalidOption("auth holds a character that no request can carry.")
    return hide(auth[0]), hide(auth[1])


def _checked_files(name: str, value: Any) -> Any:
    """Check paths here; requests says of a missing file that a connection failed."""
    if value is None or (isinstance(value, bool) and name == "verify"):
        return value
    for path in value if isinstance(value, (tuple, list)) else (value,):
        if not isinstance(path, (str, os.PathLike)) or not os.path.exists(path):
            raise InvalidOption(f"{name}: there is no file {shown(path)}.")
    return value


_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def _checked_proxy(proxy: str | None) -> str | None:
    if proxy is None:
        return None
    if not isinstance(proxy, str):
        raise InvalidOption(f"proxy must be a str, not {type(proxy).__name__}.")
    if not _is_proxy(proxy):
        raise InvalidOption(
            f"proxy {shown_url(proxy)!r} is not the URL of a proxy.",
            hint=f"Its scheme is one of {', '.join(_PROXY_SCHEMES)}.",
        )
    return HiddenURL(_with_scheme(proxy))


def _with_scheme(proxy: str) -> str:
    proxy = proxy.strip()
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_proxy(proxy: str) -> bool:
    parts = _split(_with_scheme(proxy))
    return parts is not None and parts.scheme.lower() in _PROXY_SCHEMES
