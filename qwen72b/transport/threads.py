"""
Threads, where there are any to be had.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import TransportError
from .interrupts import from_signal_handler

__all__ = ["no_thread", "start_thread"]


def start_thread(work: Callable[[], object], name: str) -> None:
    """
    Do something in a thread of its own, which does not keep the interpreter from ending.

    Args:
        work: What to do.
        name: The thread's name.

    Raises:
        TransportError: If there is no thread to be had.
    """
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except (RuntimeError, MemoryError) as exc:
        if from_signal_handler(exc):
            raise
        raise no_thread(exc) from exc


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
