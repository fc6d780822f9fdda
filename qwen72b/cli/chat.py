"""
``qwen72b chat``: talk back and forth.

Strategy: a turn is read, answered, and forgotten or remembered by the
conversation itself. Ctrl-C ends what is going on, an answer or a line being
typed, never the chat; Ctrl-D ends the chat. A chat that ends in any other way
(its terminal was closed, the program failed) is saved first.

Above 300 lines: a short method for each command of the chat.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidMessages, InvalidOption, Qwen72BError, StreamInterrupted
from .connection import connected
from .exits import Terminated, describe
from .options import add_connection, add_verbosity

if TYPE_CHECKING:
    from ..client.client import Client
    from ..client.conversation import Conversation
    from .console import Console
    from .options import Commands
    from .renderers import Renderer

__all__ = ["add_parser", "run"]

# SIGHUP, where systems have it; 128 and this is what shells report.
_HANGUP = 1

# Commands that are the whole line.
_ALONE = ("/retry", "/undo", "/reset")

_HELP = """\
/system [TEXT]  show the system prompt, or change it
/retry          ask the last question again
/undo           forget the last question and its answer
/reset          forget all turns; the system prompt stays
/save FILE      write the chat to a JSON file; /save! FILE replaces one
/load FILE      go on with a chat from a JSON file
/help           show this
/quit           leave, as /exit, exit, quit and Ctrl-D do
What is pasted is one question. To type several lines, put \"\"\" before and
after them, or end a line with a backslash. A first slash that is meant: type
it twice. Ctrl-C stops an answer."""


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
    parser.add_argument("--markdown", action="store_true", help="draw answers (pip install rich)")
    parser.add_argument(
        "--save", action="store_true", help="keep the chat on disk, for --continue, after each turn"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "-c",
        "--continue",
        dest="go_on",
        action="store_true",
        help="go on with the chat that was kept last, and keep it",
    )
    which.add_argument("--load", metavar="FILE", help="go on with a chat from a JSON file")
    add_connection(parser)
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Chat until there are no more questions."""
    from .terminal import keys_at_once, terminations

    with connected(args) as client, terminations() as received:
        chat = _Chat(client, args)
        received.hang_up = client.close
        try:
            with keys_at_once() if chat.editing else nullcontext():
                chat.run(lambda: received.number > 0)
        except BaseException as exc:
            chat.rescue()
            if received.number:
                raise Terminated(received.number) from exc
            raise
    return 2 if chat.skipped_input else 0


