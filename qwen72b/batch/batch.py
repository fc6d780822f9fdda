"""
Many questions and their answers, as they come: ``Batch``.

Strategy: the rounds (``scheduler``) are run by one thread at a time, the one that
wants a result. Closing from outside only sets a flag, hangs up and wakes that
thread, which then tidies up; if none is at work, the closing one does, except in
a signal handler: there whoever uses the batch next does.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Generator, Iterable, Iterator, Sized
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, SupportsIndex
from weakref import WeakSet

from ..errors import InvalidOption, InvalidRequest
from ..messages import system_text
from ..privacy.redaction import shown
from ..timeout import to_timeout
from ..transport.interrupts import in_signal_handler
from .asker import Asker
from .items import Item, read_items
from .options import BatchOptions
from .pace import Pace
from .progress import Tally
from .result import AnyResult
from .scheduler import Scheduler
from .worker import Coordinator

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Batch"]

_open: WeakSet[Batch] = WeakSet()


def _close_all() -> None:
    for batch in list(_open):
        batch.close()


# The interpreter joins the threads of pools at its exit, before it calls what
# atexit knows: it would wait for answers that nobody reads. This is how
# concurrent.futures ends its own, and what was registered last is called first.
# Where it is ending already, nothing is left to be ended first.
with suppress(RuntimeError):
    getattr(threading, "_register_atexit", atexit.register)(_close_all)


def _disown_all() -> None:
    """After a fork: the threads of a batch, which would wake who waits, are the parent's."""
    for batch in list(_open):
        batch._disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)


class Batch(Iterator[AnyResult]):
    """
    Many questions and their answers, as they come.

    An iterator of results, and a context manager. Nothing is sent before the
    first ``next()``. Made by ``Client.map``.

    Leaving a ``for`` loop early, ``close()``, and dropping the last reference
    stop it: what was not sent is not sent, what is under way in this process
    is hung up on, and what has been answered is in the journal.

    Example:
        >>> with Client().map(["What is the capital of France?", "And of Italy?"]) as batch:
        ...     for result in batch:
        ...         print(result.reply)
        Paris.
        Rome.
        >>> batch.tally.answered
        2
    """

    def __init__(
        self,
        asker: Asker,
        items: Iterable[Item],
        options: BatchOptions,
    ) -> None:
        retry = asker.retry
        pace = Pace(options.max_in_flight, options.rate, base=retry.base, cap=retry.cap)
        limits = to_timeout(options.timeout, asker.timeout)
        if options.system is not None:
            # Said now, and not by every item.
            system_text((), options.system)
        if isinstance(items, str) or not isinstance(items, Iterable):
            raise InvalidOption(
                f"items must be an iterable of items, not {type(items).__name__}.",
                hint='For one question there is ask("...").',
            )
        executor = options.executor
        if executor is not None and not callable(getattr(executor, "submit", None)):
            raise InvalidOption(f"executor must be an Executor, not {type(executor).__name__}.")
        progress = options.progress
        if not (progress is None or isinstance(progress, bool) or callable(progress)):
            raise InvalidOption(
                f"progress must be True or a function, not {shown(progress)}.",
                hint="It is called with a Tally after each outcome.",
            )
        self._turn = threading.Lock()
        # The thread whose turn it is.
        self._worker: int | None = None
        # Last: it is what tells a finished construction.
        self._scheduler = Scheduler(
            Coordinator(asker),
            read_items(items, system=options.system),
            pace,
            options,
            timeout=limits,
            # A length of 0 may be a reader's way to say that it does not know.
            total=(len(items) or None) if isinstance(items, Sized) else None,
        )
        _open.add(self)

    @property
    def tally(self) -> Tally:
        """How far it is."""
        return self._scheduler.tally

    def __iter__(self) -> Generator[AnyResult, None, None]:
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

    def __next__(self) -> AnyResult:
        results = self._next(1)
        if not results:
            raise StopIteration
        return results[0]

    def _read_batch(self) -> list[AnyResult]:
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

    def _next(self, most: int | None) -> list[AnyResult]:
        results: list[AnyResult] = []
        here = threading.get_ident()
        if self._worker == here and self._turn.locked():
            raise InvalidRequest(
                "a batch was asked for a result while it waits for this very code.",
                hint="Its items, its progress and signal handlers may close it, no more.",
            )
        try:
            with self._turn:
                self._worker = here
                try:
                    if self._scheduler.run():
                        ready = self._scheduler.ready
                        count = len(ready) if most is None else most
                        results += [ready.popleft() for _ in range(count)]
                finally:
                    self._worker = None
        except (StopIteration, StopAsyncIteration) as exc:
            self.close()
            # Of a callback; it would be taken for the end of the batch (as in PEP 479).
            raise RuntimeError(f"progress raised {type(exc).__name__}") from exc
        except BaseException:
            # Ctrl-C too.
            self.close()
            raise
        if not results:
            self.close()
        elif self._scheduler.closing:
            self._release()
        return results

    def close(self) -> None:
        """
        Stop, from any thread and in a signal handler; whoever waits for a result gets an error.

        Idempotent.

        Example:
            >>> batch = Client().map(["What is the capital of France?", "And of Italy?"])
            >>> next(batch).reply
            'Paris.'
            >>> batch.close()
        """
        self._scheduler.closing = True
        self._scheduler.coordinator.close()
        # The threads that are waited for may need a lock that the interrupted
        # code holds, of a log for example.
        if not in_signal_handler():
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
        if hasattr(self, "_scheduler"):
            self.close()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        # A copy would hang up on the original when it goes.
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled: it is one running batch; the results "
            "that it gives can be."
        )

    def __repr__(self) -> str:
        if not hasattr(self, "_scheduler"):
            return f"<{type(self).__name__} half-built>"
        state = (
            "closed"
            if self._scheduler.closing
            else "new"
            if not self._scheduler.begun
            else "running"
        )
        return f"<{type(self).__name__} {state}: {self.tally}>"

    def _disown(self) -> None:
        """Leave a batch that is under way to the process that was forked."""
        if self._scheduler.begun:
            # Another thread, which is not here, may hold it.
            self._turn = threading.Lock()
            self._scheduler.disown()

    def _release(self) -> None:
        """Free everything, unless a thread is at work, which then does it."""
        # Looked at, not acquired: an exception out of a signal handler that came
        # right after would leave it held for ever.
        if not self._turn.locked():
            with self._turn:
                self._scheduler.tidy()
