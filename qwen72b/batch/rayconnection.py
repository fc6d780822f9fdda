"""
The connection of this process to a Ray cluster: the caller's, or one of ours.

Ray knows one connection a process. Where the caller has it, it is used and left
alone; else one is made, which all executors share, and the last of them ends it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

from ..errors import ConnectFailed, InvalidOption
from ..privacy.redaction import shown_url

__all__ = ["connect", "release"]

# Seconds. Ray itself looks for an address that nobody has for minutes, and is
# deaf to Ctrl-C meanwhile.
_REACHED = 10.0

_lock = threading.Lock()

# Executors that use a connection of ours.
_sharing = 0


def connect(address: str | None) -> tuple[Any, bool]:
    """
    Connect to a cluster, unless the process is connected.

    Args:
        address: Where it is; ``None`` for what Ray finds or starts.

    Returns:
        The module ``ray``, and whether the connection is ours, to be released.

    Raises:
        InvalidOption: If Ray is missing or another one, or the address is none.
        ConnectFailed: If there is no such cluster.
    """
    global _sharing
    if address is not None and not str(address).strip():
        raise InvalidOption("Ray's address is empty.", hint="It looks like 127.0.0.1:6379.")
    try:
        import ray
    except ImportError as exc:
        raise InvalidOption(
            "Ray is not installed.", hint="Run: pip install ray (the extra qwen72b[ray])."
        ) from exc
    with _lock:
        if not ray.is_initialized():
            _sharing = 0
            try:
                _reach(address or os.environ.get("RAY_ADDRESS", ""))
                ray.init(address, log_to_driver=False, logging_level=logging.WARNING)
            except Exception as exc:
                raise _refusal(address, exc) from exc
        elif not _sharing:
            return ray, False
        _sharing += 1
    return ray, True


def release(ray: Any) -> None:
    """
    Do without a connection of ours; the last one who does ends it.

    Args:
        ray: As ``connect`` gave it.
    """
    global _sharing
    with _lock:
        _sharing -= 1
        if not _sharing:
            ray.shutdown()


def _reach(address: str) -> None:
    """Raise what connecting raises, where an address names a port."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isascii() and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _REACHED).close()


def _refusal(address: str | None, error: Exception) -> InvalidOption | ConnectFailed:
    """Make the error of a cluster that cannot be used."""
    where = "Ray's address" if address is None else shown_url(str(address))
    if "ray[client]" in str(error):
        return InvalidOption(f"{where} needs Ray's client.", hint='Run: pip install "ray[client]".')
    if isinstance(error, (AttributeError, OverflowError, TypeError, ValueError)):
        return InvalidOption(
            f"{where} is no address of Ray's.", hint="It looks like 127.0.0.1:6379."
        )
    if isinstance(error, RuntimeError) and "ersion" in str(error):
        # Ray's words name both, of Ray or of Python, and no address.
        return InvalidOption(
            f"the Ray at {where} is another one than here: {' '.join(str(error).split())}",
            hint="Install the same versions of Ray and of Python.",
        )
    return ConnectFailed(
        f"there is no Ray cluster at {where} that lets us in.",
        hint="Is its address right, its Ray as new as this one, its token set if it has one?",
    )
