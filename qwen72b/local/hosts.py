"""
Names of hosts: what a Host header says, and what may be allowed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from ipaddress import ip_address

from qwen72b.errors import InvalidOption

__all__ = ["LOOPBACK_NAMES", "checked_host", "checked_names", "is_loopback", "split_host"]

#: What this machine is called on this machine.
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@\[\]]+))(?::(\d{1,5}))?", re.IGNORECASE)

_NAME = re.compile(r"[a-z0-9_.-]+", re.IGNORECASE)


def split_host(header: str) -> tuple[str, int | None]:
    """
    Read a Host header.

    Args:
        header: Its value.

    Returns:
        The name, in small letters and without brackets, and the port, if it is
        there; an empty name if the header is malformed.
    """
    match = _HOST.fullmatch(header[:300])
    if match is None:
        return "", None
    return (match[1] or match[2]).lower(), int(match[3]) if match[3] else None


def checked_host(host: str) -> str:
    """
    Check a name that somebody allows.

    Args:
        host: The name.

    Returns:
        It, as ``split_host`` has it.

    Raises:
        InvalidOption: If it is none.
    """
    try:
        # An IPv6 address may come without its brackets.
        return str(ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        # As browsers and clients send it.
        name = host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise InvalidOption(
            f"{host!r} is no name of a host.",
            hint="Give one name alone, without a port and without wildcards.",
        )
    return name.lower()


def checked_names(option: str, names: Collection[str]) -> list[str]:
    """
    Check a list of names.

    Args:
        option: What it is given as.
        names: The names.

    Returns:
        They.

    Raises:
        InvalidOption: If they are none, or one text, whose letters would be names.
    """
    known = isinstance(names, Iterable) and not isinstance(names, (str, bytes))
    if not known or not all(isinstance(name, str) for name in names):
        raise InvalidOption(f"{option}={names!r} is no list of names.")
    return list(names)


def is_loopback(address: str) -> bool:
    """
    Tell whether only this machine reaches an address.

    Args:
        address: The address that a socket is bound to.
    """
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
