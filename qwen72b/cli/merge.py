"""
``qwen72b batch merge all.jsonl 1.jsonl 2.jsonl``: one file of answers of several.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from ..errors import InvalidOption
from .options import add_verbosity

if TYPE_CHECKING:
    from .options import Commands

__all__ = ["add_parser", "run"]

_EPILOG = """\
An id has one line in it: the last one with an answer, or the last one if there
is none. The lines are in the order of the files, as they are in them. Answers of
any shard go on from the new file: qwen72b batch PROMPTS -o OUT asks what failed.

To answer a file of prompts that is called "merge": qwen72b batch ./merge -o ANSWERS
"""


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "merge",
        help="make one file of answers of several",
        description="Make one file of answers of several, such as those of --shard.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", metavar="OUT", help="file to make; it must not be there")
    parser.add_argument(
        "journals", metavar="IN", nargs="+", help="file of answers that qwen72b batch wrote"
    )
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Make the file."""
    from ..batch.merge import merge_journals

    for name in (args.out, *args.journals):
        if name == "-":
            raise InvalidOption("merge needs files, not standard input or output.")
    folder = os.path.dirname(args.out) or os.curdir
    if not os.path.isdir(folder):
        raise InvalidOption(f"{args.out} cannot be written: there is no folder {folder}.")
    try:
        merged = merge_journals(args.out, args.journals)
    except FileNotFoundError as exc:
        raise InvalidOption(f"{exc.filename} cannot be read: there is no such file.") from exc
    count = merged.answered + merged.failed
    args.console.say(
        f"{count} {'prompt' if count == 1 else 'prompts'}: {merged.answered} answered, "
        f"{merged.failed} failed; {args.out}"
    )
    return 0
