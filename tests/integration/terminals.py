"""The command line as a process of its own, on pipes or on a terminal."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

from timing import MS, PATIENCE, SHORT

# Makes the terminal the process's own, so that Ctrl-C reaches it.
_TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
# Whoever runs the tests may ignore it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
for number in sys.argv[1].split():
    signal.signal(int(number), signal.SIG_IGN)
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", "qwen72b", *argv]


def start(*argv: str, **options: Any) -> subprocess.Popen[str]:
    """Start the command on pipes, with nothing to read on standard input."""
    return subprocess.Popen(
        command(*argv),
        **{
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
        },
    )


class Terminal:
    """
    The command on a terminal of its own.

    Args:
        argv: Its arguments.
        piped: Whether its standard output is a pipe all the same.
        typed: Whether its standard input is the terminal, too.
        size: Its height and width; 0 is a terminal that does not tell.
        ignored: Signals that it does not get, as ``nohup`` has it.
        env: Further variables.
    """

    def __init__(
        self,
        *argv: str,
        piped: bool = False,
        typed: bool = False,
        size: tuple[int, int] = (0, 0),
        ignored: tuple[int, ...] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(*size)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._seen = ""
        #: All that was written, whether it was looked for or not.
        self.written = ""
        words = " ".join(str(int(number)) for number in ignored)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, words, *command(*argv)[1:]],
            stdin=theirs if typed else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", **(env or {})},
        )
        os.close(theirs)

    def resize(self, height: int, width: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def wait_until_asleep(self) -> None:
        """
        Wait until the process waits for keys.

        A signal that comes between Python's last look for one and readline's
        ``select`` is seen with the next key only; that is CPython's, not ours.
        """
        stat = Path(f"/proc/{self.process.pid}/stat")
        sleep(SHORT)
        while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "S":
            sleep(MS)

    def hang_up(self) -> None:
        """Take the terminal away, as closing its window does."""
        os.close(self._ours)
        self._ours = -1

    def type(self, text: str) -> None:
        """Press keys; a byte that is no text is a surrogate, as PEP 383 has it."""
        os.write(self._ours, text.encode(errors="surrogateescape"))

    def read_until(self, text: str) -> str:
        """Wait for words on the screen; give what was written up to them."""
        while text not in self._seen:
            more = self._read()
            assert more, f"{text!r} did not come; there was {self._seen!r}"
            self._seen += more
        before, found, self._seen = self._seen.partition(text)
        return before + found

    def finish(self) -> tuple[int, str]:
        """Wait for the end; give the exit status and what was written since the last look."""
        while more := self._read():
            self._seen += more
        return self.process.wait(PATIENCE), self._seen

    def _read(self) -> str:
        ready, _, _ = select.select([self._ours], [], [], PATIENCE)
        assert ready, f"nothing came any more; there was {self._seen!r}"
        try:
            data = os.read(self._ours, 65536)
        except OSError:
            # How Linux says that the other end was closed.
            return ""
        more = self._decoder.decode(data)
        if data and not more:
            # The first bytes of a character.
            return self._read()
        self.written += more
        return more

    def close(self) -> None:
        """End the process, if need be, and give the terminal back."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self._ours >= 0:
            self.hang_up()


@contextmanager
def terminal(*argv: str, **options: Any) -> Iterator[Terminal]:
    """Run the command on a terminal for the length of a ``with`` block; takes what `Terminal` does."""
    running = Terminal(*argv, **options)
    try:
        yield running
    finally:
        running.close()
