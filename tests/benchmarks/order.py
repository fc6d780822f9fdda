"""
What shall the loopback server say? An order, written as the user's message.

Both sides of a benchmark read it: the contestant sends its text as the
question, the server does what it says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["Order"]


@dataclass(frozen=True)
class Order:
    """
    An answer to be given.

    Attributes:
        count: How many pieces of text.
        pace: Seconds between two pieces; 0 sends all at once.
        pack: How many events share an HTTP chunk, in a burst.
        hang: Whether the stream stays open and silent after the last piece.
    """

    count: int = 100
    pace: float = 0.0
    pack: int = 1
    hang: int = 0

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())

    @classmethod
    def read(cls, text: str) -> Order:
        """Read an order from a message's text; anything else is an order of one piece."""
        fields = dict(part.split("=") for part in text.split() if "=" in part)
        kinds = {"count": int, "pace": float, "pack": int, "hang": int}
        return cls(**{name: kinds[name](value) for name, value in fields.items()})
