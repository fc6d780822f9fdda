"""The targets by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

__all__ = ["TARGETS", "prepared", "target"]

Check = Callable[..., None]

# What must hold, of inputs drawn from what, and how many of them a round has.
TARGETS: dict[str, tuple[Check, tuple[st.SearchStrategy[Any], ...], int]] = {}


def target(*inputs: st.SearchStrategy[Any], examples: int = 200) -> Callable[[Check], Check]:
    """Make a function a target, by its name."""

    def register(check: Check) -> Check:
        TARGETS[check.__name__] = check, inputs, examples
        return check

    return register


def prepared(name: str, number: int) -> Callable[[], None]:
    """Make one round of a target, of a seed of its own."""
    check, inputs, examples = TARGETS[name]
    options = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    # A function of its own each time: hypothesis decorates one only once.
    run: Callable[[], None] = seed(number)(options(given(*inputs)(_copied(check))))
    return run


def _copied(check: Check) -> Check:
    from types import FunctionType

    assert isinstance(check, FunctionType)
    return FunctionType(
        check.__code__, check.__globals__, check.__name__, check.__defaults__, check.__closure__
    )
