"""
The command ``inspect``: what would a question to the Space do?
"""

from __future__ import annotations

import argparse
from json import dumps
from typing import TYPE_CHECKING

from ..errors import EndpointNotFound, InvalidOption
from .connection import connected
from .options import add_connection, add_verbosity

if TYPE_CHECKING:
    from .console import Console
    from .options import Commands

__all__ = ["add_parser", "run"]


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "inspect",
        help="tell what a question to a Space does",
        description="Tell which functions of a Space a question calls, which boxes take the "
        "question, the history and the system text, what is folded into the question, and "
        "which other inputs and functions there are. Nothing is asked.",
    )
    parser.add_argument("where", nargs="?", metavar="URL", help="the Space's URL, or OWNER/NAME")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    add_connection(parser, local=False)
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Report."""
    console: Console = args.console
    if args.where is not None:
        if args.url is not None or args.space is not None:
            raise InvalidOption("the Space is named twice.", hint="Leave --url or --space out.")
        args.url, args.space = (args.where, None) if ":" in args.where else (None, args.where)
    with connected(args) as client:
        try:
            found = client.describe()
        except EndpointNotFound as error:
            if args.json:
                failed = {"url": client.base_url, "reason": error.reason}
                console.line(dumps({**failed, "candidates": list(error.candidates)}))
            raise
    if args.json:
        console.line(dumps(found.to_dict()))
    else:
        for line in str(found).splitlines():
            console.line(line)
    return 0
