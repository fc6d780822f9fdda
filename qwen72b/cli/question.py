"""
The prompt, from the arguments, from files and from standard input.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..errors import InvalidOption

__all__ = ["read_question"]


def read_question(words: Sequence[str], files: Sequence[str]) -> str:
    """
    Put the question together.

    Args:
        words: The prompt on the command line.
        files: Names of files; ``-`` is standard input.

    Returns:
        The prompt, what is piped in, and the files, in this order, with blank
        lines between them.

    Raises:
        InvalidOption: If there is nothing to ask, or a file cannot be read.
    """
    parts = [" ".join(words)]
    if "-" not in files and sys.stdin is not None and not sys.stdin.isatty():
        parts.append(_read("-"))
    parts += [_read(name) for name in files]
    question = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    if not question:
        raise InvalidOption(
            "there is no prompt.", hint='Try qwen72b "Why is the sky blue?", or qwen72b chat.'
        )
    return question


def _read(name: str) -> str:
    shown = "standard input" if name == "-" else name
    try:
        if name == "-":
            return sys.stdin.read()
        with open(name, encoding="utf-8-sig") as file:
            return file.read()
    except UnicodeDecodeError as exc:
        raise InvalidOption(f"{shown} is no UTF-8 text.") from exc
    except OSError as exc:
        raise InvalidOption(f"{shown} cannot be read: {exc.strerror or exc}.") from exc
