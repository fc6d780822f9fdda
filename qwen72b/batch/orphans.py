"""
The end of worker processes whose driver is no more.

A ``ProcessPoolExecutor`` whose process is killed leaves its workers waiting for
ever: each holds the pipe open that would tell the others. So a worker of a pool
that a batch uses watches who started it: from its first item on, and where it is
a fork that was made while an item was handed over, from its beginning.

Only what ``multiprocessing`` started from the batch's own process is meant; the
workers of a cluster are its business.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from time import sleep

__all__ = ["end_with", "forks_end_with_us"]

# Seconds between two looks at who the parent is. A sentinel tells at once, unless
# another fork holds it open; a fork that has just begun has none yet.
_LOOK = 1.0

_here = threading.local()
_watching = False


class _Forks:
    """The time while what this thread forks shall end with this process."""

    # Entered for each item: a generator would take three times as long.
    def __enter__(self) -> None:
        _here.driver = os.getpid()

    def __exit__(self, *_: object) -> None:
        _here.driver = None


#: A context in which the processes that this thread forks are made to end with this one.
forks_end_with_us = _Forks()


def end_with(driver: int) -> None:
    """
    End this process when its driver does, if it is a worker of a pool there. Idempotent.

    Args:
        driver: The process id of who made the batch.
    """
    # Of a module that every such worker has loaded, and that is slow to load.
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None and parent.pid == driver:
        _start(os.getppid(), parent.sentinel)


def _start(parent: int, sentinel: int | None) -> None:
    global _watching
    if _watching:
        return
    _watching = True
    # Where no thread is to be had, the question matters more.
    with suppress(RuntimeError):
        threading.Thread(
            target=_watch, args=(parent, sentinel), name="qwen72b-orphan", daemon=True
        ).start()


def _watch(parent: int, sentinel: int | None) -> None:
    """End with the process that started this one, or with the sentinel."""
    while os.getppid() == parent:
        if sentinel is None:
            sleep(_LOOK)
            continue
        from multiprocessing.connection import wait

        if wait([sentinel], _LOOK):
            break
    # Its other threads may wait for what never comes.
    os._exit(1)


def _begin_fork() -> None:
    global _watching
    _watching = False
    driver, _here.driver = getattr(_here, "driver", None), None
    if driver is not None:
        _start(driver, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_fork)
