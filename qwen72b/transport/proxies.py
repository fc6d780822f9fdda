"""
The proxies that requests go through, and what they may be called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from requests.exceptions import InvalidProxyURL
from requests.utils import prepend_scheme_if_needed, select_proxy

from ..privacy.redaction import hide_url

__all__ = ["proxy_name", "usable_proxies"]

# What requests takes for a SOCKS proxy, and urllib3 for none.
_ODD_SOCKS = r"(?i)socks(?!(?:4a?|5h?)://)"


def usable_proxies(proxies: Mapping[str, str], url: str) -> dict[str, str]:
    """
    Hide the passwords of proxies, and refuse one that requests or urllib3 would trip over.

    Args:
        proxies: The URLs of proxies, as in requests.
        url: What is asked for.

    Raises:
        InvalidProxyURL: If that would go through such a proxy.
    """
    hidden = {name: hide_url(proxy) for name, proxy in proxies.items()}
    proxy = select_proxy(url, hidden)
    if proxy and re.match(_ODD_SOCKS, proxy):
        raise InvalidProxyURL("there is no such SOCKS")
    try:
        prepend_scheme_if_needed(proxy or "", "http")  # type: ignore[no-untyped-call]  # no stubs
    except TypeError:
        # Not chained: the frames of requests show it.
        raise InvalidProxyURL("it names no host") from None
    except ValueError:
        # Told when it is used.
        pass
    return hidden


def proxy_name(proxy: str | None) -> str:
    """
    Name a proxy in a sentence: its host and port, without its user, password, path and query.

    Args:
        proxy: Its URL; none, or an empty one, has no name.
    """
    rest = re.sub(r"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//", "", proxy or "")
    login, _, host = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")
    # A password with a slash, or a query with an @: which, nobody knows.
    return "..." if "@" in rest[len(login) + 1 :] else host
