"""
The answer in what a Space shows: the new turn of its Chatbot, or the text of a box.

A Chatbot's value is told by its content, never by its length: an app may give
back the history without the new turn, fewer turns than it got, or the new turn
alone. All that the assistant says in the new turn is the answer; messages with
a title (``metadata.title``: thoughts, tools) are thoughts, files are attachments.

Above 300 lines: the forms of an answer are read beside each other, lest they
differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from ..events import Attachment, Thought

__all__ = ["NOTHING", "Answer", "ChatReader", "TextReader"]

# Elements of a turn, or parts of a message, from which on it counts that they are
# looked at; and what that costs, in characters that could be gone through.
_MANY = 100
_PER_ELEMENT = 64

# Levels of a message's parts at which files are looked for: a gallery in a component
# has them at the fifth.
_MOST_LEVELS = 10

# What may hold messages.
_CONTAINERS = (list, dict)

# How servers and pages escape a text (html.escape, markupsafe, DOMPurify); what is
# made of others comes last. ``html.unescape`` knows 2,231 and looks for each that
# a text might have: half a microsecond a character, at worst.
_ESCAPES = (
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", '"'),
    ("&#34;", '"'),
    ("&apos;", "'"),
    ("&#39;", "'"),
    ("&#039;", "'"),
    ("&#x27;", "'"),
    ("&nbsp;", " "),
    ("&amp;", "&"),
)

# Between two messages of one turn.
_BETWEEN = "\n\n"


class Answer(NamedTuple):
    """
    The present answer in a component's value.

    Args:
        text: The answer; empty if there is none yet.
        path: Where appended text extends the last message, which is a thought
            if ``thinking``; ``None`` if nowhere.
        start: The path of the new turn's first element: edits of the elements
            before it do not change the answer. ``None`` if any edit may.
        given: Whether there is an answer at all, be it an empty one.
        thoughts: The thoughts of the new turn.
        thinking: Whether the last of them may still grow.
        attachments: The files of the new turn.
    """

    text: str = ""
    path: list[Any] | None = None
    start: list[Any] | None = None
    given: bool = False
    thoughts: tuple[Thought, ...] = ()
    thinking: bool = False
    attachments: tuple[Attachment, ...] = ()


NOTHING = Answer()


class _Message(NamedTuple):
    """One message of a Chatbot's value: who says it, what, and where that stands."""

    role: str
    content: Any
    path: list[Any]
    title: str = ""


