"""
The progress of a batch: a tally for programs, a line for people.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from time import monotonic
from typing import TextIO

__all__ = ["ProgressLine", "Tally"]

# Seconds between two drawings on a terminal, and between two lines in a file.
_DRAW = 0.1
_LOG = 30.0


@dataclass(frozen=True, slots=True)
class Tally:
    """
    How far a batch is.

    Args:
        total: Items in all; ``None`` if the input does not say.
        answered: Items with an answer, those of earlier runs included.
        resumed: Items whose answer was read from the journal.
        failed: Items that failed.
        refused: How often the Space refused an item that was then sent again.
        in_flight: Items that are under way.
        window: How many may be, for now.
        most: How many may be at best.
        paused: Seconds until the next item may go, after a refusal.
        reason: The last refusal's words; empty if there was none.
        elapsed: Seconds since the batch began.

    Example:
        >>> batch = Client().map(["What is the capital of France?"], progress=print)
        >>> print(Tally(total=8, answered=2, elapsed=1.0))
        2/8 (25%), 2.0/s, ETA 0:03
    """

    total: int | None = None
    answered: int = 0
    resumed: int = 0
    failed: int = 0
    refused: int = 0
    in_flight: int = 0
    window: int = 0
    most: int = 0
    paused: float = 0.0
    reason: str = ""
    elapsed: float = 0.0

    @property
    def done(self) -> int:
        """Items that are over, well or not."""
        return self.answered + self.failed

    @property
    def rate(self) -> float:
        """Items per second in this run."""
        return (self.done - self.resumed) / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds to the end at this rate; ``None`` if that is unknown."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.done) / self.rate

    def __str__(self) -> str:
        parts = [f"{self.done}" if self.total is None else f"{self.done}/{self.total}"]
        if self.total:
            parts[0] += f" ({100 * self.done // self.total}%)"
        parts.append(f"{self.rate:.1f}/s")
        if self.eta is not None:
            minutes, seconds = divmod(round(self.eta), 60)
            hours, minutes = divmod(minutes, 60)
            parts.append(
                f"ETA {hours}:{minutes:02}:{seconds:02}" if hours else f"ETA {minutes}:{seconds:02}"
            )
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.window < self.most:
            parts.append(f"slowed to {self.window} of {self.most} at once")
        if self.paused >= 1:
            parts.append(f"waiting {self.paused:.0f} s: {self.reason}")
        return ", ".join(parts)


class ProgressLine:
    """
    Shows tallies on stderr.

    On a terminal and in a notebook that is a line that changes, elsewhere one
    now and then.

    Args:
        stream: Where to; by default stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        # A notebook is no terminal, but goes back to the margin all the same.
        self._in_notebook = type(self._stream).__module__.startswith("ipykernel")
        self._moving = self._in_notebook or self._stream.isatty()
        self._width = 0
        # Something to see at once on a terminal, but only long runs fill a log.
        self._shown = float("-inf") if self._moving else monotonic()

    def __call__(self, tally: Tally) -> None:
        now = monotonic()
        if now - self._shown >= (_DRAW if self._moving else _LOG):
            self._shown = now
            self._show(tally)

    def end(self, tally: Tally) -> None:
        """
        Leave the line as it is at the end.

        Args:
            tally: The last one.
        """
        if self._moving:
            self._show(tally)
            self._stream.write("\n")
            self._stream.flush()

    def _show(self, tally: Tally) -> None:
        if self._moving:
            width = shutil.get_terminal_size().columns - 1
            text = str(tally)[:width]
            # Back to the margin, and over what the last one left (ECMA-48 EL).
            clear = " " * (self._width - len(text)) if self._in_notebook else "\x1b[K"
            self._stream.write(f"\r{text}{clear}")
            self._width = len(text)
        else:
            self._stream.write(f"{tally}\n")
        self._stream.flush()
