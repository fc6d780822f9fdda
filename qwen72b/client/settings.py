"""
The settings of a client, checked before any I/O.

A message never shows a value that may be a secret: tokens, header values, and
users, passwords and queries of URLs. Nor does a frame: secrets come in wrapped
(``privacy``), and what takes one apart has returned before it is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..errors import InvalidOption
from ..privacy.credentials import secrets_of_urls
from ..privacy.masking import Secrets
from ..privacy.redaction import HiddenURL, hide, shown, shown_url
from ..protocol.hub import space_url
from ..timeout import Timeout
from ..transport.auth import Secret, origin_of
from .headers import checked_headers
from .urls import checked_url, hub_url, is_text, may_have_token, split_url

__all__ = ["Settings", "read_settings"]


class Settings(NamedTuple):
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
    url = checked_url(base_url, space)
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
        Secrets([*(() if auth is None else auth[1:]), *secrets_of_urls([hub])]),
    )


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


def _checked_auth(auth: tuple[str, str] | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    if (
        not isinstance(auth, (tuple, list))
        or len(auth) != 2
        or not all(isinstance(part, str) for part in auth)
    ):
        raise InvalidOption('auth must be ("user", "password").')
    if not all(map(is_text, auth)):
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
    parts = split_url(_with_scheme(proxy))
    return parts is not None and parts.scheme.lower() in _PROXY_SCHEMES
