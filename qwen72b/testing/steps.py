"""
The steps of which faults on a connection are made.

Strategy: few steps that combine, each doing one thing to the bytes or to the
clock, instead of a flag for every fault. A script is a sequence of steps; it
stands in for the server's own answer (`FakeSpace.fault`), before it
(`Proceed` gives it after all), or in the middle of a stream
(`FakeSpace.answer`, `FakeSpace.stream`).
"""

from __future__ import annotations

import html
import json
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from .exchange import Body, Framing, write_head
from .wire import Connection, ConnectionOver

__all__ = [
    "Close",
    "CutAfter",
    "Gate",
    "Pause",
    "Proceed",
    "Repeat",
    "Reset",
    "Respond",
    "Send",
    "Stall",
    "Step",
    "Throttle",
    "Trickle",
    "page",
    "redirect",
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

    ::

        gate = Gate()
        space.answer("Hel", gate, "lo")
        assert next(chunks) == "Hel"
        gate.wait_reached()
        gate.open()

    A gate that is open stays open.
    """

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()
        self._waiting: set[Connection] = set()

    def open(self) -> None:
        """Let everyone through, now and later."""
        self._open.set()
        for connection in list(self._waiting):
            connection.wake()

    def wait_reached(self, timeout: float = 5.0) -> None:
        """Wait (seconds) until a script has come to the gate."""
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


@dataclass(frozen=True, kw_only=True)
class Respond(Step):
    """
    Answer with a response of the test's own.

    Attributes:
        status: Its code.
        body: Bytes, text, or anything else to be written as JSON.
        headers: Further headers, such as ``{"Retry-After": "3"}``; a value
            None takes one of the usual headers away.
        content_type: By default JSON or plain text, as the body is.
        framing: How the body's end is told.
        length: A Content-Length that may lie; by default the true one.
        reason: The reason phrase; by default the usual one.
        gzip: Whether the body is compressed.
    """

    answers = True

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    content_type: str | None = None
    framing: Framing = "length"
    length: int | None = None
    reason: str | None = None
    gzip: bool = False

    def run(self, stage: Stage) -> None:
        """Do it."""
        body = self._bytes()
        if self.gzip:
            packer = zlib.compressobj(wbits=31)
            body = packer.compress(body) + packer.flush()
        stage.connection.send(write_head(self.status, self._head(len(body)), self.reason))
        # HTTP knows no body here, and a client would take one for the next response.
        if self.status not in (204, 304):
            writer = Body(stage.connection, self.framing)
            if body:
                writer.write(body)
            writer.end()

    def _bytes(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()

    def _head(self, size: int) -> Sequence[tuple[str, str]]:
        kind = "text/plain" if isinstance(self.body, (bytes, str)) else "application/json"
        head: dict[str, str | None] = {
            "server": "uvicorn",
            "content-type": self.content_type or kind,
        }
        if self.gzip:
            head["content-encoding"] = "gzip"
        if self.framing == "chunked":
            head["transfer-encoding"] = "chunked"
        elif self.framing == "length" and self.status not in (204, 304):
            head["content-length"] = str(size if self.length is None else self.length)
        else:
            head["connection"] = "close" if self.framing == "close" else None
        head |= {name.lower(): value for name, value in self.headers.items()}
        return [(name, value) for name, value in head.items() if value is not None]


def page(title: str, status: int = 503, text: str = "") -> Respond:
    """Make an HTML page, as the Hub shows instead of a Space that is asleep or broken."""
    shown = html.escape(title)
    body = f"<!DOCTYPE html><html><head><title>{shown}</title></head><body>{text or shown}</body>"
    return Respond(status=status, body=body + "</html>", content_type="text/html; charset=utf-8")


def redirect(location: str, status: int = 307) -> Respond:
    """Make a redirect; `location` may be a path or another `FakeSpace`'s URL."""
    return Respond(status=status, headers={"Location": location})
