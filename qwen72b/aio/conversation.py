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

    Example:
        >>> async def main():
        ...     chat = AsyncClient().conversation()
        ...     await chat.ask("What is the capital of France?")
        ...     return [message["role"] for message in chat.messages]
        >>> asyncio.run(main())
        ['user', 'assistant']
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

        Example:
            >>> async def main():
            ...     chat = AsyncClient().conversation()
            ...     return [chunk async for chunk in chat.stream("Why is the sky blue?")]
            >>> asyncio.run(main())
            ['Because', ' of', ' the air.']
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

        Example:
            >>> async def main():
            ...     chat = AsyncClient().conversation()
            ...     print(await chat.ask("What is the capital of France?", timeout=60))
            >>> asyncio.run(main())
            Paris.
        """
        try:
            async with self.stream(text, timeout=timeout, retry=retry, headers=headers) as stream:
                return await stream.result()
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__
