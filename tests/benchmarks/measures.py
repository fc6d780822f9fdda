"""
What is measured? Each function is run in a process of its own, for one peer.

Run as a program: ``measures.py NAME PEER URLS_AND_ARGUMENTS_AS_JSON``; prints one line of
JSON. Times are in seconds and sizes in bytes, unless a name says otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import statistics
import sys
import threading
import urllib.request
from collections.abc import Callable
from time import monotonic, monotonic_ns, perf_counter, process_time, sleep
from typing import Any

from order import Order
from peers import ASYNC, PEERS

__all__ = ["MEASURES"]

# Seconds for the server to notice what a client did.
_SETTLE = 0.3


def _drain(peer: Any, order: Order, note: Callable[[str], None] = lambda piece: None) -> int:
    count = 0
    for piece in peer.stream(str(order)):
        note(piece)
        count += 1
    return count


async def _adrain(peer: Any, order: Order, note: Callable[[str], None] | None = None) -> int:
    count = 0
    async for piece in peer.stream(str(order)):
        if note is not None:
            note(piece)
        count += 1
    return count


class Driver:
    """Runs a peer, blocking or async, the same way."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.asynchronous = name in ASYNC
        self.runner = asyncio.Runner() if self.asynchronous else None
        begun = perf_counter()
        self.peer = PEERS[name](url)
        self.made_in = perf_counter() - begun

    def run(self, order: Order, note: Callable[[str], None] | None = None) -> int:
        """Read a whole answer."""
        if self.runner is not None:
            return self.runner.run(_adrain(self.peer, order, note))
        return _drain(self.peer, order, note or (lambda piece: None))

    def first(self, order: Order) -> float:
        """Read a whole answer; tell how long the first piece took."""
        stamps: list[float] = []
        begun = perf_counter()
        self.run(order, lambda piece: stamps.append(perf_counter()))
        return stamps[0] - begun


def _control(url: str) -> tuple[int, int, list[float]]:
    with urllib.request.urlopen(f"{url}/control") as response:
        requests, connections, hangups = json.load(response)
    return requests, connections, hangups


def first(name: str, plain: str, slow: str, control: str) -> dict[str, Any]:
    """Time to the first delta, the first time and then again, and what that takes."""
    result: dict[str, Any] = {}
    for where, url in ("plain", plain), ("slow", slow):
        _control(control)
        begun = perf_counter()
        driver = Driver(name, url)
        took = driver.first(Order(count=1))
        made = driver.made_in if name.startswith("gradio") else 0.0
        result[f"{where}_first"] = took + made
        result[f"{where}_whole"] = perf_counter() - begun
        result["first_requests"], result["first_connections"], _ = _control(control)
        result[f"{where}_later"] = statistics.median(driver.first(Order(count=1)) for _ in range(3))
        requests, connections, _ = _control(control)
        result["later_requests"], result["later_connections"] = requests / 3, connections / 3
    return result


def question(name: str, plain: str, *, count: int) -> dict[str, Any]:
    """CPU time per short question on a warm client, with all the requests that it takes."""
    driver = Driver(name, plain)
    for _ in range(10):
        driver.run(Order(count=1))
    begun = process_time()
    for _ in range(count):
        driver.run(Order(count=1))
    return {"cpu": (process_time() - begun) / count}


def latency(name: str, plain: str, *, count: int) -> dict[str, Any]:
    """How old is a piece of text when it is handed out, at 20 ms pacing?"""
    ages = Ages()
    driver = Driver(name, plain)
    driver.run(Order(count=1))
    driver.run(Order(count=count, pace=0.02), ages.note)
    return {**ages.figures(), "count": len(ages.seconds)}


