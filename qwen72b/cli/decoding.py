"""
Text of files and of standard input: UTF-8, or what a byte order mark says.

What is neither is refused, with the place where it stops to be text: a guess
would be sent to the Space as if it were meant.
"""

from __future__ import annotations

import codecs
import re

from ..errors import InvalidOption

__all__ = ["bom_encoding", "decode"]

# The longer ones first: UTF-32's begins as UTF-16's does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# No text in any encoding has these: where they are, converting it is of no use.
_NO_TEXT = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f]|%PDF-|\x89PNG\r\n")


def bom_encoding(head: bytes) -> str:
    """
    Tell the encoding of a text by its byte order mark.

    Args:
        head: Its first four bytes.

    Returns:
        A codec that takes the mark away; ``utf-8`` where there is none.
    """
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")


def decode(data: bytes, shown: str, *, other: str | None = None) -> str:
    """
    Read bytes as text.

    Args:
        data: The bytes.
        shown: What they are called.
        other: An encoding that somebody set, for what is not UTF-8.

    Returns:
        The text, without a byte order mark.

    Raises:
        InvalidOption: If they are no text.
    """
    encoding = bom_encoding(data[:4])
    if encoding == "utf-8" and b"\0" in data:
        head = data[:200]
        even, odd = head[::2].count(0), head[1::2].count(0)
        raise InvalidOption(
            f"{shown} is no text: it holds NUL bytes.",
            hint="It may be UTF-16: convert it, for example with: iconv -f utf-16le -t utf-8"
            if 4 * max(even, odd) > len(head) and not _NO_TEXT.search(head.replace(b"\0", b""))
            else "",
        )
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        if other is not None and codecs.lookup(other).name not in ("utf-8", "ascii"):
            return data.decode(other, "replace")
        name = encoding.removesuffix("-sig").upper()
        raise InvalidOption(
            f"{shown} is no {name} text: byte 0x{data[exc.start]:02x} at {exc.start}.",
            hint="Convert it, for example with: iconv -f latin1 -t utf-8"
            if name == "UTF-8" and not _NO_TEXT.search(data)
            else "",
        ) from exc