class ChatReader:
    """
    A reader of a Chatbot's value.

    Args:
        sent: The history that the Chatbot was given, in the Space's form.
        query: The question's text as it was put.
        files: What comes before the path of a file that names no URL.
    """

    def __init__(self, sent: list[Any], query: str, *, files: str = "") -> None:
        self._sent = [_key(element) for element in sent] if sent else []
        self._query = query
        self._files = files
        # Where the new turn began in the value last read, that value's length,
        # and what stood before: an app adds to its chat far more often than it
        # changes it.
        self._length = -1
        self._start = 0
        self._before: object = None
        # The last user's text that was judged, and whether it is an old one.
        self._judged: tuple[str, int, bool] | None = None

    def read(self, value: Any, spend: Callable[[int], None] | None = None) -> Answer | None:
        """
        Find the answer in the Chatbot's value.

        Args:
            value: The value, in any of Gradio's forms; or an update.
            spend: Told how many characters are gone through; may raise to stop.

        Returns:
            The answer; ``None`` if the value is an update that leaves it as it was.
        """
        if isinstance(value, dict):
            if "value" not in value:
                return None
            inner = value["value"]
            return _moved(self.read(inner, spend) or NOTHING) if type(inner) is list else NOTHING
        if not isinstance(value, list) or not value:
            return NOTHING
        first = self._find_start(value, spend) if self._sent else 0
        if first == len(value):
            return NOTHING
        # From its end: what the assistant says after the last question is the turn.
        turn: list[_Message] = []
        for i in range(len(value) - 1, first - 1, -1):
            element = value[i]
            if not element or type(element) not in _CONTAINERS:
                # Not by another call: there may be thousands that say nothing.
                continue
            asked: list[_Message] = []
            for message in reversed(_messages(element, i)):
                if message.role == "assistant":
                    turn.append(message)
                elif message.role == "user":
                    asked.append(message)
            if asked:
                if first == 0 and self._sent and self._is_old(asked, len(value), spend):
                    return NOTHING
                first = i
                break
        if spend is not None and len(value) - first > _MANY:
            # Nobody asks anything in a list of thousands.
            spend(_PER_ELEMENT * (len(value) - first))
        turn.reverse()
        return self._read_turn(turn, [first], spend)

    def _find_start(self, value: list[Any], spend: Callable[[int], None] | None) -> int:
        """Count the elements at the beginning that are the end of what was sent."""
        start = self._start
        if len(value) == self._length and (start == 0 or _raw(value[start - 1]) == self._before):
            return start
        keys = [_key(element, spend) for element in value[: len(self._sent)]]
        start = next(
            (
                size
                for size in range(len(keys), 0, -1)
                if keys[:size] == self._sent[len(self._sent) - size :]
            ),
            0,
        )
        self._length, self._start = len(value), start
        self._before = _raw(value[start - 1]) if start else None
        return start

    def _is_old(
        self, asked: list[_Message], length: int, spend: Callable[[int], None] | None
    ) -> bool:
        """Tell whether the last question is an old one, though the app changed the old turns."""
        raw = "".join(_read_content(message.content, [])[0] for message in reversed(asked))
        if self._judged is None or self._judged[:2] != (raw, length):
            if spend is not None:
                spend(len(raw))
            text, query = _squeezed(raw), _squeezed(self._query)
            old = text != query and (
                any(("user", text) in key for key in self._sent)
                or (length <= len(self._sent) and query not in text)
            )
            self._judged = raw, length, old
        return self._judged[2]

    def _read_turn(
        self, turn: list[_Message], start: list[Any], spend: Callable[[int], None] | None
    ) -> Answer:
        texts: list[str] = []
        path: list[Any] | None = None
        given = thinking = False
        thoughts: list[Thought] = []
        attachments: list[Attachment] = []
        for message in turn:
            content = message.content
            inner: list[Any] | None
            if type(content) is str:
                text, inner = content, message.path
            else:
                text, inner = _read_content(content, message.path, spend)
                if isinstance(content, (dict, list)):
                    attachments += _find_files(content, self._files, spend)
            thinking = bool(message.title)
            if thinking:
                thoughts.append(Thought(message.title, text))
                path = inner
                continue
            given = True
            # An empty message has no place yet between those before and after.
            path = inner if text or not texts else None
            if text:
                texts.append(text)
        return Answer(
            _BETWEEN.join(texts),
            path,
            start,
            given,
            tuple(thoughts),
            thinking,
            tuple(dict.fromkeys(attachments)),
        )


class TextReader:
    """A reader of a component that shows text."""

    def read(self, value: Any, spend: Callable[[int], None] | None = None) -> Answer | None:
        """
        Find the answer in the component's value.

        Args:
            value: The value, or an update.
            spend: As in ``ChatReader.read``.

        Returns:
            The answer; ``None`` if the value is an update that leaves it as it was.
        """
        if isinstance(value, str):
            return Answer(value, [], None, given=True)
        if isinstance(value, dict) and value.get("__type__") == "update":
            return _moved(self.read(value["value"]) or NOTHING) if "value" in value else None
        if value is None:
            return NOTHING
        if spend is not None and isinstance(value, list) and len(value) > _MANY:
            spend(_PER_ELEMENT * len(value))
        said = [
            _read_content(message.content, [], spend)[0]
            for i, element in enumerate(value if isinstance(value, list) else [value])
            for message in _messages(element, i)
            if message.role == "assistant" and not message.title
        ]
        # What is no message is shown as the data that it is.
        text = _BETWEEN.join(said) if said else json.dumps(value, ensure_ascii=False)
        return Answer(text, given=True)


