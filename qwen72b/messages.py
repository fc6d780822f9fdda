"""
Chat messages, and what a Space is asked: a query, a history and a system text.

The Space's function takes a query, a history and a system text. Everything
here is checked before any I/O, and the caller's list is never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .errors import InvalidMessages
from .privacy.redaction import shown

__all__ = [
    "Messages",
    "Prompt",
    "Turn",
    "format_prompt",
    "read_messages",
    "system_text",
    "to_dicts",
    "to_prompt",
]

# One chat message, read: its role ("system", "user" or "assistant") and text.
Turn = tuple[str, str]

# What callers may pass: the list of role dicts, or the user's text alone.
Messages = str | list[Mapping[str, Any]] | list[dict[str, Any]] | list[dict[str, str]]

# OpenAI's newer name for the system role.
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class Prompt(NamedTuple):
    """
    The arguments of one job, in no server's form yet.

    Args:
        query: The user's last message.
        history: The turns before it; roles alternate.
        system: The system text; ``None`` leaves the choice to the Space.
    """

    query: str
    history: tuple[Turn, ...] = ()
    system: str | None = None

    def to_messages(self, answer: str) -> list[dict[str, str]]:
        """
        Write the chat up to and with an answer, as role dicts.

        Args:
            answer: The assistant's text.
        """
        turns = [*self.history, ("user", self.query), ("assistant", answer)]
        if self.system is not None:
            turns.insert(0, ("system", self.system))
        return to_dicts(turns)


def system_text(turns: Iterable[Turn], system: str | None) -> str | None:
    """
    Join the system texts of a chat.

    Args:
        turns: Roles and texts.
        system: What goes before those of the turns; ``None`` for nothing.

    Returns:
        The texts, a line each; ``None`` if there are none.

    Raises:
        InvalidMessages: If ``system`` is no text.
    """
    systems = [] if system is None else [_checked_system(system)]
    systems += [text for role, text in turns if role == "system"]
    return "\n".join(systems) if systems else None


def to_dicts(turns: Iterable[Turn]) -> list[dict[str, str]]:
    """
    Write turns as role dicts.

    Args:
        turns: Roles and texts.
    """
    return [{"role": role, "content": text} for role, text in turns]


def to_prompt(messages: Messages, *, system: str | None = None) -> Prompt:
    """
    Turn chat messages into a query, a history and a system text.

    System messages are joined by a newline, ``system`` before them.
    Consecutive messages of one role are joined by a blank line, because a
    Space's history alternates.

    Args:
        messages: Role dicts in order, the last one the user's; or one str.
        system: System text; ``None`` if the messages alone decide.

    Returns:
        The prompt; its ``system`` is ``None`` if nobody named one, and empty
        if somebody asked for an empty one.

    Raises:
        InvalidMessages: If a message is missing or malformed.
    """
    turns = read_messages(messages)
    if not turns[-1][1].strip():
        raise InvalidMessages(
            "the question is empty.",
            index=None if isinstance(messages, str) else len(turns) - 1,
            hint="The Space answers the user's last message.",
        )
    chat: list[Turn] = []
    told = system is not None
    for role, text in turns:
        if role == "system":
            told = True
        elif chat and chat[-1][0] == role:
            chat[-1] = (role, f"{chat[-1][1]}\n\n{text}")
        else:
            chat.append((role, text))
    return Prompt(
        query=chat[-1][1],
        history=tuple(chat[:-1]),
        system=system_text(turns, system) if told else None,
    )


def format_prompt(messages: Messages) -> str:
    """
    Fold a chat into one text, as the class-level provider sends it.

    Args:
        messages: Role dicts in order, the last one the user's; or one str.

    Returns:
        The bare text of a single message; of more, a ``Role: text`` line each
        and a last ``Assistant:`` for the model to go on from.

    Raises:
        InvalidMessages: If a message is missing or malformed.
    """
    turns = read_messages(messages)
    if len(turns) == 1:
        return turns[0][1]
    lines = [f"{role.capitalize()}: {text}" for role, text in turns]
    return "\n".join([*lines, "Assistant:"])


def read_messages(messages: Messages) -> list[Turn]:
    """
    Check chat messages and read each one's role and text.

    Args:
        messages: Role dicts in order, the last one the user's; or one str.

    Returns:
        One turn per message, in order; ``developer`` reads as ``system``.

    Raises:
        InvalidMessages: If a message is missing or malformed.
    """
    if isinstance(messages, str):
        return [("user", _encodable(messages))]
    if not isinstance(messages, list):
        raise InvalidMessages(
            f"messages must be a list or a str, not {type(messages).__name__}.",
            hint='Pass [{"role": "user", "content": "..."}].',
        )
    if not messages:
        raise InvalidMessages(
            "messages is empty.", hint='Pass [{"role": "user", "content": "..."}].'
        )
    turns = [_read_message(message, index) for index, message in enumerate(messages)]
    if turns[-1][0] != "user":
        raise InvalidMessages(
            f"the last message has role {turns[-1][0]!r}, not 'user'.",
            index=len(turns) - 1,
            hint="The Space answers the user's last message.",
        )
    return turns


def _read_message(message: object, index: int) -> Turn:
    where = f"messages[{index}]"
    if not isinstance(message, Mapping):
        raise InvalidMessages(
            f"{where} is {type(message).__name__}, not a dict.",
            index=index,
            hint='Each message is {"role": ..., "content": ...}.',
        )
    missing = [key for key in ("role", "content") if key not in message]
    if missing:
        raise InvalidMessages(
            f"{where} has no {missing[0]!r}.",
            index=index,
            hint='Each message is {"role": ..., "content": ...}.',
        )
    role = message["role"]
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidMessages(
            f"{where} has the unknown role {shown(role)}.",
            index=index,
            hint="Roles are " + ", ".join(repr(name) for name in _ROLES) + ".",
        )
    return _ROLES[role], _read_content(message["content"], index)


def _read_content(content: object, index: int) -> str:
    where = f"messages[{index}]['content']"
    if isinstance(content, str):
        return _encodable(content)
    if not isinstance(content, list):
        raise InvalidMessages(
            f"{where} is {type(content).__name__}, not a str or a list of text parts.",
            index=index,
            hint='Pass a str or [{"type": "text", "text": "..."}].',
        )
    texts: list[str] = []
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) else None
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(text, str):
            raise InvalidMessages(
                f"{where} has a part that is no text.",
                index=index,
                hint='The Space takes {"type": "text", "text": "..."} parts only.',
            )
        texts.append(text)
    # A line each, so that the last word of one part and the first of the next
    # stay two words.
    return _encodable("\n".join(texts))


def _checked_system(system: object) -> str:
    if not isinstance(system, str):
        raise InvalidMessages(
            f"system must be a str, not {type(system).__name__}.",
            hint="Leave it out for the Space's own system text.",
        )
    return _encodable(system)


def _encodable(text: str) -> str:
    """
    Replace lone surrogates, which no UTF-8 can carry.

    A Gradio server answers them with a broken stream (measured on 4.36 and
    later). A pair of surrogates becomes the character that it stands for.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
