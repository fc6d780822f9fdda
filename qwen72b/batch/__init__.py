"""
Many prompts on any ``concurrent.futures.Executor``, and again after a kill.

Ours is only the client and the bookkeeping; the engine (threads, processes, a
Dask cluster) is the caller's. One thread drives: it reads items, hands at most
a window of them to the executor, and writes each outcome to the journal before
it hands it out. There is no thread in the background: nothing happens between
two results but what the executor does.

``items`` reads what callers pass, ``worker`` is what runs elsewhere, ``pace``
says when the next one may go, ``journal`` remembers what is done, ``progress``
shows it, ``scheduler`` brings them together and ``batch`` has it run. Made by
``Client.map`` and ``AsyncClient.map``. ``rayexecutor`` is an executor where the
tool has none.
"""

from __future__ import annotations

from .batch import Batch
from .items import Item
from .journal import Journal
from .progress import Tally
from .rayexecutor import RayExecutor
from .result import Result

__all__ = ["Batch", "Item", "Journal", "RayExecutor", "Result", "Tally"]
