"""
A batch that runs: what is told of it meanwhile and at its end, and its exit status.
"""

from __future__ import annotations

import argparse
import os
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakSet

from ..errors import InvalidRequest, Qwen72BError, told
from .exits import describe, exit_status

if TYPE_CHECKING:
    from ..batch.batch import Batch
    from ..batch.progress import Tally
    from ..batch.result import Result
    from .console import Console

__all__ = ["Progress", "watch"]

# Seconds between two looks at the tally, and failures that are told one by one.
_DRAW = 0.1
_TOLD = 20

# A Space of this machine is not that of theirs.
_FOR_WORKERS = "Name a Space that the workers can reach with --url."


class Progress:
    """
    Shows tallies on the status line, which takes time: not each of them.

    Args:
        console: Where the line is.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = 0.0

    def __call__(self, tally: Tally) -> None:
        now = monotonic()
        if now - self._shown >= _DRAW:
            self._shown = now
            self._console.status(str(tally))


def watch(batch: Batch, args: argparse.Namespace) -> int:
    """
    Run a batch to its end.

    Args:
        batch: The batch, whose outcomes go to a file.
        args: The arguments of the command.

    Returns:
        The exit status.
    """
    console = args.console
    where = "standard output" if args.output == "-" else args.output
    # Those that are still to be raised, perhaps; the others go with their results.
    failures: WeakSet[BaseException] = WeakSet()
    try:
        for result in batch:
            if result.error is not None:
                failures.add(result.error)
                if batch.tally.failed <= _TOLD:
                    console.complain(f"{args.prompts}: {_failure(result)}")
    except KeyboardInterrupt as exc:
        batch.close()
        console.say(f"stopped; the same command {_way(args)}. {_summary(batch.tally, where)}")
        return exit_status(exc)
    except Qwen72BError as exc:
        if exc not in failures:
            raise
        theirs = args.dask or args.ray
        why = describe(exc, elsewhere=_FOR_WORKERS) if theirs else describe(exc)
        stopped = _stopped(batch.tally, args)
        console.complain(f"{stopped} {why[0]} The same command {_way(args)}.")
        console.say(_summary(batch.tally, where))
        return exit_status(exc)
    console.say(_summary(batch.tally, where))
    return 1 if batch.tally.failed else 0


def _way(args: argparse.Namespace) -> str:
    return "goes on" if os.path.isfile(args.output) else "starts over"


def _stopped(tally: Tally, args: argparse.Namespace) -> str:
    """Say which limit was reached."""
    from ..batch.brake import HOPELESS

    if args.stop_on_error or args.max_failures == 1:
        return "stopped at the first failure."
    if args.max_failures is not None:
        return f"stopped at {args.max_failures} failures."
    if tally.answered == tally.resumed:
        return f"stopped: the first {HOPELESS} prompts all failed, and alike."
    return f"stopped: {HOPELESS} prompts in a row failed, and alike."


def _failure(result: Result) -> str:
    error = result.error
    reason = getattr(error, "reason", None) or str(error)
    if isinstance(error, InvalidRequest):
        # What is wrong with this one; the others' hints would come again and again.
        reason = told(reason, error.hint)
    if isinstance(result.item, InvalidRequest):
        return reason
    return f"{result.item['where']}: {result.id}: {reason}"


def _summary(tally: Tally, path: str) -> str:
    answered = f"{tally.answered} answered"
    if tally.resumed:
        answered += f" ({tally.resumed} of them before)"
    return (
        f"{tally.done} {'prompt' if tally.done == 1 else 'prompts'}: {answered}, {tally.failed} failed; "
        f"{tally.elapsed:.1f} s, {tally.rate:.1f}/s; {path}"
    )
