"""
Who sends the items, and in what order do results come? ``Batch`` drives.

Strategy: whoever asks for the next result runs the batch until there is one.
Each round takes in the futures that are done, sends items as far as the pace
allows, and waits for the next future or the end of a pause. The window bounds
the items under way over all workers and so, whatever the executor, memory.

An item that the Space refused for now goes again, before new ones. One that
failed is a result like any other.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from ..clocks import TimeoutLike, to_timeout
from ..errors import (
    ConnectFailed,
    InvalidOption,
    InvalidRequest,
    QuotaExceeded,
    Qwen72BError,
    StreamInterrupted,
)
from ..messages import to_prompt
from ..reply import Reply, Timings
from ..retry import is_passing
from .items import Item, Task, read_items
from .journal import Journal
from .pace import Pace
from .progress import ProgressLine, Tally
from .result import Result
from .worker import Home, Outcome, answer

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..client import Client

__all__ = ["Batch"]

log = logging.getLogger("qwen72b")

# How often an item is sent to a Space that is busy, before it fails. With
# waits that double from half a second that is about a minute; a busy Space
# lets some through all the time, and the window shrinks until it does.
_TRIES = 8

# In order, results wait for slower ones before them. So many windows of items
# may be ahead of the one that is due, then nothing is sent: that bounds memory.
_AHEAD = 16

# Seconds between two reports while nothing happens.
_REPORT = 1.0


@dataclass(slots=True)
class _Sent:
    """An item under way: which, the how-manieth try, and since when."""

    task: Task
    tries: int
    when: float


class Batch(Iterator[Result]):
    """
    Many questions and their answers, as they come.

    An iterator of results, and a context manager. Nothing is sent before the
    first ``next()``. Made by ``Client.map``.

    Leaving a ``for`` loop early, ``close()``, and dropping the last reference
    stop it: what was not sent is not sent, what is under way in this process
    is hung up on, and what has been answered is in the journal.
    """

    def __init__(
        self,
        client: Client,
        items: Iterable[Item],
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
    ) -> None:
        self._pace = Pace(max_in_flight, rate)
        self._timeout = to_timeout(timeout, client.timeout)
        self._retry = client.retry
        if system is not None:
            # Said now, and not by every item.
            to_prompt("", system=system)
        if isinstance(items, str) or not isinstance(items, Iterable):
            raise InvalidOption(
                f"items must be an iterable of items, not {type(items).__name__}.",
                hint='For one question there is ask("...").',
            )
        if executor is not None and not callable(getattr(executor, "submit", None)):
            raise InvalidOption(f"executor must be an Executor, not {type(executor).__name__}.")
        self._tasks = read_items(items, system=system)
        # A length of 0 may be a reader's way to say that it does not know.
        self._total = (len(items) or None) if isinstance(items, Sized) else None
        self._executor = executor
        self._own: Executor | None = None
        self._journal = journal if isinstance(journal, Journal | None) else Journal(journal)
        self._line = ProgressLine() if progress is True else None
        self._report = self._line if self._line else progress if callable(progress) else None
        self._ordered = ordered
        self._stop_on_error = stop_on_error
        self._turn = threading.Lock()
        self._running: dict[Future[Outcome], _Sent] = {}
        self._again: deque[_Sent] = deque()
        self._ready: deque[Result] = deque()
        # Results that wait for those before them, and whose turn it is.
        self._held: dict[int, Result] = {}
        self._due = 0
        self._drawn = 0
        self._counts = {"answered": 0, "resumed": 0, "failed": 0, "refused": 0}
        self._reason = ""
        self._begun: float | None = None
        self._ended: float | None = None
        self._exhausted = False
        self._over = False
        self._fatal: BaseException | None = None
        self._closing = False
        self._tidied = False
        # Last: it is what tells a finished construction.
        self._home = Home(client)

    @property
    def tally(self) -> Tally:
        """How far it is."""
        now = monotonic() if self._ended is None else self._ended
        return Tally(
            total=self._total,
            in_flight=len(self._running),
            window=self._pace.window,
            most=self._pace.most,
            paused=self._pace.paused(now),
            reason=self._reason,
            elapsed=0.0 if self._begun is None else now - self._begun,
            **self._counts,
        )

    def __iter__(self) -> Generator[Result, None, None]:
        try:
            while True:
                try:
                    result = self.__next__()
                except StopIteration:
                    return
                yield result
        finally:
            # Also when the loop around it was left early.
            self.close()

    def __next__(self) -> Result:
        results = self._next(1)
        if not results:
            raise StopIteration
        return results[0]

    def read_batch(self) -> list[Result]:
        """
        Wait for results.

        For callers that pay for each wait, such as the async side.

        Returns:
            What there is, at least one; empty at the end.

        Raises:
            StreamInterrupted: If the batch was closed before its end.
            InvalidOption: If the journal cannot be used.
            OSError: If the journal cannot be opened or written.
        """
        return self._next(None)

    def _next(self, most: int | None) -> list[Result]:
        results: list[Result] = []
        try:
            with self._turn:
                if self._run():
                    count = len(self._ready) if most is None else most
                    results += [self._ready.popleft() for _ in range(count)]
        except BaseException:
            # Ctrl-C too.
            self.close()
            raise
        if not results:
            self.close()
        elif self._closing:
            self._release()
        return results

    def close(self) -> None:
        """Stop, from any thread; whoever waits for a result gets an error. Again does nothing."""
        self._closing = True
        self._home.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A half-made batch, whose arguments were refused, has nothing to close.
        if hasattr(self, "_home"):
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closing else "new" if self._begun is None else "running"
        return f"<{type(self).__name__} {state}: {self.tally}>"

    def _run(self) -> bool:
        if self._begun is None and not self._closing:
            self._begin()
        while True:
            if self._over:
                return False
            if self._closing:
                raise self._fatal or StreamInterrupted("the batch was closed before its end.")
            self._collect()
            self._send()
            if self._ready:
                return True
            if not self._running and not self._again and (self._exhausted or self._fatal):
                if self._fatal is not None:
                    raise self._fatal
                self._over = True
                return False
            self._wait()

    def _begin(self) -> None:
        self._begun = monotonic()
        if self._journal is not None:
            self._journal.open()
        if self._executor is None:
            self._executor = self._own = ThreadPoolExecutor(
                self._pace.most, thread_name_prefix="qwen72b-batch"
            )

    def _collect(self) -> None:
        """Take in the futures that are done."""
        while self._running or not self._home.finished.empty():
            try:
                future = self._home.finished.get_nowait()
            except Empty:
                return
            self._settle(future)

    def _wait(self) -> None:
        """Wait until a future is done or an item may go."""
        now = monotonic()
        delay = None
        if self._again or not (self._exhausted or self._fatal):
            delay = self._pace.delay(len(self._running), now)
            if delay == 0:
                # Held back by the results that wait for their turn.
                delay = None
        while True:
            paused = self._report is not None and self._pace.paused(monotonic()) > 0
            limit = min(delay, _REPORT) if paused and delay is not None else delay
            try:
                future = self._home.finished.get(timeout=limit)
            except Empty:
                if limit == delay:
                    return
                delay = max(0.0, (delay or 0.0) - _REPORT)
                self._tell()
            else:
                self._settle(future)
                return

    def _send(self) -> None:
        """Send items, as far as the pace allows."""
        while not self._closing and len(self._ready) < self._pace.most:
            now = monotonic()
            if self._pace.delay(len(self._running), now) != 0:
                return
            if self._again:
                self._submit(self._again.popleft(), now)
                continue
            if self._exhausted or self._fatal is not None:
                return
            if self._ordered and self._drawn - self._due >= _AHEAD * self._pace.most:
                return
            task = next(self._tasks, None)
            if task is None:
                self._exhausted = True
                return
            self._drawn += 1
            self._take(task)

    def _take(self, task: Task) -> None:
        """Send a new item, unless it is answered already or cannot be asked."""
        if task.error is not None:
            self._finish(task, Result(task.id, task.item, error=task.error, tries=0))
            return
        record = self._journal.find(task.id) if self._journal is not None else None
        if record is None or record.answer is None:
            self._submit(_Sent(task, 0, 0.0), monotonic())
            return
        reply = _reply(task, record.answer, record.timings)
        self._counts["resumed"] += 1
        self._finish(task, Result(task.id, task.item, reply, tries=0, resumed=True))

    def _submit(self, sent: _Sent, now: float) -> None:
        sent.tries += 1
        sent.when = now
        self._pace.sent()
        assert self._executor is not None  # since ``_begin``
        assert sent.task.prompt is not None  # or it would have failed
        future = self._executor.submit(
            answer,
            self._home.recipe,
            (sent.task.position, sent.tries),
            sent.task.prompt,
            self._timeout,
        )
        self._running[future] = sent
        future.add_done_callback(self._home.announce)

    def _settle(self, future: Future[Outcome] | None) -> None:
        """Take in one future that is done."""
        sent = None if future is None else self._running.pop(future, None)
        if future is None or sent is None:
            return
        task = sent.task
        error: BaseException | None
        if future.cancelled():
            error = StreamInterrupted("the executor dropped the item.", hint="Run it again.")
        else:
            error = future.exception()
            if error is None:
                outcome = future.result()
                if not isinstance(outcome, Qwen72BError):
                    self._pace.answered()
                    reply = _reply(task, *outcome)
                    result = Result(task.id, task.item, reply, tries=sent.tries)
                    if self._journal is not None:
                        self._journal.write(result)
                    self._finish(task, result)
                    return
                error = outcome
        if self._closing:
            # Hung up on by ``close``: no failure of its own, and asked again next time.
            return
        if isinstance(error, InvalidRequest):
            # Every item was checked before, so this is a client that was closed.
            self._fatal = error
            return
        if isinstance(error, Qwen72BError) and self._refused(sent, error):
            return
        result = Result(task.id, task.item, error=error, tries=sent.tries)
        if self._journal is not None:
            self._journal.write(result)
        self._finish(task, result)

    def _refused(self, sent: _Sent, error: Qwen72BError) -> bool:
        """Slow down if the Space refuses for now; tell whether the item goes again."""
        if not is_passing(error) and not isinstance(error, QuotaExceeded):
            return False
        retry = self._retry
        asked = getattr(error, "retry_after", None)
        pause = min(retry.cap, retry.base * 2.0 ** (sent.tries - 1)) if asked is None else asked
        self._pace.refused(pause, sent.when, monotonic())
        self._reason = "".join(c if c.isprintable() else " " for c in error.reason[:80])
        # A Space that cannot be reached is not busy: there the client's own patience holds.
        patient = retry.attempts > 1 and not isinstance(error, ConnectFailed)
        if sent.tries >= (max(_TRIES, retry.attempts) if patient else retry.attempts):
            return False
        log.info("The Space refused an item, which goes again: %s", error.reason)
        self._counts["refused"] += 1
        self._again.append(sent)
        self._tell()
        return True

    def _finish(self, task: Task, result: Result) -> None:
        """Hand a result out, in its turn."""
        self._counts["answered" if result.ok else "failed"] += 1
        if self._stop_on_error and self._fatal is None:
            self._fatal = result.error
        if self._ordered:
            self._held[task.position] = result
            while self._due in self._held:
                self._ready.append(self._held.pop(self._due))
                self._due += 1
        else:
            self._ready.append(result)
        self._tell()

    def _tell(self) -> None:
        if self._report is not None and not self._closing:
            self._report(self.tally)

    def _release(self) -> None:
        """Free everything, unless a thread is at work, which then does it."""
        if self._turn.acquire(blocking=False):
            try:
                self._tidy()
            finally:
                self._turn.release()

    def _tidy(self) -> None:
        if self._tidied:
            return
        self._tidied = True
        self._ended = monotonic()
        for future in list(self._running):
            future.cancel()
        try:
            if self._own is not None:
                self._own.shutdown(wait=True, cancel_futures=True)
            if self._begun is not None:
                # What has been answered meanwhile is kept.
                self._collect()
                self._ready.clear()
        finally:
            if self._journal is not None:
                self._journal.close()
            if self._line is not None and self._begun is not None:
                self._line.end(self.tally)


def _reply(task: Task, text: str, timings: Timings | None) -> Reply:
    prompt = task.prompt
    assert prompt is not None  # there is an answer to it
    turns = [*prompt.history, ("user", prompt.query), ("assistant", text)]
    if prompt.system is not None:
        turns.insert(0, ("system", prompt.system))
    return Reply(text, timings, [{"role": role, "content": content} for role, content in turns])
