"""
``qwen72b "prompt"``: one question, one answer.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from .connection import connected
from .options import COMMANDS, add_connection, add_verbosity
from .question import read_question

if TYPE_CHECKING:
    from .options import Commands
    from .renderers import Renderer

__all__ = ["add_parser", "run"]

# Letters of a word that may be meant for a command, and how like it must be: with
# a letter too many, too few or wrong, or two that changed places.
_SHORTEST = 4
_NEARLY = 0.74

_EPILOG = """\
A prompt that is a command's name: qwen72b ask chat, or qwen72b -- chat.

exit status:
  0 success   1 other failures   2 usage or input   3 login or token
  4 the Space is not up   5 it is busy: queue, rate limit, quota
  6 network or timeout   130 Ctrl-C   141 the reader of stdout has gone

environment:
  QWEN72B_BASE_URL (address)   HF_TOKEN (private Spaces)   NO_COLOR
  QWEN72B_LOG=debug (log on stderr)   HTTPS_PROXY and its like
"""


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "ask",
        prog="qwen72b",
        help="ask one question (what is meant where no command is named)",
        usage='qwen72b [options] "prompt"\n       qwen72b COMMAND ...',
        description="Ask Qwen2-72B-Instruct; the answer, and nothing else, goes to standard output.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompt", nargs="*", help="the question; what is piped in goes below it")
    parser.add_argument("-s", "--system", metavar="TEXT", help="system prompt")
    parser.add_argument(
        "-f",
        "--file",
        action="append",
        default=[],
        metavar="FILE",
        help="put this file below the prompt; - is standard input; may be repeated",
    )
    how = parser.add_argument_group("how to show the answer").add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="what happens as JSON, an event a line")
    how.add_argument("--no-stream", action="store_true", help="the whole answer at its end")
    how.add_argument("-x", "--extract", action="store_true", help="its first code block only")
    how.add_argument("--last-code", action="store_true", help="its last code block only")
    how.add_argument(
        "--all-code", action="store_true", help="its code blocks, a blank line between"
    )
    how.add_argument("--markdown", action="store_true", help="drawn (pip install rich)")
    add_connection(parser)
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Ask once."""
    from . import renderers

    renderer = _choose_renderer(args)
    try:
        question = read_question(args.prompt, args.file, args.console)
        _tell_of_commands(args)
        with connected(args) as client, closing(client.stream(question, system=args.system)) as it:
            renderer.show(it)
            timings = it.timings
    except BaseException as exc:
        renderer.fail(exc)
        raise
    if args.verbose:
        args.console.say(renderers.timings_line(timings))
    return 0


def _tell_of_commands(args: argparse.Namespace) -> None:
    """Say of a lone word that is nearly a command's name that it is a prompt."""
    word = args.prompt[0] if len(args.prompt) == 1 else ""
    if len(word) < _SHORTEST or not word.isalpha() or word in COMMANDS:
        return
    # Needed by whoever mistypes, and by nobody else.
    from difflib import get_close_matches

    for command in get_close_matches(word.lower(), COMMANDS, n=1, cutoff=_NEARLY):
        args.console.say(f"asking {word!r}; the command is qwen72b {command}.")


def _choose_renderer(args: argparse.Namespace) -> Renderer:
    from . import renderers

    if args.json:
        return renderers.JSONRenderer(args.console)
    if args.markdown:
        from .markdown import MarkdownRenderer

        return MarkdownRenderer(args.console)
    if args.extract or args.last_code or args.all_code:
        which = slice(1) if args.extract else slice(-1, None) if args.last_code else slice(None)
        return renderers.CodeRenderer(args.console, which)
    # Nobody watches a file; what is written at the end is exact, even where
    # the Space takes text back.
    if args.no_stream or args.console.output_is_file:
        return renderers.WholeRenderer(args.console)
    return renderers.StreamRenderer(args.console)
