"""
``qwen72b batch prompts.jsonl -o answers.jsonl``: many questions, and again after a stop.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..errors import SpaceError, TransportError
from .cluster import executor_of
from .connection import connected
from .options import add_connection, add_verbosity
from .values import count, positive
from .watch import Progress, watch

if TYPE_CHECKING:
    from ..client.client import Client
    from . import merge  # noqa: F401 - loaded by its name; bundlers look for import statements
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

qwen72b batch merge OUT IN...  makes one file of those of several --shard.

exit status:
  0 all answered   1 some failed   2 usage or input   130 Ctrl-C
  It stops with the status of the last error where that is 20 times in a row one
  that holds for all, as a login, key or model that is refused, and none is
  answered in between; where none was answered yet, whatever the error is.
"""


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
    parser.add_argument("--limit", type=count, metavar="N", help="only the first N prompts")
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
        type=count,
        default=8,
        metavar="N",
        help="prompts under way at once (default: 8); fewer while the Space refuses",
    )
    how.add_argument("--rate", type=_rate, metavar="R", help="prompts per second at most")
    cluster = how.add_mutually_exclusive_group()
    cluster.add_argument("--dask", metavar="ADDRESS", help="let the workers of a Dask cluster ask")
    cluster.add_argument("--ray", metavar="ADDRESS", help="let the processes of a Ray cluster ask")
    stops = parser.add_argument_group("when to stop").add_mutually_exclusive_group()
    stops.add_argument(
        "--max-failures",
        type=count,
        metavar="N",
        help="stop when N prompts have failed, and only then",
    )
    stops.add_argument(
        "--stop-on-error", action="store_true", help="stop when the first prompt fails"
    )
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
            system=args.system,
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
            else Progress(console),
            ordered=False,
            stop_on_error=args.stop_on_error or ("lasting" if args.max_failures is None else False),
            max_failures=args.max_failures,
            system=args.system,
        ) as batch,
    ):
        return watch(batch, args)


@contextmanager
def _settled(args: argparse.Namespace) -> Iterator[Client]:
    """Open the client, and refuse before the first prompt what would fail with each."""
    with connected(args) as client:
        if args.inputs:
            # What else is wrong may pass; the batch knows better.
            with suppress(TransportError, SpaceError):
                client.describe()
        yield client


def _rate(text: str) -> float:
    return positive(text, "prompts per second")


def _shard(text: str) -> tuple[int, int]:
    index, _, of = text.partition("/")
    digits = f"{index}{of}"
    # Python reads no number of thousands of digits.
    plain = digits.isascii() and len(digits) <= 18 and index.isdecimal() and of.isdecimal()
    if plain and 1 <= int(index) <= int(of):
        return int(index) - 1, int(of)
    raise argparse.ArgumentTypeError(f"{text!r} is not as 1/4 is: one part of so many")
