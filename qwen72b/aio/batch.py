"""
Many questions on an event loop: one hop to a thread for all results that there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, SupportsIndex

from anyio import CancelScope, from_thread

from ..batch.batch import Batch
from ..batch.items import Item
from ..batch.progress import Tally
from ..batch.result import AnyResult

if TYPE_CHECKING:
    from typing_extensions import Self

    from .threads import Threads

__all__ = ["AsyncBatch", "blocking"]


class AsyncBatch(AsyncIterator[AnyResult]):
    """
    Many questions and their answers, as they come: ``Batch`` for an event loop.

    An async iterator of results, and an async context manager. Nothing is sent
    before the first ``anext()``. Made by ``AsyncClient.map``.

    Leaving an ``async for`` loop early, cancelling the task, ``aclose()``, and
    dropping the last reference stop it, as ``Batch`` is stopped.

    Args:
        batch: The blocking batch, not yet begun.
        threads: Bounds the threads that wait at once.

    Example:
        >>> async def main():
        ...     questions = ["What is the capital of France?", "And of Italy?"]
        ...     async with AsyncClient().map(questions) as batch:
        ...         async for result in batch:
        ...             print(result.reply)
        >>> asyncio.run(main())
        Paris.
        Rome.
    """

    def __init__(self, batch: Batch, threads: Threads) -> None:
        self._batch = batch
        self._threads = threads
        self._results: deque[AnyResult] = deque()

    @property
    def tally(self) -> Tally:
        """How far it is."""
        return self._batch.tally

    def __aiter__(self) -> AsyncIterator[AnyResult]:  # noqa: PYI034  # see _Loop
        return _Loop(self)

    async def __anext__(self) -> AnyResult:
        if not self._results:
            # Closing wakes the thread that a cancelled task leaves behind, which
            # then tidies up, so it does not block the event loop.
            batch = self._batch
            self._results.extend(await self._threads.run_beside(batch._read_batch, batch.close))
        if not self._results:
            raise StopAsyncIteration
        return self._results.popleft()

    async def aclose(self) -> None:
        """
        Stop; a waiting reader gets an error; idempotent.

        Example:
            >>> async def main():
            ...     async with contextlib.aclosing(AsyncClient().map(["Hi", "And?"])) as batch:
            ...         return (await anext(batch)).reply
            >>> asyncio.run(main())
            'Hello!'
        """
        self._results.clear()
        with CancelScope(shield=True):
            await self._threads.run_beside(self._batch.close, self._batch.close)

    async def close(self) -> None:
        """
        Stop: the same as ``aclose``.

        Example:
            >>> async def main():
            ...     batch = AsyncClient().map(["What is the capital of France?", "And of Italy?"])
            ...     print((await anext(batch)).reply)
            ...     await batch.close()
            >>> asyncio.run(main())
            Paris.
        """
        await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled: it is one running batch; the results "
            "that it gives can be."
        )

    def __repr__(self) -> str:
        if not hasattr(self, "_batch"):
            return f"<{type(self).__name__} half-built>"
        return f"<Async{repr(self._batch).removeprefix('<')}"

    def _stop(self) -> None:
        """Stop where nothing can be awaited, as in a destructor."""
        self._results.clear()
        self._batch.close()


class _Loop(AsyncIterator[AnyResult]):
    """
    One ``async for`` over a batch, which stops it when the loop is left.

    Args:
        batch: The batch.
    """

    def __init__(self, batch: AsyncBatch) -> None:
        self._batch = batch

    async def __anext__(self) -> AnyResult:
        return await self._batch.__anext__()

    def __del__(self) -> None:
        self._batch._stop()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        # A copy would stop the batch when it goes.
        self._batch.__reduce_ex__(protocol)


def blocking(items: Iterable[Item] | AsyncIterable[Item]) -> Iterable[Item]:
    """
    Let the driver's thread draw items from an async iterable.

    Args:
        items: The items; plain ones stay as they are.

    Returns:
        An iterable for a thread that the event loop started.
    """
    return _drawn(items) if isinstance(items, AsyncIterable) else items


def _drawn(items: AsyncIterable[Item]) -> Iterator[Item]:
    source = items.__aiter__()
    # A sentinel, because StopAsyncIteration does not cross threads well.
    end = object()

    async def draw() -> Item | object:
        try:
            return await source.__anext__()
        except StopAsyncIteration:
            return end

    while (item := from_thread.run(draw)) is not end:
        yield item  # type: ignore[misc]  # all but the sentinel are items
