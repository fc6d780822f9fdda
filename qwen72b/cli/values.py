"""
The values of options, read from text.

What has no sense is told in words of the command line, by argparse.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..protocol.typed import Typed

__all__ = ["count", "labelled", "port", "positive", "seconds"]


def seconds(text: str) -> float:
    """
    Read a duration.

    Args:
        text: A positive number.

    Raises:
        ArgumentTypeError: If it is not one.
    """
    return positive(text, "seconds")


def positive(text: str, unit: str) -> float:
    """
    Read a number above zero.

    Args:
        text: The number.
        unit: What it counts.

    Raises:
        ArgumentTypeError: If it is not one.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of {unit}")
    return number


def count(text: str) -> int:
    """
    Read a count.

    Args:
        text: A number of at least 1.

    Raises:
        ArgumentTypeError: If it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no count of at least 1")
    return int(text)


def labelled(text: str) -> tuple[str, Typed]:
    """
    Read a label, and its value as it was typed.

    Args:
        text: Both, with an equals sign between them.

    Raises:
        ArgumentTypeError: If it is not so.
    """
    # For this option only.
    from ..protocol.typed import Typed

    label, found, value = text.partition("=")
    if not label.strip() or not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not as Temperature=0.2 is: LABEL=VALUE")
    return label.strip(), Typed(value)


def port(text: str) -> int:
    """
    Read a port.

    Args:
        text: A number from 0, which takes a free one, to 65535.

    Raises:
        ArgumentTypeError: If it is none: before a model is fetched for nothing.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)
