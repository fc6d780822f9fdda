r"""
Text of a Space, made harmless: what would command a terminal is shown instead.

Everything of a Space that a terminal may show goes through here: answers,
titles, the words of a queue or a progress bar. In a pipe or a file text stays
as it is.
"""

from __future__ import annotations

import re

__all__ = ["escape", "escape_line"]

# C0 but tab and line feed, DEL, C1; and the marks that turn the direction of
# text around, which can make a command look like another one (CVE-2021-42574).
# A lone surrogate is no text at all.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escape(text: str, encoding: str = "utf-8") -> str:
    r"""
    Make control characters visible, so that text cannot command the terminal.

    Args:
        text: Text from elsewhere. Line ends of Windows become line feeds.
        encoding: What will be written; characters that it lacks are escaped,
            too, so that none of the text is lost.

    Returns:
        The text with ``\x1b`` and the like in place of control characters;
        tabs and line feeds stay.
    """
    shown = _CONTROLS.sub(_visible, text.replace("\r\n", "\n"))
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def escape_line(text: str, encoding: str = "utf-8") -> str:
    r"""
    Make a text that holds its place in a line: as ``escape``, with blanks for line ends and tabs.

    Args:
        text: Text from elsewhere.
        encoding: What will be written.
    """
    return escape(" ".join(re.split("[\t\r\n]+", text)), encoding)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
