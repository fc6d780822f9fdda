"""
What a batch may be told.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal

from ..timeout import TimeoutLike
from .journal import Journal
from .progress import Tally

__all__ = ["BatchOptions"]


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """
    The options of ``Client.map``, which explains them.

    Args:
        executor: As there, as all others.
        max_in_flight: See there.
        rate: See there.
        journal: See there.
        progress: See there.
        ordered: See there.
        stop_on_error: See there.
        max_failures: See there.
        system: See there.
        timeout: See there.
    """

    executor: Executor | None = None
    max_in_flight: int = 8
    rate: float | None = None
    journal: str | os.PathLike[str] | Journal | None = None
    progress: bool | Callable[[Tally], object] | None = None
    ordered: bool = True
    stop_on_error: bool | Literal["lasting"] = False
    max_failures: int | None = None
    system: str | None = None
    timeout: TimeoutLike = None
