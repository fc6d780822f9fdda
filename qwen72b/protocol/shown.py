"""
The value that shows the answer, and how the answer in it changes.

Text that only extends the answer, by far the most common edit, is kept apart
and written into the value when something else needs it there.

What a message costs is in proportion to its size, or is refused: an answer of
megabytes is not gone through for each edit of a few bytes (``Allowance``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InvalidDiff, InvalidServerMessage
from ..events import Attachment, Delta, Event, Revised, Thought
from .diff import Allowance, apply_edits, is_same_path
from .reading import NOTHING, ChatReader, TextReader
from .surrogates import replace_surrogates
from .textbuffer import TextBuffer

__all__ = ["Shown"]


# Characters of an answer that cost less to move than its message cost to read.
_LITTLE = 4096


class Shown:
    """
    The value of the component that shows the answer.

    Args:
        reader: Who finds the answer in it.
        chat: Whether it must be a chat.
        check: Called now and then where it takes long; may raise to stop.
    """

    def __init__(
        self,
        reader: ChatReader | TextReader,
        *,
        chat: bool,
        check: Callable[[], object] | None = None,
    ) -> None:
        #: The answer as it was last read.
        self.answer = NOTHING
        #: How much may be moved; it is told what comes.
        self.allowance = Allowance()
        self._reader = reader
        self._chat = chat
        self._check = check
        self._text = TextBuffer()
        # The last value. Text appended since then to the answer is in ``_text``
        # only, until another edit needs it here (``_behind``).
        self._value: Any = None
        self._behind = False
        # What the last thought has grown by since the value was last read.
        self._aside: list[str] = []
        # What was told: the files, and how many thoughts.
        self._files: set[Attachment] = set()
        self._thoughts = 0

    @property
    def text(self) -> str:
        """The answer so far."""
        return replace_surrogates(str(self._text))

    @property
    def has_text(self) -> bool:
        """Whether any of the answer has come."""
        return bool(self._text)

    def lose(self) -> None:
        """Forget the value, since edits of it were missed; the text stays."""
        self._value, self._behind, self.answer = None, False, NOTHING

    def fold(self, edits: Any, events: list[Event]) -> None:
        """
        Apply the value's edits; text that extends the answer is the common case.

        Args:
            edits: A list of ``[action, path, value]``.
            events: Gets what happened to the answer.

        Raises:
            InvalidDiff: If an edit is malformed, does not fit or moves too much.
        """
        if type(edits) is not list:
            raise InvalidDiff(f"Edits must be a list, not {type(edits).__name__}.")
        added: list[str] = []
        others: list[Any] = []
        concerned = False
        path = self.answer.path
        for edit in edits:
            if (
                not concerned
                and type(edit) is list
                and len(edit) == 3
                and edit[0] == "append"
                and path is not None
                and is_same_path(edit[1], path)
                and type(edit[2]) is str
            ):
                added.append(edit[2])
            else:
                others.append(edit)
                concerned = concerned or self._concerns_answer(edit)
        text = "".join(added)
        if not concerned:
            if others:
                self._edit(others)
            if text:
                self._behind = True
                if self.answer.thinking:
                    self._aside.append(text)
                else:
                    self._text.add(text)
                    events += _delta(text)
            return
        if self._behind:
            present = self._last()
            self.allowance.spend(len(present))
            self._edit([["replace", self.answer.path, present]])
        if added:
            others.insert(0, ["append", self.answer.path, text])
        self._edit(others)
        events += self.take(self._value)

    def _edit(self, edits: Any) -> None:
        """Apply edits to the value, which is nobody else's."""
        if not edits:
            return
        self._value = apply_edits(
            self._value, edits, in_place=True, allowance=self.allowance, check=self._check
        )

    def _concerns_answer(self, edit: Any) -> bool:
        """Tell whether an edit can change what the answer is or where it stands."""
        start = self.answer.start
        path = edit[1] if type(edit) is list and len(edit) > 1 else None
        if start is None or type(path) is not list or len(path) < len(start):
            return True
        if path[: len(start) - 1] != start[:-1]:
            return False
        index = path[len(start) - 1]
        if type(index) is not int or index >= start[-1]:
            return True
        # Of the turns before, one more or one less moves the answer.
        return len(path) == len(start) and edit[0] in ("add", "delete")

    def take(self, value: Any, *, last: bool = False) -> list[Event]:
        """
        Take the whole value and tell how the answer changed.

        Args:
            value: The value.
            last: Whether no other will come.

        Returns:
            What happened to the answer.

        Raises:
            InvalidServerMessage: If it is no chat where one should be.
            InvalidDiff: If reading it takes far more than came.
        """
        if self._chat and value is not None and type(value) not in (list, dict):
            raise InvalidServerMessage("what the Space sent as its chat is no list of turns.")
        allowance = self.allowance
        self._value, self._behind = value, False
        found = self._reader.read(value, allowance.spend)
        old = str(self._text)
        if found is None:
            # An update that leaves the answer as it was, and has no place for more.
            self.answer = self.answer._replace(text=old, path=None, start=None)
            return []
        self.answer, self._aside = found, []
        beside = found.thoughts or found.attachments
        events = self._tell_beside(last=last) if beside else []
        new = found.text
        if len(new) > _LITTLE:
            self.allowance.spend(len(new))
        # In one piece, and the same as in the value.
        self._text = TextBuffer(new)
        if new.startswith(old):
            return events + _delta(new[len(old) :])
        offset = _shared_length(old, new)
        return [*events, Revised(replace_surrogates(new[offset:]), offset)]

    def _tell_beside(self, *, last: bool) -> list[Event]:
        """Tell of thoughts that are complete, and of files, each once."""
        answer = self.answer
        size = len(answer.thoughts) - (answer.thinking and not last)
        events: list[Event] = [
            Thought(replace_surrogates(thought.title), replace_surrogates(thought.text))
            for thought in answer.thoughts[self._thoughts : size]
        ]
        self._thoughts = max(self._thoughts, size)
        events += [file for file in answer.attachments if file not in self._files]
        self._files.update(answer.attachments)
        return events

    def _last(self) -> str:
        """Return the present text at the answer's path."""
        target = self._value
        for key in self.answer.path or ():
            target = target[key]
        if self.answer.thinking:
            return "".join([str(target), *self._aside])
        return str(target) + str(self._text)[len(self.answer.text) :]


def _delta(text: str) -> list[Event]:
    return [Delta(text if text.isascii() else replace_surrogates(text))] if text else []


def _shared_length(old: str, new: str) -> int:
    """Count the characters that two texts begin with alike; by halves, so that C compares."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
