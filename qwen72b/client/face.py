"""
What both faces of an answer show of it.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import NoReturn, SupportsIndex

from ..errors import InvalidRequest
from ..events import Delta, Event, Revised
from ..reply import Timings
from .answer import Answer
from .appendonly import AppendOnlyText

__all__ = ["AnswerFace"]

log = logging.getLogger("qwen72b")


class AnswerFace:
    """
    An answer as its readers see it.

    Args:
        answer: The answer, not yet begun.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._pending: deque[Event] = deque()
        # What iteration has handed out.
        self._handed = AppendOnlyText()

    @property
    def text(self) -> str:
        """The answer so far; after the end, exactly the Space's final text."""
        return self._answer.text

    @property
    def revised(self) -> bool:
        """Whether text was taken back after iteration had handed it out."""
        return self._handed.revised

    @property
    def closed(self) -> bool:
        """Whether the stream is over: read to its end, failed, or closed."""
        return self._answer.closed

    @property
    def timings(self) -> Timings:
        """How long the answer took, or has taken so far."""
        return self._answer.timings

    def __repr__(self) -> str:
        if not hasattr(self, "_answer"):
            return f"<{type(self).__name__} half-built>"
        state = self._answer.state
        # Whoever prints one has not read it yet, and wants to know how.
        what = f"{state}: iterate, or call result()" if state == "new" else state
        return f"<{type(self).__name__} {what}, {len(self.text)} characters>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        # A copy would hang up on the original when it goes.
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled: it is one running answer; what ask() or result() "
            "gives can be."
        )

    def _check_unread(self) -> None:
        """Refuse to iterate over what is complete: there would be nothing, without a word."""
        if not self._pending:
            raise InvalidRequest(
                "this stream was read to its end.",
                hint="Its text is in .text, the whole answer in result().",
            )

    def _to_chunk(self, event: Event) -> str:
        """Tell what iteration hands out for an event, each one once and in order; perhaps nothing."""
        if type(event) is Delta:
            return self._handed.add(event.text)
        if type(event) is Revised:
            before = self._handed.restarted
            chunk = self._handed.revise(event.text, event.offset)
            if self._handed.restarted and not before:
                log.warning("The Space took text back; the answer starts over on a new line.")
            return chunk
        return ""
