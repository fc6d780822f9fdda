"""
The files of a batch: what it reads, and where it writes.

What is wrong with their names is told before anything is asked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ..errors import InvalidOption

__all__ = ["check_output", "opened"]


def check_output(output: str, prompts: str) -> None:
    """
    Refuse a file of answers that cannot be written, or is that of the prompts.

    Args:
        output: Its name; ``-`` is standard output.
        prompts: The name of the file of prompts; ``-`` is standard input.

    Raises:
        InvalidOption: If it is no good.
    """
    if output == "-":
        if sys.stdout is None:
            raise InvalidOption("standard output is closed.")
        return
    folder = os.path.dirname(output) or os.curdir
    there = os.path.exists(output)
    if not os.path.isdir(folder):
        why = f"there is no folder {folder}"
    elif os.path.isdir(output):
        why = "it is a folder"
    elif not os.access(output if there else folder, os.W_OK):
        why = "you may not write there"
    else:
        if there and prompts != "-":
            if not os.path.exists(prompts):
                raise InvalidOption(f"{prompts} cannot be read: there is no such file.")
            if os.path.samefile(prompts, output):
                raise InvalidOption("the answers would go into the file of prompts.")
        return
    raise InvalidOption(f"{output} cannot be written: {why}.")


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """
    Open the file of prompts.

    Args:
        name: Its name; ``-`` is standard input.

    Yields:
        The file, to read bytes from.

    Raises:
        InvalidOption: If it cannot be read.
    """
    if name == "-":
        if sys.stdin is None:
            raise InvalidOption("standard input is closed.")
        yield sys.stdin.buffer
        return
    try:
        file = open(name, "rb")  # noqa: SIM115  # closed below
    except OSError as exc:
        raise InvalidOption(f"{name} cannot be read: {exc.strerror or exc}.") from exc
    with file:
        yield file