def _moved(answer: Answer) -> Answer:
    """Move an answer into an update: ``{"__type__": "update", "value": ...}``."""
    return Answer(
        answer.text,
        None if answer.path is None else ["value", *answer.path],
        None if answer.start is None else ["value", *answer.start],
        answer.given,
        answer.thoughts,
        answer.thinking,
        answer.attachments,
    )


def _messages(element: Any, i: int) -> list[_Message]:
    """Read the messages of an element of a Chatbot's value: a pair has two, a role dict is one."""
    if isinstance(element, list) and len(element) == 2:
        pair = []
        for column, role in enumerate(("user", "assistant")):
            if element[column] is not None:
                pair.append(_Message(role, element[column], [i, column]))
        return pair
    if isinstance(element, dict) and element.get("content") is not None:
        speaker, metadata = element.get("role"), element.get("metadata")
        title = metadata.get("title") if isinstance(metadata, dict) else None
        return [
            _Message(
                speaker if isinstance(speaker, str) else "",
                element["content"],
                [i, "content"],
                title if isinstance(title, str) else "",
            )
        ]
    return []


def _read_content(
    content: Any, path: list[Any], spend: Callable[[int], None] | None = None
) -> tuple[str, list[Any] | None]:
    """Read the text of a content (text, one part, or a list of parts) and where its end stands."""
    if isinstance(content, str):
        return content, path
    if isinstance(content, dict):
        words = content.get("text")
        return (words, [*path, "text"]) if isinstance(words, str) else ("", None)
    if spend is not None and isinstance(content, list) and len(content) > _MANY:
        spend(_PER_ELEMENT * len(content))
    texts: list[str] = []
    end: list[Any] | None = None
    for i, part in enumerate(content if isinstance(content, list) else ()):
        # Not by another call: a list of thousands of parts is read at every snapshot.
        kind = type(part)
        if kind is str:
            texts.append(part)
            end = [*path, i]
        elif kind is dict and isinstance(words := part.get("text"), str):
            texts.append(words)
            end = [*path, i, "text"]
    return "".join(texts), end


def _find_files(content: Any, base: str, spend: Callable[[int], None] | None) -> list[Attachment]:
    """Find the files in a content, in order; Gradio calls each a ``FileData``."""
    found: list[Attachment] = []
    looked_at = _collect_files(content, base, found, _MOST_LEVELS)
    if spend is not None and looked_at > _MANY:
        spend(_PER_ELEMENT * looked_at)
    return found


def _collect_files(content: Any, base: str, found: list[Attachment], levels: int) -> int:
    """Walk over a list or an object that is not empty; return how much was looked at."""
    parts: Any = content
    if isinstance(content, dict):
        path, url = content.get("path"), content.get("url")
        if isinstance(path, str) and content.keys() & {"url", "meta", "mime_type", "orig_name"}:
            name, kind = content.get("orig_name"), content.get("mime_type")
            found.append(
                Attachment(
                    url if isinstance(url, str) and url else base + path,
                    name if isinstance(name, str) and name else path.rpartition("/")[2],
                    kind if isinstance(kind, str) else "",
                )
            )
            return len(content)
        parts = content.values()
    looked_at = len(content)
    if levels:
        for part in parts:
            if part and type(part) in _CONTAINERS:
                looked_at += _collect_files(part, base, found, levels - 1)
    return looked_at


def _raw(element: Any) -> tuple[tuple[str, str], ...]:
    """Read who says what in an element."""
    return tuple(
        (message.role, _read_content(message.content, [])[0]) for message in _messages(element, 0)
    )


def _key(element: Any, spend: Callable[[int], None] | None = None) -> tuple[tuple[str, str], ...]:
    """Write an element so that two compare equal though a Chatbot has re-indented one."""
    raw = _raw(element)
    if spend is not None:
        spend(sum(len(text) for _, text in raw))
    return tuple((role, _squeezed(text)) for role, text in raw)


def _squeezed(text: str) -> str:
    """Leave out the white space of a text, and undo HTML's escapes."""
    if "&" in text:
        for escape, character in _ESCAPES:
            text = text.replace(escape, character)
    return "".join(text.split())
