"""
``qwen72b batch prompts.jsonl -o answers.jsonl``: many questions, and again after a stop.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import ConnectFailed, InvalidOption, InvalidRequest
from .connection import connected
from .exits import exit_status
from .options import add_connection, add_verbosity

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ..batch.batch import Batch
    from ..batch.progress import Tally
    from ..batch.result import Result
    from .console import Console
    from .options import Commands

__all__ = ["add_parser", "run"]

_EPILOG = """\
Input is JSON Lines: a text, a list of messages, {"prompt": ...} or
{"messages": [...]} with an "id" and a "system" if you like, or OpenAI's batch
lines ({"custom_id": ..., "body": {"messages": [...]}}).

Output has a line for each outcome, in the order of their coming:
  {"id": ..., "answer": ..., "error": null, ...}
Run the same command again to go on where it stopped: what has an answer there
is not asked again, what failed is. A pipe, a terminal or a device (-o - is
standard output) gets the answers too, but remembers none.

exit status:
  0 all answered   1 some failed   2 usage or input   130 Ctrl-C
"""

# Bytes of a line; a device may have lines without end.
_LONGEST_LINE = 64 * 1024 * 1024

# Seconds between two looks at the tally, and failures that are told one by one.
_DRAW = 0.1
_TOLD = 20


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "batch",
        help="answer many prompts",
        description="Answer many prompts, several at once; stop and go on as you like.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "prompts", metavar="PROMPTS", help="file of JSON Lines; - is standard input"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="ANSWERS",
        required=True,
        help="file that gets the answers; - is standard output",
    )
    parser.add_argument("-s", "--system", metavar="TEXT", help="system prompt where none is given")
    parser.add_argument("--limit", type=_count, metavar="N", help="only the first N prompts")
    parser.add_argument(
        "--openai", action="store_true", help="write answers in the shape of OpenAI's batch output"
    )
    how = parser.add_argument_group("how fast")
    how.add_argument(
        "--workers",
        type=_count,
        default=8,
        metavar="N",
        help="prompts under way at once (default: 8); fewer while the Space refuses",
    )
    how.add_argument("--rate", type=float, metavar="R", help="prompts per second at most")
    how.add_argument("--dask", metavar="ADDRESS", help="let the workers of a Dask cluster ask")
    add_connection(parser)
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Answer all prompts; tell whether any failed."""
    from ..batch.journal import Journal

    console = args.console
    to_stdout = args.output == "-"
    if to_stdout and sys.stdout is None:
        raise InvalidOption("standard output is closed.")
    if not to_stdout and os.path.exists(args.output) and args.prompts != "-":
        if not os.path.exists(args.prompts):
            raise InvalidOption(f"{args.prompts} cannot be read: there is no such file.")
        if os.path.samefile(args.prompts, args.output):
            raise InvalidOption("the answers would go into the file of prompts.")
    journal = Journal(sys.stdout.fileno() if to_stdout else args.output, openai=args.openai)
    with (
        _opened(args.prompts) as file,
        connected(args) as client,
        _executor(args.dask) as executor,
        client.map(
            _Prompts(file, args.limit),
            executor=executor,
            max_in_flight=args.workers,
            rate=args.rate,
            journal=journal,
            # On a terminal that gets the answers, a status line would be in their way.
            progress=None if to_stdout and console.output_is_terminal else _Progress(console),
            ordered=False,
            system=args.system,
        ) as batch,
    ):
        return _watch(batch, args)


def _watch(batch: Batch, args: argparse.Namespace) -> int:
    console = args.console
    where = "standard output" if args.output == "-" else args.output
    try:
        for result in batch:
            if not result.ok and batch.tally.failed <= _TOLD:
                console.complain(f"{args.prompts}: {_failure(result)}")
    except KeyboardInterrupt as exc:
        batch.close()
        way = (
            "the same command goes on"
            if os.path.isfile(args.output)
            else "the same command starts over"
        )
        console.say(f"stopped; {way}. {_summary(batch.tally, where)}")
        return exit_status(exc)
    console.say(_summary(batch.tally, where))
    return 1 if batch.tally.failed else 0


def _failure(result: Result) -> str:
    reason = getattr(result.error, "reason", None) or str(result.error)
    if isinstance(result.item, InvalidRequest):
        return reason
    return f"line {result.item['line']}: {result.id}: {reason}"


def _summary(tally: Tally, path: str) -> str:
    answered = f"{tally.answered} answered"
    if tally.resumed:
        answered += f" ({tally.resumed} of them before)"
    return (
        f"{tally.done} prompts: {answered}, {tally.failed} failed; "
        f"{tally.elapsed:.1f} s, {tally.rate:.1f}/s; {path}"
    )


class _Progress:
    """Shows tallies on the status line, which takes time: not each of them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = 0.0

    def __call__(self, tally: Tally) -> None:
        now = monotonic()
        if now - self._shown >= _DRAW:
            self._shown = now
            self._console.status(str(tally))


class _Prompts:
    """
    The lines of a file as items; those that are none are items that fail.

    Args:
        file: The file.
        limit: How many to read at most; ``None`` for all.
    """

    def __init__(self, file: BinaryIO, limit: int | None) -> None:
        self._file = file
        self._limit = limit

    def __iter__(self) -> Iterator[Any]:
        return islice(self._items(), self._limit)

    def __len__(self) -> int:
        """Count the lines, for the time to the end; a hint, 0 where they cannot be counted."""
        # Not of a device, which may have no end.
        if not self._file.seekable() or not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            return 0
        lines = sum(1 for line in self._file if line.strip())
        self._file.seek(0)
        return lines if self._limit is None else min(lines, self._limit)

    def _items(self) -> Iterator[Any]:
        number = 0
        while line := self._file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                yield InvalidRequest(
                    f"line {number} is longer than {_LONGEST_LINE >> 20} MiB; "
                    "what follows is not read."
                )
                return
            if line.strip():
                yield _read_line(line, number)


def _read_line(line: bytes, number: int) -> Any:
    try:
        item = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return InvalidRequest(f"line {number} is no UTF-8 text.")
    except json.JSONDecodeError as exc:
        return InvalidRequest(f"line {number} is not JSON: {exc.msg} at column {exc.colno}.")
    except (ValueError, RecursionError):
        return InvalidRequest(f"line {number} is JSON that nobody could mean.")
    if isinstance(item, str):
        item = {"prompt": item}
    elif isinstance(item, list):
        item = {"messages": item}
    elif not isinstance(item, dict):
        return InvalidRequest(f"line {number} is neither a text, a list nor an object.")
    return {**item, "line": number}


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(name, "rb")  # noqa: SIM115  # closed below
    except OSError as exc:
        raise InvalidOption(f"{name} cannot be read: {exc.strerror or exc}.") from exc
    with file:
        yield file


@contextmanager
def _executor(address: str | None) -> Iterator[Executor | None]:
    """Connect to a Dask cluster, if one is asked for."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client as Cluster
    except ImportError as exc:
        raise InvalidOption(
            "--dask needs Dask's scheduler.", hint='Run: pip install "qwen72b[dask]"'
        ) from exc
    try:
        cluster = Cluster(address)
    except (OSError, ValueError) as exc:
        raise ConnectFailed(
            f"there is no Dask scheduler at {address}: {exc}.", hint="Is its address right?"
        ) from exc
    with cluster:
        yield cluster.get_executor(pure=False)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number
