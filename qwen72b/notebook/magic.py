"""
The cell magic ``%%qwen``: a question per cell.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from keyword import iskeyword
from typing import Any, NoReturn

from ..client.client import Client
from ..client.conversation import Conversation
from ..errors import InvalidRequest, Qwen72BError
from ..reply import Reply
from .display import show

__all__ = ["Magic", "load_ipython_extension", "unload_ipython_extension"]


class Magic:
    """
    The cell magic, with what it remembers between cells.

    Args:
        shell: The IPython that it is a magic of.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._clients: dict[str, Client] = {}
        self._kept: dict[str, Conversation] = {}

    def qwen(self, line: str, cell: str) -> None:
        """
        Ask the cell's text, and draw the answer as it comes.

        ``%%qwen [-s SYSTEM] [--keep] [-o NAME] [--url URL]``

        -s, --system SYSTEM
            System text.
        --keep
            Go on with the conversation of the cells before that had ``--keep``.
            Without it the question stands alone. ``%reload_ext qwen72b.notebook``
            forgets the conversation.
        -o, --output NAME
            Store the answer, a ``Reply``, in this variable; what came of it, if
            it was interrupted or failed.
        --url URL
            Where the Space is; by default ``QWEN72B_BASE_URL``, else the public
            Space.
        """
        options = _read_options(line)
        question = cell.strip()
        if not question:
            _refuse("the cell holds no question")
        with _own_words():
            chat = self._conversation(options)
            stream = chat.stream(question)
            try:
                show(stream)
            finally:
                if options.output is not None:
                    reply = Reply(stream.text, stream.timings, chat.messages)
                    self._shell.push({options.output: reply})

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def _conversation(self, options: argparse.Namespace) -> Conversation:
        # The environment may have changed since the last cell, so the address is looked up anew.
        client = Client(options.url)
        client = self._clients.setdefault(client.base_url, client)
        if not options.keep:
            return client.conversation(system=options.system)
        chat = self._kept.setdefault(client.base_url, client.conversation())
        if options.system is not None:
            chat.system = options.system
        return chat


# Python's arguments in hints, and what they are here. There is no other option
# that a hint could name.
_WORDS = tuple(
    (re.compile(words), here)
    for words, here in (
        (r"\bbase_url= or QWEN", "--url or QWEN"),
        (r"\bbase_url or space\b", "--url"),
        (r"\bspace= and base_url= name\b", "--url names"),
        (r"\bas base_url\b", "as --url"),
        (r'^Pass space="[^"]*" instead\.', "Give its own address: https://OWNER-NAME.hf.space."),
        (r"^Pass token= for a private Space, or auth=.* for its login", "Set HF_TOKEN"),
        (r", or proxy=\.", "."),
        (r"\(verify=, ", "("),
        (r", or pass wait_for_space=\d+\.", "."),
        (r"^Pass auth=(.*) instead\.", r"Only Python has a login: Client(auth=\1)."),
    )
)


@contextmanager
def _own_words() -> Iterator[None]:
    """Name options where an error names arguments of Python's."""
    try:
        yield
    except Qwen72BError as error:
        if isinstance(error, InvalidRequest):
            # It may have come from the environment.
            error.reason = error.reason.replace("base_url", "the address")
        for words, here in _WORDS:
            error.hint = words.sub(here, error.hint)
        raise


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _refuse(message)


def _read_options(line: str) -> argparse.Namespace:
    parser = _Parser(prog="%%qwen", add_help=False, allow_abbrev=False)
    parser.add_argument("-s", "--system")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("-o", "--output")
    parser.add_argument("--url")
    try:
        words = shlex.split(line)
    except ValueError as exc:
        _refuse(f"the options cannot be read: {exc}")
    options = parser.parse_args(words)
    name = options.output
    if name is not None and (iskeyword(name) or not name.isidentifier()):
        _refuse(f"{name!r} is no name of a variable")
    return options


def _refuse(why: str) -> NoReturn:
    """Raise what IPython shows as one line, without a traceback."""
    raise import_module("IPython.core.error").UsageError(f"%%qwen: {why}. See %%qwen?")


def load_ipython_extension(shell: Any) -> None:
    """Register the cell magic ``%%qwen``; IPython calls this on ``%load_ext qwen72b.notebook``."""
    shell.register_magic_function(Magic(shell).qwen, "cell", "qwen")


def unload_ipython_extension(shell: Any) -> None:
    """Take the magic away, with its connections and its kept conversations."""
    magic = shell.magics_manager.magics["cell"].pop("qwen", None)
    if magic is not None:
        magic.__self__.close()