class _Chat:
    def __init__(self, client: Client, args: argparse.Namespace) -> None:
        from .chats import latest_chat, new_chat
        from .turns import TurnReader

        self._client = client
        self._console: Console = args.console
        self._verbose: bool = args.verbose
        self._markdown: bool = args.markdown
        self._reader = TurnReader(self._console)
        self._talk: Conversation = client.conversation(system=args.system)
        # Where the chat is kept, and what of it is there.
        self._kept_in = new_chat() if args.save else None
        self._kept: object = []
        # Files of this chat, which /save may replace.
        self._files: set[Path] = set()
        # The last question, answered or not.
        self._asked: str | None = None
        self._renderer = self._make_renderer()
        if args.go_on:
            self._kept_in = latest_chat(self._console.say)
            if self._kept_in is None:
                raise InvalidOption("no chat was kept yet.", hint="Keep one with: chat --save")
        if args.go_on or args.load is not None:
            self._load(str(self._kept_in) if args.go_on else args.load)
            self._kept = self._talk.messages
        if args.system is not None:
            self._talk.system = args.system
        self._commands = {
            "/system": self._system,
            "/retry": self._retry,
            "/undo": self._undo,
            "/reset": self._reset,
            "/save": self._save,
            "/save!": self._replace,
            "/load": self._load,
            "/help": self._help,
        }

    @property
    def editing(self) -> bool:
        """Whether readline reads what is typed."""
        return self._reader.editing

    @property
    def skipped_input(self) -> bool:
        """Whether a line that was piped in could not be read."""
        return self._reader.skipped > 0 and not self._reader.interactive

    def run(self, told_to_end: Callable[[], bool]) -> None:
        """Chat until there are no more questions, or somebody says that it is to end."""
        interactive = self._reader.interactive
        if interactive:
            self._console.say(
                f"chatting with {self._client.base_url}; /help tells more, Ctrl-D leaves."
            )
        going_on = True
        while going_on:
            try:
                going_on = self._turn()
            except KeyboardInterrupt:
                if not interactive:
                    raise
                self._console.note()
            if told_to_end():
                raise StreamInterrupted("the chat was told to end.")
        if self._kept_in is not None and self._kept:
            self._console.say(f"the chat is in {self._kept_in}; chat -c goes on with it.")

    def rescue(self) -> None:
        """Keep the chat that ends before its time, and say where."""
        if not self._talk.messages or not (self._reader.interactive or self._kept_in):
            return
        from .chats import new_chat

        try:
            self._kept_in = self._kept_in or new_chat()
        except InvalidOption as error:
            self._console.complain(f"the chat cannot be kept: {describe(error)[0]}")
            return
        self._keep()
        if self._kept:
            self._console.complain(f"the chat is in {self._kept_in}; chat -c goes on with it.")

    def _make_renderer(self) -> Renderer:
        if self._markdown:
            from .markdown import MarkdownRenderer

            return MarkdownRenderer(self._console)
        from .renderers import StreamRenderer

        return StreamRenderer(self._console)

    def _turn(self) -> bool:
        """Read and answer one turn; tell whether the chat goes on."""
        text = self._reader.read()
        if text is None and self._reader.cut_off:
            raise Terminated(_HANGUP)
        if text is None or self._leaves(text):
            return False
        try:
            # A command is a line; of several lines, the first may be a path.
            if text.startswith("/") and not text.startswith("//") and "\n" not in text:
                self._command(text)
            elif text.strip():
                self._answer(text[1:] if text.startswith("//") else text)
        except (Qwen72BError, OSError) as error:
            if isinstance(error, BrokenPipeError) or not self._reader.interactive:
                raise
            if self._reader.cut_off:
                raise Terminated(_HANGUP) from error
            self._console.complain(*describe(error, verbose=self._verbose))
        if self._kept_in is not None:
            self._keep()
        return True

    def _leaves(self, text: str) -> bool:
        """Tell whether somebody wants to leave; at other prompts of this kind a bare word does."""
        if self._reader.interactive and text.strip() in ("exit", "quit"):
            return True
        return "\n" not in text and text.split()[:1] in (["/exit"], ["/quit"])

    def _answer(self, text: str) -> bool:
        """Ask and show the answer; tell whether any of it is kept."""
        from .renderers import timings_line
        from .terminal import echo_off

        self._asked = text
        with echo_off(pastes=self._reader.editing), closing(self._talk.stream(text)) as stream:
            try:
                self._renderer.show(stream)
            except KeyboardInterrupt:
                if not self._reader.interactive:
                    raise
                if not stream.text:
                    # The conversation forgets the question, too.
                    self._console.note()
                    self._console.say("stopped.")
                    return False
                self._console.say("stopped; what came is kept.")
            else:
                if self._verbose:
                    self._console.say(timings_line(stream.timings))
        return True

    def _keep(self) -> None:
        """Write the chat, if it changed, to where it is kept."""
        from .chats import write_chat

        messages = self._talk.messages
        if messages == self._kept or self._kept_in is None:
            return
        try:
            write_chat(self._kept_in, messages)
            self._kept = messages
        except OSError as error:
            self._console.complain(f"the chat cannot be kept: {describe(error)[0]}")

    def _command(self, text: str) -> None:
        name, _, argument = text.strip().partition(" ")
        command = self._commands.get(name)
        if command is None:
            self._console.complain(f"there is no command {name}; /help lists them.")
        elif argument and name in _ALONE:
            # Words behind it were meant to change what it does.
            self._console.complain(f"{name} takes no words behind it; nothing was done.")
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
        self._asked = None
        question = forgotten[0]["content"] if forgotten else ""
        self._console.say(f"forgotten: {question}" if forgotten else "nothing was asked yet.")

    def _reset(self, _: str) -> None:
        self._talk.reset()
        self._asked = None
        self._console.say("all turns are forgotten.")

    def _retry(self, _: str) -> None:
        questions = [each["content"] for each in self._talk.messages if each["role"] == "user"]
        asked = self._asked or (questions[-1] if questions else None)
        if asked is None:
            self._console.say("nothing was asked yet.")
            return
        before = self._talk
        self._talk = before.fork()
        if questions and questions[-1] == asked:
            self._talk.undo()
        answered = False
        try:
            answered = self._answer(asked)
        finally:
            # A new answer that does not come shall not cost the old one.
            if not answered:
                self._talk = before

    def _save(self, name: str) -> None:
        path = _path(name)
        if path.exists() and path.resolve() not in self._files and path.is_file():
            self._console.complain(f"{path} is there already; /save! {name} replaces it.")
        else:
            self._replace(name)

    def _replace(self, name: str) -> None:
        path = _path(name)
        self._talk.save(path)
        self._files.add(path.resolve())
        self._console.say(f"saved to {path}.")

    def _load(self, name: str) -> None:
        path = _path(name)
        try:
            self._talk = type(self._talk).load(path, self._client)
        except OSError as exc:
            raise InvalidOption(f"{path} cannot be read: {exc.strerror or exc}.") from exc
        except InvalidMessages as exc:
            if repr(str(path)) in exc.reason:
                raise
            # It tells which of the messages is wrong, and not of which file.
            raise InvalidOption(f"{path} holds no chat: {exc.reason}", hint=exc.hint) from exc
        self._files.add(path.resolve())
        self._asked = None
        self._console.say(f"loaded {len(self._talk.messages)} messages.")


def _path(name: str) -> Path:
    """Read the name of a file as a shell would."""
    if not name:
        raise InvalidOption("the name of a file is missing.")
    try:
        path = Path(name).expanduser()
    except RuntimeError as exc:
        user = name.partition("/")[0]
        raise InvalidOption(f"{name} cannot be found: there is no folder {user}.") from exc
    if "\0" in name:
        raise InvalidOption("a file's name has no NUL bytes.")
    return path
