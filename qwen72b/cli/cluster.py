"""
The executor of the cluster that ``--dask`` or ``--ray`` names.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ConnectFailed, InvalidOption
from ..privacy.redaction import shown_url

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["executor_of"]


@contextmanager
def executor_of(args: argparse.Namespace) -> Iterator[Executor | None]:
    """
    Connect to a cluster, if one is asked for.

    Args:
        args: With the options ``--dask``, ``--ray`` and ``--workers``.

    Yields:
        Its executor; ``None`` if none is asked for.

    Raises:
        InvalidOption: If what it needs is not installed, or its address is none.
        ConnectFailed: If it is not there.
    """
    for option, given in (("--dask", args.dask), ("--ray", args.ray)):
        if given is not None and not given.strip():
            # Of a shell's variable that is not set: each would make a cluster of its own.
            raise InvalidOption(f"{option} wants an address, and got none.")
    if args.ray is not None:
        from ..batch.rayexecutor import RayExecutor

        with RayExecutor(args.ray, max_workers=args.workers) as executor:
            yield executor
        return
    address = args.dask
    if address is None:
        yield None
        return
    try:
        from distributed import Client as Cluster
    except ImportError as exc:
        raise InvalidOption(
            "--dask needs Dask's scheduler.", hint="Run: pip install distributed"
        ) from exc
    try:
        cluster = Cluster(address)
    except ValueError as exc:
        raise InvalidOption(
            f"--dask {shown_url(address)!r} is no scheduler's address.",
            hint="It looks like tcp://127.0.0.1:8786.",
        ) from exc
    except OSError as exc:
        raise ConnectFailed(
            f"there is no Dask scheduler at {shown_url(address)}.", hint="Is its address right?"
        ) from exc
    with cluster:
        yield cluster.get_executor(pure=False)
