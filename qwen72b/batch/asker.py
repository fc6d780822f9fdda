"""
What a batch needs of a client: two small protocols.
"""

from __future__ import annotations

from typing import Protocol

from ..messages import Prompt
from ..reply import Reply
from ..retry import Retry
from ..timeout import Timeout, TimeoutLike

__all__ = ["Asker", "Asking"]


class Asking(Protocol):
    """A question that was asked."""

    def wait(self) -> Reply:
        """Wait for the whole answer."""
        ...

    def close(self) -> None:
        """Hang up, from any thread."""
        ...


class Asker(Protocol):
    """Whoever can ask a Space, and fits in a pickle."""

    retry: Retry
    timeout: Timeout

    def open(self, prompt: Prompt, *, timeout: TimeoutLike, retry: Retry) -> Asking:
        """Ask a question."""
        ...
