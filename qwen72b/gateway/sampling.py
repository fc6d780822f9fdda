"""
Sampling by name: which input of a Space is its temperature?

OpenAI's names are fixed; a Space calls its sliders what its maker liked. An input
is found by its label, of which case and punctuation do not count, and only if
its present value is a number and no other input has such a label, too: a guess
that is wrong would change an answer silently. What it does not take is brought
within its bounds, or to the nearest of its choices: a temperature of 0 is the
least that a slider has.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import Qwen72BError

if TYPE_CHECKING:
    from ..aio.client import AsyncClient

__all__ = ["Sampling", "SamplingInputs", "match_inputs"]

log = logging.getLogger("qwen72b.gateway")

# What labels begin with, once folded.
_LABELS = {
    "temperature": re.compile(r"(?:sampling )?temperature\b"),
    "top_p": re.compile(r"top p\b|nucleus\b"),
    "max_tokens": re.compile(r"max(?:imum)?(?: new| output| generated| completion)? ?tokens\b"),
}


def match_inputs(inputs: Mapping[str, Any]) -> dict[str, str]:
    """
    Find the inputs that sampling goes to.

    Args:
        inputs: The Space's inputs: their labels and present values.

    Returns:
        The label for each of OpenAI's names that has one.
    """
    found: dict[str, list[str]] = {}
    for label, value in inputs.items():
        folded = " ".join(re.findall(r"[a-z0-9]+", label.lower()))
        for name, pattern in _LABELS.items():
            if type(value) in (int, float) and pattern.match(folded):
                found.setdefault(name, []).append(label)
    return {name: labels[0] for name, labels in found.items() if len(labels) == 1}


@dataclass(frozen=True, slots=True)
class SamplingInputs:
    """
    The inputs of a Space that sampling goes to.

    Args:
        labels: The label for each of OpenAI's names that has one.
        limits: The limits of the inputs by their labels, as a description has them.
    """

    labels: Mapping[str, str]
    limits: Mapping[str, Mapping[str, Any]]

    def place(self, name: str, value: float) -> tuple[str, float]:
        """
        Tell which input gets which value.

        Args:
            name: OpenAI's name, which has an input.
            value: What was asked for.

        Returns:
            The input's label, and the nearest value that it takes.
        """
        label = self.labels[name]
        limits = self.limits.get(label, {})
        if "choices" in limits:
            return label, min(_numbers(limits), key=lambda choice: abs(choice - value))
        value = max(value, limits.get("minimum", value))
        return label, min(value, limits.get("maximum", value))


class Sampling:
    """
    The inputs of one Space that sampling goes to, asked for once.

    Args:
        client: The Space's client.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._found: SamplingInputs | None = None

    async def inputs(self) -> SamplingInputs | None:
        """
        Find the inputs.

        Returns:
            They; ``None`` if the Space cannot be read. Asking it fails the same
            way then, and says it better.
        """
        if self._found is None:
            try:
                description = await self._client.describe()
            except Qwen72BError as exc:
                log.debug("the Space's inputs are unknown: %s", type(exc).__name__)
                return None
            limits = description.limits
            labels = {
                name: label
                for name, label in match_inputs(description.inputs).items()
                if "choices" not in limits.get(label, {}) or _numbers(limits[label])
            }
            self._found = SamplingInputs(labels, limits)
        return self._found

    def forget(self) -> None:
        """Ask again next time: the Space has changed."""
        self._found = None


def _numbers(limits: Mapping[str, Any]) -> list[float]:
    """List the choices that are numbers; none of an input that takes a list of them."""
    choices = () if limits.get("many") else limits["choices"]
    return [each for each in choices if type(each) in (int, float) and math.isfinite(each)]
