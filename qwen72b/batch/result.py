"""
The result of one item: answered or failed, which type checkers tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ..errors import Qwen72BError
from ..reply import Reply

__all__ = ["Answered", "AnyResult", "Failed", "Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """
    One item's answer, or why there is none: an ``Answered`` or a ``Failed``.

    Where ``ok`` is true, ``reply`` is a ``Reply`` and ``error`` is ``None``;
    where not, the other way round.

    Args:
        id: The item's id, given or derived.
        item: The item, as it was passed.
        reply: The answer; ``None`` if the item failed.
        error: Why it failed; ``None`` if it did not.
        tries: How often it was sent in this run; 0 if it was not.
        resumed: Whether the answer was read from the journal of an earlier run.

    Example:
        >>> for result in Client().map(["What is the capital of France?"]):
        ...     print(result.reply if result.ok else result.error)
        Paris.
    """

    ok: ClassVar[bool]

    id: str
    item: Any
    reply: Reply | None = None
    error: Qwen72BError | None = None
    tries: int = 1
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Answered(Result):
    """
    An item's answer.

    Example:
        >>> [result] = Client().map(["What is the capital of France?"])
        >>> isinstance(result, Answered), result.reply
        (True, 'Paris.')
    """

    ok: ClassVar[Literal[True]] = True

    reply: Reply
    error: None = None


@dataclass(frozen=True, slots=True)
class Failed(Result):
    """
    Why an item has no answer.

    Example:
        >>> [result] = Client().map(["Write a poem."])
        >>> isinstance(result, Failed), result.error.partial
        (True, 'Roses are red,')
    """

    ok: ClassVar[Literal[False]] = False

    reply: None = None
    error: Qwen72BError = field(kw_only=True)


# What batches give: with it, ``if result.ok`` tells a type checker as well.
AnyResult = Answered | Failed
