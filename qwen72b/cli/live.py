"""
Lines at the bottom of a terminal that are drawn anew while they grow.

Never more of them than half the screen: what has gone into the scrollback
cannot be redrawn, and a terminal that is made smaller pushes lines there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from .wrap import cell_width

__all__ = ["LiveLines"]

# Colours and the like (ECMA-48 SGR), which take no room.
_STYLE = re.compile("\x1b\\[[0-9;]*m")

# Set by terminals that wrap lines anew when they get narrower. Others (xterm,
# the Linux console) cut lines off; there a line stays a line.
_REFLOWING = (
    "ALACRITTY_WINDOW_ID",
    "KITTY_WINDOW_ID",
    "KONSOLE_VERSION",
    "TERM_PROGRAM",
    "TMUX",
    "VTE_VERSION",
    "WT_SESSION",
)


class LiveLines:
    """The lines that are there now; none at first."""

    def __init__(self) -> None:
        self._widths: list[int] = []
        self._columns = 0
        self._reflowing = any(name in os.environ for name in _REFLOWING)

    def __bool__(self) -> bool:
        return bool(self._widths)

    def draw(self, lines: Sequence[str], columns: int, height: int) -> str:
        """
        Tell what to write so that these lines are there, below what was written before.

        Args:
            lines: The lines, each narrower than the terminal; the last of them
                if there is no room for all.
            columns: The terminal's width.
            height: Its height.
        """
        shown = lines[-max(1, height // 2) :]
        self._widths = [sum(map(cell_width, _STYLE.sub("", line))) for line in shown]
        self._columns = columns
        return "\n".join(shown)

    def erase(self, columns: int) -> str:
        """
        Tell what to write so that no line is there.

        Args:
            columns: The terminal's width now.
        """
        rows = len(self._widths)
        if self._reflowing and columns < self._columns:
            rows = sum(max(1, -(-width // columns)) for width in self._widths)
        self._widths = []
        if not rows:
            return ""
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        # To the margin, up, and clear what is below (ECMA-48 CUU, ED).
        return f"\r{up}\x1b[J"
