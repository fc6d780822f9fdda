"""
What does the gateway cost? Run by hand: ``python tests/benchmarks/bench_gateway.py``.

Two questions, interleaved over several rounds, medians told:

* ``latency``: how old a piece of text is when it arrives, at 20 ms pacing: through
  the async client, through the gateway before it, and the difference; and of a bare
  starlette app under the same uvicorn that says pieces at this pace.
* ``rate``: answers of so many pieces, read over several connections at once: their
  number per second, and the CPU time of each, of the gateway; of the async client
  alone, which is what asks the Space; and of a bare starlette app under the same
  uvicorn that says the same chunks out of its memory and asks nobody. What the
  gateway adds to the client is told in echoes: less than 1 is less than starlette.

The Space's server, the gateway and the echo are processes of their own; the readers
take bytes as they come and parse no more of them than they need. CPU time tells
more than the rate where other programs run, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from order import Order

from qwen72b import AsyncClient
from qwen72b.gateway.answers import Completion

_HERE = Path(__file__).parent

AT_ONCE = 16
PIECE = " word"
_STAMP = re.compile(rb'"content":"(\d{19})"')


class Process(NamedTuple):
    """A program that runs."""

    said: str
    pid: int

    def cpu(self) -> float:
        """Tell the CPU time that it has taken, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(*argv: str) -> Iterator[Process]:
    """Run a program; give the first line that it prints."""
    running = subprocess.Popen([sys.executable, *argv], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        yield Process(running.stdout.readline().strip(), running.pid)
    finally:
        running.kill()
        running.communicate()


def echo(count: int, pace: float) -> None:
    """Serve the same chunks out of memory, with starlette; paced, each has its time in it."""
    import socket

    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    completion = Completion("m")
    said = [completion.opening() + completion.piece(PIECE)]
    said += [completion.piece(PIECE)] * (count - 1) + [completion.closing(None)]
    chunks = [chunk.encode() for chunk in said]

    async def say(request: Request) -> StreamingResponse:
        await request.json()

        async def pieces() -> object:
            for chunk in chunks:
                if pace:
                    await asyncio.sleep(pace)
                    yield completion.piece(f"{time.monotonic_ns():019}").encode()
                else:
                    yield chunk

        return StreamingResponse(pieces(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", say, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    # As the gateway's is, without which each answer takes 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, http="h11", ws="none", access_log=False, log_level="critical")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


class Reader:
    """A connection that asks and reads, again and again."""

    def __init__(self, url: str) -> None:
        self._port = urlsplit(url).port or 0

    async def open(self) -> None:
        """Connect."""
        self._in, self._out = await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self, order: Order, ages: list[float] | None = None) -> None:
        """Read a whole answer; note how old its pieces are."""
        question = {"messages": [{"role": "user", "content": str(order)}], "stream": True}
        body = json.dumps(question).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
        )
        self._out.write(head.encode() + b"\r\n\r\n" + body)
        tail = b""
        # The end of a chunked body.
        while not tail.endswith(b"0\r\n\r\n"):
            data = await self._in.read(65536)
            if ages is not None:
                now = time.monotonic_ns()
                ages += [(now - int(stamp)) / 1e9 for stamp in _STAMP.findall(data)]
            tail = (tail + data)[-5:]

    def close(self) -> None:
        """Hang up."""
        self._out.close()


async def latency_of_client(space: str, count: int) -> float:
    """Give the median age of pieces that the async client hands out."""
    ages: list[float] = []
    async with AsyncClient(space) as client:
        async for piece in client.stream(str(Order(count=count, pace=0.02))):
            now = time.monotonic_ns()
            ages += [(now - int(piece[at : at + 19])) / 1e9 for at in range(0, len(piece), 19)]
    return statistics.median(ages)


async def latency_of_server(url: str, count: int) -> float:
    """Give the median age of pieces that a server sends."""
    ages: list[float] = []
    reader = Reader(url)
    await reader.open()
    await reader.ask(Order(count=1))
    await reader.ask(Order(count=count, pace=0.02), ages)
    reader.close()
    return statistics.median(ages)


class Cost(NamedTuple):
    """What an answer costs, in seconds."""

    wall: float
    cpu: float


async def _at_once(work: Callable[[], Awaitable[None]], requests: int) -> float:
    """Do something so often, in several tasks; give the seconds for each."""
    left = iter(range(requests))

    async def some() -> None:
        for _ in left:
            await work()

    begun = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return (time.perf_counter() - begun) / requests


def cost_of_server(server: Process, requests: int, order: Order) -> Cost:
    """Measure a server."""

    async def measure() -> Cost:
        readers = [Reader(server.said) for _ in range(AT_ONCE)]
        for reader in readers:
            await reader.open()

        async def work() -> None:
            reader = readers.pop()
            await reader.ask(order)
            readers.append(reader)

        await _at_once(work, 2 * AT_ONCE)
        cpu = server.cpu()
        wall = await _at_once(work, requests)
        for reader in readers:
            reader.close()
        return Cost(wall, (server.cpu() - cpu) / requests)

    return asyncio.run(measure())


def cost_of_client(space: str, requests: int, order: Order) -> Cost:
    """Measure the async client, in this process."""

    async def measure() -> Cost:
        async with AsyncClient(space) as client:

            async def work() -> None:
                async for _ in client.stream(str(order)):
                    pass

            await _at_once(work, 2 * AT_ONCE)
            cpu = time.process_time()
            wall = await _at_once(work, requests)
            return Cost(wall, (time.process_time() - cpu) / requests)

    return asyncio.run(measure())


def _median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the gateway.")
    parser.add_argument("--echo", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--pace", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--pieces", type=int, nargs="*", default=[1, 20, 100])
    options = parser.parse_args()
    if options.echo:
        echo(options.echo, options.pace)
        return
    for name in list(os.environ):
        # No proxy between the processes.
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    with process(str(_HERE / "server.py")) as server:
        space = f"http://127.0.0.1:{server.said.split()[0]}"
        command = ("-m", "qwen72b", "-q", "gateway", "--url", space, "--port", "0")
        with process(*command) as gateway:
            ages: list[list[float]] = [[], [], []]
            with process(__file__, "--echo", "100", "--pace", "0.02") as bare:
                for _ in range(options.rounds):
                    ages[0].append(asyncio.run(latency_of_client(space, 100)))
                    ages[1].append(asyncio.run(latency_of_server(gateway.said, 100)))
                    ages[2].append(asyncio.run(latency_of_server(bare.said, 100)))
            client, ours, echoed = map(statistics.median, ages)
            print(
                f"age of a piece: {client * 1e3:.3f} ms async client, {ours * 1e3:.3f} ms gateway, "
                f"{echoed * 1e3:.3f} ms starlette echo; "
                f"added: {(ours - client) * 1e3:.3f} ms, {(ours - client) / echoed:.2f} echoes"
            )
            for count in options.pieces:
                order = Order(count=count)
                with process(__file__, "--echo", str(count)) as bare:
                    rounds = [
                        (
                            cost_of_server(gateway, options.requests, order),
                            cost_of_client(space, options.requests, order),
                            cost_of_server(bare, options.requests, order),
                        )
                        for _ in range(options.rounds)
                    ]
                door, alone, theirs = (_median(list(costs)) for costs in zip(*rounds, strict=True))
                added = (door.cpu - alone.cpu) / theirs.cpu
                print(
                    f"{count:4} pieces: {1 / door.wall:6.0f}/s gateway, {1 / alone.wall:6.0f}/s "
                    f"async client, {1 / theirs.wall:6.0f}/s starlette echo; CPU "
                    f"{door.cpu * 1e3:.2f}, {alone.cpu * 1e3:.2f}, {theirs.cpu * 1e3:.2f} ms; "
                    f"in echoes: {door.cpu / theirs.cpu:.2f}, of these added: {added:.2f}"
                )


if __name__ == "__main__":
    main()
