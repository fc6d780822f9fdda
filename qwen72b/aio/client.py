"""
The async client of one Space, on asyncio and trio.

What may wait is done in a worker thread; a stream that is open is read on the
loop (see ``stream``).

Above 300 lines: mostly the docstrings of the one public class.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from ..client.core import ClientCore
from ..errors import InvalidOption, Qwen72BError, without_frames
from ..messages import Messages, to_prompt
from ..privacy.redaction import hide, hide_url, hide_values, shown
from ..protocol.model import check_model
from ..reply import Reply
from ..retry import Retry
from ..timeout import Timeout, TimeoutLike
from ..transport.descriptors import descriptors_needed
from .stream import AsyncStream
from .threads import Threads

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import requests
    from typing_extensions import Self

    from ..batch.items import Item
    from ..batch.journal import Journal
    from ..batch.progress import Tally
    from ..client.description import Description
    from ..client.status import SpaceStatus
    from .batch import AsyncBatch
    from .conversation import AsyncConversation

__all__ = ["AsyncClient"]


class AsyncClient:
    """
    A Space to chat with: ``Client`` for an event loop, asyncio's or trio's.

    Args:
        base_url: As in ``Client``, as all others but the last.
        space: See there.
        token: See there.
        auth: See there.
        proxy: See there.
        timeout: See there.
        retry: See there.
        session: See there.
        headers: See there.
        verify: See there.
        cert: See there.
        wait_for_space: See there.
        endpoint: See there.
        inputs: See there.
        fold: See there.
        max_threads: How many questions may be on their way to the Space at once,
            each in a thread; the others wait for their turn, which the clocks
            of ``total`` and ``queue`` cover. ``None`` for any number. A thread costs
            about 26 kB of memory. Streams that are open need none, except on a
            ``session`` of yours, where each has one on top of these; so do
            ``status``, ``describe`` and ``map``.

    Raises:
        InvalidOption: If an argument has no usable value.

    Example:
        >>> async def main():
        ...     async with AsyncClient() as client:
        ...         print(await client.ask("What is the capital of France?"))
        >>> asyncio.run(main())
        Paris.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        space: str | None = None,
        token: str | bool | None = None,
        auth: tuple[str, str] | None = None,
        proxy: str | None = None,
        timeout: TimeoutLike = None,
        retry: Retry | None = None,
        session: requests.Session | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str | None = None,
        cert: str | tuple[str, str] | None = None,
        wait_for_space: float | None = None,
        endpoint: str | int | None = None,
        inputs: Mapping[str, Any] | None = None,
        fold: bool = True,
        max_threads: int | None = 128,
    ) -> None:
        # Before anything else: no frame of ours is to hold a secret bare.
        token, auth, headers = hide(token), hide(auth), hide(headers)
        inputs = hide_values(inputs)
        base_url, space, proxy = hide_url(base_url), hide_url(space), hide_url(proxy)
        if max_threads is not None and (type(max_threads) is not int or max_threads < 1):
            raise InvalidOption(f"max_threads={shown(max_threads)} is not a count of at least 1.")
        self._core = ClientCore(
            base_url,
            space=space,
            token=token,
            auth=auth,
            proxy=proxy,
            timeout=timeout,
            retry=retry,
            session=session,
            headers=headers,
            verify=verify,
            cert=cert,
            wait_for_space=wait_for_space,
            endpoint=endpoint,
            inputs=inputs,
            fold=fold,
        )
        self._threads = Threads(max_threads)

    @property
    def base_url(self) -> str:
        """Where the Space is; without a slash at its end."""
        return self._core.base_url

    @property
    def timeout(self) -> Timeout:
        """The limits of each call."""
        return self._core.timeout

    @property
    def retry(self) -> Retry:
        """How stubborn each call is."""
        return self._core.retry

    def stream(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        model: str | None = None,
        timeout: TimeoutLike = None,
        retry: Retry | None = None,
        headers: Mapping[str, str] | None = None,
        endpoint: str | int | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> AsyncStream:
        """
        Ask the Space.

        Args:
            messages: As in ``Client.stream``.
            system: As in ``Client.stream``.
            model: As in ``Client.stream``.
            timeout: As in ``Client.stream``.
            retry: As in ``Client.stream``.
            headers: As in ``Client.stream``.
            endpoint: As in ``Client.stream``.
            inputs: As in ``Client.stream``.

        Returns:
            The answer as it comes; nothing is sent before it is first read.

        Raises:
            InvalidRequest: If an argument is refused or the client was closed.

        Example:
            >>> async def main():
            ...     async for chunk in AsyncClient().stream("Why is the sky blue?"):
            ...         print(chunk)
            >>> asyncio.run(main())
            Because
             of
             the air.
        """
        if model is not None:
            check_model(model)
        if inputs is not None:
            inputs = hide_values(inputs)
        prompt = to_prompt(messages, system=system)
        answer = self._core.open(
            prompt,
            timeout=timeout,
            retry=retry,
            headers=headers,
            endpoint=endpoint,
            inputs=inputs,
        )
        return AsyncStream(answer, self._threads)

    async def ask(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        model: str | None = None,
        timeout: TimeoutLike = None,
        retry: Retry | None = None,
        headers: Mapping[str, str] | None = None,
        endpoint: str | int | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> Reply:
        """
        Ask the Space and wait for the whole answer.

        Args:
            messages: As in ``Client.stream``.
            system: As in ``Client.stream``.
            model: As in ``Client.stream``.
            timeout: As in ``Client.stream``.
            retry: As in ``Client.stream``.
            headers: As in ``Client.stream``.
            endpoint: As in ``stream``.
            inputs: As in ``stream``.

        Returns:
            The answer: a ``str`` with ``timings`` and ``messages``.

        Raises:
            Qwen72BError: If there is none; ``partial`` has what came.

        Example:
            >>> async def main():
            ...     client = AsyncClient()
            ...     questions = ["What is the capital of France?", "Why is the sky blue?"]
            ...     return await asyncio.gather(*map(client.ask, questions))
            >>> asyncio.run(main())
            ['Paris.', 'Because of the air.']
        """
        try:
            async with self.stream(
                messages,
                system=system,
                model=model,
                timeout=timeout,
                retry=retry,
                headers=headers,
                endpoint=endpoint,
                inputs=inputs,
            ) as stream:
                return await stream.result()
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__

    def map(
        self,
        items: Iterable[Item] | AsyncIterable[Item],
        *,
        executor: Executor | None = None,
        max_in_flight: int = 8,
        rate: float | None = None,
        journal: str | os.PathLike[str] | Journal | None = None,
        progress: bool | Callable[[Tally], object] | None = None,
        ordered: bool = True,
        stop_on_error: bool | Literal["lasting"] = False,
        max_failures: int | None = None,
        system: str | None = None,
        timeout: TimeoutLike = None,
    ) -> AsyncBatch:
        """
        Ask many questions, several at once.

        The same window, executors and journal as those of ``Client.map``; one
        thread drives.

        Args:
            items: As in ``Client.map``; may be an async iterable. Plain ones
                are drawn in the driving thread.
            executor: As in ``Client.map``.
            max_in_flight: As in ``Client.map``.
            rate: As in ``Client.map``.
            journal: As in ``Client.map``.
            progress: As in ``Client.map``; called in the driving thread.
            ordered: As in ``Client.map``.
            stop_on_error: As in ``Client.map``.
            max_failures: As in ``Client.map``.
            system: As in ``Client.map``.
            timeout: As in ``Client.map``.

        Returns:
            The results as they come; nothing is sent before the first is
            asked for.

        Raises:
            InvalidRequest: If an argument is refused or the client was closed.

        Example:
            >>> async def main():
            ...     async for result in AsyncClient().map(["What is the capital of France?"]):
            ...         print(result.reply if result.ok else result.error)
            >>> asyncio.run(main())
            Paris.
        """
        with descriptors_needed():
            from ..batch.batch import Batch
            from ..batch.options import BatchOptions
            from .batch import AsyncBatch, blocking

        self._core.check_open()
        options = BatchOptions(
            executor=executor,
            max_in_flight=max_in_flight,
            rate=rate,
            journal=journal,
            progress=progress,
            ordered=ordered,
            stop_on_error=stop_on_error,
            max_failures=max_failures,
            system=system,
            timeout=timeout,
        )
        return AsyncBatch(Batch(self._core, blocking(items), options), self._threads)

    def conversation(
        self, *, system: str | None = None, messages: Messages | None = None
    ) -> AsyncConversation:
        """
        Begin a chat that remembers its turns, or go on with one.

        Args:
            system: As in ``Client.conversation``.
            messages: As in ``Client.conversation``.

        Returns:
            The conversation.

        Raises:
            InvalidMessages: If a message is malformed.

        Example:
            >>> async def main():
            ...     chat = AsyncClient().conversation(system="Be brief.")
            ...     print(await chat.ask("What is the capital of France?"))
            ...     print(await chat.ask("And of Italy?"))
            >>> asyncio.run(main())
            Paris.
            Rome.
        """
        with descriptors_needed():
            from .conversation import AsyncConversation
        return AsyncConversation(self, system=system, messages=messages)

    async def status(self, *, timeout: TimeoutLike = None) -> SpaceStatus:
        """
        Ask how the Space is doing.

        Args:
            timeout: As in ``Client.status``.

        Returns:
            What it and the Hub say.

        Raises:
            Qwen72BError: As in ``Client.status``.

        Example:
            >>> asyncio.run(AsyncClient().status()).stage
            'RUNNING'
        """
        core = self._core
        try:
            with core.calling(timeout) as scope:
                return await self._threads.run_beside(lambda: core.status(scope), scope.cancel)
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__

    async def describe(
        self,
        *,
        endpoint: str | int | None = None,
        inputs: Mapping[str, Any] | None = None,
        timeout: TimeoutLike = None,
    ) -> Description:
        """
        Tell what a question will do: the functions, the boxes, what is folded.

        Args:
            endpoint: As in ``Client.describe``.
            inputs: As in ``Client.describe``.
            timeout: As in ``Client.describe``.

        Returns:
            The description; ``print`` it.

        Raises:
            Qwen72BError: As in ``Client.describe``.

        Example:
            >>> asyncio.run(AsyncClient().describe()).endpoint
            '/model_chat'
        """
        core = self._core
        try:
            with core.calling(timeout) as scope:
                return await self._threads.run_beside(
                    lambda: core.describe(scope, endpoint, inputs), scope.cancel
                )
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__

    async def close(self) -> None:
        """
        End what the client is at, whose callers get an error, and close its connections.

        Example:
            >>> async def main():
            ...     client = AsyncClient()
            ...     print(await client.ask("What is the capital of France?"))
            ...     await client.close()
            >>> asyncio.run(main())
            Paris.
        """
        self._core.close()

    async def aclose(self) -> None:
        """
        The same as ``close``, under the name that httpx has.

        Example:
            >>> async def main():
            ...     async with contextlib.aclosing(AsyncClient()) as client:
            ...         print(await client.ask("What is the capital of France?"))
            >>> asyncio.run(main())
            Paris.
        """
        self._core.close()

    async def __aenter__(self) -> Self:
        self._core.check_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._core.close()
        self._core.catch_up()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_core', 'half-built')!s}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"_core": copy(self._core), "most": self._threads.most}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._core = state["_core"]
        self._threads = Threads(state["most"])
