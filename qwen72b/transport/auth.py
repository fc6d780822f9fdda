"""
A token that goes to one origin only, and never shows itself.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from ..privacy.masking import Secrets
from ..privacy.redaction import Hidden

__all__ = ["Secret", "origin_of", "without_zone"]


class Secret(AuthBase):
    """
    A Hugging Face token, as a header that never shows itself.

    ``X-HF-Authorization`` is what the proxy before a Space accepts, and takes
    away before the app sees it (gradio pull request 11700).

    Args:
        token: The token.
        origin: The origin that may see it.
    """

    def __init__(self, token: str, origin: str) -> None:
        self._token = Hidden(token)
        self._origin = origin
        self._known = Secrets([self._token])

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if origin_of(request.url or "") == self._origin:
            request.headers["X-HF-Authorization"] = Hidden(f"Bearer {self._token}")
        return request

    def __repr__(self) -> str:
        return "Secret(...)"


@lru_cache(maxsize=64)
def origin_of(url: str) -> str:
    """
    Tell the origin of a URL: its scheme, host, and port unless it is the usual one.

    Args:
        url: The URL.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        port = None
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + ("" if port == default else f":{port}")


def without_zone(url: str) -> str:
    """
    Leave the zone of an IPv6 address out: it means something on this machine only (RFC 6874).

    Args:
        url: A URL, or its host in brackets.
    """
    return url if "%" not in url else re.sub(r"(\[[^\]%]*)%[^\]]*\]", r"\1]", url, count=1)
