"""
Lone surrogates: half characters that JSON can carry and no file or terminal takes.
"""

from __future__ import annotations

import re

__all__ = ["replace_surrogates"]

_SURROGATES = re.compile("[\ud800-\udfff]")


def replace_surrogates(text: str) -> str:
    """
    Replace lone surrogates by U+FFFD.

    Args:
        text: The text.

    Returns:
        The text, one character for one, so that offsets stay right.
    """
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
