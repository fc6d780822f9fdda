"""
The fenced code blocks of a Markdown text (CommonMark 0.31, "Fenced code blocks").

A fence may stand in a list item or in a quote, and deeper than CommonMark
allows, as models write it. It is closed by one of the same character, at
least as long, or where its quote ends; at the text's end it may be open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["FenceReader", "close_fence", "code_blocks"]

# Quote marks, list marks and blanks, then the fence and what stands behind it.
_OPENING = re.compile(r"((?:[ \t]|>|(?:[-*+]|\d{1,9}[.)])[ \t])*)(`{3,}|~{3,})(.*)")
_MARK = re.compile(r"[-*+]|\d{1,9}[.)]")


class _Fence(NamedTuple):
    """
    A fence that is open.

    Args:
        margin: What stands before its lines: quote marks, and blanks for the
            marks of list items.
        marks: The backticks or tildes.
    """

    margin: str
    marks: str

    @property
    def depth(self) -> int:
        """In how many quotes it stands."""
        return self.margin.count(">")

    def closed_by(self, line: str) -> bool:
        """Tell whether a line ends the block."""
        inner = line.lstrip(" \t>" if self.depth else " \t").rstrip(" \t")
        return len(inner) >= len(self.marks) and not inner.strip(self.marks[0])

    def left_by(self, line: str) -> bool:
        """Tell whether a line stands outside the quote, and so outside the block."""
        return line[: len(line) - len(line.lstrip(" \t>"))].count(">") < self.depth

    def strip(self, line: str) -> str:
        """Take the margin off a line of code."""
        place = 0
        for character in self.margin:
            if line[place : place + 1] == character:
                place += 1
            elif character == ">" or line[place : place + 1] not in (" ", "\t"):
                # Less deep than its fence; models do that.
                break
        return line[place:]


class FenceReader:
    """
    Tells, line by line, what is code.

    Attributes:
        fence: The fence that is open; ``None`` outside of code.
    """

    def __init__(self) -> None:
        self.fence: _Fence | None = None

    def take(self, line: str) -> str | None:
        """
        Read the next line.

        Args:
            line: The line, without its end.

        Returns:
            The line's code; ``None`` if it is prose or a fence.
        """
        fence = self.fence
        if fence is not None and fence.left_by(line):
            fence = self.fence = None
        if fence is None:
            opening = _OPENING.fullmatch(line)
            # `` ```like this``` `` is code within a line.
            if opening is not None and not (opening[2][0] == "`" and "`" in opening[3]):
                margin = _MARK.sub(lambda mark: " " * len(mark[0]), opening[1])
                self.fence = _Fence(margin, opening[2])
            return None
        if fence.closed_by(line):
            self.fence = None
            return None
        return fence.strip(line)


def code_blocks(text: str) -> Iterator[str]:
    """
    Find the fenced code blocks of a Markdown text.

    Args:
        text: The text.

    Yields:
        The lines of each block, without its fences and its margin; up to the
        text's end if the last one is not closed.
    """
    reader = FenceReader()
    opened = None
    block: list[str] = []
    for line in _lines(text):
        code = reader.take(line)
        if opened is not None and reader.fence is not opened:
            yield "\n".join(block)
            block = []
        opened = reader.fence
        if code is not None:
            block.append(code)
    if opened is not None:
        yield "\n".join(block)


def close_fence(text: str) -> str:
    """
    Close a code fence that is still open, so that the text can be drawn now.

    Args:
        text: Markdown, perhaps cut anywhere.

    Returns:
        The text, with the fence's end on a new line if it needs one.
    """
    reader = FenceReader()
    for line in _lines(text):
        reader.take(line)
    if reader.fence is None:
        return text
    # Indented as deep as the fence: a list item's text goes on without its mark.
    return f"{text}{'' if text.endswith(chr(10)) else chr(10)}{reader.fence.margin}{reader.fence.marks}"


def _lines(text: str) -> Iterator[str]:
    """Give the lines as Markdown counts them: str.splitlines knows more line ends."""
    if not text:
        return
    lines = re.split("\r\n|\r|\n", text)
    if not lines[-1]:
        lines.pop()
    yield from lines
