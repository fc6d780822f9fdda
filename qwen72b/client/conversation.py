"""
Who remembers the turns? A chat that goes on.

The rule for what is remembered, however an answer ends:

* It came to its end: the question and the answer are kept.
* It was stopped (``close``, an early ``break``, Ctrl-C, a cancelled task, a
  closed client, the last reference dropped) after some text: the question is kept with
  the text that had come, as the assistant's partial answer.
* It failed, or brought no text: nothing is kept, as if the question had not
  been asked. The error's ``partial`` has what came.

So a question is never left without an answer, and the next one can always be
asked. The stream tells its end itself, from whichever thread ends it.
"""

from __future__ import annotations

import json
import threading
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import InvalidMessages, InvalidRequest
from ..messages import Messages, Turn, read_messages, to_prompt
from ..reply import Reply
from ..timeout import TimeoutLike, to_timeout
from .stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..aio.client import AsyncClient  # noqa: F401  # a base class names it, in a string
    from ..aio.stream import AsyncStream
    from .client import Client

__all__ = ["AsyncConversation", "Conversation"]

C = TypeVar("C")


class Memory(Generic[C]):
    """
    The turns of a chat, whoever asks: what both conversations share.

    Args:
        client: Who asks.
        system: System text; by default that of the messages, else the Space's
            own.
        messages: The chat so far as role dicts; it may end with any role.

    Raises:
        InvalidMessages: If a message is malformed.
    """

    def __init__(
        self, client: C, *, system: str | None = None, messages: Messages | None = None
    ) -> None:
        turns = _read_chat([] if messages is None else messages)
        systems = [text for role, text in turns if role == "system"]
        if system is not None:
            systems.insert(0, system)
        self._client = client
        # Reentrant: the collector may end a dropped stream in any thread, at any point.
        self._lock = threading.RLock()
        self._turns = tuple(turn for turn in turns if turn[0] != "system")
        # The question that is being answered.
        self._asked: Turn | None = None
        self.system = "\n".join([_checked_system(text) for text in systems]) if systems else None

    @property
    def system(self) -> str | None:
        """The system text; ``None`` for the Space's own. A change counts from the next question."""
        return self._system

    @system.setter
    def system(self, system: str | None) -> None:
        self._system = None if system is None else _checked_system(system)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat as role dicts, the system text first: a copy, without an answer still to come."""
        system = [] if self._system is None else [("system", self._system)]
        return _to_dicts([*system, *self._turns])

    def undo(self) -> list[dict[str, str]]:
        """
        Forget the last question and its answer.

        Returns:
            The messages that were forgotten; empty if nothing was asked yet.

        Raises:
            InvalidRequest: If an answer is still coming.
        """
        with self._lock:
            self._check_idle()
            turns = self._turns
            asked = [index for index, (role, _) in enumerate(turns) if role == "user"]
            if not asked:
                return []
            self._turns = turns[: asked[-1]]
            return _to_dicts(turns[asked[-1] :])

    def reset(self) -> None:
        """
        Forget all turns; the system text stays.

        Raises:
            InvalidRequest: If an answer is still coming.
        """
        with self._lock:
            self._check_idle()
            self._turns = ()

    def fork(self) -> Self:
        """Make an independent conversation with the same turns, without an answer still to come."""
        return type(self)(self._client, messages=self.messages)

    def save(self, path: str | PathLike[str]) -> None:
        """
        Write ``messages`` to a file: a JSON list of role dicts, as chat tools read it.

        Args:
            path: The file; it is replaced.

        Raises:
            OSError: If it cannot be written.
        """
        text = json.dumps(self.messages, ensure_ascii=False, indent=2)
        Path(path).write_text(f"{text}\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | PathLike[str], client: C) -> Self:
        """
        Go on with a chat from a file.

        Args:
            path: A file with a JSON list of role dicts.
            client: Who asks.

        Returns:
            The conversation.

        Raises:
            InvalidMessages: If the file holds something else.
            OSError: If it cannot be read.
        """
        try:
            messages = json.loads(Path(path).read_bytes())
        except (ValueError, RecursionError) as exc:
            raise InvalidMessages(
                f"{str(path)!r} is not JSON.", hint="It must hold a list of role dicts."
            ) from exc
        return cls(client, messages=messages)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._turns)} messages>"

    def _open(self, client: Client, text: str, timeout: TimeoutLike) -> Stream:
        """Ask the next question; the stream will tell how it ended."""
        asked = read_messages([{"role": "user", "content": text}])[0]
        with self._lock:
            self._check_idle()
            self._asked = asked
        try:
            return client.open(
                Stream(
                    client,
                    to_prompt([*self.messages, *_to_dicts([asked])]),
                    timeout=to_timeout(timeout, client.timeout),
                    on_end=partial(self._end, asked),
                )
            )
        except BaseException as exc:
            self._end(asked, "", exc)
            raise

    def _end(self, asked: Turn, text: str, error: BaseException | None) -> None:
        with self._lock:
            if self._asked is not asked:
                return
            self._asked = None
            if text and error is None:
                self._turns = (*self._turns, asked, ("assistant", text))

    def _check_idle(self) -> None:
        if self._asked is not None:
            raise InvalidRequest(
                "an answer of this conversation is still coming.",
                hint="Read its stream to the end or close it; or ask in a fork().",
            )


class Conversation(Memory["Client"]):
    """
    A chat that goes on. Made by ``Client.conversation``.

    What is kept of an answer: all of it if it came to its end; what had come if
    it was stopped; nothing, and not the question either, if it failed or
    brought no text. One answer at a time; otherwise safe from any thread.
    """

    def stream(self, text: str, *, timeout: TimeoutLike = None) -> Stream:
        """
        Ask the next question.

        Args:
            text: The user's text.
            timeout: As in ``Client.stream``.

        Returns:
            The answer as it comes; nothing is sent before it is first read.

        Raises:
            InvalidRequest: If an argument is refused, the client was closed, or
                an answer is still coming.
        """
        return self._open(self._client, text, timeout)

    def ask(self, text: str, *, timeout: TimeoutLike = None) -> Reply:
        """
        Ask the next question and wait for the whole answer.

        Args:
            text: The user's text.
            timeout: As in ``Client.stream``.

        Returns:
            The answer: a ``str`` with ``timings`` and ``messages``.

        Raises:
            Qwen72BError: If there is none; ``partial`` has what came.
        """
        with self.stream(text, timeout=timeout) as stream:
            return stream.result()


class AsyncConversation(Memory["AsyncClient"]):
    """
    A chat that goes on: ``Conversation`` for an event loop. Made by ``AsyncClient.conversation``.

    The same is kept of an answer; a cancelled task stops it. Files are read
    and written where they stand: they are small.
    """

    def stream(self, text: str, *, timeout: TimeoutLike = None) -> AsyncStream:
        """
        Ask the next question.

        Args:
            text: The user's text.
            timeout: As in ``Client.stream``.

        Returns:
            The answer as it comes; nothing is sent before it is first read.

        Raises:
            InvalidRequest: As in ``Conversation.stream``.
        """
        return self._client.wrap(self._open(self._client.blocking, text, timeout))

    async def ask(self, text: str, *, timeout: TimeoutLike = None) -> Reply:
        """
        Ask the next question and wait for the whole answer.

        Args:
            text: The user's text.
            timeout: As in ``Client.stream``.

        Returns:
            The answer: a ``str`` with ``timings`` and ``messages``.

        Raises:
            Qwen72BError: If there is none; ``partial`` has what came.
        """
        async with self.stream(text, timeout=timeout) as stream:
            return await stream.result()


def _read_chat(messages: Any) -> list[Turn]:
    """Check a chat that may be empty and may end with any role."""
    if not isinstance(messages, list):
        raise InvalidMessages(
            f"messages must be a list, not {type(messages).__name__}.",
            hint='Pass [{"role": "user", "content": "..."}, ...].',
        )
    # With a question at its end, it is held to the same rules as any other.
    return read_messages([*messages, {"role": "user", "content": ""}])[:-1]


def _checked_system(system: str) -> str:
    return to_prompt("", system=system).system or ""


def _to_dicts(turns: list[Turn] | tuple[Turn, ...]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in turns]
