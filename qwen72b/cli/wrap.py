"""
Word wrap for text that comes in pieces.

A word is shown as it comes; when it turns out too long for its line, it is
taken back and shown on the next one. Code is left as it is, for a line end
in it would be copied along, and so is a word that no line can hold.
"""

from __future__ import annotations

import unicodedata

from ..fences import FenceReader

__all__ = ["Wrapper", "cell_width"]

_TAB = 8


def cell_width(character: str) -> int:
    """
    Tell how many columns a character takes.

    Args:
        character: One character, none of those that control a terminal.
    """
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    # Marks that stand on the letter before them, and joiners.
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1


class Wrapper:
    """Wraps one text."""

    def __init__(self) -> None:
        self._fences = FenceReader()
        self._line: list[str] = []
        self._column = 0
        # What can still be taken to the next line; None while nothing can.
        self._word: list[str] | None = []
        self._word_width = 0
        self._break_due = False

    def take(self, text: str, columns: int) -> str:
        """
        Wrap the next piece.

        Args:
            text: The piece, without control characters but line feeds and tabs.
            columns: The terminal's width.

        Returns:
            What to write to the terminal.
        """
        out: list[str] = []
        for character in text:
            if character == "\n":
                self._end_line(out)
                continue
            self._line.append(character)
            if self._fences.fence is not None or columns < 2:
                out.append(character)
            elif character in " \t":
                self._blank(out, character, columns)
            else:
                self._letter(out, character, columns)
        return "".join(out)

    def _end_line(self, out: list[str]) -> None:
        out.append("\n")
        self._fences.take("".join(self._line))
        self._line.clear()
        self._break_due = False
        self._begin_line()

    def _begin_line(self) -> None:
        self._column = 0
        self._begin_word()

    def _begin_word(self) -> None:
        self._word = []
        self._word_width = 0

    def _blank(self, out: list[str], character: str, columns: int) -> None:
        width = _TAB - self._column % _TAB if character == "\t" else 1
        if self._column + width >= columns:
            # The line end stands for it, if anything follows.
            self._break_due = True
        elif not self._break_due:
            out.append(character)
            self._column += width
        self._begin_word()

    def _letter(self, out: list[str], character: str, columns: int) -> None:
        if self._break_due:
            self._break_due = False
            out.append("\n")
            self._begin_line()
        width = cell_width(character)
        if width == 2:
            # Chinese and Japanese have no blanks; a line may end anywhere.
            self._begin_word()
        # The last column stays free: where the cursor is behind it is up to the terminal.
        if self._column + width >= columns and self._word is not None:
            if self._word_width < self._column:
                back = f"\x1b[{self._word_width}D\x1b[K" if self._word_width else ""
                out.append(f"{back}\n{''.join(self._word)}")
                self._column = self._word_width
            else:
                # Longer than the line; the terminal wraps it, so that it can be copied whole.
                self._word = None
        out.append(character)
        # Only the terminal breaks such a word, at its edge.
        self._column = width if self._column + width > columns else self._column + width
        if width == 2:
            self._begin_word()
        elif self._word is not None:
            self._word.append(character)
            self._word_width += width
