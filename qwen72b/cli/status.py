"""
The command ``status``: how is the Space doing?
"""

from __future__ import annotations

import argparse
from json import dumps
from time import monotonic, sleep
from typing import TYPE_CHECKING

from ..errors import AuthenticationError, Qwen72BError, TransportError
from .connection import connected
from .exits import EXIT_UNAVAILABLE
from .options import add_connection, add_verbosity
from .values import seconds

if TYPE_CHECKING:
    from ..client.client import Client
    from ..client.status import SpaceStatus
    from .console import Console
    from .options import Commands

__all__ = ["add_parser", "run"]

# Seconds between two looks at a Space that is coming up; one takes minutes.
_LOOK_AGAIN = 5.0


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "status",
        help="tell how the Space is doing",
        description="Tell whether the Space takes questions: exit status 0 if it does, 4 if not.",
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.add_argument(
        "--wait",
        type=seconds,
        metavar="SECONDS",
        help="wait up to so long for a Space that is asleep, being built or starting",
    )
    add_connection(parser, local=False)
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Report."""
    # Slow to import; the other commands do not need it.
    from dataclasses import asdict

    console: Console = args.console
    with connected(args) as client:
        try:
            status = _look(client, args.wait or 0.0, console)
        except Qwen72BError as error:
            if args.json:
                from ..client.status import SpaceStatus

                failed = SpaceStatus(client.base_url, False, None, reason=error.reason)
                console.line(dumps(asdict(failed)))
            raise
    if args.json:
        console.line(dumps(asdict(status)))
    else:
        for line in _lines(status, verbose=args.verbose):
            console.line(line)
    return 0 if status.ready else EXIT_UNAVAILABLE


def _look(client: Client, patience: float, console: Console) -> SpaceStatus:
    """Look until the Space is ready, cannot become so, or the patience (seconds) ends."""
    from ..protocol.hub import is_passing_stage

    give_up = monotonic() + patience
    while True:
        status = error = None
        try:
            status = client.status()
        except AuthenticationError:
            raise
        except TransportError as exc:
            # Its server may be about to start.
            error = exc
        left = give_up - monotonic()
        if status is not None:
            coming = status.stage is None or is_passing_stage(status.stage)
            if status.ready or not coming or left <= 0:
                return status
        elif error is not None and left <= 0:
            raise error
        reason = status.stage if status is not None and status.stage else "not reachable"
        console.status(f"The Space is not up ({reason}); waiting up to {left:.0f} s more...")
        sleep(min(left, _LOOK_AGAIN))


def _lines(status: SpaceStatus, *, verbose: bool) -> list[str]:
    if not status.ready:
        return [f"{status.url} is not ready: {status.reason}"]
    version = status.version or "of unknown version"
    return [
        f"{status.url} is ready",
        f"Gradio {version}, protocol {status.protocol}, endpoint {status.endpoint}",
        *([f"a question takes {status.plan}"] if verbose else []),
        f"answered in {status.latency:.2f} s",
    ]
