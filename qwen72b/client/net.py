"""
The net under the reading of what a Space says.

Whatever a Space sends, what is read of it ends in events or in an error of
ours; an exception of any other kind is a fault here, and says so. Nothing of a
caller's runs inside the net but signal handlers: what these raise passes, and so
does what hooks, adapters and callbacks raise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import InvalidServerMessage, Qwen72BError
from ..transport.interrupts import from_signal_handler

__all__ = ["EXPECTED", "reading", "unreadable"]

# What reading may raise: an error of ours, a deadline or the end of the call
# (looked at in between), and what nobody can answer for.
EXPECTED = (Qwen72BError, OSError, MemoryError)


def unreadable(error: Exception) -> InvalidServerMessage:
    """
    Make the error of a message that could not be read for no reason that is known.

    Args:
        error: What came up; its traceback tells where.

    Returns:
        The error to raise from it.

    Raises:
        Exception: The error itself, if a signal handler raised it.
    """
    if from_signal_handler(error):
        raise error
    return InvalidServerMessage(
        f"what the Space sent could not be read ({type(error).__name__}).",
        hint="This may be a fault of qwen72b: please report it, with the traceback.",
    )


@contextmanager
def reading() -> Iterator[None]:
    """Hold the net under a ``with`` block that reads what a Space sent."""
    try:
        yield
    except EXPECTED:
        raise
    except Exception as exc:
        raise unreadable(exc) from exc