class Ages:
    """How old pieces of text were when they were handed out."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def note(self, piece: str) -> None:
        """Take a piece; pieces that come together are each as old as they are."""
        now = monotonic_ns()
        self.seconds += [(now - int(piece[at : at + 19])) / 1e9 for at in range(0, len(piece), 19)]

    def figures(self) -> dict[str, float]:
        """Tell the median and the 99th hundredth."""
        ages = sorted(self.seconds)
        return {
            "median": statistics.median(ages),
            "p99": ages[min(len(ages) - 1, round(len(ages) * 0.99))],
        }


def burst(name: str, plain: str, *, count: int, pack: int) -> dict[str, Any]:
    """CPU time per delta of a burst."""
    driver = Driver(name, plain)
    driver.run(Order(count=10))
    before = _threads_and_memory()[1]
    begun, wall = process_time(), perf_counter()
    driver.run(Order(count=count, pack=pack))
    cpu = process_time() - begun
    return {
        "cpu": cpu / count,
        "wall": (perf_counter() - wall) / count,
        "memory": _threads_and_memory()[1] - before,
    }


def _threads_and_memory() -> tuple[int, int]:
    return threading.active_count(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def streams(name: str, plain: str, *, count: int, at_once: int) -> dict[str, Any]:
    """So many streams at once, in tasks or threads, at 20 ms pacing."""
    driver = Driver(name, plain)
    order = Order(count=count, pace=0.02)
    driver.run(Order(count=1))
    memory = _threads_and_memory()[1]
    complete: list[bool] = []
    failures: list[str] = []
    ages = Ages()

    def drained(count: int) -> None:
        complete.append(count == order.count)

    begun, cpu = perf_counter(), process_time()
    if driver.runner is not None:
        threads = driver.runner.run(_tasks(driver, order, at_once, ages, drained, failures))
    else:
        threads = _in_threads(driver, plain, order, at_once, ages, drained, failures)
    return {
        **ages.figures(),
        "wall": perf_counter() - begun,
        "cpu": process_time() - cpu,
        "complete": sum(complete),
        "failures": sorted(set(failures))[:3],
        "threads": threads,
        "memory": _threads_and_memory()[1] - memory,
    }


async def _tasks(
    driver: Driver,
    order: Order,
    at_once: int,
    ages: Ages,
    drained: Callable[[int], None],
    failures: list[str],
) -> int:
    most = 0

    async def one() -> None:
        nonlocal most
        try:
            drained(await _adrain(driver.peer, order, ages.note))
        except Exception as exc:  # noqa: BLE001 - a peer that fails is a result
            failures.append(type(exc).__name__)
        most = max(most, threading.active_count())

    await asyncio.gather(*(one() for _ in range(at_once)))
    return most


def _in_threads(
    driver: Driver,
    url: str,
    order: Order,
    at_once: int,
    ages: Ages,
    drained: Callable[[int], None],
    failures: list[str],
) -> int:
    def one() -> None:
        peer = PEERS[driver.name](url) if driver.peer.fresh else driver.peer
        try:
            drained(_drain(peer, order, ages.note))
        except Exception as exc:  # noqa: BLE001 - a peer that fails is a result
            failures.append(type(exc).__name__)
        if driver.peer.fresh:
            peer.close()

    workers = [threading.Thread(target=one) for _ in range(at_once)]
    for worker in workers:
        worker.start()
    most = threading.active_count()
    for worker in workers:
        worker.join()
    return most


def cancel(name: str, plain: str, control: str) -> dict[str, Any]:
    """How long does leaving a silent stream take, and when does the server see it?"""
    driver = Driver(name, plain)
    driver.run(Order(count=1))
    _control(control)
    order = Order(count=3, pace=0.02, hang=1)
    if driver.runner is not None:
        begun, returned = driver.runner.run(_cancelled(driver, order))
    else:
        pieces = driver.peer.stream(str(order))
        for _ in range(3):
            next(pieces)
        begun = monotonic()
        # What a loop that is left early does.
        del pieces
        returned = monotonic()
    sleep(_SETTLE)
    hangups = _control(control)[2]
    return {"returned": returned - begun, "seen": hangups[0] - begun if hangups else None}


async def _cancelled(driver: Driver, order: Order) -> tuple[float, float]:
    seen = asyncio.Event()
    count = 0

    def note(piece: str) -> None:
        nonlocal count
        count += 1
        if count == 3:
            seen.set()

    task = asyncio.ensure_future(_adrain(driver.peer, order, note))
    await seen.wait()
    # So that it waits for the fourth piece.
    await asyncio.sleep(0.05)
    begun = monotonic()
    task.cancel()
    await asyncio.wait([task])
    returned = monotonic()
    # The server sees it when the loop comes round.
    await asyncio.sleep(_SETTLE)
    return begun, returned


def leave(name: str, plain: str, *, interrupt: bool) -> dict[str, Any]:
    """Hang in a stream, or leave the program with one open; the parent takes the time."""
    # A shell has what it runs in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    driver = Driver(name, plain)
    order = Order(count=1, pace=0.02, hang=1)

    def ready() -> None:
        print("ready", monotonic(), flush=True)

    if interrupt:
        driver.run(order, lambda piece: ready())
    elif driver.runner is not None:

        async def begin() -> Any:
            pieces = driver.peer.stream(str(order))
            await anext(pieces)
            ready()
            return pieces

        # Kept until the end of the process.
        leave.kept = driver.runner.run(begin())  # type: ignore[attr-defined]
        driver.runner.close()
    else:
        leave.kept = pieces = driver.peer.stream(str(order))  # type: ignore[attr-defined]
        next(pieces)
        ready()
    return {}


def gap(name: str, plain: str, *, count: int) -> dict[str, Any]:
    """For how long at most does a burst keep the event loop from its other tasks?"""
    driver = Driver(name, plain)
    driver.run(Order(count=1))
    assert driver.runner is not None

    async def watch() -> float:
        longest, last = 0.0, perf_counter()
        task = asyncio.ensure_future(_adrain(driver.peer, Order(count=count)))
        while not task.done():
            await asyncio.sleep(0)
            now = perf_counter()
            longest, last = max(longest, now - last), now
        await task
        return longest

    return {"gap": driver.runner.run(watch())}


def construct(name: str, plain: str) -> dict[str, Any]:
    """How long does making a client take, once its modules are loaded?"""
    PEERS[name](plain)
    times = []
    for _ in range(20):
        begun = perf_counter()
        PEERS[name](plain)
        times.append(perf_counter() - begun)
    return {"construct": statistics.median(times)}


MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (first, question, latency, burst, streams, cancel, leave, gap, construct)
}

if __name__ == "__main__":
    found = MEASURES[sys.argv[1]](sys.argv[2], **json.loads(sys.argv[3]))
    print(json.dumps(found), flush=True)
    if sys.argv[1] != "leave":
        # Some peers would take their time to end.
        os._exit(0)
