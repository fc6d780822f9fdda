"""
Steps that act on a connection: what faults are made of.

What may happen on a connection? Strategy: few steps that combine, each doing one thing to the bytes or to the
clock, instead of a flag for every fault. A script is a sequence of steps; it
stands in for the server's own answer (`FakeSpace.fault`), before it
(`Proceed` gives it after all), or in the middle of a stream
(`FakeSpace.answer`, `FakeSpace.stream`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from .wire import Connection, ConnectionOver

__all__ = [
    "Close",
    "CutAfter",
    "Gate",
    "Pause",
    "Proceed",
    "Repeat",
    "Reset",
    "Send",
    "Stall",
    "Step",
    "Throttle",
    "Trickle",
]


class Stage(Protocol):
    """Where a step plays: a connection, and the server's own way of answering."""

    connection: Connection

    def proceed(self) -> None:
        """Answer as if there were no script."""

    def play(self, step: Any) -> None:
        """Do one step."""


class Step:
    """
    Something that a script does.

    Attributes:
        answers: It answers a request in full, so that the connection may go on.
    """

    answers: ClassVar[bool] = False

    def __repr__(self) -> str:
        # Names a parametrized test, so it holds no address.
        fields = (f"{name.lstrip('_')}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({', '.join(fields)})"

    def run(self, stage: Stage) -> None:
        """Do it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Send(Step):
    """Send bytes as they are, outside any framing."""

    data: bytes

    def run(self, stage: Stage) -> None:
        """Do it."""
        stage.connection.send(self.data)


@dataclass(frozen=True)
class Trickle(Step):
    """Send bytes as they are, `size` at a time, `interval` seconds apart."""

    data: bytes
    interval: float = 0.05
    size: int = 1

    def run(self, stage: Stage) -> None:
        """Do it."""
        for start in range(0, len(self.data), self.size):
            stage.connection.send(self.data[start : start + self.size])
            stage.connection.wait(self.interval)


@dataclass(frozen=True)
class Pause(Step):
    """Do nothing for so many seconds."""

    seconds: float

    def run(self, stage: Stage) -> None:
        """Do it."""
        stage.connection.wait(self.seconds)


@dataclass(frozen=True)
class Stall(Step):
    """Do nothing until the client leaves."""

    def run(self, stage: Stage) -> None:
        """Do it."""
        stage.connection.wait(None)


@dataclass(frozen=True)
class Reset(Step):
    """End the connection with an RST."""

    def run(self, stage: Stage) -> None:
        """Do it."""
        stage.connection.reset()
        raise ConnectionOver


@dataclass(frozen=True)
class Close(Step):
    """End the connection with a FIN, whatever the framing still promises."""

    def run(self, stage: Stage) -> None:
        """Do it."""
        stage.connection.close()
        raise ConnectionOver


class Gate(Step):
    """
    Hold the script until the test opens the gate: order without clocks.

    A gate that is open stays open.

    Example:
        >>> gate = Gate()
        >>> with FakeSpace() as space:
        ...     space.answer("Hel", gate, "lo!")
        ...     with Client(space.url).stream("Hi") as stream:
        ...         print(next(stream))
        ...         gate.open()
        ...         print(next(stream))
        Hel
        lo!
    """

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()
        self._waiting: set[Connection] = set()

    def open(self) -> None:
        """
        Let everyone through, now and later.

        Example:
            >>> gate = Gate()
            >>> with FakeSpace() as space:
            ...     space.answer("Hel", gate, "lo!")
            ...     stream = Client(space.url).stream("Hi")
            ...     first = next(stream)
            ...     gate.open()
            ...     print(first, *stream)
            Hel lo!
        """
        self._open.set()
        for connection in list(self._waiting):
            connection.wake()

    def wait_reached(self, timeout: float = 5.0) -> None:
        """
        Wait (seconds) until a script has come to the gate.

        Example:
            >>> gate = Gate()
            >>> with FakeSpace() as space:
            ...     space.answer("Hel", gate, "lo!")
            ...     with Client(space.url).stream("Hi") as stream:
            ...         gate.wait_reached()
        """
        if not self._reached.wait(timeout):
            raise TimeoutError(f"no script came to the gate within {timeout} s")

    def run(self, stage: Stage) -> None:
        """Do it."""
        self._waiting.add(stage.connection)
        self._reached.set()
        try:
            stage.connection.wait(None, self._open.is_set)
        finally:
            self._waiting.discard(stage.connection)


@dataclass(frozen=True)
class Throttle(Step):
    """From here on send `size` bytes at a time, `interval` seconds apart."""

    size: int = 1
    interval: float = 0.05

    def run(self, stage: Stage) -> None:
        """Do it."""
        stage.connection.throttle = (self.size, self.interval)


@dataclass(frozen=True)
class CutAfter(Step):
    """From here on let only so many bytes through; then end (`Reset` or `Close`) or `Stall`."""

    size: int
    then: Step = field(default_factory=Reset)

    def run(self, stage: Stage) -> None:
        """Do it."""
        stage.connection.budget = self.size
        stage.connection.when_spent = lambda connection: self.then.run(stage)


@dataclass(frozen=True)
class Proceed(Step):
    """Answer as if there were no script."""

    answers = True

    def run(self, stage: Stage) -> None:
        """Do it."""
        stage.proceed()


class Repeat(Step):
    """
    Do steps again and again.

    Args:
        steps: What to do; text adds to the answer, as ever.
        times: How often; None is until the client leaves.
        interval: Seconds after each time.
    """

    def __init__(self, *steps: Any, times: int | None = None, interval: float = 0.0) -> None:
        self._steps = steps
        self._times = times
        self._interval = interval

    def run(self, stage: Stage) -> None:
        """Do it."""
        done = 0
        while self._times is None or done < self._times:
            for step in self._steps:
                stage.play(step)
            done += 1
            if self._interval:
                stage.connection.wait(self._interval)
