"""
An answer in a notebook: one Markdown output that grows in place.

The output is redrawn whole, from the stream's present text, so it is exact
after the Space took text back. IPython is imported when something is drawn.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, Awaitable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from time import monotonic
from typing import Any, overload
from uuid import uuid4

from ..client.answer import tell_stop
from ..errors import InvalidOption
from ..escape import escape
from ..events import Event, Queued
from ..fences import close_fence
from ..progress import queue_words
from ..reply import Reply

__all__ = ["show"]

# Seconds between two drawings. With the first and the last one, no second of
# an answer sees more than ten.
_PACE = 0.125


@overload
def show(stream: Iterable[str]) -> Reply: ...
@overload
def show(stream: AsyncIterable[str]) -> Awaitable[Reply]: ...
def show(stream: Iterable[str] | AsyncIterable[str]) -> Reply | Awaitable[Reply]:
    """
    Draw an answer as it comes, as Markdown.

    There is one output, redrawn at most ten times a second and once at the
    end. While a stream waits in the queue, the output says so. Interrupting
    the kernel stops the stream, and leaves what had come on the page. Without
    a notebook the text is printed.

    Args:
        stream: A ``Stream``, an ``AsyncStream`` (await the result then), or
            any iterable or async iterable of text.

    Returns:
        The answer. The cell that drew it does not draw it again as its value.

    Raises:
        Qwen72BError: If the answer fails or is cut; what came stays on the page.

    Example:
        >>> from qwen72b.notebook import show
        >>> reply = show(Client().stream("What is the capital of France?"))
        Paris.
    """
    if not isinstance(stream, (Iterable, AsyncIterable)):
        raise InvalidOption(
            f"show() takes a stream, not a {type(stream).__name__}.",
            hint="client.stream(...) makes one.",
        )
    if isinstance(stream, AsyncIterable):
        return _show_async(stream)
    drawing = _Drawing(stream)
    try:
        for item in drawing.items:
            drawing.take(item)
    except BaseException as exc:
        # It may have come between two steps of the answer.
        tell_stop(exc)
        if hasattr(stream, "close"):
            stream.close()
        raise
    finally:
        drawing.finish()
    # What can be revised is a stream, and has a result.
    return _Shown.of(stream.result() if drawing.revisable else drawing.text)  # type: ignore[attr-defined]


async def _show_async(stream: AsyncIterable[str]) -> Reply:
    drawing = _Drawing(stream)
    try:
        with _wakeful_loop():
            async for item in drawing.items:
                drawing.take(item)
    except BaseException as exc:
        tell_stop(exc)
        if hasattr(stream, "aclose"):
            await stream.aclose()
        raise
    finally:
        drawing.finish()
    # What can be revised is a stream, and has a result.
    return _Shown.of(await stream.result() if drawing.revisable else drawing.text)  # type: ignore[attr-defined]


@contextmanager
def _wakeful_loop() -> Iterator[None]:
    """
    Have asyncio's event loop wake now and then.

    On an interrupt ipykernel asks the loop, from the signal handler, to cancel
    the cell; but that does not wake a loop that waits (measured on ipykernel
    7.4 with tornado 6.6: it took until the next text came).
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # trio's.
        yield
        return

    drawing = True

    def tick() -> None:
        if drawing:
            loop.call_later(_PACE, tick)

    tick()
    try:
        yield
    finally:
        drawing = False


class _Drawing:
    """
    The output that one answer has on the page.

    Args:
        stream: Whose text is drawn.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.revisable = hasattr(stream, "events")
        self._in_notebook = hasattr(_shell(), "kernel")
        # Printed text cannot be redrawn, so there the pieces count.
        events = self.revisable and self._in_notebook
        self.items: Any = stream.events() if events else stream
        self._pieces: list[str] = []
        self._note = ""
        self._output: str | None = None
        self._drawn = ""
        self._due = 0.0

    def take(self, item: str | Event) -> None:
        """Draw what an event or a piece of text changes, unless it is too early for that."""
        if not isinstance(item, (str, Event)):
            raise InvalidOption(f"show() takes pieces of text, not a {type(item).__name__}.")
        if not self._in_notebook:
            text = str(item)
            self._pieces.append(text)
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            print(escape(text, encoding), end="", flush=True)
            return
        if isinstance(item, str):
            self._pieces.append(item)
        else:
            self._note = _note(item)
        if monotonic() >= self._due:
            self._draw(close_fence(self.text) or self._note)

    def finish(self) -> None:
        """Draw the last state."""
        if self._in_notebook:
            self._draw(close_fence(self.text))
        else:
            print()

    @property
    def text(self) -> str:
        """The answer so far."""
        text: str = self._stream.text if self.revisable else "".join(self._pieces)
        return text

    def _draw(self, markdown: str) -> None:
        if markdown == self._drawn:
            return
        data = {"text/markdown": markdown, "text/plain": markdown}
        # The output is named before it is there: were its drawing interrupted,
        # the last drawing would make a second one.
        name, self._output = self._output, self._output or uuid4().hex
        display = import_module("IPython.display").display
        display(data, raw=True, display_id=self._output, update=name is not None)
        self._drawn = markdown
        self._due = monotonic() + _PACE


def _note(event: Event) -> str:
    """Say what there is to wait for."""
    # Nothing of one's being next: most answers begin at once, and it would flicker.
    return f"*{queue_words(event)}.*" if isinstance(event, Queued) and event.rank else ""


class _Shown(Reply):
    """A reply that is on the page already; its copies are plain replies."""

    _cell: int | None

    @classmethod
    def of(cls, reply: str) -> _Shown:
        """Make a text or a reply one that is on the page since the present cell."""
        shown = cls(reply, getattr(reply, "timings", None), getattr(reply, "messages", None))
        shown._cell = getattr(_shell(), "execution_count", None)
        return shown

    def _ipython_display_(self) -> None:
        """Draw nothing in the cell that drew it; elsewhere IPython goes on to the Markdown."""
        if getattr(_shell(), "execution_count", None) != self._cell:
            raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return Reply, self.__getnewargs__()


def _shell() -> Any:
    """Return the running IPython; ``None`` if there is none."""
    try:
        return import_module("IPython").get_ipython()
    except ImportError:
        return None
