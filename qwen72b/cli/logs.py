"""
The log on standard error, a line each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import InvalidOption

if TYPE_CHECKING:
    from .console import Console

__all__ = ["logging_to"]

_LEVELS = ("debug", "info", "warning", "error")


@contextmanager
def logging_to(console: Console, *, verbose: bool) -> Iterator[None]:
    """
    Show the library's log for the length of a ``with`` block.

    Args:
        console: Where to.
        verbose: Whether to show what is merely informative. The variable
            ``QWEN72B_LOG`` (``debug``, ``info``, ...) has the last word.

    Raises:
        InvalidOption: If the variable names no level.
    """
    # Only commands that do something get here; --help does not pay for it.
    import logging

    level = os.environ.get("QWEN72B_LOG", "").strip().lower()
    if level and level not in _LEVELS:
        raise InvalidOption(
            f"QWEN72B_LOG={level!r} is no level of logging.", hint=f"Use {', '.join(_LEVELS)}."
        )
    if not level:
        level = "error" if console.quiet else "info" if verbose else "warning"

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.complain(f"{record.levelname.lower()}: {self.format(record)}")

    log = logging.getLogger("qwen72b")
    handler = Handler()
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]
