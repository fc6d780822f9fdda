"""
``qwen72b batch prompts.jsonl -o answers.jsonl``: many questions, and again after a stop.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING

from ..errors import (
    InvalidRequest,
    SpaceError,
    TransportError,
    told,
)
from .cluster import executor_of
from .connection import connected
from .exits import describe, exit_status
from .options import add_connection, add_verbosity, positive

if TYPE_CHECKING:
    from ..batch.batch import Batch
    from ..batch.progress import Tally
    from ..batch.result import Result
    from ..client.client import Client
    from .console import Console
    from .options import Commands
    from .prompts import Prompts

__all__ = ["add_parser", "run"]

_EPILOG = """\
Input is JSON Lines, or a JSON array, of texts, lists of messages, objects
{"prompt": ...} or {"messages": [...]} with an "id" and a "system" if you like,
or OpenAI's batch lines ({"custom_id": ..., "body": {"messages": [...]}}):
  "Why is the sky blue?"
  {"id": "grass", "prompt": "Why is grass green?", "system": "Be brief."}
CSV and TSV have a header; the column "prompt", or --column, is asked, and the
columns "id" and "system" count. With --lines each line of text is a prompt.

Output has a line for each outcome, in the order of their coming:
  {"id": ..., "answer": ..., "error": null, ...}
Run the same command again to go on where it stopped: what has an answer there
is not asked again, what failed is. A pipe, a terminal or a device (-o - is
standard output) gets the answers too, but remembers none.

exit status:
  0 all answered   1 some failed   2 usage or input   130 Ctrl-C
  If the first 20 all fail alike, the batch stops with the status of their error.
"""

# Seconds between two looks at the tally, and failures that are told one by one.
_DRAW = 0.1
_TOLD = 20

# Prompts that fail alike, without one that is answered, until there is no hope
# for the others: a token that is refused, an upstream that answers 401 to all.
_HOPELESS = 20

# A Space of this machine is not that of theirs.
_FOR_WORKERS = "Name a Space that the workers can reach with --url."


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
        "prompts", metavar="PROMPTS", help="file of JSON Lines, CSV or text; - is standard input"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="ANSWERS",
        required=True,
        help="file that gets the answers; - is standard output",
    )
    parser.add_argument("-s", "--system", metavar="TEXT", help="system prompt where none is given")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--lines", action="store_true", help="each line of the input is a prompt")
    form.add_argument(
        "--column", metavar="NAME", help="the input is CSV or TSV; this column is asked"
    )
    parser.add_argument("--limit", type=_count, metavar="N", help="only the first N prompts")
    parser.add_argument(
        "--shard",
        type=_shard,
        default=(0, 1),
        metavar="I/N",
        help="only every Nth prompt, from the Ith on: for N machines, each with its own output",
    )
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
    how.add_argument("--rate", type=_rate, metavar="R", help="prompts per second at most")
    cluster = how.add_mutually_exclusive_group()
    cluster.add_argument("--dask", metavar="ADDRESS", help="let the workers of a Dask cluster ask")
    cluster.add_argument("--ray", metavar="ADDRESS", help="let the processes of a Ray cluster ask")
    add_connection(parser)
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Answer all prompts; tell whether any failed."""
    from .files import check_output, opened
    from .prompts import Prompts

    check_output(args.output, args.prompts)
    if args.prompts == "-" and sys.stdin is not None and sys.stdin.isatty():
        args.console.say("reading what you type, a prompt a line; Ctrl-D ends it.")
    with opened(args.prompts) as file:
        prompts = Prompts(
            file,
            "standard input" if args.prompts == "-" else args.prompts,
            plain=args.lines,
            column=args.column,
            limit=args.limit,
            shard=args.shard,
        )
        return _ask(prompts, args)


def _ask(prompts: Prompts, args: argparse.Namespace) -> int:
    from ..batch.journal import Journal

    console = args.console
    output = sys.stdout.fileno() if args.output == "-" else args.output
    journal = Journal(output, openai=args.openai)
    with (
        _settled(args) as client,
        executor_of(args) as executor,
        client.map(
            prompts,
            executor=executor,
            max_in_flight=args.workers,
            rate=args.rate,
            journal=journal,
            # On a terminal that gets the answers, a status line would be in their way.
            progress=None
            if args.output == "-" and console.output_is_terminal
            else _Progress(console),
            ordered=False,
            system=args.system,
        ) as batch,
    ):
        return _watch(batch, args)


@contextmanager
def _settled(args: argparse.Namespace) -> Iterator[Client]:
    """Open the client, and refuse before the first prompt what would fail with each."""
    with connected(args) as client:
        if args.inputs:
            # What else is wrong may pass; the batch knows better.
            with suppress(TransportError, SpaceError):
                client.describe()
        yield client


def _watch(batch: Batch, args: argparse.Namespace) -> int:
    console = args.console
    where = "standard output" if args.output == "-" else args.output
    failed: list[BaseException] = []
    try:
        for result in batch:
            error = result.error
            if error is not None and batch.tally.failed <= _TOLD:
                console.complain(f"{args.prompts}: {_failure(result)}")
            if error is not None and result.tries:
                failed.append(error)
            if len(failed) == _HOPELESS and _is_hopeless(failed, batch.tally):
                batch.close()
                last = failed[-1]
                why = (
                    describe(last, elsewhere=_FOR_WORKERS)
                    if args.dask or args.ray
                    else describe(last)
                )
                console.complain(
                    f"stopped: the first {_HOPELESS} prompts all failed, and alike. {why[0]}"
                )
                console.say(_summary(batch.tally, where))
                return exit_status(failed[-1])
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


def _is_hopeless(failed: Sequence[BaseException], tally: Tally) -> bool:
    """Tell whether nothing was answered, always for the same reason, whatever its numbers."""
    reasons = {(type(error), re.sub(r"\w*\d\w*", "", str(error))) for error in failed}
    return len(reasons) == 1 and tally.answered == tally.resumed


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


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no count of at least 1")
    return int(text)


def _rate(text: str) -> float:
    return positive(text, "prompts per second")


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    digits = f"{index}{count}"
    # Python reads no number of thousands of digits.
    plain = digits.isascii() and len(digits) <= 18 and index.isdecimal() and count.isdecimal()
    if plain and 1 <= int(index) <= int(count):
        return int(index) - 1, int(count)
    raise argparse.ArgumentTypeError(f"{text!r} is not as 1/4 is: one part of so many")
