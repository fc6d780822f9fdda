"""
The result of one item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..reply import Reply

__all__ = ["Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """
    One item's answer, or why there is none.

    Args:
        id: The item's id, given or derived.
        item: The item, as it was passed.
        reply: The answer; ``None`` if the item failed.
        error: Why it failed; ``None`` if it did not.
        tries: How often it was sent in this run; 0 if it was not.
        resumed: Whether the answer was read from the journal of an earlier run.
    """

    id: str
    item: Any
    reply: Reply | None = None
    error: BaseException | None = None
    tries: int = 1
    resumed: bool = False

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.error is None
