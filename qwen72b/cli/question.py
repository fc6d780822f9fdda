"""
The prompt, from the arguments, from files and from standard input.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import InvalidOption
from .decoding import decode

if TYPE_CHECKING:
    from .console import Console

__all__ = ["read_question"]

# Seconds without an end of standard input until somebody is told that it is
# waited for: programs hand pipes down that nobody writes to.
_PATIENCE = 1.0


def read_question(words: Sequence[str], files: Sequence[str], console: Console) -> str:
    """
    Put the question together.

    Args:
        words: The prompt on the command line.
        files: Names of files; ``-`` is standard input.
        console: Where to say that standard input is waited for.

    Returns:
        The prompt, what is piped in, and the files, in this order, with blank
        lines between them.

    Raises:
        InvalidOption: If there is nothing to ask, or a file cannot be read.
    """
    parts = [" ".join(words)]
    if "-" not in files and sys.stdin is not None and not sys.stdin.isatty():
        parts.append(_read("-", console))
    parts += [_read(name, console) for name in files]
    question = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    if not question:
        raise InvalidOption(
            "there is no prompt.", hint='Try qwen72b "Why is the sky blue?", or qwen72b chat.'
        )
    return question


def _read(name: str, console: Console) -> str:
    shown = "standard input" if name == "-" else name
    try:
        if name != "-":
            with open(name, "rb") as file:
                return decode(file.read(), shown)
        if sys.stdin is None:
            raise InvalidOption("standard input is closed.")
        with _telling(console):
            raw = getattr(sys.stdin, "buffer", None)
            if raw is None:
                return sys.stdin.read()
            return decode(raw.read(), shown, other=sys.stdin.encoding)
    except OSError as exc:
        raise InvalidOption(f"{shown} cannot be read: {exc.strerror or exc}.") from exc


@contextmanager
def _telling(console: Console) -> Iterator[None]:
    """
    Say that standard input is waited for: at once to who types, else if it takes long.

    Args:
        console: Where to say it.
    """
    # Only where something is read; --help does not pay for it.
    from threading import Timer

    if sys.stdin is not None and sys.stdin.isatty():
        console.say("reading what you type; Ctrl-D on a line of its own ends it.")
        yield
        return
    timer = Timer(
        _PATIENCE,
        console.say,
        ["reading standard input to its end; if nothing comes from there, add: < /dev/null"],
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
