"""
An answer on its way: from the client's stream to the response.

Strategy: two tasks of one group, which does not live across a ``yield``. One asks
the Space and writes, all that one network read brought at once. The other waits for
the hang-up and cancels the group, which hangs up on the Space; and it keeps the
time meanwhile: the head that waits no longer for the first text, comments while the
Space is silent, and the end of clients that have stopped reading for good.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING

from anyio import CancelScope, Event, create_task_group, move_on_after

from .answers import Completion, Headers, count_tokens
from .channel import Channel, Gone
from .requests import ChatRequest
from .stops import StopCutter, cut_at_stop

if TYPE_CHECKING:
    from ..aio.stream import AsyncStream

__all__ = ["Answer"]

log = logging.getLogger("qwen72b.gateway")

# Seconds for which the head waits for the first text. Until then an error is a
# status, which every client understands.
HEAD_TIME = 5.0

# Seconds of silence until a comment: proxies cut silent connections after 30 to 60.
KEEP_ALIVE = 5.0

# Seconds for which a client may leave its text unread. It holds only its own
# stream back, but its place among the requests too.
UNREAD_TIME = 600.0
_UNREAD = "a client has not read for %g s; hung up"

_EVENTS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # nginx would collect the whole answer.
    (b"x-accel-buffering", b"no"),
]


class Answer:
    """
    The answer to one request.

    Args:
        open_stream: Gives the client's stream, not yet begun.
        asked: What was asked for.
        channel: Where the answer goes.
        model: The model's name.
    """

    def __init__(
        self,
        open_stream: Callable[[], Awaitable[AsyncStream]],
        asked: ChatRequest,
        channel: Channel,
        model: str,
    ) -> None:
        self._open_stream = open_stream
        self._asked = asked
        self._channel = channel
        self._completion = Completion(model)
        # Of the two tasks that write, each writes whole events: while a piece is
        # written there is no comment, and while a comment is, pieces wait for its
        # end. A lock would do the same, and cost a quarter more for each piece.
        self._writing = False
        self._comment: Event | None = None
        self._last = monotonic()
        self._over = False

    async def run(self) -> None:
        """
        Ask and answer.

        Raises:
            Qwen72BError: If there is no answer, or the Space's end of it failed.
            Gone: If the client hung up.
        """
        failure: Exception | None = None
        async with create_task_group() as group:
            group.start_soon(self._accompany, group.cancel_scope)
            try:
                async with await self._open_stream() as stream:
                    write = self._write_pieces if self._asked.stream else self._write_whole
                    await write(stream)
            except Exception as exc:  # noqa: BLE001 - raised below, where no group wraps it
                failure = exc
            self._over = True
            group.cancel_scope.cancel()
        if not self._over:
            raise Gone
        if failure is not None:
            raise failure

    async def _accompany(self, scope: CancelScope) -> None:
        """Wait for the hang-up, and look at the time now and then; then hang up on the Space."""
        wait = HEAD_TIME
        while True:
            with move_on_after(wait):
                await self._channel.wait_for_hangup()
                break
            wait = KEEP_ALIVE
            silence = monotonic() - self._last
            if self._writing:
                # The client does not read.
                if silence > UNREAD_TIME:
                    log.warning(_UNREAD, silence)
                    break
                continue
            quiet = silence >= KEEP_ALIVE or not self._channel.status
            if self._asked.stream and quiet and not await self._comment_sent():
                break
        scope.cancel()

    async def _comment_sent(self) -> bool:
        """Send a comment; tell whether the client has taken it."""
        self._comment = sent = Event()
        try:
            with move_on_after(UNREAD_TIME):
                await self._send(b": the Space is at it\n\n", more=True)
                return True
            log.warning(_UNREAD, UNREAD_TIME)
        except Gone:
            pass
        finally:
            sent.set()
            self._comment = None
        return False

    async def _write_pieces(self, stream: AsyncStream) -> None:
        piece = self._completion.piece
        cutter = StopCutter(self._asked.stops) if self._asked.stops else None
        opening = self._completion.opening()
        said: list[str] = []
        while texts := await stream._read_chunks():
            if cutter is not None:
                texts = [*filter(None, map(cutter.feed, texts))]
            if texts:
                said += texts
                await self._write(opening + "".join(map(piece, texts)))
                opening = ""
            if cutter is not None and cutter.found:
                break
        rest = cutter.flush() if cutter is not None else ""
        # Nobody waits for the Space any more.
        await stream.close()
        usage = self._usage("".join(said) + rest) if self._asked.include_usage else None
        end = opening + (piece(rest) if rest else "") + self._completion.closing(usage)
        await self._write(end, more=False)

    async def _write_whole(self, stream: AsyncStream) -> None:
        text = await self._read_whole(stream)
        await stream.close()
        body = self._completion.whole(text, self._usage(text))
        self._last, self._writing = monotonic(), True
        await self._channel.respond(200, body)

    async def _read_whole(self, stream: AsyncStream) -> str:
        """Read the exact text, up to the first stop sequence."""
        stops = self._asked.stops
        if not stops:
            return str(await stream.result())
        cutter = StopCutter(stops)
        async for chunk in stream:
            cutter.feed(chunk)
            if cutter.found:
                # What was handed out may have been taken back since.
                before = cut_at_stop(stream.text, stops)
                if before is not None:
                    return before
                cutter = StopCutter(stops)
        text = stream.text
        before = cut_at_stop(text, stops)
        return text if before is None else before

    async def _write(self, data: str, *, more: bool = True) -> None:
        if self._comment is not None:
            await self._comment.wait()
        self._writing = True
        await self._send(data.encode(), more=more)
        self._writing = False

    async def _send(self, data: bytes, *, more: bool) -> None:
        self._last = monotonic()
        if not self._channel.status:
            await self._channel.begin(200, _EVENTS)
        await self._channel.write(data, more=more)

    def _usage(self, text: str) -> dict[str, int]:
        asked, said = self._asked.count_tokens(), count_tokens(text)
        return {
            "prompt_tokens": asked,
            "completion_tokens": said,
            "total_tokens": asked + said,
        }
