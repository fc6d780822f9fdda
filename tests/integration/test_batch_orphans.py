"""Worker processes of pools whose driver is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from timing import PATIENCE

from qwen72b.testing import FakeSpace, Gate

# Four workers, of which two at least have nothing to do.
DRIVER = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from qwen72b import Client

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with Client(sys.argv[2], token=False) as client:
        pool = ProcessPoolExecutor(4, mp_context=context)
        print("asking", flush=True)
        list(client.map(["a", "b", "c"], executor=pool, max_in_flight=2))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_end_with_a_killed_driver(method: str, tmp_path: Path) -> None:
    """None is left, neither one that asks nor one that has nothing to do."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER, "utf-8")
    gate = Gate()
    with FakeSpace() as space:
        space.answer(gate, "late", times=None)
        # Forks of a process with threads are no news here.
        driver = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(script), method, space.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        gate.wait_reached(PATIENCE)
        gate.wait_reached(PATIENCE)
        driver.kill()
        # Every process that it started holds this open.
        out, _ = driver.communicate(timeout=2 * PATIENCE)
        gate.open()
    assert out == "asking\n"


def test_workers_end_with_their_pool_as_ever(tmp_path: Path) -> None:
    """A driver that lives is not taken for one that is gone."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER + "        pool.shutdown()\n        print('end')\n", "utf-8")
    with FakeSpace() as space:
        command = [sys.executable, "-W", "ignore", str(script), "fork", space.url]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
        )
    assert (done.stdout, done.stderr, done.returncode) == ("asking\nend\n", "", 0)
