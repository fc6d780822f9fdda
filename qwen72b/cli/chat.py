"""
``qwen72b chat``: talk back and forth.

Strategy: a turn is read, answered, and forgotten or remembered by the
conversation itself. Ctrl-C ends what is going on, an answer or a line being
typed, never the chat; Ctrl-D ends the chat.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from ..errors import Qwen72BError
from .connection import connected
from .exits import describe
from .options import add_connection, add_verbosity
from .turns import TurnReader

if TYPE_CHECKING:
    from ..client import Client
    from ..conversation import Conversation
    from .console import Console
    from .options import Commands

__all__ = ["add_parser", "run"]

_HELP = """\
/system [TEXT]  show the system prompt, or change it
/undo           forget the last question and its answer
/reset          forget all turns; the system prompt stays
/save FILE      write the chat to a JSON file
/load FILE      go on with a chat from a JSON file
/help           show this
/exit           leave, as Ctrl-D does
Several lines: put \"\"\" before and after them, or end a line with a backslash.
A first slash that is meant: type it twice. Ctrl-C stops an answer."""


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "chat",
        help="talk back and forth",
        description="Chat; each line that is typed, or piped in, is a question.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-s", "--system", metavar="TEXT", help="system prompt")
    add_connection(parser)
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Chat until there are no more questions."""
    with connected(args) as client:
        chat = _Chat(client, args)
        if chat.interactive:
            args.console.say(f"chatting with {client.base_url}; /help tells more, Ctrl-D leaves.")
        going_on = True
        while going_on:
            try:
                going_on = chat.turn()
            except KeyboardInterrupt:
                if not chat.interactive:
                    raise
                args.console.note()
    return 0


class _Chat:
    def __init__(self, client: Client, args: argparse.Namespace) -> None:
        self._client = client
        self._console: Console = args.console
        self._verbose: bool = args.verbose
        self._reader = TurnReader(self._console)
        self._talk: Conversation = client.conversation(system=args.system)
        self._commands = {
            "/system": self._system,
            "/undo": self._undo,
            "/reset": self._reset,
            "/save": self._save,
            "/load": self._load,
            "/help": self._help,
        }

    @property
    def interactive(self) -> bool:
        """Whether a person types."""
        return self._reader.interactive

    def turn(self) -> bool:
        """Read and answer one turn; tell whether the chat goes on."""
        text = self._reader.read()
        if text is None or text.strip() == "/exit":
            return False
        try:
            if text.startswith("/") and not text.startswith("//"):
                self._command(text)
            elif text.strip():
                self._answer(text.removeprefix("/"))
        except (Qwen72BError, OSError) as error:
            if isinstance(error, BrokenPipeError) or not self.interactive:
                raise
            self._console.complain(*describe(error, verbose=self._verbose))
        return True

    def _answer(self, text: str) -> None:
        from .renderers import StreamRenderer, timings_line

        with closing(self._talk.stream(text)) as stream:
            try:
                StreamRenderer(self._console).show(stream)
            except KeyboardInterrupt:
                if not self.interactive:
                    raise
                if stream.text:
                    self._console.say("stopped; what came is kept.")
                else:
                    # The conversation forgets the question, too.
                    self._console.note()
                    self._console.say("stopped.")
                return
            if self._verbose:
                self._console.say(timings_line(stream.timings))

    def _command(self, text: str) -> None:
        name, _, argument = text.strip().partition(" ")
        command = self._commands.get(name)
        if command is None:
            self._console.complain(f"there is no command {name}; /help lists them.")
        else:
            command(argument.strip())

    def _help(self, _: str) -> None:
        self._console.note(_HELP)

    def _system(self, text: str) -> None:
        if text:
            self._talk.system = text
        elif self._talk.system is None:
            self._console.note("(the Space's own)")
        else:
            self._console.note(self._talk.system)

    def _undo(self, _: str) -> None:
        forgotten = self._talk.undo()
        question = forgotten[0]["content"] if forgotten else ""
        self._console.say(f"forgotten: {question}" if forgotten else "nothing was asked yet.")

    def _reset(self, _: str) -> None:
        self._talk.reset()
        self._console.say("all turns are forgotten.")

    def _save(self, name: str) -> None:
        if self._has_name(name):
            self._talk.save(name)
            self._console.say(f"saved to {name}.")

    def _load(self, name: str) -> None:
        if self._has_name(name):
            self._talk = type(self._talk).load(name, self._client)
            self._console.say(f"loaded {len(self._talk.messages)} messages.")

    def _has_name(self, name: str) -> bool:
        if not name:
            self._console.complain("the name of a file is missing.")
        return bool(name)
