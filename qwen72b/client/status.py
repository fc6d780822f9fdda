"""
How a Space is doing, as one value.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SpaceStatus"]


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """
    How a Space is doing.

    Args:
        url: Its base URL.
        ready: Whether it takes questions.
        stage: The Hub's word; ``"RUNNING"`` if the Space answers, ``None`` if
            it does not and the Hub does not say.
        version: Gradio's version; empty if unknown.
        protocol: The queue's dialect; empty if unknown.
        endpoint: The chat function's public name or number; empty if unknown.
        latency: Seconds that the Space took to answer.
        reason: What is wrong, if it is not ready.
        plan: What a question does, in one line; empty if unknown.

    Example:
        >>> status = Client().status()
        >>> print("ready" if status.ready else status.reason)
        ready
    """

    url: str
    ready: bool
    stage: str | None
    version: str = ""
    protocol: str = ""
    endpoint: str = ""
    latency: float = 0.0
    reason: str = ""
    plan: str = ""
