"""
The console: the answer goes to standard output, the rest to standard error.

Strategy: whoever writes goes through one ``Console``, because the status line,
the answer and the complaints may share one terminal: before anything else is
written there, the status line is gone.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

from ..escape import escape, escape_line
from .live import LiveLines
from .wrap import Wrapper

__all__ = ["Console"]

# What to assume where a terminal does not tell.
_COLUMNS = 80
_LINES = 24


class Console:
    """
    The two streams of a command.

    Attributes:
        quiet: Whether to say nothing but errors.
        output_is_terminal: Whether a person reads the answer as it comes.
        output_is_file: Whether the answer goes to a file on a disk.
    """

    def __init__(self) -> None:
        self.quiet = False
        self.output_is_terminal = _is_terminal(sys.stdout)
        self.output_is_file = _is_file(sys.stdout)
        self._errors_are_terminal = _is_terminal(sys.stderr)
        self._status = ""
        # Line ends that are held back: the answer ends with exactly one.
        self._line_ends = ""
        self._wrote = False
        self._half_line_end = ""
        self._wrapper = Wrapper()
        self._live = LiveLines()

    @property
    def encoding(self) -> str:
        """What standard output is written in."""
        return _encoding(sys.stdout)

    @property
    def can_redraw(self) -> bool:
        """Whether what was written to standard output can be written over."""
        return self.output_is_terminal and not _is_dumb()

    @property
    def columns(self) -> int:
        """The width of standard output, if that is a terminal."""
        return _size(sys.stdout).columns

    # The answer

    def write(self, text: str) -> None:
        """
        Write a piece of the answer at once.

        Args:
            text: The piece, perhaps empty. On a terminal it is escaped and its
                lines are wrapped; elsewhere it stays as it is.
        """
        if self.output_is_terminal:
            text = self._half_line_end + text
            # Perhaps the first half of a Windows line end.
            self._half_line_end = "\r" if text.endswith("\r") else ""
            text = escape(text.removesuffix("\r"), self.encoding)
        if not text:
            return
        self.erase()
        body = text.rstrip("\n")
        line_ends = text[len(body) :]
        if not body:
            self._line_ends += line_ends if self._wrote else ""
            return
        shown = self._line_ends + body
        # First noted, then done: a Ctrl-C may come while it is written.
        self._wrote, self._line_ends = True, line_ends
        if self.can_redraw:
            shown = self._wrapper.take(shown, _size(sys.stdout).columns)
        self._put(shown)

    def end(self) -> None:
        """End the answer's last line; without an answer, do nothing."""
        self.erase()
        wrote, self._wrote, self._line_ends = self._wrote, False, ""
        self._wrapper, self._half_line_end = Wrapper(), ""
        if wrote:
            self._put("\n")

    def draw(self, lines: Sequence[str], growing: Sequence[str] = ()) -> None:
        """
        Write lines that are drawn already.

        Args:
            lines: Lines that stay as they are.
            growing: Lines below them that are drawn anew next time; on a
                terminal only, and until something else is written.
        """
        columns, height = _size(sys.stdout)
        self._erase_status()
        shown = self._live.erase(columns) + "".join(f"{line}\n" for line in lines)
        shown += self._live.draw(growing, columns, height) if growing else ""
        if shown:
            self._put(shown)

    def line(self, text: str) -> None:
        """Write a line of a report."""
        self.erase()
        self._put((escape(text, self.encoding) if self.output_is_terminal else text) + "\n")

    def flush(self) -> None:
        """Let a failing write fail now, where it can still be told."""
        if sys.stdout is not None:
            with _named("standard output"):
                sys.stdout.flush()

    def abandon(self, *streams: TextIO | None) -> None:
        """
        Forget what is still to be written: the reader has gone.

        Args:
            *streams: Standard output, or standard error, or both.
        """
        # The interpreter flushes once more at its end, and would complain.
        for stream in streams:
            if stream is None:
                continue
            with suppress(OSError, ValueError):
                output = stream.fileno()
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, output)
                os.close(null)

    def _put(self, text: str) -> None:
        if sys.stdout is None:
            # Started with ``>&-``.
            raise OSError(errno.EBADF, "standard output is closed")
        with _named("standard output"):
            try:
                sys.stdout.write(text)
            except UnicodeEncodeError:
                encoding = sys.stdout.encoding
                sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
            sys.stdout.flush()

    # What is said about it

    def say(self, text: str) -> None:
        """Say something on standard error, unless it shall be quiet."""
        if not self.quiet:
            self.complain(text)

    def complain(self, *lines: str) -> None:
        """Say something on standard error in any case; each argument is a line."""
        for line in lines:
            self.note("qwen72b: " + " ".join(line.splitlines()))

    def note(self, text: str = "") -> None:
        """Write a line to standard error as it is, but for control characters."""
        if sys.stderr is None:
            return
        self.erase()
        # There is nobody left to tell that standard error is closed.
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{escape(text, _encoding(sys.stderr))}\n")
            sys.stderr.flush()

    def status(self, text: str) -> None:
        """
        Show what is going on, on the terminal's present line, until something else is written.

        Args:
            text: A few words; without a terminal, nobody sees them.
        """
        if self.quiet or not self._errors_are_terminal or _is_dumb():
            return
        # A line that wraps could not be erased.
        shown = escape_line(text, _encoding(sys.stderr))[: _size(sys.stderr).columns - 1]
        if shown == self._status:
            return
        self.erase()
        dim, plain = ("", "") if os.environ.get("NO_COLOR") else ("\x1b[2m", "\x1b[22m")
        sys.stderr.write(f"{dim}{shown}{plain}")
        sys.stderr.flush()
        self._status = shown

    def erase(self) -> None:
        """Take the status line away, and lines that were still growing."""
        self._erase_status()
        if self._live:
            self._put(self._live.erase(_size(sys.stdout).columns))

    def _erase_status(self) -> None:
        if self._status:
            self._status = ""
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


@contextmanager
def _named(stream: str) -> Iterator[None]:
    """Have the error of a write say what could not be written."""
    try:
        yield
    except OSError as exc:
        exc.filename = stream
        raise


def _is_terminal(file: TextIO | None) -> bool:
    return file is not None and file.isatty()


def _is_file(file: TextIO | None) -> bool:
    try:
        return file is not None and stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _encoding(file: TextIO | None) -> str:
    return getattr(file, "encoding", None) or "ascii"


def _is_dumb() -> bool:
    """Tell whether the terminal knows no control sequences."""
    return os.environ.get("TERM") == "dumb"


def _size(file: TextIO | None) -> os.terminal_size:
    try:
        size = os.get_terminal_size(file.fileno()) if file is not None else os.terminal_size((0, 0))
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    # A terminal may say that it does not know.
    return os.terminal_size((size.columns or _COLUMNS, size.lines or _LINES))
