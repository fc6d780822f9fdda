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
from functools import cache
from typing import TYPE_CHECKING

from ..errors import InvalidOption
from ..escape import escape
from ..events import Delta, Revised
from .renderers import Renderer, follow

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

    from ..client.stream import Stream
    from .console import Console

__all__ = ["MarkdownRenderer"]

_LINE_END = re.compile("\r\n?|\n")

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
        from rich.console import Console as RichConsole
        from rich.markdown import Markdown

        console = self._console
        terminal = console.output_is_terminal
        encoding = console.encoding
        sink = _Sink(encoding)
        screen = RichConsole(
            file=sink,
            # Nobody who reads a pipe wants colours; a width, though, there must be.
            force_terminal=terminal or None,
            # The last column stays free, as in wrapped text.
            width=max(1, console.columns - 1) if terminal else None,
        )
        # Links with their addresses: hidden ones are lost where a terminal
        # does not know them, and may lead elsewhere than they say.
        markdown = Markdown("", hyperlinks=False)
        # In a pipe, too: rich would let control characters go.
        markdown.parsed = _parser().parse(escape(text, encoding))
        screen.print(markdown)
        drawn = sink.getvalue()
        try:
            drawn.encode(encoding)
        except UnicodeEncodeError:
            drawn = drawn.translate(_PLAIN_MARKS).encode(encoding, "replace").decode(encoding)
        # Padding is of no use, and would wrap in a terminal that gets narrower.
        lines = [line.rstrip() for line in drawn.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        while lines and not lines[0]:
            lines.pop(0)
        return ["", *lines] if lines and self._blank else lines


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


def _last_block(text: str) -> int:
    """Tell where the last block begins."""
    blocks = [
        token.map[0]
        for token in _parser().parse(text)
        if token.level == 0 and token.map is not None
    ]
    ends = [0, *(found.end() for found in _LINE_END.finditer(text))]
    return ends[blocks[-1]] if blocks else 0
