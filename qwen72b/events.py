"""
The events of a job, as a caller sees them.

A job is ``Queued`` (perhaps often), ``Started``, brings ``Delta`` and sometimes
``Revised``, and ends with one ``Finished``. ``Progress``, ``Logged``, ``Thought``
and ``Attachment`` may come in between. A job that fails raises; there is no event for it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Attachment",
    "Delta",
    "Event",
    "Finished",
    "Logged",
    "Progress",
    "Queued",
    "Revised",
    "Started",
    "Thought",
]


@dataclass(frozen=True, slots=True)
class Queued:
    """
    The job waits (Gradio's ``estimation``).

    Args:
        rank: Jobs before this one; 0 is next.
        size: Jobs in the queue; ``None`` if the Space did not say.
        eta: Expected wait in seconds; ``None`` if the Space does not know.
    """

    rank: int | None
    size: int | None = None
    eta: float | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """
    The Space works on the job (Gradio's ``process_starts``).

    Args:
        eta: Expected duration in seconds; ``None`` if the Space does not know.
    """

    eta: float | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """
    Text was added at the end of the answer.

    Args:
        text: The text that was added; never empty.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Revised:
    """
    Text was taken back: from ``offset`` on the answer now reads ``text``.

    Args:
        text: The new end of the answer; may be empty.
        offset: Characters of the answer that still stand before it.
    """

    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Progress:
    """
    The Space reports progress (Gradio's ``gr.Progress``).

    Args:
        index: Steps done; ``None`` if not counted.
        length: Steps in all; ``None`` if unknown.
        unit: What a step is, such as ``"steps"``.
        fraction: Part done, from 0 to 1, if the Space says so instead.
        description: The Space's words; may be empty.
    """

    index: float | None = None
    length: float | None = None
    unit: str = "steps"
    fraction: float | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Logged:
    """
    The Space has a word for its user (Gradio's ``gr.Info``, ``gr.Warning``).

    Args:
        text: The message.
        level: ``"info"``, ``"warning"`` or ``"success"``.
        title: The message's title; may be empty.
    """

    text: str
    level: str = "info"
    title: str = ""


@dataclass(frozen=True, slots=True)
class Thought:
    """
    The Space shows a thought or the use of a tool, complete; it is no part of the answer.

    Args:
        title: What the Space calls it.
        text: What it says.
    """

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """
    The answer has a file; nobody fetches it unasked.

    Args:
        url: Where the Space has it.
        name: The file's name; the Space's word, so no path to write to.
        mime_type: Its media type; empty if unknown.
    """

    url: str
    name: str
    mime_type: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """
    The job ended well.

    Args:
        text: The whole answer as the Space last gave it: the authority.
    """

    text: str


Event = Queued | Started | Delta | Revised | Progress | Logged | Thought | Attachment | Finished
