"""
Who keeps the client off the event loop? The async side, on asyncio and trio.

Each method is its blocking twin in a worker thread. A stream costs one hop to
a thread for each network read, not for each piece of text; between reads no
thread is held, so a slow consumer holds the Space back and not its memory.
No task group or cancel scope lives across a ``yield``, and each step may run
in a task of its own.

Measured beside it, with 1, 100 and 1,000 streams of 100 deltas, one every 20 ms
(2 s at best; 2 shared cores, asyncio; CPU in brackets):

* a hop per read, as here: 2.02 s (0.04), 2.25 s (1.4), 5.1 to 6.8 s (3.7 to 4.6).
* a reader thread per stream with a bounded deque that wakes the loop only if it
  waits: 2.03 s (0.02), 2.3 s (0.6 to 0.9), 9.1 to 9.5 s (7.5 to 8.0). Cheaper
  where there is time to spare, but where there is none every delta wakes a
  thread, while here reads that come late bring several at once.
* waiting for the socket on the loop, then a hop per read: 2.03 s (0.03),
  2.26 s (1.5), 4.9 s (3.6): within noise of the first, and not for TLS, whose
  bytes may wait above the socket.

Latency (0.30 ms each but for the last, 0.40) and bursts are the same in all.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import current_token

from .client import Client, SpaceStatus
from .clocks import TimeoutLike
from .errors import InvalidOption
from .events import Event
from .messages import Messages
from .reply import Reply, Timings
from .stream import Stream

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from typing_extensions import Self

    from .batch import AsyncBatch, Item, Journal, Tally
    from .conversation import AsyncConversation

__all__ = ["AsyncClient", "AsyncStream"]

T = TypeVar("T")


class AsyncStream(AsyncIterator[str]):
    """
    The answer to one question, as it comes: ``Stream`` for an event loop.

    An async iterator of text, and an async context manager. Nothing is sent
    before the first ``anext()`` or ``async with``. Made by
    ``AsyncClient.stream``.

    Leaving an ``async for`` loop early, cancelling the task, ``close()``, and
    dropping the last reference all hang up, which is what stops the job in
    the Space.

    Args:
        stream: The blocking stream, not yet begun.
        threads: Bounds the threads that wait at once.
    """

    def __init__(self, stream: Stream, threads: Threads) -> None:
        self._stream = stream
        self._threads = threads
        self.to_chunk = stream.to_chunk
        self.batch: deque[Event] = deque()

    @property
    def text(self) -> str:
        """The answer so far; after the end, exactly the Space's final text."""
        return self._stream.text

    @property
    def revised(self) -> bool:
        """Whether text was taken back after iteration had handed it out."""
        return self._stream.revised

    @property
    def closed(self) -> bool:
        """Whether the stream is over: read to its end, failed, or closed."""
        return self._stream.closed

    @property
    def timings(self) -> Timings:
        """How long the answer took, or has taken so far."""
        return self._stream.timings

    def __aiter__(self) -> AsyncIterator[str]:  # noqa: PYI034  # see _Iteration
        return ChunkIteration(self)

    async def __anext__(self) -> str:
        while self.batch or await self.fill():
            chunk = self.to_chunk(self.batch.popleft())
            if chunk:
                return chunk
        raise StopAsyncIteration

    def events(self) -> AsyncIterator[Event]:
        """
        Iterate over what happens, instead of over text.

        Returns:
            An iterator of ``Queued``, ``Started``, ``Delta``, ``Revised``,
            ``Progress``, ``Logged`` and at last ``Finished``.
        """
        return EventIteration(self)

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
        """
        if progress:
            from .progress import ProgressBar

            with ProgressBar() as bar:
                async for event in self.events():
                    bar.take(event)
        async for _ in self.events():
            pass
        # Nothing is left to wait for.
        return self._stream.result()

    async def display(self) -> Reply:
        """
        Draw the answer as it comes, as one Markdown output of a notebook: ``notebook.show``.

        Returns:
            The whole answer.

        Raises:
            Qwen72BError: If the answer fails or is cut; what came stays on the page.
        """
        from .notebook import show

        return await show(self)

    async def close(self) -> None:
        """Hang up; a waiting reader raises. Again does nothing."""
        self._stream.close()

    async def cancel(self) -> None:
        """Hang up: the same as ``close``."""
        self._stream.close()

    async def aclose(self) -> None:
        """Hang up: the same as ``close``, under the name that async generators have."""
        self._stream.close()

    async def __aenter__(self) -> Self:
        await self._hop(self._stream.__enter__)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def __repr__(self) -> str:
        return f"<Async{repr(self._stream).removeprefix('<')}"

    def hang_up(self) -> None:
        """Hang up where nothing can be awaited, as in a destructor."""
        self._stream.close()

    async def fill(self) -> bool:
        """Wait for the next events; tell whether there were any."""
        self.batch.extend(await self._hop(self._stream.read_batch))
        return bool(self.batch)

    async def _hop(self, step: Callable[[], T]) -> T:
        return await self._threads.run(step, self._stream.close)


# What ends the steps that threads are at.
_waiting: set[Callable[[], None]] = set()


def _hang_up_at_exit() -> None:
    for hang_up in list(_waiting):
        hang_up()


# An event loop that is left with a task still waiting leaves a thread of anyio's,
# which the interpreter joins at its exit, before it calls what atexit knows.
# This is how concurrent.futures ends its own threads.
getattr(threading, "_register_atexit", atexit.register)(_hang_up_at_exit)


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
        self._stream.hang_up()

    def __del__(self) -> None:
        self._stream.hang_up()


class ChunkIteration(_Iteration, AsyncIterator[str]):
    """Over text."""

    async def __anext__(self) -> str:
        # AsyncStream.__anext__ once more, because one more coroutine for each
        # piece of text costs more than all else that is done with it here.
        stream = self._stream
        while stream.batch or await stream.fill():
            chunk = stream.to_chunk(stream.batch.popleft())
            if chunk:
                return chunk
        raise StopAsyncIteration


class EventIteration(_Iteration, AsyncIterator[Event]):
    """Over events."""

    async def __anext__(self) -> Event:
        stream = self._stream
        while stream.batch or await stream.fill():
            event = stream.batch.popleft()
            stream.to_chunk(event)
            return event
        raise StopAsyncIteration


class Threads:
    """
    The threads that wait for an async client.

    anyio's own limit of 40 threads for everything would make the 41st stream
    wait for a whole answer, and a file elsewhere in the program with it.

    Args:
        most: How many may wait at once; ``None`` for any number.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._limiter: tuple[object, CapacityLimiter] | None = None

    async def run(self, step: Callable[[], T], hang_up: Callable[[], None]) -> T:
        """
        Do a blocking step in a thread.

        Args:
            step: The step.
            hang_up: Ends the step from outside, for a task that is cancelled
                leaves the thread behind; also called when the step fails.

        Returns:
            What it returned.
        """
        _waiting.add(hang_up)
        try:
            return await to_thread.run_sync(step, abandon_on_cancel=True, limiter=self._bound())
        except BaseException:
            hang_up()
            raise
        finally:
            _waiting.discard(hang_up)

    def _bound(self) -> CapacityLimiter:
        # A limiter belongs to one event loop; a client may see several.
        loop = current_token()
        if self._limiter is None or self._limiter[0] != loop:
            self._limiter = loop, CapacityLimiter(math.inf if self.most is None else self.most)
        return self._limiter[1]


