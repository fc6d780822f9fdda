"""
Player of recorded conversations: what a real server sent.

Strategy: a recording is a folder of a scenario (``config.json``,
``join_response.json``, ``data.sse`` with the borders of its HTTP chunks in
``timing.jsonl``, ``headers.json``, ``meta.json``). Status lines, headers, chunk
borders and the way in which the body ended are sent as they were recorded;
time is left out unless asked for, and the texts are never parsed.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dialect import Dialect, find_dialect
from .steps import Close, Stage, Step
from .wire import Connection

__all__ = ["Transcript"]


class Transcript:
    """
    A recorded conversation.

    Args:
        folder: Where the recording lies.
        timing: Keep the recorded pauses between chunks.

    Attributes:
        meta: What the recorder noted, the app's true text among it.
        config: The recorded ``/config``.
        join: Plays the answer to the request that carries the data.
        stream: Plays the stream.
    """

    def __init__(self, folder: str | Path, *, timing: bool = False) -> None:
        folder = Path(folder)
        self.meta: dict[str, Any] = json.loads((folder / "meta.json").read_text("utf-8"))
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        heads = json.loads((folder / "headers.json").read_text("utf-8"))
        answer = json.loads((folder / "join_response.json").read_text("utf-8"))
        data = (folder / "data.sse").read_bytes()
        gate = _Turnstile() if self.dialect.stream_first else None
        pieces: list[Piece] = []
        before = 0.0
        for line in (folder / "timing.jsonl").read_text("utf-8").splitlines():
            chunk = json.loads(line)
            piece = data[chunk["off"] : chunk["off"] + chunk["n"]]
            pieces.append(Piece(piece, chunk["t"] - before if timing and before else 0.0))
            before = chunk["t"]
        body = json.dumps(answer, separators=(",", ":")).encode()
        self.join = Replay(_head(heads["join"]), (Piece(body),), "length", opens=gate)
        self.stream = Replay(
            _head(heads["data"]),
            tuple(pieces),
            heads["data"]["ended"],
            chunked=heads["data"]["chunked"],
            waits=gate,
        )

    @property
    def dialect(self) -> Dialect:
        """How the recorded server spoke."""
        return find_dialect(self.meta["gradio"])


@dataclass(frozen=True)
class Piece:
    """Bytes of a body, and the seconds before them."""

    data: bytes
    delay: float = 0.0


class _Turnstile:
    """Lets one stream through for each answer to its question for the data (Gradio 4.0)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._permits = 0
        self._waiting: set[Connection] = set()

    def permit(self) -> None:
        with self._lock:
            self._permits += 1
            waiting = list(self._waiting)
        for connection in waiting:
            connection.wake()

    def wait(self, connection: Connection) -> None:
        with self._lock:
            self._waiting.add(connection)
        try:
            connection.wait(None, self._take)
        finally:
            with self._lock:
                self._waiting.discard(connection)

    def _take(self) -> bool:
        with self._lock:
            taken = self._permits > 0
            self._permits -= taken
        return taken


@dataclass(frozen=True)
class Replay(Step):
    """
    Send a recorded response.

    Attributes:
        head: Status line and headers.
        pieces: The body, as it was cut.
        ended: How the recorder saw it end: ``eof-chunk``, ``length``, or cut.
        chunked: Each piece is an HTTP chunk.
        opens: Let a stream that waits for its data go on.
        waits: Wait for the data after the message that asks for them.
    """

    answers = True

    head: bytes
    pieces: tuple[Piece, ...]
    ended: str
    chunked: bool = False
    opens: _Turnstile | None = None
    waits: _Turnstile | None = None

    def run(self, stage: Stage) -> None:
        """Do it."""
        connection = stage.connection
        connection.send(self.head)
        for piece in self.pieces:
            if piece.delay:
                connection.wait(piece.delay)
            data = piece.data
            connection.send(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)
            if self.waits is not None and b'"send_data"' in data:
                self.waits.wait(connection)
        if self.ended == "eof-chunk":
            connection.send(b"0\r\n\r\n")
        if self.opens is not None:
            self.opens.permit()
        if self.ended not in ("eof-chunk", "length"):
            Close().run(stage)


def _head(recorded: dict[str, Any]) -> bytes:
    lines = [recorded["status_line"], *(f"{name}: {value}" for name, value in recorded["headers"])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
