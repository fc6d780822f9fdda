"""
An answer drawn as Markdown while it comes, by rich.

A block (a paragraph, a list, a table, a piece of code) is finished when the
next one begins. Finished blocks are written once and left alone; the last one
grows below them, drawn anew with each piece. So nothing stands twice in the
scrollback, however long the answer is and however small the terminal.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import InvalidOption
from ..escape import escape
from ..events import Delta, Revised
from .renderers import Renderer, follow

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from rich.markdown import Markdown

    from ..client.stream import Stream
    from .console import Console

__all__ = ["MarkdownRenderer"]

_LINE_END = re.compile("\r\n?|\n")

# Columns of the terminal for each column of a table; in less, words are splinters.
_ROOM = 10

# The parser leaves out what is nested in 20 others or more.
_DEEPEST = 18

# What rich writes for colours and the like.
_STYLE = re.compile(r"\x1b\[[0-9;]*m")

# rich's own marks, where the encoding lacks them; the answer's characters
# have been escaped before.
_PLAIN_MARKS = str.maketrans("•─━▌│┃", "*-=|||")


class MarkdownRenderer(Renderer):
    """
    The answer drawn as Markdown; what is finished on a terminal cannot be taken back.

    Args:
        console: Where to.

    Raises:
        InvalidOption: If rich is not installed.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        try:
            import rich  # noqa: F401  # told now, before anything is asked
        except ImportError as exc:
            raise InvalidOption("--markdown needs rich.", hint="Run: pip install rich") from exc

    def show(self, stream: Stream) -> None:
        """Draw an answer to its end, or what came of it."""
        page = _Page(self.console)
        try:
            for batch in follow(stream, self.console):
                if not self.console.can_redraw:
                    continue
                back = min((e.offset for e in batch if isinstance(e, Revised)), default=None)
                if back is not None:
                    page.take_back(back)
                if back is not None or any(isinstance(event, Delta) for event in batch):
                    page.draw(stream.text)
        finally:
            page.finish(stream.text)


class _Page:
    """
    What of an answer is drawn.

    Args:
        console: Where it is.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        # So many characters are in blocks that are finished.
        self._done = 0
        self._blank = False

    def draw(self, text: str) -> None:
        """Draw what came since, the last block as one that grows."""
        fresh = text[self._done :]
        border = _last_block(fresh)
        self._done += border
        finished, growing = fresh[:border], fresh[border:].removesuffix("\r")
        lines = self._render(finished)
        self._blank = self._blank or bool(lines)
        self._console.draw(lines, self._render(growing))

    def finish(self, text: str) -> None:
        """Draw all of it."""
        self._console.draw(self._render(text[self._done :]))

    def take_back(self, offset: int) -> None:
        """Note that the text from here on is another one."""
        if offset < self._done:
            self._console.say("the Space took text back; the answer starts over.")
            self._done = 0

    def _render(self, text: str) -> list[str]:
        """Lay Markdown out in lines, with a blank one before it if blocks stand above."""
        # In a pipe, too: rich would let control characters go.
        text = escape(text, self._console.encoding)
        tokens = _show_images(_parser().parse(text))
        drawn = self._print(_drawn(tokens))
        if _is_whole(drawn, tokens):
            lines = _lines(drawn)
        else:
            lines = []
            for block, source in _blocks(tokens, text):
                drawn = self._print(_drawn(block))
                # What has no room when it is drawn (a table of many columns, a list
                # deep in lists) would be cut off: then as the model wrote it.
                more = _lines(drawn if _is_whole(drawn, block) else self._print(source))
                lines += ["", *more] if lines and more else more
        return ["", *lines] if lines and self._blank else lines

    def _print(self, what: Markdown | str) -> str:
        """Have rich write to a text in place of the console."""
        from rich.console import Console as RichConsole

        terminal = self._console.output_is_terminal
        encoding = self._console.encoding
        sink = _Sink(encoding)
        screen = RichConsole(
            file=sink,
            # Nobody who reads a pipe wants colours; a width, though, there must be.
            force_terminal=terminal or None,
            # The last column stays free, as in wrapped text.
            # A wide character takes two.
            width=max(2, self._console.columns - 1) if terminal else None,
        )
        screen.print(what, markup=False, highlight=False, emoji=False, overflow="fold")
        drawn = sink.getvalue()
        try:
            drawn.encode(encoding)
        except UnicodeEncodeError:
            drawn = drawn.translate(_PLAIN_MARKS).encode(encoding, "replace").decode(encoding)
        return drawn


class _Sink(io.StringIO):
    """
    Where rich writes to: it chooses its lines and boxes by the encoding.

    Args:
        encoding: The encoding.
    """

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute there, always None
        """The encoding of what will be written in the end."""
        return self._encoding


@cache
def _parser() -> MarkdownIt:
    """Make a parser as rich does, but one that shows HTML tags, which rich would drop."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])


