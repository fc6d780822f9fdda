"""
The events of a stream as a tqdm bar.

First the place in the queue, then the Space's own progress (``gr.Progress``),
then the characters that have come; at the end the bar goes away.
"""

from __future__ import annotations

from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

from .errors import InvalidOption
from .escape import escape_line
from .events import Delta, Event, Finished, Progress, Queued, Revised, Started

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ProgressBar", "queue_words"]


def queue_words(event: Queued) -> str:
    """
    Say what a place in the queue means: the one sentence of every face.

    Args:
        event: The place.

    Returns:
        Words without an end, such as ``3 before you in the queue, about 12 s``.

    Example:
        >>> queue_words(Queued(rank=3, eta=12.0))
        '3 before you in the queue, about 12 s'
    """
    if event.rank is None:
        words = "Waiting in the queue"
    else:
        words = f"{event.rank} before you in the queue" if event.rank else "Next in the queue"
    return f"{words}{_about(event.eta)}"


class ProgressBar:
    """
    A tqdm bar on stderr, or a widget in a notebook that has ipywidgets.

    ``Stream.result(progress=True)`` does what the example does.

    Raises:
        InvalidOption: If tqdm is not installed.

    Example:
        >>> from qwen72b.progress import ProgressBar
        >>> with ProgressBar() as bar:
        ...     for event in Client().stream("Why is the sky blue?").events():
        ...         bar.take(event)
    """

    def __init__(self) -> None:
        try:
            with catch_warnings():
                # tqdm warns in red of ipywidgets that are not there, and does without.
                simplefilter("ignore")
                kind: Any = import_module("tqdm.auto").tqdm
        except ImportError as exc:
            raise InvalidOption(
                "a progress bar needs tqdm, which is not installed.", hint="Run: pip install tqdm"
            ) from exc
        # tqdm's monitor is a thread that stays; events come often enough.
        quiet = type("Bar", (kind,), {"monitor_interval": 0})
        self._bar = quiet(desc="connecting", leave=False, miniters=1, unit="")
        self._unit = ""
        self._longest = 0

    def take(self, event: Event) -> None:
        """
        Show an event.

        Args:
            event: The next event of the stream.

        Example:
            >>> from qwen72b.progress import ProgressBar
            >>> with ProgressBar() as bar:
            ...     bar.take(Queued(rank=3, eta=12.0))
        """
        if isinstance(event, Delta):
            self._answering()
            self._bar.update(len(event.text))
        elif isinstance(event, Revised):
            self._answering()
            self._draw("answering", event.offset + len(event.text), None, " characters")
        elif isinstance(event, Queued):
            self._wait(event)
        elif isinstance(event, Started):
            self._draw(f"started{_about(event.eta)}", 0, None, "")
        elif isinstance(event, Progress):
            self._work(event)
        elif isinstance(event, Finished):
            self.close()

    def close(self) -> None:
        """
        Take the bar away; idempotent.

        Example:
            >>> from qwen72b.progress import ProgressBar
            >>> bar = ProgressBar()
            >>> bar.close()
        """
        self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _answering(self) -> None:
        if self._unit != " characters":
            self._draw("answering", 0, None, " characters")

    def _wait(self, event: Queued) -> None:
        if event.rank is None:
            self._draw(queue_words(event), 0, None, "")
            return
        # The bar fills as those before it are served.
        self._longest = max(self._longest, event.rank)
        done = self._longest - event.rank
        self._draw(queue_words(event), done, self._longest, " jobs")

    def _work(self, event: Progress) -> None:
        words = event.description or "working"
        if event.fraction is not None:
            self._draw(words, round(event.fraction * 100), 100, "%")
        else:
            self._draw(words, event.index or 0, event.length, f" {event.unit}")

    def _draw(self, words: str, done: float, total: float | None, unit: str) -> None:
        bar = self._bar
        # What the Space calls its steps ends up on a terminal.
        words, unit = escape_line(words), escape_line(unit)
        if unit != self._unit:
            # Starts the clock anew: the rate of one stage says nothing of the next.
            bar.reset()
            bar.unit = self._unit = unit
        bar.total = total
        bar.n = done
        bar.set_description_str(words, refresh=False)
        bar.refresh()


def _about(eta: float | None) -> str:
    return "" if eta is None else f", about {eta:.0f} s"
