"""
Stop sequences: text that ends the answer and is not part of it.

A Space knows none, so they are kept on this side. One may come in pieces: what
could be its beginning is held back until that is known.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["StopCutter", "cut_at_stop"]


def cut_at_stop(text: str, stops: Sequence[str]) -> str | None:
    """
    Cut a text before the first stop sequence in it: the one that is complete first.

    So a text that comes in pieces is cut where it is cut as a whole.

    Args:
        text: The text.
        stops: The stop sequences.

    Returns:
        What is before it; ``None`` if there is none in the text.
    """
    ends = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends)[1]] if ends else None


class StopCutter:
    """
    The end of a text that comes in pieces.

    Args:
        stops: The stop sequences; none is empty.

    Attributes:
        found: Whether one has come: the answer is over.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._held = ""
        self.found = False

    def feed(self, piece: str) -> str:
        """
        Take a piece of text.

        Args:
            piece: The piece.

        Returns:
            What is certain to be part of the answer; may be empty.
        """
        if self.found:
            return ""
        text = self._held + piece
        before = cut_at_stop(text, self._stops)
        if before is not None:
            self.found, self._held = True, ""
            return before
        start = len(text) - self._possible(text)
        self._held = text[start:]
        return text[:start]

    def flush(self) -> str:
        """Return what was held back, now that nothing more comes."""
        held, self._held = self._held, ""
        return held

    def _possible(self, text: str) -> int:
        """Count the characters at the end that may begin a stop sequence."""
        for count in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-count:]) for stop in self._stops):
                return count
        return 0
