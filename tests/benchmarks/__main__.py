"""
Measures qwen72b beside its peers, in one interleaved run on loopback.

``python tests/benchmarks [--quick] [--repeats N] [--only MEASURE ...] [--out FOLDER]``

Every measurement runs in a process of its own, against one server process. All
peers are measured in turn, in another order each time, and again for each
repeat; the results are medians. Writes ``results.json``, ``results.txt`` and
``results.png`` into the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

from peers import ASYNC, BLOCKING, IMPORTS, PEERS
from report import Results, machine, write_table

_HERE = Path(__file__).parent

# Seconds after which a measurement is given up.
_PATIENCE = 120.0

# gradio_client takes whole snapshots out of ever longer ones, and joins all jobs
# of a client in one session; beyond these it is not measured.
_SLOW = {"gradio_client", "gradio_client async"}


class Runner:
    """
    Runs measurements, each in a process of its own.

    Args:
        plain: The server's URL.
        slow: The same with a round trip of 50 ms.
        control: Where it tells what it saw.
    """

    def __init__(self, plain: str, slow: str, control: str) -> None:
        self.urls = {"plain": plain, "slow": slow, "control": control}

    def measure(self, name: str, peer: str, *urls: str, **fields: Any) -> dict[str, Any]:
        """Run a measurement; a peer that fails gives nothing."""
        process = self._start(name, peer, *urls, **fields)
        try:
            output, _ = process.communicate(timeout=_PATIENCE)
            found: dict[str, Any] = json.loads(output.splitlines()[-1])
        except (subprocess.TimeoutExpired, IndexError, ValueError):
            process.kill()
            process.communicate()
            return {}
        return found

    def leave(self, peer: str, *, interrupt: bool) -> dict[str, Any]:
        """Measure how long a process takes to end with a stream open."""
        process = self._start("leave", peer, "plain", interrupt=interrupt)
        assert process.stdout is not None
        try:
            came, _, _ = select.select([process.stdout], [], [], 20)
            words = process.stdout.readline().split() if came else []
            if len(words) != 2:
                return {}
            begun = float(words[1])
            if interrupt:
                begun = monotonic()
                process.send_signal(signal.SIGINT)
            try:
                process.wait(6)
            except subprocess.TimeoutExpired:
                # As long as nobody waits any longer.
                return {"exit": 6.0}
            return {"exit": monotonic() - begun}
        finally:
            process.kill()
            process.communicate()

    def _start(self, name: str, peer: str, *urls: str, **fields: Any) -> subprocess.Popen[bytes]:
        fields |= {url: self.urls[url] for url in urls}
        command = [sys.executable, str(_HERE / "measures.py"), name, peer, json.dumps(fields)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def import_time(statement: str) -> float:
    """Tell how long a fresh Python takes to start, run a statement and end."""
    begun = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, stderr=subprocess.DEVNULL)
    return perf_counter() - begun


@contextmanager
def server() -> Iterator[Runner]:
    """Run the loopback server."""
    process = subprocess.Popen([sys.executable, str(_HERE / "server.py")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        ports = process.stdout.readline().split()
        yield Runner(*(f"http://127.0.0.1:{int(port)}" for port in ports))
    finally:
        process.kill()
        process.communicate()


def plan(quick: bool) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """List the measurements of one repeat: a title, a measure, and its arguments."""
    yield "import", "import", {}
    yield "construct", "construct", {}
    yield "first", "first", {}
    yield "question", "question", {"count": 50 if quick else 300}
    yield "latency", "latency", {"count": 50 if quick else 150}
    count = 5_000 if quick else 20_000
    yield "burst, one event per chunk", "burst", {"count": count, "pack": 1}
    yield "burst, 50 events per chunk", "burst", {"count": count, "pack": 50}
    for length in (1_000, 10_000) if quick else (1_000, 10_000, 100_000):
        yield f"length {length}", "burst", {"count": length, "pack": 1}
    for at_once in (1, 50) if quick else (1, 50, 200, 1_000):
        yield f"streams {at_once}", "streams", {"count": 20 if quick else 100, "at_once": at_once}
    yield "cancel", "cancel", {}
    yield "exit", "leave", {"interrupt": False}
    yield "Ctrl-C", "leave", {"interrupt": True}
    yield "gap", "gap", {"count": count}


def contestants(measure: str, fields: dict[str, Any]) -> list[str]:
    """Name who takes part in a measurement."""
    if measure == "import":
        return list(IMPORTS)
    if measure == "gap":
        return list(ASYNC)
    if measure == "construct":
        return [*BLOCKING, "qwen72b async"]
    if measure == "streams" or (measure == "burst" and fields["count"] > 20_000):
        return [name for name in PEERS if name not in _SLOW]
    return list(PEERS)


def run(runner: Runner, results: Results, *, quick: bool, repeats: int, only: list[str]) -> None:
    """Measure everyone, again and again."""
    urls = {"first": ("plain", "slow", "control"), "cancel": ("plain", "control")}
    for repeat in range(repeats):
        for title, measure, fields in plan(quick):
            if only and not any(title.startswith(word) for word in only):
                continue
            names = contestants(measure, fields)
            random.shuffle(names)
            for name in names:
                if measure == "import":
                    found: dict[str, Any] = {"time": import_time(IMPORTS[name])}
                elif measure == "leave":
                    found = runner.leave(name, **fields)
                else:
                    found = runner.measure(measure, name, *urls.get(measure, ("plain",)), **fields)
                results.add(title, name, found)
            print(f"repeat {repeat + 1} of {repeats}: {title}", file=sys.stderr)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure qwen72b beside its peers.")
    parser.add_argument("--quick", action="store_true", help="a smaller run, of two minutes")
    parser.add_argument("--repeats", type=int, help="how often (5; quick: 1)")
    parser.add_argument("--only", nargs="*", default=[], help="measurements, by their beginning")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="folder to write to")
    options = parser.parse_args()
    for name in list(os.environ):
        # No proxy between the processes.
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    # Users have byte code, whatever the shell of a developer says.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    results = Results(machine())
    repeats = options.repeats or (1 if options.quick else 5)
    with server() as runner:
        run(runner, results, quick=options.quick, repeats=repeats, only=options.only)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(results.to_json(), indent=1) + "\n")
    table = write_table(results)
    (options.out / "results.txt").write_text(table)
    print(table)
    if not options.only:
        # Loaded now, so that a partial run does without it.
        from plot import draw

        draw(results, options.out / "results.png")


if __name__ == "__main__":
    main()
