"""
The user's next turn of a chat, of one line or several.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import InvalidOption

if TYPE_CHECKING:
    from .console import Console

__all__ = ["TurnReader"]

_PROMPT = "> "
_MORE = ". "
_FENCE = '"""'


class TurnReader:
    """
    Reads turns from standard input.

    On a terminal lines are edited, and earlier ones come back, with readline;
    they are remembered until the chat ends, and never written to disk.

    Args:
        console: The command's console.

    Attributes:
        interactive: Whether a person types.
    """

    def __init__(self, console: Console) -> None:
        if sys.stdin is None:
            raise InvalidOption("there is no standard input to read questions from.")
        self.interactive = sys.stdin.isatty()
        # Python edits lines only where both streams are terminals; where not,
        # its prompt would go to standard output, which is the answer's.
        self._editing = self.interactive and console.output_is_terminal
        if self._editing:
            try:
                import readline  # noqa: F401  # input() edits lines once it is imported
            except ImportError:
                # Some builds of Python lack it; lines can be typed all the same.
                pass

    def read(self) -> str | None:
        """
        Wait for a turn.

        Returns:
            Its text; ``None`` at the end of the input.

        Raises:
            KeyboardInterrupt: If the line being typed was given up.
        """
        try:
            line = self._line(_PROMPT)
        except EOFError:
            return None
        lines: list[str] = []
        try:
            if line.lstrip().startswith(_FENCE):
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
        if self.interactive and not self._editing:
            sys.stderr.write(prompt)
            sys.stderr.flush()
        try:
            return input(prompt if self._editing else "")
        except EOFError:
            if self.interactive:
                # The shell's prompt shall not follow ours on one line.
                sys.stderr.write("\n")
            raise
        except UnicodeDecodeError as exc:
            raise InvalidOption("standard input is no UTF-8 text.") from exc
