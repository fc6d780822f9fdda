"""
What does the bookkeeping of a batch cost? Run by hand: ``python tests/benchmarks/bench_batch.py``.

Four questions, each with its own figure:

* ``rate``: items per second of ``Client.map`` beside a plain loop of
  ``ThreadPoolExecutor`` and ``Client.ask``, interleaved, medians of several runs.
* ``overhead``: CPU per item of the driver alone, with an executor that answers
  at once; with and without a journal.
* ``memory``: growth of the process over 100,000 short items, really asked.
* ``resume``: CPU and memory per line of opening a journal, with answers of 200 and
  2,000 characters in both shapes, beside reading each line with ``json``,
  interleaved (``--items 1000000`` takes 300 MB to 2.6 GB of disk).

The server is a process of its own that plays back what FakeSpace says.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import requests

from qwen72b import Client, Reply, Timings
from qwen72b.batch.journal import Journal, JournalFile
from qwen72b.batch.records import read_record, write_record
from qwen72b.batch.result import Answered
from qwen72b.testing import FakeSpace

AT_ONCE = 8


def record() -> tuple[bytes, bytes, str]:
    """Take down what FakeSpace says: its configuration, one stream, and that one's event id."""
    with FakeSpace() as space, requests.Session() as session:
        space.answer("a short answer")
        config = session.get(f"{space.url}/config").content
        join = {"data": ["q", [], "s"], "fn_index": 0, "session_hash": "abc", "trigger_id": 11}
        event_id = session.post(f"{space.url}/queue/join?", json=join).json()["event_id"]
        stream = session.get(f"{space.url}/queue/data?session_hash=abc").content
    return config, stream, event_id


class Playback(asyncio.Protocol):
    """One connection that answers every request with its record."""

    def __init__(self, config: bytes, stream: bytes, event_id: str) -> None:
        self._config = _response(config, "application/json")
        self._join = _response(b'{"event_id":"%s"}' % event_id.encode(), "application/json")
        self._stream = _response(stream, "text/event-stream")
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        """Keep the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + size:
                return
            self._buffer = self._buffer[end + 4 + size :]
            join = head.startswith(b"post")
            stream = b"/queue/data" in head.split(b"\r\n", 1)[0]
            self._transport.write(self._join if join else self._stream if stream else self._config)


def _response(body: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def serve(pipe: Any) -> None:
    """Serve until killed; tell the port."""
    recording = record()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Playback(*recording), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def server() -> Iterator[str]:
    """Run the server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.kill()
        process.join()


class Instant(Executor):
    """Answers at once, in the caller's thread: what is left is the driver's own cost."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Answer."""
        future: Future[Any] = Future()
        future.set_result(("a short answer", Timings(0.1, 0.2, 0.3)))
        return future


def questions(count: int) -> Iterator[str]:
    """Make short questions."""
    return (f"question {number}" for number in range(count))


def bench_rate(count: int, runs: int) -> None:
    """Compare with the plain loop."""
    with server() as url, tempfile.TemporaryDirectory() as folder, Client(url) as client:
        client.ask("warm up")

        def plain() -> None:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for _ in pool.map(client.ask, questions(count)):
                    pass

        def mapped(**options: Any) -> None:
            for result in client.map(questions(count), max_in_flight=AT_ONCE, **options):
                assert result.ok

        turn = iter(range(1000))
        rows: dict[str, Callable[[], None]] = {
            "ThreadPoolExecutor.map(client.ask)": plain,
            "client.map": mapped,
            "client.map, unordered, journal": lambda: mapped(
                ordered=False, journal=Path(folder) / f"{next(turn)}.jsonl"
            ),
        }
        rates: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(runs):
            for name, run in rows.items():
                begun = time.perf_counter()
                run()
                rates[name].append(count / (time.perf_counter() - begun))
        first = statistics.median(next(iter(rates.values())))
        for name, values in rates.items():
            median = statistics.median(values)
            print(f"{name:40} {median:8.0f} items/s  {median / first:.2f}")


def bench_overhead(count: int) -> None:
    """Measure the driver alone."""
    with tempfile.TemporaryDirectory() as folder, Client("http://127.0.0.1:9") as client:
        path = Path(folder) / "journal.jsonl"
        for name, journal in (("no journal", None), ("journal", path), ("resumed", path)):
            before, begun = _memory(), time.process_time()
            for _ in client.map(questions(count), executor=Instant(), journal=journal):
                pass
            spent = (time.process_time() - begun) / count
            print(
                f"driver, {name:12} {spent * 1e6:6.0f} us of CPU per item, "
                f"memory {(_memory() - before) / 1e6:+.1f} MB"
            )


def bench_memory(count: int) -> None:
    """Ask very many, and watch the process grow."""
    with server() as url, tempfile.TemporaryDirectory() as folder, Client(url) as client:
        begun, first = time.perf_counter(), 0
        batch = client.map(
            questions(count), max_in_flight=AT_ONCE, journal=Path(folder) / "journal.jsonl"
        )
        for number, result in enumerate(batch, 1):
            assert result.ok
            if number == count // 100:
                first = _memory()
            if number in (count // 100, count // 10, count // 2, count):
                print(
                    f"{number:8} items: {_memory() / 1e6:6.1f} MB resident "
                    f"({(_memory() - first) / 1e6:+.1f})",
                    flush=True,
                )
        seconds = time.perf_counter() - begun
        print(f"{count / seconds:.0f} items/s")


def bench_resume(count: int, runs: int) -> None:
    """Open a journal, beside what reads all of each line."""
    random = Random(1)
    words = [
        "the",
        "of",
        "and",
        "to",
        "in",
        "is",
        "that",
        "it",
        "for",
        "was",
        "on",
        "are",
        "as",
        "with",
        "his",
        "they",
        "at",
        "be",
        "this",
        "from",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for size, openai in itertools.product((200, 2000), (False, True)):
            path = Path(folder) / "journal.jsonl"
            with path.open("wb") as file:
                for _ in range(count):
                    text = ""
                    while len(text) < size:
                        text += random.choice(words) + random.choice([" "] * 30 + ["\n", '"'])
                    reply = Reply(text, Timings(random.random(), random.random(), 9.0), ())
                    name = f"{random.getrandbits(64):016x}"
                    file.write(write_record(Answered(name, None, reply), openai=openai))
            seconds: dict[str, list[float]] = {"opened": [], "read": []}
            for _ in range(runs):
                begun = time.process_time()
                journal = JournalFile(Journal(path))
                journal.open()
                seconds["opened"].append(time.process_time() - begun)
                journal.close()
                begun = time.process_time()
                with path.open("rb") as lines:
                    for line in lines:
                        assert read_record(line)
                seconds["read"].append(time.process_time() - begun)
            # It takes time of its own.
            tracemalloc.start()
            journal.open()
            _, memory = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            journal.close()
            opened, read = (statistics.median(values) / count * 1e6 for values in seconds.values())
            print(
                f"{'openai' if openai else 'own':6} {size:5} characters: {opened:5.1f} us a line, "
                f"{opened / read:.2f} of reading it; {memory / count:.0f} bytes of memory"
                " a line at most",
                flush=True,
            )


def _memory() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("what", nargs="*", default=["rate", "overhead"])
    parser.add_argument("--items", type=int)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    if "rate" in arguments.what:
        bench_rate(arguments.items or 1000, arguments.runs)
    if "overhead" in arguments.what:
        bench_overhead(arguments.items or 20_000)
    if "memory" in arguments.what:
        bench_memory(arguments.items or 100_000)
    if "resume" in arguments.what:
        bench_resume(arguments.items or 100_000, arguments.runs)
