"""
The terminal that a chat is typed on: its echo, its pastes, its end.

Systems without termios or SIGHUP (Windows) have none of this, and go without.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from .exits import Terminated

__all__ = ["PASTE_OFF", "PASTE_ON", "echo_off", "keys_at_once", "terminations"]

# Bracketed paste, as xterm has it: pasted text comes between two marks.
PASTE_ON, PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"


class _Received:
    """
    The signal that came.

    Attributes:
        number: Its number; 0 if none came.
        hang_up: What the handler does before it raises; safe in a handler.
    """

    number = 0
    hang_up: Callable[[], None] | None = None


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
        if received.hang_up is not None:
            # What is raised in a destructor is lost; an answer that was ended
            # is not waited for all the same.
            received.hang_up()
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
def keys_at_once() -> Iterator[None]:
    """
    Have keys come one by one, as readline does while it reads, for a ``with`` block.

    A Ctrl-D that is pressed between two prompts would else be lost, and
    what is typed meanwhile would be cut at 4,096 bytes.
    """
    with _without("ICANON"):
        yield


@contextmanager
def echo_off(*, pastes: bool) -> Iterator[None]:
    """
    Keep what is typed off the screen; whoever reads the next line gets it.

    Args:
        pastes: Whether text that is pasted meanwhile shall be marked, as
            readline has it marked while it reads.
    """
    with _without("ECHO"):
        if pastes:
            sys.stdout.write(PASTE_ON)
            sys.stdout.flush()
        try:
            yield
        finally:
            if pastes:
                with suppress(OSError):
                    sys.stdout.write(PASTE_OFF)
                    sys.stdout.flush()


@contextmanager
def _without(mode: str) -> Iterator[None]:
    """Turn a local mode of the terminal off (termios(3)): ``ECHO`` or ``ICANON``."""
    try:
        import termios

        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        changed = termios.tcgetattr(terminal)
    except Exception:  # noqa: BLE001 - no termios, no terminal: there is nothing to change
        yield
        return
    changed[3] &= ~getattr(termios, mode)
    if mode == "ICANON":
        # How many bytes a read waits for where there are no lines.
        changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
    termios.tcsetattr(terminal, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        # It may have gone meanwhile.
        with suppress(termios.error):
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
