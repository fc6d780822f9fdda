"""
The part of a batch that runs where its executor runs it.

What is shipped is small: the settings of the client (pickled, without session
or socket), the prompt, the limits. A process makes its client when it first
needs one and keeps it, with its connections and what it learnt of the Space,
for all items with the same settings. In the driver's own process no second
client is made: there the caller's own asks, and its questions can be hung up on.

Outcomes are returned, errors too: an engine logs what it sees raised, with
arguments, and what was asked is nobody's business.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from queue import SimpleQueue
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

from ..errors import Qwen72BError, StreamInterrupted
from ..messages import Prompt
from ..reply import Timings
from ..retry import Retry
from ..timeout import Timeout
from .asker import Asker, Asking
from .orphans import end_with
from .pool import PoolCall

__all__ = ["ClientSpec", "Coordinator", "Outcome", "answer"]

Outcome = tuple[str, Timings] | Qwen72BError

# A refusal must reach the driver at once, which slows all workers down and
# sends the item again: not a wait in each worker of its own.
_ONCE = Retry(attempts=1)


@dataclass(frozen=True, slots=True, repr=False)
class ClientSpec:
    """
    How a worker comes by its client.

    Args:
        coordinator: Names the batch's ``Coordinator``.
        settings: The client, pickled. It holds the token, so it never shows.
        driver: The id of the process that the batch is in.
    """

    coordinator: str
    settings: bytes
    driver: int


class Coordinator:
    """
    The batch's end: its client, and the questions under way in its own process.

    Args:
        asker: The caller's client.
    """

    def __init__(self, asker: Asker) -> None:
        self.spec = ClientSpec(uuid4().hex, pickle.dumps(asker), os.getpid())
        self.asker = asker
        # Futures that are done; ``None`` wakes the driver.
        self.finished: SimpleQueue[Future[Outcome] | PoolCall[Outcome] | None] = SimpleQueue()
        # Changed and copied in single steps, without a lock: a signal handler may
        # close the batch at any point.
        self._askings: dict[Asking, bool] = {}
        self._closed = False
        # Until its last future is done: the futures' callback holds it.
        _coordinators[self.spec.coordinator] = self

    def announce(self, future: Future[Outcome] | PoolCall[Outcome]) -> None:
        """Tell the driver that a future is done; from any thread."""
        self.finished.put(future)

    def close(self) -> None:
        """Hang up on all questions of this process, from any thread and at any point; wake the driver."""
        self._closed = True
        for asking in list(self._askings):
            asking.close()
        self.finished.put(None)

    @contextmanager
    def holding(self, asking: Asking) -> Iterator[None]:
        """Keep a question where ``close`` finds it."""
        self._askings[asking] = True
        try:
            if self._closed:
                raise StreamInterrupted("the batch was closed.")
            yield
        finally:
            self._askings.pop(asking, None)


_coordinators: WeakValueDictionary[str, Coordinator] = WeakValueDictionary()
_lock = threading.Lock()


@lru_cache(maxsize=8)
def _asker(settings: bytes) -> Asker:
    asker: Asker = pickle.loads(settings)  # made by ``Coordinator``
    return asker


def _forget() -> None:
    """After a fork: sockets and locks are the parent's, and so are its batches."""
    global _lock
    _lock = threading.Lock()
    _coordinators.clear()
    _asker.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def answer(spec: ClientSpec, key: tuple[int, int], prompt: Prompt, timeout: Timeout) -> Outcome:
    """
    Ask the Space one question.

    Args:
        spec: Where the client comes from.
        key: The item's position and attempt number. No two calls have the same, or
            Dask would take the second for the first, whose result it has.
        prompt: What to ask.
        timeout: Limits in seconds.

    Returns:
        The answer and its timings, or the error, which fits in a pickle.
    """
    coordinator = _coordinators.get(spec.coordinator)
    try:
        if coordinator is not None:
            asking = coordinator.asker.open(prompt, timeout=timeout, retry=_ONCE)
            with coordinator.holding(asking):
                return _wait(asking)
        end_with(spec.driver)
        with _lock:
            asker = _asker(spec.settings)
        return _wait(asker.open(prompt, timeout=timeout, retry=_ONCE))
    except Qwen72BError as error:
        return _without_frames(error)


def _wait(asking: Asking) -> Outcome:
    try:
        reply = asking.wait()
    finally:
        asking.close()
    assert reply.timings is not None  # it has just come
    return str(reply), reply.timings


def _without_frames(error: Qwen72BError) -> Qwen72BError:
    """Drop the frames of an error and its causes: they hold responses and sockets."""
    link: Any = error
    while link is not None:
        link.__traceback__ = None
        link.__context__ = None
        link = link.__cause__
    return error
