"""
``qwen72b help``: the guide, shipped with the package, on the terminal.

Strategy: a topic is a file of reStructuredText beside this package, which
reads well as it stands; only what is meant for a typesetter is left out. The
files are read as resources of the package, so that they are found in a wheel
and in a zip alike.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import InvalidOption
from .options import COMMANDS, add_verbosity

if TYPE_CHECKING:
    from .console import Console
    from .options import Commands

__all__ = ["TOPICS", "add_parser", "read_topic", "run", "summarize"]

# The files of the guide, in the order of the list: first for those who use the
# package, then for those who work on it.
_FOR_USERS = (
    "messages",
    "conversations",
    "errors",
    "timeouts",
    "async",
    "notebook",
    "shell",
    "batch",
    "local",
    "gateway",
    "recipes",
    "network",
    "spaces",
    "provider",
    "testing",
    "logging",
    "speed",
    "promises",
    "reference",
    "changes",
)
_FOR_MAKERS = ("wire", "libraries", "decisions", "glossary", "protocol-versions")
TOPICS = (*_FOR_USERS, *_FOR_MAKERS)

# What a shell ends with where a command cannot be run, or is not there (POSIX, 2.8.2).
_NO_COMMAND = (126, 127)

# Tables of contents, and what says in which language a block is.
_DIRECTIVES = re.compile(r"^\.\. (?:contents|code-block)::.*\n(?: +:.*\n)*\n", re.MULTILINE)


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "help",
        help="read the guide: its topics, or one of them",
        description="List the guide's topics, or show one, paged on a terminal ($PAGER).",
    )
    parser.add_argument("topic", nargs="*", metavar="TOPIC", help="which one; none lists them all")
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """List the topics, or show one."""
    if not args.topic:
        text = _list_topics()
    elif len(args.topic) == 1:
        text = _DIRECTIVES.sub("", read_topic(_find_topic(args.topic[0])))
    else:
        raise InvalidOption(
            "help shows one topic.",
            hint=f'To ask the model, write: qwen72b ask "help {" ".join(args.topic)}"',
        )
    _show(text, args.console)
    return 0


def read_topic(topic: str) -> str:
    """
    Read a topic.

    Args:
        topic: One of ``TOPICS``.

    Returns:
        reStructuredText.
    """
    # Slow to import, and for this command only.
    from importlib.resources import files

    folder = files(__package__.partition(".")[0]) / "guide"
    return (folder / f"{topic}.rst").read_text("utf-8")


def summarize(text: str) -> str:
    """
    Sum a topic up.

    Args:
        text: The topic: a title, its underline, an empty line, and a line that says it.

    Returns:
        That line.
    """
    return text.split("\n", 4)[3]


def _list_topics() -> str:
    width = max(map(len, TOPICS)) + 2
    lines = []
    for title, topics in (("Using qwen72b", _FOR_USERS), ("Working on qwen72b", _FOR_MAKERS)):
        lines.append(f"{title}:")
        lines += [f"  {topic:<{width}}{summarize(read_topic(topic))}" for topic in topics]
        lines.append("")
    lines.append("qwen72b help TOPIC shows one; qwen72b COMMAND --help lists a command's options.")
    return "\n".join(lines)


def _find_topic(name: str) -> str:
    topic = name.lower().removesuffix(".rst").replace("_", "-")
    if topic in TOPICS:
        return topic
    if topic in COMMANDS:
        hint = f"It is a command: see qwen72b {topic} --help, or qwen72b help shell."
    else:
        # Needed by whoever mistypes, and by nobody else.
        from difflib import get_close_matches

        near = get_close_matches(topic, TOPICS, n=3, cutoff=0.6)
        near += [other for other in TOPICS if topic and topic in other and other not in near]
        hint = f"Nearest: {', '.join(near)}. " if near else ""
        hint += "qwen72b help lists them."
    raise InvalidOption(f"the guide has no topic {name!r}.", hint=hint)


def _show(text: str, console: Console) -> None:
    """Write a text, through a pager if a person reads and there is one."""
    if not (console.can_redraw and sys.stdin is not None and sys.stdin.isatty()):
        console.line(text.rstrip("\n"))
        return
    # Slow to import, and for a person only.
    from shutil import which

    wanted = os.environ.get("MANPAGER") or os.environ.get("PAGER")
    pagers = [wanted] if wanted else [name for name in ("less", "more") if which(name)]
    if not any(_page(text, pager, console.encoding) for pager in pagers):
        console.line(text.rstrip("\n"))


def _page(text: str, pager: str, encoding: str) -> bool:
    """
    Show a text with a command of the shell; tell whether it can be run.

    ``pydoc.pager`` does the same and does not tell: the text would be lost.
    """
    import subprocess

    # What the shell takes for no command ends well, with nothing shown, and what it
    # cannot read ends as a pager may that was left: with 2. So it is asked before.
    if not pager.strip() or pager.lstrip().startswith("#"):
        return False
    if (
        os.name == "posix"
        and subprocess.run(["/bin/sh", "-n", "-c", pager], check=False).returncode
    ):
        return False
    process = subprocess.Popen(pager, shell=True, stdin=subprocess.PIPE)
    # The reader may leave early; and Ctrl-C is the pager's until it ends.
    with suppress(OSError, KeyboardInterrupt):
        process.communicate(text.encode(encoding, "backslashreplace"))
    while True:
        try:
            return process.wait() not in _NO_COMMAND
        except KeyboardInterrupt:
            continue
