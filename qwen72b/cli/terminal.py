"""
The terminal that a chat is typed on: its echo, its pastes, its end.

Systems without termios or SIGHUP (Windows) have none of this, and go without.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from .exits import Terminated

__all__ = ["PASTE_OFF", "PASTE_ON", "echo_off", "terminations"]

# Bracketed paste, as xterm has it: pasted text comes between two marks.
PASTE_ON, PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"


class _Received:
    """
    The signal that came.

    Attributes:
        number: Its number; 0 if none came.
    """

    number = 0


@contextmanager
def terminations() -> Iterator[_Received]:
    """
    Have SIGHUP and SIGTERM raise ``Terminated`` for the length of a ``with`` block.

    Yields:
        What came: what is done in between may fail in its own way, as writing
        to a closed terminal does.
    """
    received = _Received()

    def end(number: int, _: FrameType | None) -> None:
        received.number = number
        for each in before:
            # What is to be saved now shall not be interrupted.
            signal.signal(each, signal.SIG_IGN)
        raise Terminated(number)

    numbers = [getattr(signal, name, None) for name in ("SIGHUP", "SIGTERM")]
    before = {}
    # Python takes handlers from the main thread alone; whoever started the
    # command with nohup does not want SIGHUP.
    if threading.current_thread() is threading.main_thread():
        before = {
            number: signal.signal(number, end)
            for number in numbers
            if number is not None and signal.getsignal(number) == signal.SIG_DFL
        }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def echo_off(*, pastes: bool) -> Iterator[None]:
    """
    Keep what is typed off the screen; whoever reads the next line gets it.

    Args:
        pastes: Whether text that is pasted meanwhile shall be marked, as
            readline has it marked while it reads.
    """
    try:
        import termios

        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
    except Exception:  # noqa: BLE001 - no termios, no terminal: nothing is echoed
        yield
        return
    silent = termios.tcgetattr(terminal)
    # Not by lines either: those would be cut at 4,096 bytes, and Ctrl-D would end one.
    silent[3] &= ~(termios.ECHO | termios.ICANON)
    silent[6][termios.VMIN], silent[6][termios.VTIME] = 1, 0
    termios.tcsetattr(terminal, termios.TCSADRAIN, silent)
    try:
        if pastes:
            sys.stdout.write(PASTE_ON)
        yield
    finally:
        # It may have gone meanwhile.
        with suppress(OSError, termios.error):
            if pastes:
                sys.stdout.write(PASTE_OFF)
                sys.stdout.flush()
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