class AsyncClient:
    """
    A Space to chat with: ``Client`` for an event loop, asyncio's or trio's.

    Args:
        base_url: As in ``Client``.
        max_threads: How many streams may wait for the network at once; ``None``
            for any number. A waiting thread costs about 26 kB of memory.
        **options: Every other argument of ``Client``.

    Raises:
        InvalidOption: If an argument has no usable value.
    """

    def __init__(
        self, base_url: str | None = None, *, max_threads: int | None = None, **options: Any
    ) -> None:
        if max_threads is not None and (type(max_threads) is not int or max_threads < 1):
            raise InvalidOption(f"max_threads={max_threads!r} is not a count of at least 1.")
        self._client = Client(base_url, **options)
        self._threads = Threads(max_threads)

    @property
    def base_url(self) -> str:
        """Where the Space is."""
        return self._client.base_url

    @property
    def blocking(self) -> Client:
        """The blocking client that does the work; closed with this one."""
        return self._client

    def stream(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        model: str | None = None,
        timeout: TimeoutLike = None,
    ) -> AsyncStream:
        """
        Ask the Space.

        Args:
            messages: As in ``Client.stream``.
            system: As in ``Client.stream``.
            model: As in ``Client.stream``.
            timeout: As in ``Client.stream``.

        Returns:
            The answer as it comes; nothing is sent before it is first read.

        Raises:
            InvalidRequest: If an argument is refused or the client was closed.
        """
        return self.wrap(self._client.stream(messages, system=system, model=model, timeout=timeout))

    def wrap(self, stream: Stream) -> AsyncStream:
        """
        Keep a stream of the blocking client off the event loop.

        Args:
            stream: The stream, not yet begun.

        Returns:
            Its async twin.
        """
        return AsyncStream(stream, self._threads)

    async def ask(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        model: str | None = None,
        timeout: TimeoutLike = None,
    ) -> Reply:
        """
        Ask the Space and wait for the whole answer.

        Args:
            messages: As in ``Client.stream``.
            system: As in ``Client.stream``.
            model: As in ``Client.stream``.
            timeout: As in ``Client.stream``.

        Returns:
            The answer: a ``str`` with ``timings`` and ``messages``.

        Raises:
            Qwen72BError: If there is none; ``partial`` has what came.
        """
        async with self.stream(messages, system=system, model=model, timeout=timeout) as stream:
            return await stream.result()

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
        stop_on_error: bool = False,
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
            system: As in ``Client.map``.
            timeout: As in ``Client.map``.

        Returns:
            The results as they come; nothing is sent before the first is
            asked for.

        Raises:
            InvalidRequest: If an argument is refused or the client was closed.
        """
        from .batch.aio import AsyncBatch, blocking

        batch = self._client.map(
            blocking(items),
            executor=executor,
            max_in_flight=max_in_flight,
            rate=rate,
            journal=journal,
            progress=progress,
            ordered=ordered,
            stop_on_error=stop_on_error,
            system=system,
            timeout=timeout,
        )
        return AsyncBatch(batch, self._threads)

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
        """
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
        """
        call = self._client.new_call(timeout)
        return await self._threads.run(lambda: self._client.status_within(call), call.abort)

    async def close(self) -> None:
        """End the client's open streams, whose readers get an error, and close its connections."""
        self._client.close()

    async def aclose(self) -> None:
        """The same as ``close``, under the name that httpx has."""
        self._client.close()

    async def __aenter__(self) -> Self:
        self._client.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def __repr__(self) -> str:
        return f"<Async{repr(self._client).removeprefix('<')}"

    def __getstate__(self) -> dict[str, Any]:
        return {"_client": self._client, "most": self._threads.most}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._client = state["_client"]
        self._threads = Threads(state["most"])
