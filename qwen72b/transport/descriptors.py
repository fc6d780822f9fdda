"""
File descriptors, where there are any to be had.

Not only sockets take them: so does a module that is imported where it is first
needed, ours or that of an event loop.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConnectFailed

__all__ = ["descriptors_needed", "no_descriptor"]

_NONE_LEFT = (errno.EMFILE, errno.ENFILE)


def no_descriptor(exc: BaseException) -> ConnectFailed | None:
    """
    Tell that a file or a socket could not be opened for want of descriptors.

    Args:
        exc: What the system raised.

    Returns:
        The error to raise from it; ``None`` if it says something else.
    """
    # A compiled module that cannot be opened is told in words only.
    wanting = getattr(exc, "errno", None) in _NONE_LEFT or (
        isinstance(exc, ImportError) and any(os.strerror(n) in str(exc) for n in _NONE_LEFT)
    )
    if not wanting:
        return None
    return ConnectFailed(
        "this process can open no more files and sockets: too many are open.",
        hint="Close what is open, ask less at once, or raise the limit (ulimit -n).",
    )


@contextmanager
def descriptors_needed() -> Iterator[None]:
    """
    Run a block that imports, or opens something else.

    Raises:
        ConnectFailed: If no descriptor is left for it.
    """
    try:
        yield
    except (OSError, ImportError) as exc:
        error = no_descriptor(exc)
        if error is None:
            raise
        # Without the frames of the import system.
        raise error from exc.with_traceback(None)
