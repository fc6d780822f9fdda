"""
The rounds of a batch.

Each round takes in the futures that are done, sends items as far as the pace
allows, and waits for the next future or the end of a pause. The window bounds
the items under way over all workers and so, whatever the executor, memory.

An item that the Space refused for now goes again, before new ones, and so does
one whose worker was killed, unless it may be what kills them (``losses``). One
that failed is a result like any other. Where the executor takes no more, what it
has is waited for, and then the batch fails.

Above 300 lines: one state, which every step of a round changes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty
from time import monotonic

from ..errors import (
    ConnectFailed,
    InvalidRequest,
    QuotaExceeded,
    Qwen72BError,
    RequestTimeout,
    StreamInterrupted,
    TransportError,
)
from ..messages import Prompt
from ..reply import Reply, Timings
from ..retry import is_passing
from ..timeout import Timeout
from ..transport.interrupts import from_signal_handler
from .brake import Brake
from .executors import failure, is_gone, is_loss, loss, refusal
from .items import Task
from .journal import Journal, JournalFile
from .losses import Losses
from .notwritten import NotWritten
from .options import BatchOptions
from .orphans import forks_end_with_us
from .pace import Pace
from .pool import Pool, PoolCall
from .progress import ProgressLine, Tally
from .result import Answered, AnyResult, Failed
from .worker import ClientSpec, Coordinator, Outcome, answer

__all__ = ["Scheduler"]

log = logging.getLogger("qwen72b")

# How often an item is sent to a Space that is busy, before it fails, if nothing
# is answered meanwhile; and so many times as often if others are.
_TRIES = 8

# In order, results wait for slower ones before them. So many windows of items
# may be ahead of the one that is due, then nothing is sent: that bounds memory.
_AHEAD = 16

# Seconds between two reports, and two looks at an executor and for signals, while
# nothing happens.
_REPORT = 1.0

# What ``answer`` is called with.
_Question = tuple[ClientSpec, tuple[int, int], Prompt, Timeout]


@dataclass(slots=True)
class _Sent:
    """An item under way: which, the attempt number, and since when."""

    task: Task
    tries: int
    when: float


class Scheduler:
    """
    The state of a batch; used by one thread at a time, but for ``closing``.

    Args:
        coordinator: The batch's end of the workers.
        tasks: The items that were read.
        pace: When the next may go.
        options: What the batch was told.
        timeout: Limits of each item.
        total: Items in all; ``None`` if unknown.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        tasks: Iterator[Task],
        pace: Pace,
        options: BatchOptions,
        *,
        timeout: Timeout,
        total: int | None,
    ) -> None:
        self.coordinator = coordinator
        # Set from any thread, before ``coordinator.close()`` wakes this one.
        self.closing = False
        self.ready: deque[AnyResult] = deque()
        self._tasks = tasks
        self._pace = pace
        self._executor = options.executor
        # The threads that ask, where there is no executor.
        self._pool: Pool[Outcome] | None = None
        journal = options.journal
        self._journal: JournalFile | None = None
        if journal is not None:
            named = journal if isinstance(journal, Journal) else Journal(journal)
            self._journal = JournalFile(named)
        self._report: Callable[[Tally], object] | None
        if isinstance(options.progress, bool):
            self._report = ProgressLine() if options.progress else None
        else:
            self._report = options.progress
        self._ordered = options.ordered
        self._brake = Brake(options.stop_on_error, options.max_failures)
        self._timeout = timeout
        self._total = total
        self._retry = coordinator.asker.retry
        self._running: dict[Future[Outcome] | PoolCall[Outcome], _Sent] = {}
        self._again: deque[_Sent] = deque()
        self._losses = Losses()
        # Results that wait for those before them, and whose turn it is.
        self._held: dict[int, AnyResult] = {}
        self._due = 0
        self._drawn = 0
        self._counts = {"answered": 0, "resumed": 0, "failed": 0, "refused": 0}
        self._reason = ""
        self._begun: float | None = None
        self._ended: float | None = None
        self._exhausted = False
        self._over = False
        self._fatal: BaseException | None = None
        # What the journal said when it took no more.
        self._unwritten: OSError | None = None
        self._tidied = False
        # Whether it is open, and no other batch's.
        self._has_journal = False
        # Whether the Space has said anything in this run, if only half an answer.
        self._was_reached = False

    @property
    def begun(self) -> bool:
        """Whether the first result was asked for."""
        return self._begun is not None

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

    def run(self) -> bool:
        """
        Go on until there is a result.

        Returns:
            Whether there is one; not so at the end.

        Raises:
            StreamInterrupted: If the batch was closed before its end.
        """
        if self._begun is None and not self.closing:
            self._begin()
        while True:
            if self._over:
                return False
            if self.closing:
                raise self._fatal or StreamInterrupted("the batch was closed before its end.")
            self._collect()
            self._send()
            if self.ready:
                return True
            if self.closing:
                # Meanwhile; what was under way is lost.
                continue
            if not self._running and not self._again and (self._exhausted or self._fatal):
                if self._held:
                    # What was before them is not asked any more.
                    self.ready.extend(self._held.pop(place) for place in sorted(self._held))
                    return True
                if self._fatal is not None:
                    raise self._fatal
                self._over = True
                return False
            self._wait()

    def _begin(self) -> None:
        self._begun = monotonic()
        if self._journal is not None:
            self._journal.open(lambda: self.closing)
            self._has_journal = True
        if self._executor is None:
            self._pool = Pool(self._pace.most, "qwen72b-batch")

    def _collect(self) -> None:
        """Take in the futures that are done."""
        while self._running or not self.coordinator.finished.empty():
            try:
                future = self.coordinator.finished.get_nowait()
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
        while not self.closing:
            # Who closes wakes this wait; before it, that word may be taken in unseen.
            paused = self._report is not None and self._pace.paused(monotonic()) > 0
            # Now and then in any case: a signal that came just before the system call
            # does not end it, and Ctrl-C would be lost.
            limit = _REPORT if delay is None else min(delay, _REPORT)
            try:
                future = self.coordinator.finished.get(timeout=limit)
            except Empty:
                if is_gone(self._executor):
                    self._lose_all()
                    return
                if limit == delay:
                    return
                if delay is not None:
                    delay = max(0.0, delay - _REPORT)
                if paused:
                    self._tell()
            else:
                self._settle(future)
                return

    def _send(self) -> None:
        """Send items, as far as the pace allows."""
        while not self.closing and len(self.ready) < self._pace.most:
            if self._fatal is not None:
                # What would go again is asked by the next run.
                self._again.clear()
                return
            now = monotonic()
            count = len(self._running)
            if self._pace.delay(count, now) != 0 or self._losses.holds(count):
                return
            if not self._brake.allows(count):
                return
            if self._again:
                self._submit(self._again.popleft(), now)
                continue
            if self._exhausted:
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
            self._finish(task, Failed(task.id, task.item, error=task.error, tries=0))
            return
        record = self._journal.find(task.id) if self._journal is not None else None
        if record is None or record.answer is None:
            self._submit(_Sent(task, 0, 0.0), monotonic())
            return
        reply = _reply(task, record.answer, record.timings)
        self._counts["resumed"] += 1
        self._finish(task, Answered(task.id, task.item, reply, tries=0, resumed=True))

    def _submit(self, sent: _Sent, now: float) -> None:
        sent.tries += 1
        sent.when = now
        self._pace.sent()
        assert sent.task.prompt is not None  # or it would have failed
        key = (sent.task.position, sent.tries)
        question = (self.coordinator.spec, key, sent.task.prompt, self._timeout)
        try:
            if self._executor is None:
                self._ask_here(sent, question)
            else:
                self._hand_out(sent, question)
        except TransportError as error:
            self._fatal = self._fatal or error
            tries = sent.tries - 1
            self._finish(sent.task, Failed(sent.task.id, sent.task.item, error=error, tries=tries))

    def _ask_here(self, sent: _Sent, question: _Question) -> None:
        assert self._pool is not None  # since ``_begin``
        call = PoolCall(partial(answer, *question), self.coordinator.announce)
        self._running[call] = sent
        try:
            self._pool.submit(call)
        except TransportError:
            del self._running[call]
            raise

    def _hand_out(self, sent: _Sent, question: _Question) -> None:
        assert self._executor is not None  # or it is asked here
        try:
            with forks_end_with_us:
                future = self._executor.submit(answer, *question)
        except MemoryError:
            raise
        except Exception as exc:
            if from_signal_handler(exc):
                raise
            # A pool whose worker was killed, or that was shut down; a cluster
            # that has gone.
            raise refusal(exc) from exc
        if not callable(getattr(future, "add_done_callback", None)):
            raise refusal(TypeError(f"submit gave no future but a {type(future).__name__}"))
        if future in self._running:
            raise refusal(TypeError("submit gave one future for two items"))
        self._running[future] = sent
        future.add_done_callback(self.coordinator.announce)

    def _lose_all(self) -> None:
        """Give up what an executor has that is no more."""
        self._fatal = self._fatal or refusal()
        lost = [*self._running.values(), *self._again]
        self._running.clear()
        self._again.clear()
        for sent in lost:
            task = sent.task
            self._finish(task, Failed(task.id, task.item, error=loss(), tries=sent.tries))

    def _settle(self, future: Future[Outcome] | PoolCall[Outcome] | None) -> None:
        """Take in one future that is done."""
        sent = None if future is None else self._running.pop(future, None)
        if future is None or sent is None:
            return
        task = sent.task
        outcome = _outcome(future)
        if not isinstance(outcome, Qwen72BError):
            self._pace.answered(sent.when)
            self._was_reached = True
            reply = _reply(task, *outcome)
            self._keep(task, Answered(task.id, task.item, reply, tries=sent.tries))
            return
        error = outcome
        if self.closing:
            # Hung up on by ``close``: no failure of its own, and asked again next time.
            return
        if isinstance(error, InvalidRequest):
            # Every item was checked before, so this is a client that was closed.
            self._fatal = error
            return
        # What the executor says, and not the Space, is for ``_lost``.
        told = not future.cancelled() and future.exception() is None
        if not (told and self._refused(sent, error)) and not self._lost(sent, future):
            self._keep(task, Failed(task.id, task.item, error=error, tries=sent.tries))

    def _keep(self, task: Task, result: AnyResult) -> None:
        if self._journal is not None:
            try:
                if self._unwritten is None:
                    self._journal.write(result)
            except OSError as error:
                if from_signal_handler(error):
                    raise
                self._unwritten = error
                self._lose(result)
                raise
        if self._unwritten is None:
            self._finish(task, result)
        else:
            self._lose(result)

    def _lose(self, result: AnyResult) -> None:
        """Count an answer that nobody keeps, for the error that is on its way."""
        if isinstance(self._unwritten, NotWritten):
            self._unwritten.lost += result.ok

    def _refused(self, sent: _Sent, error: Qwen72BError) -> bool:
        """Slow down if the Space refuses for now; tell whether the item goes again."""
        if not isinstance(error, (ConnectFailed, RequestTimeout)):
            self._was_reached = True
        # A cut is no word about the item, and an answer that has half come is of no use.
        was_cut = isinstance(error, StreamInterrupted)
        if not (is_passing(error) or was_cut or isinstance(error, QuotaExceeded)):
            return False
        retry = self._retry
        # That is not busy: there the client's own patience holds, and once only.
        never_there = isinstance(error, ConnectFailed) and not self._was_reached
        if never_there and self._pace.signs >= _TRIES:
            return False
        if not was_cut or error.retry_after is not None:
            self._pace.refused(error.retry_after, sent.when, monotonic())
            self._reason = "".join(c if c.isprintable() else " " for c in error.reason[:80])
        patient = retry.attempts > 1 and not never_there
        limit = max(_TRIES, retry.attempts) if patient else retry.attempts
        # While others are answered, a refusal says little of the item; a cut says more.
        alive = patient and self._pace.signs < _TRIES and sent.tries < limit * _TRIES
        if sent.tries >= limit and (was_cut or not alive):
            return False
        log.info("The Space refused an item, which goes again: %s", error.reason)
        self._counts["refused"] += 1
        self._again.append(sent)
        self._tell()
        return True

    def _lost(self, sent: _Sent, future: Future[Outcome] | PoolCall[Outcome]) -> bool:
        """Tell whether an item that the executor lost, if it did, goes again."""
        if future.cancelled() or not is_loss(future.exception()):
            return False
        count = len(self._running) + 1
        if not self._losses.lost(sent.task.position, sent.when, count, monotonic()):
            return False
        log.info("The executor lost an item, which goes again: %s", type(future.exception()))
        self._again.append(sent)
        return True

    def _finish(self, task: Task, result: AnyResult) -> None:
        """Hand a result out, in its turn."""
        self._losses.settled(task.position)
        self._counts["answered" if result.ok else "failed"] += 1
        if result.error is not None:
            if self._brake.failed(result.error) and self._fatal is None:
                self._fatal = result.error
        elif not result.resumed:
            self._brake.answered()
        if self._ordered:
            self._held[task.position] = result
            while self._due in self._held:
                self.ready.append(self._held.pop(self._due))
                self._due += 1
        else:
            self.ready.append(result)
        self._tell()

    def _tell(self) -> None:
        if self._report is not None and not self.closing:
            self._report(self.tally)

    def disown(self) -> None:
        """End in a forked child, without a word to the parent's threads and files."""
        self._fatal = StreamInterrupted(
            "the batch runs in the process that was forked.", hint="Make one of this process."
        )
        self.closing = self._tidied = True

    def tidy(self) -> None:
        """
        Free everything; what has been answered meanwhile is kept. Idempotent.

        Where an exception out of a signal handler comes in between, while threads are
        waited for, the next call goes on.
        """
        if self._tidied:
            return
        if self._ended is None:
            self._ended = monotonic()
        for future in list(self._running):
            future.cancel()
        if self._pool is not None:
            self._pool.close()
        self._tidied = True
        try:
            if self.begun:
                # What has been answered meanwhile is kept, unless it would
                # have to be waited for.
                with suppress(StreamInterrupted):
                    self._collect()
                self.ready.clear()
        finally:
            if self._journal is not None and self._has_journal:
                self._close(self._journal)
            if isinstance(self._report, ProgressLine) and self.begun:
                self._report.end(self.tally)

    def _close(self, journal: JournalFile) -> None:
        try:
            journal.close()
        except NotWritten:
            # It was said before.
            if self._unwritten is None:
                raise


def _outcome(future: Future[Outcome] | PoolCall[Outcome]) -> Outcome:
    """Take what a future brought; what its executor raised becomes an error of ours."""
    if future.cancelled():
        return StreamInterrupted("the executor dropped the item.", hint="Run it again.")
    error = future.exception()
    if error is None:
        outcome = future.result()
        if isinstance(outcome, Qwen72BError):
            return outcome
        # An executor may give anything.
        match outcome:
            case (str(), Timings()):
                return outcome
        return failure(TypeError(f"it gave no answer but a {type(outcome).__name__}"))
    if isinstance(error, Qwen72BError):
        return error
    return loss(error) if is_loss(error) else failure(error)


def _reply(task: Task, text: str, timings: Timings | None) -> Reply:
    assert task.prompt is not None  # there is an answer to it
    return Reply(text, timings, task.prompt.to_messages(text))