@cache
def _markdown() -> type[Markdown]:
    """Make rich's class into one that breaks long words of a table, which it would cut off."""
    import rich.markdown

    elements = dict(rich.markdown.Markdown.elements)
    elements["table_open"] = type("Table", (_Breaking, elements["table_open"]), {})
    return type("Markdown", (rich.markdown.Markdown,), {"elements": elements})


class _Breaking:
    """What a table of rich is mixed with."""

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        parts = super().__rich_console__(console, options)  # type: ignore[misc]
        for part in parts:
            columns = getattr(part, "columns", ())
            # Without room it is cut off, found not to be whole, and written as it came.
            if columns and options.max_width // len(columns) >= _ROOM:
                for column in columns:
                    column.overflow = "fold"
            yield part


def _drawn(tokens: Sequence[Token]) -> Markdown:
    # Links with their addresses: hidden ones are lost where a terminal does not
    # know them, and may lead elsewhere than they say.
    markdown = _markdown()("", hyperlinks=False)
    markdown.parsed = list(tokens)
    return markdown


def _show_images(tokens: list[Token]) -> list[Token]:
    """Make links of images: rich would show the description and leave out where they are."""
    from markdown_it.token import Token

    for token in tokens:
        children: list[Token] = []
        for child in token.children or ():
            if child.type == "image":
                where = {"href": child.attrs.get("src", "")}
                text = Token("text", "", 0, content=child.content or "image")
                children += [
                    Token("link_open", "a", 1, attrs=where),
                    text,
                    Token("link_close", "a", -1),
                ]
            else:
                children.append(child)
        if token.children:
            token.children = children
    return tokens


def _blocks(tokens: Sequence[Token], text: str) -> Iterator[tuple[list[Token], str]]:
    """Tell a text's blocks apart: what each is parsed to, and how it was written."""
    lines = _LINE_END.split(text)
    block: list[Token] = []
    for token in tokens:
        block.append(token)
        # Its end: a token of its own, or one that closes what the first has opened.
        if token.level == 0 and token.nesting <= 0:
            first, last = block[0].map or (0, 0)
            yield block, "\n".join(lines[first:last]).rstrip()
            block = []


def _is_whole(drawn: str, tokens: Iterable[Token]) -> bool:
    """Tell whether no letter and no digit is missing in what was drawn."""
    wanted: Counter[str] = Counter()
    for token in tokens:
        if token.level >= _DEEPEST:
            return False
        for part in [token, *(token.children or ())]:
            if part.type == "link_open":
                wanted.update(str(part.attrs.get("href", "")))
            elif part.type != "inline":
                wanted.update(part.content)
    missing = wanted - Counter(_STYLE.sub("", drawn))
    return not any(character.isalnum() for character in missing)


def _lines(drawn: str) -> list[str]:
    # Padding is of no use, and would wrap in a terminal that gets narrower.
    lines = [line.rstrip() for line in drawn.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return lines


def _last_block(text: str) -> int:
    """Tell where the last block begins."""
    blocks = [
        token.map[0]
        for token in _parser().parse(text)
        if token.level == 0 and token.map is not None
    ]
    ends = [0, *(found.end() for found in _LINE_END.finditer(text))]
    return ends[blocks[-1]] if blocks else 0
