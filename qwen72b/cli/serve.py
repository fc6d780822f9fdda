"""
``qwen72b serve``: keep a local Space running.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .connection import make_backend
from .options import add_backend, add_verbosity
from .values import count, port

if TYPE_CHECKING:
    from .options import Commands

__all__ = ["add_parser", "run"]

# Gradio's own default.
_PORT = 7860


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "serve",
        help="keep a local Space running, for --url and for browsers",
        description="Run a Space with the public one's interface on this machine, until Ctrl-C. "
        "Its address is printed once it takes requests.",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=port,
        default=_PORT,
        help="port to listen on; 0 takes a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which browsers reach it, as behind a reverse proxy; may be repeated",
    )
    parser.add_argument(
        "--concurrency",
        type=count,
        metavar="N",
        help="answers at a time; more wait in its queue (default: 1 for a model in the process, "
        "200 for an upstream)",
    )
    add_backend(parser.add_argument_group("which model"))
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from ..local.server import check_concurrency, serve

    # Before a model is fetched for nothing.
    check_concurrency(args.concurrency)
    console = args.console
    backend = make_backend(args, console)

    def ready(url: str) -> None:
        console.line(url)
        console.say("the local Space is ready; Ctrl-C stops it.")

    console.status("Starting the local Space...")
    serve(
        backend,
        host=args.host,
        port=args.port,
        ready=ready,
        allow_hosts=args.allow_host,
        concurrency=args.concurrency,
    )
    return 0
