"""
The one parser, and the options that commands share.

Each command's module adds its own parser. ``ask`` is the command that is meant
where none is named.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import InvalidOption
from ..version import __version__
from .arguments import (
    BEHIND,
    MERGE,
    has_prompt_like_option,
    list_options,
    means_merge,
    refuse_unknown,
)
from .console import Console
from .values import labelled, seconds

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    Run = Callable[[argparse.Namespace], int]

__all__ = [
    "COMMANDS",
    "add_backend",
    "add_connection",
    "add_verbosity",
    "build_parser",
    "parse",
]

# Modules of this package with ``add_parser`` and ``run``, by the name of their
# command, in the order of the help.
COMMANDS = (
    "ask",
    "chat",
    "batch",
    "status",
    "inspect",
    "doctor",
    "serve",
    "gateway",
    "completion",
    "help",
)


class Parser(argparse.ArgumentParser):
    """A parser that raises where argparse prints its usage and exits."""

    def __init__(self, **settings: Any) -> None:
        # An abbreviation that works today is ambiguous tomorrow.
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise what the command line reports in one line."""
        raise InvalidOption(f"{message}.", hint=f"See {self.prog} --help.")

    def print_help(self, file: Any = None) -> None:
        """Print the help; one that cannot be written is an error, which argparse ignores."""
        if file is not None:
            super().print_help(file)
        else:
            Console().line(self.format_help().rstrip("\n"))


class _Version(argparse.Action):
    """The option that prints the version, and tells if it cannot."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        Console().line(f"qwen72b {__version__}")
        parser.exit()


def build_parser() -> tuple[Parser, dict[str, argparse.ArgumentParser], dict[str, str]]:
    """
    Make the parser.

    Returns:
        The parser, which wants a command's name first; each command's own
        parser; and each command's help.
    """
    parser = Parser(prog="qwen72b", add_help=False)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        import_module(f".{name}", __package__).add_parser(commands)
    # argparse has no public list of these; without it, the names are known all the same.
    told = {action.dest: action.help for action in getattr(commands, "_choices_actions", ())}
    helps = {name: told.get(name) or "" for name in commands.choices}
    ask = commands.choices["ask"]
    lines = "".join(f"  {name:<12}{text}\n" for name, text in helps.items())
    ask.epilog = f"commands (qwen72b COMMAND --help tells more):\n{lines}\n{ask.epilog}"
    return parser, dict(commands.choices), helps


def parse(argv: Sequence[str]) -> tuple[Run, argparse.Namespace]:
    """
    Read the command line.

    Args:
        argv: The arguments without the program's name.

    Returns:
        The function to run, and its arguments.

    Raises:
        InvalidOption: If they make no sense.
        SystemExit: If they only asked for help or the version.
    """
    parser, commands, _ = build_parser()
    words = list(argv)
    place = _find_command(words, commands)
    words = ["ask", *words] if place is None else [words.pop(place), *words]
    if means_merge(words):
        parser = Parser(prog="qwen72b batch", add_help=False)
        inner = parser.add_subparsers(dest="command", required=True)
        import_module(f".{MERGE}", __package__).add_parser(inner)
        commands = dict(inner.choices)
        words.remove(MERGE)
        words[0] = MERGE
    try:
        args, unknown = parser.parse_known_args(words)
    except InvalidOption as exc:
        if words[0] == "ask" and has_prompt_like_option(words, commands["ask"]):
            exc.hint = f"{BEHIND} {exc.hint}"
        raise
    if unknown:
        refuse_unknown(unknown, args.command, commands[args.command])
    run: Run = import_module(f".{args.command}", __package__).run
    return run, args


def _find_command(words: Sequence[str], commands: dict[str, argparse.ArgumentParser]) -> int | None:
    """Find the command's name: the first word that is no option, nor the value of one."""
    takes_value = list_options(commands["ask"], with_value=True)
    skip = False
    for place, word in enumerate(words):
        if word == "--":
            return None
        if skip:
            skip = False
        elif word.startswith("-") and word != "-":
            skip = word in takes_value
        else:
            return place if word in commands else None
    return None


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """
    Add what every command has.

    Args:
        parser: The command's parser.
    """
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say more: causes of errors, timings, the log"
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show program's version number and exit"
    )


def add_connection(parser: argparse.ArgumentParser, *, local: bool = True) -> None:
    """
    Add the options that say which Space to talk to.

    Args:
        parser: The command's parser.
        local: Whether it may be a local one, started for the command.
    """
    group = parser.add_argument_group("which Space")
    group.add_argument(
        "--url", metavar="URL", help="its address (default: QWEN72B_BASE_URL, or the public Space)"
    )
    group.add_argument("--space", metavar="OWNER/NAME", help="its name on Hugging Face")
    group.add_argument(
        "--endpoint",
        metavar="NAME",
        help="what of it to ask: a function's name or number (inspect tells)",
    )
    group.add_argument(
        "--input",
        type=labelled,
        action="append",
        default=[],
        dest="inputs",
        metavar="LABEL=VALUE",
        help="what another of its inputs is to be (inspect lists them); may be repeated",
    )
    if local:
        group.add_argument(
            "--local", action="store_true", help="a Space on this machine with a small model"
        )
        add_backend(group)
    group.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="limit of the whole call (default: none)"
    )


def add_backend(group: argparse._ArgumentGroup) -> None:
    """
    Add the options that choose a local Space's model.

    Args:
        group: Where to.
    """
    group.add_argument(
        "--backend",
        choices=("smollm2", "echo"),
        help="what answers locally (default: smollm2, SmolLM2-135M in place of Qwen2-72B)",
    )
    group.add_argument("--gguf", metavar="FILE", help="answer locally with this GGUF chat model")
    group.add_argument(
        "--upstream", metavar="URL", help="answer locally from this OpenAI-compatible server"
    )
    group.add_argument("--model", metavar="NAME", help="the upstream's name of the model")
