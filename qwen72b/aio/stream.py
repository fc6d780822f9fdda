"""
An answer as it comes, on an event loop: the iterator that ``AsyncClient.stream`` returns.

Threads join the queue and open the stream; from then on its bytes are taken on
the loop when its socket is readable, and no thread is held. So a slow consumer holds the Space back and not its memory, and any
number of streams wait in one thread. No task group or cancel scope lives across
a ``yield``, and each step may run in a task of its own.

A body that is not received straight from its socket (``Body.socket``), and the
rest of a large event, are read in a thread, one hop for each read. These threads
come on top of those that join (``Threads``): an answer that comes waits for none
that does not.

Measured, with 1, 200 and 1,000 streams of 100 deltas, one every 20 ms (2 s at
best, and 2 ms for each join; 2 shared cores, asyncio; CPU in brackets):

* as here: 2.02 s (0.03), 2.4 s (1.7), 4.1 s (3.9); a lone delta is 0.13 ms late.
* a hop to a thread for each read: 2.02 s (0.06), 2.6 s (2.7), 5.1 s (5.0);
  0.46 ms late. A burst costs 1.8 times as much.
* a reader thread per stream with a bounded deque that wakes the loop only if it
  waits: 9.1 to 9.5 s for 1,000, since every delta wakes a thread.
* a reader that stays registered with asyncio and takes in its callback: 2.02 s
  (0.02), 2.4 s (1.0), 4.1 s (3.6); 0.10 ms late. As fast, and trio has no such
  thing; it would be a second mechanism.

Above 300 lines: a third is docstrings, with what was measured.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, SupportsIndex

from anyio import Lock, move_on_after, wait_readable
from anyio.lowlevel import checkpoint

from ..client.answer import Answer, tell_stop
from ..client.face import AnswerFace
from ..errors import Qwen72BError, without_frames
from ..events import Delta, Event
from ..reply import Reply
from ..transport.descriptors import descriptors_needed, no_descriptor
from .threads import Threads

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AsyncStream"]


class AsyncStream(AnswerFace, AsyncIterator[str]):
    """
    The answer to one question, as it comes: ``Stream`` for an event loop.

    An async iterator of text, and an async context manager. Nothing is sent
    before the first ``anext()`` or ``async with``. Made by
    ``AsyncClient.stream``.

    Leaving an ``async for`` loop early, cancelling the task, ``close()``, and
    dropping the last reference all hang up, which is what stops the job in
    the Space.

    Args:
        answer: The answer, not yet begun.
        threads: Bounds the threads that wait at once.

    Example:
        >>> async def main():
        ...     async with AsyncClient().stream("Why is the sky blue?") as stream:
        ...         async for chunk in stream:
        ...             print(chunk)
        ...             break
        ...     return stream.closed
        >>> asyncio.run(main())
        Because
        True
    """

    def __init__(self, answer: Answer, threads: Threads) -> None:
        super().__init__(answer)
        self._threads = threads
        # anyio imports its part for the running loop here, or when it is first waited.
        with descriptors_needed():
            self._reading = Lock(fast_acquire=True)

    def __aiter__(self) -> AsyncIterator[str]:  # noqa: PYI034  # see _Iteration
        if self._answer.complete:
            self._check_unread()
        return _ChunkIteration(self)

    async def __anext__(self) -> str:
        while self._pending or await self._fill():
            chunk = self._to_chunk(self._pending.popleft())
            if chunk:
                return chunk
        raise StopAsyncIteration

    def events(self) -> AsyncIterator[Event]:
        """
        Iterate over what happens, instead of over text.

        Returns:
            An iterator of ``Queued``, ``Started``, ``Delta``, ``Revised``,
            ``Progress``, ``Logged`` and at last ``Finished``.

        Example:
            >>> async def main():
            ...     async for event in AsyncClient().stream("Why is the sky blue?").events():
            ...         if isinstance(event, Delta):
            ...             print(event)
            >>> asyncio.run(main())
            Delta(text='Because')
            Delta(text=' of')
            Delta(text=' the air.')
        """
        return _EventIteration(self)

    async def result(self, *, progress: bool = False) -> Reply:
        """
        Wait for the end.

        Args:
            progress: As in ``Stream.result``.

        Returns:
            The whole answer.

        Raises:
            Qwen72BError: If the answer fails or is cut; ``partial`` has what came.
            InvalidOption: If a bar is wanted and tqdm is not installed.

        Example:
            >>> async def main():
            ...     return await AsyncClient().stream("What is the capital of France?").result()
            >>> asyncio.run(main())
            'Paris.'
        """
        if progress:
            with descriptors_needed():
                from ..progress import ProgressBar

                made = ProgressBar()
            with made as bar:
                async for event in self.events():
                    bar.take(event)
        async for _ in self.events():
            pass
        return self._answer.reply()

    async def display(self) -> Reply:
        """
        Draw the answer as it comes, as one Markdown output of a notebook: ``notebook.show``.

        Returns:
            The whole answer.

        Raises:
            Qwen72BError: If the answer fails or is cut; what came stays on the page.

        Example:
            >>> async def main():
            ...     reply = await AsyncClient().stream("What is the capital of France?").display()
            >>> asyncio.run(main())
            Paris.
        """
        with descriptors_needed():
            from ..notebook.display import show

        return await show(self)

    async def close(self) -> None:
        """
        Hang up; a waiting reader raises; idempotent.

        Example:
            >>> async def main():
            ...     stream = AsyncClient().stream("Why is the sky blue?")
            ...     print(await anext(stream))
            ...     await stream.close()
            >>> asyncio.run(main())
            Because
        """
        self._answer.close()

    async def cancel(self) -> None:
        """
        Hang up: the same as ``close``.

        Example:
            >>> async def main():
            ...     stream = AsyncClient().stream("Why is the sky blue?")
            ...     await stream.cancel()
            ...     return stream.closed
            >>> asyncio.run(main())
            True
        """
        self._answer.close()

    async def aclose(self) -> None:
        """
        Hang up: the same as ``close``, under the name that async generators have.

        Example:
            >>> async def main():
            ...     async with contextlib.aclosing(AsyncClient().stream("Why is the sky blue?")) as stream:
            ...         return await anext(stream)
            >>> asyncio.run(main())
            'Because'
        """
        self._answer.close()

    async def __aenter__(self) -> Self:
        if not self._answer.begun:
            try:
                await self._fill()
            except Qwen72BError as error:
                raise without_frames(error) from error.__cause__
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._answer.close()

    def __del__(self) -> None:
        # A half-made one, which its class did not make, has nothing to close.
        if hasattr(self, "_answer"):
            self._answer.close("garbage collection")

    async def _fill(self) -> bool:
        """Wait for the next events; tell whether there were any."""
        try:
            # Two tasks that read one stream get its events in their order.
            async with self._reading:
                return bool(self._pending) or await self._read()
        except Qwen72BError as error:
            self._answer.close()
            raise without_frames(error) from error.__cause__
        except BaseException as exc:
            tell_stop(exc)
            self._answer.close()
            wanting = no_descriptor(exc)
            if wanting is not None:
                raise wanting from exc.with_traceback(None)
            raise

    async def _read(self) -> bool:
        answer, pending = self._answer, self._pending
        while not pending:
            found = answer.begin_now()
            if found is False:
                events = await self._hop()
                if events is None:
                    break
                pending.extend(events)
                continue
            rested = False
            try:
                while isinstance(found, tuple):
                    rested = True
                    source, limit = found
                    with move_on_after(limit):
                        await wait_readable(source)
                    found = answer.take_now()
                if not rested:
                    # Other tasks have their turn in the middle of a burst too.
                    await checkpoint()
            finally:
                answer.release()
            if found is None:
                break
            pending.extend(found)
        return bool(pending)

    async def _read_chunks(self) -> list[str]:
        """Wait for one network read that brings text; empty at the end."""
        pending, to_chunk = self._pending, self._to_chunk
        while pending or await self._fill():
            chunks = [chunk for event in pending if (chunk := to_chunk(event))]
            pending.clear()
            if chunks:
                return chunks
        return []

    async def _hop(self) -> list[Event] | None:
        """Take a step in a thread."""
        answer, threads = self._answer, self._threads
        step = partial(answer.step, only_open=True)
        if answer.opened:
            return await threads.run_beside(step, answer.close)
        return await threads.run(step, answer)


class _Iteration:
    """
    One ``async for`` over a stream, which hangs up when the loop is left.

    An async generator would hang up late: its cleanup waits for the loop's
    own finalizer. This object's ends with its last reference.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: AsyncStream) -> None:
        self._stream = stream

    async def aclose(self) -> None:
        """Hang up."""
        self._stream._answer.close()

    def __del__(self) -> None:
        self._stream._answer.close()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        # A copy would hang up on the original when it goes.
        self._stream.__reduce_ex__(protocol)


class _ChunkIteration(_Iteration, AsyncIterator[str]):
    """Over text."""

    def __init__(self, stream: AsyncStream) -> None:
        super().__init__(stream)
        self._pending, self._handed = stream._pending, stream._handed

    async def __anext__(self) -> str:
        # AsyncStream.__anext__ once more, and unrolled: this is the path of every
        # piece of text, where one call more is a tenth of its cost.
        stream, pending, handed = self._stream, self._pending, self._handed
        while pending or await stream._fill():
            event = pending.popleft()
            if type(event) is Delta and not handed.revised:
                handed.buffer.add(event.text)
                return event.text
            if chunk := stream._to_chunk(event):
                return chunk
        raise StopAsyncIteration


class _EventIteration(_Iteration, AsyncIterator[Event]):
    """Over events."""

    async def __anext__(self) -> Event:
        stream = self._stream
        while stream._pending or await stream._fill():
            event = stream._pending.popleft()
            stream._to_chunk(event)
            return event
        raise StopAsyncIteration
