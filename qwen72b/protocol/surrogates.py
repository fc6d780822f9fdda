"""
Lone surrogates: half characters that JSON can carry and no file or terminal takes.
"""

from __future__ import annotations

import re

__all__ = ["replace_surrogates"]


def replace_surrogates(text: str) -> str:
    """
    Replace lone surrogates by U+FFFD.

    Args:
        text: The text.

    Returns:
        The text, one character for one, so that offsets stay right.
    """
    if text.isascii():
        return text
    try:
        # Faster than to look for them, of which nearly every text has none.
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text
