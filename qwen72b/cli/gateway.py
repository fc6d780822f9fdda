"""
``qwen72b gateway``: a Space under the API that every tool speaks.
"""

from __future__ import annotations

import argparse
import os
import shlex
import stat
from typing import TYPE_CHECKING

from ..errors import InvalidOption
from .connection import reached
from .decoding import decode
from .options import add_connection, add_verbosity
from .values import port

if TYPE_CHECKING:
    from .console import Console
    from .options import Commands

__all__ = ["add_parser", "run"]

# What most servers of this API take.
_PORT = 8000

_KEY_VARIABLE = "QWEN72B_GATEWAY_KEY"

_EPILOG = f"""\
The first line on standard output is the address, the next two are what tools want
to know: OPENAI_BASE_URL and OPENAI_API_KEY.

  qwen72b gateway --local            an offline OpenAI server on this machine
  qwen72b gateway --space owner/name

environment:
  {_KEY_VARIABLE} (what clients must send as their API key)
"""


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "gateway",
        help="serve a Space to every tool that speaks OpenAI's API",
        description="Serve a Space under OpenAI's API (chat completions), until Ctrl-C.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    who = parser.add_argument_group("who may use it")
    who.add_argument(
        "--key-file",
        metavar="FILE",
        help=f"file with the API key that clients must send (default: {_KEY_VARIABLE})",
    )
    who.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which clients reach it; may be repeated",
    )
    who.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="a web page's origin, such as http://localhost:3000; may be repeated",
    )
    parser.add_argument("--any-model", action="store_true", help="answer to any model's name")
    add_connection(parser)
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    import anyio

    from ..aio.client import AsyncClient
    from ..gateway.asgi import app
    from ..gateway.guard import Guard
    from ..gateway.server import host_names, served
    from ..local.serving import base_url_of, listen, wait_for_signal

    console = args.console
    key = _read_key(args.key_file, console)
    # What cannot work is told before the slow part, a model of --local.
    with listen(args.host, args.port, "gateway") as listener:
        hosts = host_names(args.host, listener, args.allow_host, key)
        guard = {"key": key, "hosts": hosts, "cors": args.cors}
        Guard(**guard)
        with reached(args) as settings:
            client = AsyncClient(**settings)
            aliases = [args.space] if args.space else []
            gateway = app(client, aliases=aliases, any_model=args.any_model, **guard)

            def ready() -> None:
                url = base_url_of(args.host, listener)
                console.line(url)
                console.line(f"OPENAI_BASE_URL={url}/v1")
                console.line(f"OPENAI_API_KEY={_shown_key(args.key_file, key)}")
                console.say("the gateway is ready; Ctrl-C stops it.")

            try:
                with served(gateway, listener):
                    wait_for_signal(ready)
            finally:
                anyio.run(client.close)
    return 0


def _read_key(path: str | None, console: Console) -> str | None:
    """Read the key; the command line itself is seen by everybody on the machine."""
    from ..gateway.guard import MAX_KEY, checked_key

    if path is None:
        return os.environ.get(_KEY_VARIABLE, "").strip() or None
    shown = f"the key file {path}"
    try:
        with open(path, "rb") as file:
            # A little more: a mark at its begin, and line ends.
            content = file.read(MAX_KEY + 16)
            mode = os.fstat(file.fileno()).st_mode
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise InvalidOption(f"{shown} cannot be read: {why}.") from exc
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        console.say(f"warning: others can read {shown}. Run: chmod 600 {shlex.quote(path)}")
    return checked_key(decode(content, shown).strip(), shown)


def _shown_key(path: str | None, key: str | None) -> str:
    """Say what a shell makes the key of: what is printed may end up in a log."""
    if key is None:
        return "unused"
    return f'"${_KEY_VARIABLE}"' if path is None else f'"$(cat {shlex.quote(path)})"'
