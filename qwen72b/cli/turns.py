"""
The user's next turn of a chat, of one line or several.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from ..errors import InvalidOption
from .terminal import PASTE_OFF, PASTE_ON

if TYPE_CHECKING:
    from .console import Console

__all__ = ["TurnReader"]

_PROMPT = "> "
_MORE = ". "
_FENCE = '"""'

# What a terminal puts around pasted text.
_PASTED, _PASTE_END = "\x1b[200~", "\x1b[201~"

# A paste is one question. And a byte beyond ASCII is text, also where the locale
# is C (ssh, cron, containers), in which readline would take it for a command.
_READLINE = ("enable-bracketed-paste on", "input-meta on", "output-meta on", "convert-meta off")

# How bytes come that are no text (PEP 383).
_BAD = re.compile("[\udc80-\udcff]")


class TurnReader:
    """
    Reads turns from standard input.

    On a terminal lines are edited, and earlier ones come back, with readline;
    they are remembered until the chat ends, and never written to disk. What
    is pasted there is one turn, however many lines it has.

    Args:
        console: The command's console.

    Attributes:
        interactive: Whether a person types.
        editing: Whether readline edits the lines.
        skipped: Lines that were no text.
    """

    def __init__(self, console: Console) -> None:
        if sys.stdin is None:
            raise InvalidOption("there is no standard input to read questions from.")
        self._console = console
        self.interactive = sys.stdin.isatty()
        # Python edits lines only where both streams are terminals; where not,
        # its prompt would go to standard output, which is the answer's.
        self.editing = self.interactive and console.output_is_terminal
        self.skipped = 0
        self._number = 0
        self._bold = console.can_redraw and not os.environ.get("NO_COLOR")
        if hasattr(sys.stdin, "reconfigure"):
            # A byte that is no text shall cost its line, not the chat.
            sys.stdin.reconfigure(errors="surrogateescape")
        if self.editing:
            try:
                # input() edits lines once it is imported.
                import readline

                for setting in _READLINE:
                    readline.parse_and_bind(f"set {setting}")
            except ImportError:
                # Some builds of Python lack it; lines can be typed all the same.
                self.editing = False

    @property
    def cut_off(self) -> bool:
        """Whether the terminal has gone, which reads as an end of the input."""
        return self.interactive and not sys.stdin.isatty()

    def read(self) -> str | None:
        """
        Wait for a turn.

        Returns:
            Its text; ``None`` at the end of the input.

        Raises:
            KeyboardInterrupt: If the line being typed was given up.
        """
        while True:
            try:
                text = self._turn()
            except EOFError:
                return None
            if not _BAD.search(text):
                return text
            self.skipped += 1
            where = "that" if self.interactive else f"line {self._number}"
            encoding = getattr(sys.stdin, "encoding", None) or "utf-8"
            self._console.complain(f"{where} is no {encoding.upper()} text; it is left out.")

    def _turn(self) -> str:
        line = self._line(_PROMPT)
        lines: list[str] = []
        try:
            if "\n" in line:
                # Pasted: what looks like our own signs in it is the text's.
                whole = len(line) > 2 * len(_FENCE)
                if whole and line.startswith(_FENCE) and line.rstrip().endswith(_FENCE):
                    line = line.removeprefix(_FENCE).rstrip().removesuffix(_FENCE)
                lines.append(line)
            elif line.lstrip().startswith(_FENCE):
                line = line.lstrip().removeprefix(_FENCE)
                while not line.rstrip().endswith(_FENCE):
                    lines.append(line)
                    line = self._line(_MORE)
                lines.append(line.rstrip().removesuffix(_FENCE))
            else:
                while line.endswith("\\"):
                    lines.append(line[:-1])
                    line = self._line(_MORE)
                lines.append(line)
        except EOFError:
            # What was typed up to here is the turn.
            pass
        return "\n".join(lines).strip("\n")

    def _line(self, prompt: str) -> str:
        try:
            if self.editing:
                # Marked for readline: what takes no room (its manual, 2.4.1).
                shown = f"\x01\x1b[1m\x02{prompt}\x01\x1b[22m\x02" if self._bold else prompt
                return input(shown)
            if self.interactive:
                return self._unedited_line(prompt)
            self._number += 1
            return input()
        except EOFError:
            if self.interactive:
                # The shell's prompt shall not follow ours on one line.
                self._console.note()
            raise

    def _unedited_line(self, prompt: str) -> str:
        """Prompt on standard error; put together what was pasted."""
        self._say(f"{prompt}{PASTE_ON}")
        try:
            line = input()
            while _PASTED in line and _PASTE_END not in line:
                line += f"\n{input()}"
        finally:
            self._say(PASTE_OFF)
        return line.replace(_PASTED, "").replace(_PASTE_END, "")

    def _say(self, text: str) -> None:
        if sys.stderr is not None:
            shown = text if os.environ.get("TERM") != "dumb" else text.replace(PASTE_ON, "")
            sys.stderr.write(shown)
            sys.stderr.flush()
