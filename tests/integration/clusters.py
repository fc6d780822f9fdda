"""A real Dask cluster on this machine, for the tests of batches."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["cluster"]

# Without a dashboard, which would want a port that is taken, and without looking for a GPU.
_SCHEDULER = textwrap.dedent(
    """
    import asyncio
    from distributed import Scheduler
    async def main():
        async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
            print(scheduler.address, flush=True)
            while len(scheduler.workers) < 2:
                await asyncio.sleep(0.02)
            print("ready", flush=True)
            await scheduler.finished()
    asyncio.run(main())
    """
)
_WORKER = textwrap.dedent(
    """
    import asyncio, sys
    from distributed import Worker
    async def main():
        async with Worker(
            sys.argv[1], nthreads=4, host="127.0.0.1", dashboard=False, local_directory=sys.argv[2]
        ) as worker:
            await worker.finished()
    asyncio.run(main())
    """
)
_ENVIRONMENT = {"DASK_DISTRIBUTED__DIAGNOSTICS__NVML": "False"}


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """
    Run a scheduler and two workers of four threads, a process each.

    Args:
        folder: For the workers' files, and for logs: ``*.log``.

    Yields:
        The scheduler's address.
    """
    with ExitStack() as stack:

        def start(name: str, *words: str) -> subprocess.Popen[str]:
            log = stack.enter_context((folder / f"{name}.log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-c", *words],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **_ENVIRONMENT},
            )
            stack.callback(_end, process)
            return process

        scheduler = start("scheduler", _SCHEDULER)
        assert scheduler.stdout is not None
        address = scheduler.stdout.readline().strip()
        for number in range(2):
            start(f"worker-{number}", _WORKER, address, str(folder))
        # Said once both workers have come.
        assert scheduler.stdout.readline().strip() == "ready"
        yield address


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
