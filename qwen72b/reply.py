"""
The whole answer to one question: text that knows how it came about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .events import Attachment, Thought

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Reply", "Timings"]


@dataclass(frozen=True, slots=True)
class Timings:
    """
    How long an answer took, in seconds from the call.

    Args:
        queue: Until the Space started to work on it; ``None`` if it never said.
        first_token: Until the first text; ``None`` if there was none.
        total: Until the end.

    Example:
        >>> reply = Client().ask("What is the capital of France?")
        >>> 0 < reply.timings.first_token <= reply.timings.total
        True
    """

    queue: float | None = None
    first_token: float | None = None
    total: float = 0.0


class Reply(str):
    """
    The answer: a ``str`` in every respect, with more to say.

    Args:
        text: The answer.
        timings: How long it took; zeros if nobody knows.
        messages: The chat up to and with this answer, as role dicts.
        folded: What the Space has no place for and stood in the question:
            ``"system"``, ``"history"``.
        thoughts: What the Space showed of its thoughts and tools.
        attachments: Files of the answer; nobody has fetched them.

    Example:
        >>> reply = Client().ask("What is the capital of France?")
        >>> reply.upper()
        'PARIS.'
        >>> reply.messages[-1]
        {'role': 'assistant', 'content': 'Paris.'}
    """

    timings: Timings
    messages: list[dict[str, str]]
    folded: tuple[str, ...]
    thoughts: tuple[Thought, ...]
    attachments: tuple[Attachment, ...]

    def __new__(
        cls,
        text: str = "",
        timings: Timings | None = None,
        messages: list[dict[str, str]] | None = None,
        folded: Iterable[str] = (),
        thoughts: Iterable[Thought] = (),
        attachments: Iterable[Attachment] = (),
    ) -> Self:
        reply = super().__new__(cls, text)
        reply.timings = Timings() if timings is None else timings
        reply.messages = list(messages or ())
        reply.folded = tuple(folded)
        reply.thoughts = tuple(thoughts)
        reply.attachments = tuple(attachments)
        return reply

    @property
    def text(self) -> str:
        """The answer as a plain ``str``."""
        return str(self)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (
            str(self),
            self.timings,
            self.messages,
            self.folded,
            self.thoughts,
            self.attachments,
        )

    def _repr_markdown_(self) -> str:
        return str(self)
