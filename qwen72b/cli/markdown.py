"""
How does an answer look when it is drawn? As Markdown that grows in place, by rich.
"""

from __future__ import annotations

from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

from ..errors import InvalidOption
from ..escape import escape
from ..events import Delta, Revised
from .renderers import Renderer, follow

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import ConsoleOptions, RenderResult
    from rich.markdown import Markdown

    from ..stream import Stream
    from .console import Console

__all__ = ["MarkdownRenderer"]

# Seconds between two drawings: each one lays the whole text out again.
_PAUSE = 0.1


class MarkdownRenderer(Renderer):
    """
    The answer drawn as Markdown, exact even where the Space took text back.

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
            raise InvalidOption(
                "--markdown needs rich.", hint='Run: pip install "qwen72b[rich]"'
            ) from exc

    def show(self, stream: Stream) -> None:
        """Draw an answer to its end, or what came of it."""
        from rich.console import Console as RichConsole
        from rich.live import Live
        from rich.markdown import Markdown

        def give_up() -> NoReturn:
            raise BrokenPipeError

        def draw() -> Markdown:
            terminal = self.console.output_is_terminal
            return Markdown(escape(stream.text) if terminal else stream.text)

        screen = RichConsole()
        # rich would end the process in its own way.
        screen.on_broken_pipe = give_up
        live = Live(console=screen, auto_refresh=False, vertical_overflow="visible")
        drawn = 0.0
        with ExitStack() as stack:
            try:
                for event in follow(stream, self.console):
                    if not isinstance(event, (Delta, Revised)):
                        continue
                    if not drawn:
                        # Not sooner: the status line has its place until now.
                        self.console.erase()
                        stack.enter_context(live)
                    if monotonic() - drawn >= _PAUSE:
                        live.update(_Tail(draw()), refresh=True)
                        drawn = monotonic()
            finally:
                if drawn:
                    live.update(draw(), refresh=True)


class _Tail:
    """The last lines of something, as many as the terminal shows: others cannot be redrawn."""

    def __init__(self, whole: Markdown) -> None:
        self._whole = whole

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment

        lines = console.render_lines(self._whole, options, pad=False)
        for line in lines[-(options.size.height - 1) :]:
            yield from line
            yield Segment.line()
