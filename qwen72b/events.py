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

    Example:
        >>> event = Queued(rank=3, size=10, eta=12.0)
        >>> print(event.rank, "before you, about", event.eta, "seconds")
        3 before you, about 12.0 seconds
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

    Example:
        >>> any(isinstance(event, Started) for event in Client().stream("Hi").events())
        True
    """

    eta: float | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """
    Text was added at the end of the answer.

    Args:
        text: The text that was added; never empty.

    Example:
        >>> for event in Client().stream("Why is the sky blue?").events():
        ...     if isinstance(event, Delta):
        ...         print(event)
        Delta(text='Because')
        Delta(text=' of')
        Delta(text=' the air.')
    """

    text: str


@dataclass(frozen=True, slots=True)
class Revised:
    """
    Text was taken back: from ``offset`` on the answer now reads ``text``.

    Args:
        text: The new end of the answer; may be empty.
        offset: Characters of the answer that still stand before it.

    Example:
        >>> text, event = "I think so", Revised("know it", offset=2)
        >>> text[: event.offset] + event.text
        'I know it'
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

    Example:
        >>> event = Progress(index=3, length=4, description="thinking")
        >>> f"{event.description}: {event.index} of {event.length} {event.unit}"
        'thinking: 3 of 4 steps'
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

    Example:
        >>> for event in Client().stream("Hi").events():
        ...     if isinstance(event, Logged):
        ...         print(f"{event.level}: {event.text}")
        warning: Your text is short.
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

    Example:
        >>> event = Thought("Searched the web", "3 pages found")
        >>> print(f"{event.title}: {event.text}")
        Searched the web: 3 pages found
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

    Example:
        >>> event = Attachment("http://127.0.0.1:7860/file=plot.png", "plot.png", "image/png")
        >>> event.mime_type.startswith("image/")
        True
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

    Example:
        >>> *_, last = Client().stream("What is the capital of France?").events()
        >>> last
        Finished(text='Paris.')
    """

    text: str


Event = Queued | Started | Delta | Revised | Progress | Logged | Thought | Attachment | Finished
