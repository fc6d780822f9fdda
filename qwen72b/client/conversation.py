"""
A chat that goes on, and what it remembers.

The rule for what is remembered, however an answer ends:

* It came to its end: the question and the answer are kept.
* It was stopped (``close``, an early ``break``, Ctrl-C, a cancelled task, a
  closed client, the last reference dropped) after some text: the question is kept with
  the text that had come, as the assistant's partial answer.
* It failed, or brought no text: nothing is kept, as if the question had not
  been asked. The error's ``partial`` has what came.

So a question is never left without an answer, and the next one can always be
asked. How an answer ended is looked up by whoever uses the conversation next:
a stream may be ended by a signal handler, at a point where nothing else can be
done.

Above 300 lines: mostly the docstrings of two public classes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from copy import copy
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ..errors import InvalidMessages, InvalidRequest, Qwen72BError, without_frames
from ..messages import Messages, Turn, read_messages, system_text, to_dicts, to_prompt
from ..reply import Reply
from ..retry import Retry
from ..timeout import TimeoutLike
from .answer import Answer
from .core import ClientCore
from .files import read_file, replace_file
from .stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Conversation", "Memory"]


class HasCore(Protocol):
    """A client, of either side."""

    @property
    def _core(self) -> ClientCore: ...


C = TypeVar("C", bound=HasCore)

# Bytes of a file that holds a chat; a device may have any number.
_MOST_BYTES = 256 * 1024 * 1024


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
        self._client = client
        # Held by whoever changes the chat; who only reads it does not wait.
        self._lock = threading.RLock()
        self._chat = _Chat(tuple(turn for turn in turns if turn[0] != "system"))
        self._system = system_text(turns, system)

    @property
    def system(self) -> str | None:
        """The system text; ``None`` for the Space's own. A change counts from the next question."""
        return self._system

    @system.setter
    def system(self, system: str | None) -> None:
        self._system = system_text((), system)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat as role dicts, the system text first: a copy, without an answer still to come."""
        system = [] if self._system is None else [("system", self._system)]
        return to_dicts([*system, *self._turns()])

    def undo(self) -> list[dict[str, str]]:
        """
        Forget the last question and its answer.

        Returns:
            The messages that were forgotten; empty if nothing was asked yet.

        Raises:
            InvalidRequest: If an answer is still coming.

        Example:
            >>> chat = Client().conversation()
            >>> chat.ask("What is the capital of France?")
            'Paris.'
            >>> chat.undo()[0]["content"]
            'What is the capital of France?'
        """
        with self._lock:
            turns = self._idle_turns()
            asked = [index for index, (role, _) in enumerate(turns) if role == "user"]
            if not asked:
                return []
            self._chat = _Chat(turns[: asked[-1]])
            return to_dicts(turns[asked[-1] :])

    def reset(self) -> None:
        """
        Forget all turns; the system text stays.

        Raises:
            InvalidRequest: If an answer is still coming.

        Example:
            >>> chat = Client().conversation(system="Be brief.")
            >>> chat.ask("What is the capital of France?")
            'Paris.'
            >>> chat.reset()
            >>> chat.messages
            [{'role': 'system', 'content': 'Be brief.'}]
        """
        with self._lock:
            self._idle_turns()
            self._chat = _Chat(())

    def fork(self) -> Self:
        """
        Make an independent conversation with the same turns, without an answer still to come.

        Example:
            >>> chat = Client().conversation()
            >>> other = chat.fork()
            >>> other.ask("What is the capital of France?")
            'Paris.'
            >>> chat.messages
            []
        """
        return type(self)(self._client, messages=self.messages)

    def save(self, path: str | PathLike[str]) -> None:
        """
        Write ``messages`` to a file: a JSON list of role dicts, as chat tools read it.

        Args:
            path: The file; it is replaced as a whole, or stays as it was.

        Raises:
            InvalidOption: If it is no path.
            OSError: If it cannot be written.

        Example:
            >>> chat = Client().conversation(messages=[{"role": "user", "content": "Hi"}])
            >>> chat.save("chat.json")
        """
        text = json.dumps(self.messages, ensure_ascii=False, indent=2)
        # A lone surrogate becomes JSON's escape for it.
        replace_file(path, f"{text}\n".encode("utf-8", "backslashreplace"))

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
            InvalidOption: If it is no path.
            OSError: If it cannot be read.

        Example:
            >>> client = Client()
            >>> client.conversation(system="Be brief.").save("chat.json")
            >>> Conversation.load("chat.json", client).system
            'Be brief.'
        """
        content = read_file(path, _MOST_BYTES)
        if content is None:
            raise InvalidMessages(f"{str(path)!r} is larger than {_MOST_BYTES >> 20} MiB.")
        try:
            messages = json.loads(content)
        except (ValueError, RecursionError) as exc:
            raise InvalidMessages(
                f"{str(path)!r} is not JSON.", hint="It must hold a list of role dicts."
            ) from exc
        return cls(client, messages=messages)

    def __repr__(self) -> str:
        if not hasattr(self, "_chat"):
            return f"<{type(self).__name__} half-built>"
        return f"<{type(self).__name__} {len(self._turns())} messages>"

    def __getstate__(self) -> dict[str, Any]:
        # An answer that is still coming stays with the original.
        return {"_client": self._client, "_turns": self._turns(), "_system": self._system}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._client, self._system = state["_client"], state["_system"]
        self._chat = _Chat(state["_turns"])
        self._lock = threading.RLock()

    def __deepcopy__(self, _: object) -> Self:
        # Gradio and Streamlit copy a session's state; each copy with connections
        # of its own would never be closed.
        return copy(self)

    def _ask(
        self,
        text: str,
        timeout: TimeoutLike,
        retry: Retry | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        """Ask the next question."""
        asked = read_messages([{"role": "user", "content": text}])[0]
        with self._lock:
            turns = self._idle_turns()
            prompt = to_prompt([*self.messages, *to_dicts([asked])])
            answer = self._client._core.open(prompt, timeout=timeout, retry=retry, headers=headers)
            self._chat = _Chat(turns, asked, answer)
        return answer

    def _turns(self) -> tuple[Turn, ...]:
        """Tell the chat as it is now."""
        return self._chat.turns()

    def _idle_turns(self) -> tuple[Turn, ...]:
        answer = self._chat.answer
        if answer is not None and not answer.closed:
            raise InvalidRequest(
                "an answer of this conversation is still coming.",
                hint="Read its stream to the end or close it; or ask in a fork().",
            )
        return self._turns()


class _Chat:
    """
    A chat, and the question that was put last if its answer was not yet taken in.

    Args:
        before: The turns before that question.
        asked: The question.
        answer: Its answer, which may still come.
    """

    def __init__(
        self, before: tuple[Turn, ...], asked: Turn | None = None, answer: Answer | None = None
    ) -> None:
        # In one, so that an answer is taken in by one step, which may be done twice:
        # nobody need hold a lock, or wait, for it.
        self._state = before, asked, answer

    @property
    def answer(self) -> Answer | None:
        """The answer, if it was not yet taken in."""
        return self._state[2]

    def turns(self) -> tuple[Turn, ...]:
        """Tell the turns, with what is kept of an answer that is over; take it in for good."""
        before, asked, answer = self._state
        if asked is None or answer is None or not answer.closed:
            return before
        settled, text = answer.settled, answer.kept
        turns = (*before, asked, ("assistant", text)) if text else before
        if settled:
            self._state = turns, None, None
        return turns


class Conversation(Memory[HasCore]):
    """
    A chat that goes on. Made by ``Client.conversation``.

    What is kept of an answer: all of it if it came to its end; what had come if
    it was stopped; nothing, and not the question either, if it failed or
    brought no text. One answer at a time; otherwise safe from any thread.

    Example:
        >>> chat = Client().conversation()
        >>> chat.ask("What is the capital of France?")
        'Paris.'
        >>> [message["role"] for message in chat.messages]
        ['user', 'assistant']
    """

    def stream(
        self,
        text: str,
        *,
        timeout: TimeoutLike = None,
        retry: Retry | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Stream:
        """
        Ask the next question.

        Args:
            text: The user's text.
            timeout: As in ``Client.stream``.
            retry: As in ``Client.stream``.
            headers: As in ``Client.stream``.

        Returns:
            The answer as it comes; nothing is sent before it is first read.

        Raises:
            InvalidRequest: If an argument is refused, the client was closed, or
                an answer is still coming.

        Example:
            >>> chat = Client().conversation()
            >>> list(chat.stream("Why is the sky blue?"))
            ['Because', ' of', ' the air.']
        """
        return Stream(self._ask(text, timeout, retry, headers))

    def ask(
        self,
        text: str,
        *,
        timeout: TimeoutLike = None,
        retry: Retry | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """
        Ask the next question and wait for the whole answer.

        Args:
            text: The user's text.
            timeout: As in ``Client.stream``.
            retry: As in ``Client.stream``.
            headers: As in ``Client.stream``.

        Returns:
            The answer: a ``str`` with ``timings`` and ``messages``.

        Raises:
            Qwen72BError: If there is none; ``partial`` has what came.

        Example:
            >>> chat = Client().conversation()
            >>> print(chat.ask("What is the capital of France?", timeout=60))
            Paris.
        """
        try:
            with self.stream(text, timeout=timeout, retry=retry, headers=headers) as stream:
                return stream.result()
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__


def _read_chat(messages: Any) -> list[Turn]:
    """Check a chat that may be empty and may end with any role."""
    if not isinstance(messages, list):
        raise InvalidMessages(
            f"messages must be a list, not {type(messages).__name__}.",
            hint='Pass [{"role": "user", "content": "..."}, ...].',
        )
    # With a question at its end, it is held to the same rules as any other.
    return read_messages([*messages, {"role": "user", "content": ""}])[:-1]
