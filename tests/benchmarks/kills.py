"""
What does a killed driver leave behind? Run by hand, on Linux.

    python tests/benchmarks/kills.py threads fork spawn forkserver dask --kills 30

The driver of a batch is killed again and again (SIGKILL), each time at another
point, and the next one goes on with its journal. At the end every id must have
one answer, and after each kill no process may be left that the driver started.
``ray`` is an engine, too, where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from qwen72b.testing import FakeSpace, Job, Pause

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

# Before Ray is loaded, which then reads them.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")

ENGINES = ("threads", "fork", "spawn", "forkserver", "dask", "ray")

# Prints a line for each answer that is new.
DRIVER = """
import multiprocessing, sys
from contextlib import nullcontext
from concurrent.futures import ProcessPoolExecutor
from qwen72b import Client

def executor(engine, address):
    if engine == "threads":
        return nullcontext()
    if engine == "dask":
        from distributed import Client as Cluster
        return Cluster(address).get_executor(pure=False)
    if engine == "ray":
        from qwen72b.batch import RayExecutor
        return RayExecutor(address)
    return ProcessPoolExecutor(4, mp_context=multiprocessing.get_context(engine))

if __name__ == "__main__":
    engine, address, url, journal, items = sys.argv[1:]
    with Client(url, token=False) as client, executor(engine, address) as pool:
        for result in client.map(
            map(str, range(int(items))), executor=pool, journal=journal, ordered=False
        ):
            if not result.resumed:
                print(result.ok, flush=True)
"""

MARK = "QWEN72B_TEST_KILLS"


def kill_drivers(
    engine: str, address: str, folder: Path, *, kills: int, seed: int = 1
) -> tuple[int, float]:
    """
    Kill drivers, then let one go on to the end, and look at what is there.

    Returns:
        How many items there were, and the longest time in seconds until no
        process was left.
    """
    script, journal = folder / "driver.py", folder / f"{engine}.jsonl"
    script.write_text(DRIVER, "utf-8")
    draw, items, longest = Random(seed), 40 * kills + 100, 0.0
    mark = f"{os.getpid()}-{engine}"
    with FakeSpace() as space:
        space.answer(_echo)
        command = [sys.executable, "-W", "ignore", str(script)]
        command += [engine, address, space.url, str(journal), str(items)]
        for number in range(kills + 1):
            driver = subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, env={**os.environ, MARK: mark}
            )
            assert driver.stdout is not None
            if number < kills:
                for _ in range(draw.randrange(1, 40)):
                    assert driver.stdout.readline(), "the driver ended by itself"
                time.sleep(draw.uniform(0, 0.1))
                driver.kill()
            else:
                driver.stdout.read()
            status = driver.wait()
            driver.stdout.close()
            assert number < kills or status == 0
            begun = time.monotonic()
            while left := list(_processes(mark)):
                assert time.monotonic() - begun < 60, f"left: {left}"
                time.sleep(0.05)
            longest = max(longest, time.monotonic() - begun)
    lines = [json.loads(line) for line in journal.read_text("utf-8").splitlines()]
    answers = Counter(line["id"] for line in lines if line["error"] is None)
    assert len(answers) == items, f"{len(answers)} of {items} have an answer"
    assert set(answers.values()) == {1}, answers.most_common(3)
    return items, longest


def _echo(job: Job) -> Iterator[Any]:
    yield Pause(0.02)
    yield f"re: {job.query}"


def _processes(mark: str) -> Iterator[str]:
    """Name the processes that a driver started, Ray's for it among them."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            words = (folder / "cmdline").read_bytes()
            marked = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        # One that has ended has no words.
        of_ray = mark.endswith("ray") and words.startswith(b"ray::_Worker")
        if words and (marked or of_ray):
            yield f"{folder.name} {words[:80]!r}"


@contextmanager
def _address(engine: str, folder: Path) -> Iterator[str]:
    if engine == "dask":
        from clusters import cluster

        with cluster(folder) as address:
            yield address
    elif engine == "ray":
        from ray.cluster_utils import Cluster

        rays = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
        yield rays.address
        rays.shutdown()
    else:
        yield ""


def main() -> None:
    """Kill the drivers of the engines that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=", ".join(ENGINES))
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if unknown := set(args.engines) - set(ENGINES):
        parser.error(f"no engine: {', '.join(sorted(unknown))}")
    for engine in args.engines or ENGINES[:-1]:
        with tempfile.TemporaryDirectory() as name, _address(engine, Path(name)) as address:
            items, longest = kill_drivers(
                engine, address, Path(name), kills=args.kills, seed=args.seed
            )
        print(
            f"{engine}: {args.kills} kills, {items} items, each answered once; "
            f"no process left after {longest:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
