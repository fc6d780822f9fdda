"""
A chat that goes on, on an event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..client.conversation import HasCore, Memory
from ..errors import Qwen72BError, without_frames
from ..reply import Reply
from ..retry import Retry
from ..timeout import TimeoutLike
from .stream import AsyncStream
from .threads import Threads

__all__ = ["AsyncConversation"]


class HasThreads(HasCore, Protocol):
    """A client of the async side."""

    @property
    def _threads(self) -> Threads: ...


class AsyncConversation(Memory[HasThreads]):
    """
    A chat that goes on: ``Conversation`` for an event loop. Made by ``AsyncClient.conversation``.

    The same is kept of an answer; a cancelled task stops it. Files are read
    and written where they stand: they are small.
    """

    def stream(
        self,
        text: str,
        *,
        timeout: TimeoutLike = None,
        retry: Retry | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncStream:
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
            InvalidRequest: As in ``Conversation.stream``.
        """
        return AsyncStream(self._ask(text, timeout, retry, headers), self._client._threads)

    async def ask(
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
        """
        try:
            async with self.stream(text, timeout=timeout, retry=retry, headers=headers) as stream:
                return await stream.result()
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__
