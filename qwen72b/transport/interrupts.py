"""
Whether the present code came into the middle of other code of its thread.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Iterator
from functools import partial
from types import CodeType, FrameType
from typing import Any

__all__ = ["from_signal_handler", "in_signal_handler"]


def in_signal_handler() -> bool:
    """
    Tell whether a signal handler is what runs in this thread.

    What it interrupted may hold a lock of the caller's (of a session, a log, a
    file), so there it must not be waited for whoever may need that lock. Python
    does not tell; but the code of the handlers is known, and it is on the stack.
    A handler that is not written in Python is not found.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return False
    handlers = set(_codes())
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        if frame.f_code in handlers:
            return True
        frame = frame.f_back
    return False


def from_signal_handler(error: BaseException) -> bool:
    """
    Tell whether an exception came out of a signal handler.

    That may be a ``TimeoutError`` or any other that means something to whoever was
    interrupted; it is the caller's, and no failure of a network or of a message.

    Args:
        error: The exception, with its traceback.
    """
    trace = error.__traceback__
    # Mostly it is the system's own, and no frame of anybody's is below.
    if trace is None or trace.tb_next is None:
        return False
    if threading.get_ident() != threading.main_thread().ident:
        return False
    handlers = set(_codes())
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _codes() -> Iterator[CodeType]:
    # Whoever has set a handler has loaded it; who has not need not wait for that.
    signal: Any = sys.modules.get("signal")
    for number in getattr(signal, "valid_signals", tuple)():
        handler = signal.getsignal(number)
        while isinstance(handler, partial):
            handler = handler.func
        if callable(handler) and not hasattr(handler, "__code__"):
            # An object, or a method of one.
            handler = getattr(handler, "__func__", type(handler).__call__)
        code = getattr(handler, "__code__", None)
        if isinstance(code, CodeType):
            yield code
