"""
What runs where the executor runs it.

What is shipped is small: the settings of the client (pickled, without session
or socket), the prompt, the limits. A process makes its client when it first
needs one and keeps it, with its connections and what it learnt of the Space,
for all items with the same settings. In the driver's own process no second
client is made: there the caller's own asks, and its streams can be hung up on.

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

from ..client.client import Client
from ..client.stream import Stream
from ..errors import Qwen72BError, StreamInterrupted
from ..messages import Prompt
from ..reply import Timings
from ..retry import Retry
from ..timeout import Timeout

__all__ = ["Home", "Outcome", "Recipe", "answer"]

Outcome = tuple[str, Timings] | Qwen72BError

# A refusal must reach the driver at once, which slows all workers down and
# sends the item again: not a wait in each worker of its own.
_ONCE = Retry(attempts=1)


@dataclass(frozen=True, slots=True, repr=False)
class Recipe:
    """
    How a worker comes by its client.

    Args:
        home: Names the driver's ``Home``.
        settings: The client, pickled. It holds the token, so it never shows.
    """

    home: str
    settings: bytes


class Home:
    """
    The driver's end: its client, and the streams open in its own process.

    Args:
        client: The caller's client.
    """

    def __init__(self, client: Client) -> None:
        self.recipe = Recipe(uuid4().hex, pickle.dumps(client))
        self.client = client
        # Futures that are done; ``None`` wakes the driver.
        self.finished: SimpleQueue[Future[Outcome] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._streams: set[Stream] = set()
        self._closed = False
        # Until its last future is done: the futures' callback holds it.
        _homes[self.recipe.home] = self

    def announce(self, future: Future[Outcome]) -> None:
        """Tell the driver that a future is done; from any thread."""
        self.finished.put(future)

    def close(self) -> None:
        """Hang up on all streams of this process, from any thread; wake the driver."""
        with self._lock:
            self._closed = True
            streams = list(self._streams)
        for stream in streams:
            stream.close()
        self.finished.put(None)

    @contextmanager
    def holding(self, stream: Stream) -> Iterator[None]:
        """Keep a stream where ``close`` finds it."""
        with self._lock:
            if self._closed:
                raise StreamInterrupted("the batch was closed.")
            self._streams.add(stream)
        try:
            yield
        finally:
            with self._lock:
                self._streams.discard(stream)


_homes: WeakValueDictionary[str, Home] = WeakValueDictionary()
_lock = threading.Lock()


@lru_cache(maxsize=8)
def _client(settings: bytes) -> Client:
    client: Client = pickle.loads(settings)  # made by ``Home``
    return client


def _forget() -> None:
    """After a fork: sockets and locks are the parent's, and so are its batches."""
    global _lock
    _lock = threading.Lock()
    _homes.clear()
    _client.cache_clear()


os.register_at_fork(after_in_child=_forget)


def answer(recipe: Recipe, ticket: tuple[int, int], prompt: Prompt, timeout: Timeout) -> Outcome:
    """
    Ask the Space one question.

    Args:
        recipe: Where the client comes from.
        ticket: The item's position and try. No two calls have the same, or
            Dask would take the second for the first, whose result it has.
        prompt: What to ask.
        timeout: Limits in seconds.

    Returns:
        The answer and its timings, or the error, which fits in a pickle.
    """
    home = _homes.get(recipe.home)
    try:
        if home is not None:
            stream = _stream(home.client, prompt, timeout)
            with home.holding(stream):
                return _read(stream)
        with _lock:
            client = _client(recipe.settings)
        return _read(_stream(client, prompt, timeout))
    except Qwen72BError as error:
        return _without_frames(error)


def _stream(client: Client, prompt: Prompt, timeout: Timeout) -> Stream:
    return client.open(Stream(client, prompt, timeout=timeout, retry=_ONCE))


def _read(stream: Stream) -> Outcome:
    with stream:
        reply = stream.result()
    return str(reply), stream.timings


def _without_frames(error: Qwen72BError) -> Qwen72BError:
    """Drop the frames of an error and its causes: they hold responses and sockets."""
    link: Any = error
    while link is not None:
        link.__traceback__ = None
        link.__context__ = None
        link = link.__cause__
    return error
