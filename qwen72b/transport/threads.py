"""
Threads, where there are any to be had.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from ..errors import TransportError
from .interrupts import from_signal_handler

__all__ = ["no_thread", "start_thread"]


def start_thread(work: Callable[[], object], name: str) -> threading.Thread:
    """
    Do something in a thread of its own, which does not keep the interpreter from ending.

    Args:
        work: What to do.
        name: The thread's name.

    Returns:
        The thread.

    Raises:
        TransportError: If there is no thread to be had.
    """
    thread = threading.Thread(target=work, name=name, daemon=True)
    handled = sys.exc_info()[1]
    try:
        thread.start()
    except Exception as exc:
        # What a handler raises may confuse the locks within: then it is the context.
        for error in (exc, exc.__context__):
            if error is not None and error is not handled and from_signal_handler(error):
                raise error from None
        if not isinstance(exc, (RuntimeError, MemoryError)):
            raise
        raise no_thread(exc) from exc
    return thread


def no_thread(exc: BaseException) -> TransportError:
    """
    Tell that a thread could not be started.

    Args:
        exc: What Python raised.

    Returns:
        The error, caused by it.
    """
    if "shutdown" in str(exc):
        error = TransportError(
            "the interpreter is ending, and starts no thread any more.",
            hint="Ask before the program ends, and not in a handler of atexit.",
        )
    else:
        error = TransportError(
            f"no thread could be started: {str(exc) or type(exc).__name__}.",
            hint="Raise the limit of processes (ulimit -u, a container's pids limit), or ask less at once.",
        )
    error.__cause__ = exc
    return error
