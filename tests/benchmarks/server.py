"""
A loopback server that is never the bottleneck of a benchmark.

Strategy: one thread, one epoll loop, one heap of what is due; all bytes are
encoded before they are needed. A paced piece of text is the time at which it
was sent, on the monotonic clock that all processes of a Linux system share, so
a reader knows how old it is. It speaks Gradio 4.36 (``sse_v3``) and, for the
openai client, chat completions; what it says is an `Order` in the question.

Run as a program, it prints three ports: as it is, with a round trip of 50 ms
added to every request and to every new connection, and for control.
"""

from __future__ import annotations

import heapq
import json
import selectors
import socket
import sys
from functools import lru_cache
from itertools import count
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from order import Order

__all__ = ["ROUND_TRIP", "main"]

ROUND_TRIP = 0.05

_CONFIG = Path(__file__).parent.parent / "data" / "transcripts" / "4.36.1" / "config.json"
_EVENT_ID = "e" * 32
_STAMP = "0000000000000000000"
_WORD = " word"
_SYSTEM = "You are a helpful assistant."


def _event(message: Any) -> bytes:
    return b"data: " + json.dumps(message, separators=(",", ":")).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _generating(data: Any) -> bytes:
    output = {
        "data": data,
        "is_generating": True,
        "duration": 0.0523345,
        "average_duration": 0.0512312,
        "render_config": None,
        "changed_state_ids": [],
    }
    message = {"msg": "process_generating", "event_id": _EVENT_ID, "output": output}
    return _event({**message, "success": True})


class Gradio:
    """How Gradio 4.36 says it."""

    @staticmethod
    def head(question: str) -> list[bytes]:
        """Say what comes before the second piece of text; the first one is empty."""
        shown = [[question, ""]]
        place = {"rank": 0, "queue_size": 1, "rank_eta": None}
        return [
            _event({"msg": "estimation", "event_id": _EVENT_ID, **place}),
            _event({"msg": "process_starts", "event_id": _EVENT_ID, "eta": None}),
            _generating(["", shown, _SYSTEM]),
        ]

    @staticmethod
    def piece(text: str) -> bytes:
        """Add a piece of text."""
        return _generating([[], [["append", [0, 1], text]], []])

    @staticmethod
    def tail(question: str, text: str) -> list[bytes]:
        """Say what comes after the last piece."""
        output = {"data": ["", [[question, text]], _SYSTEM], "is_generating": False}
        output |= {"duration": 1.0, "average_duration": 1.0}
        message = {"msg": "process_completed", "event_id": _EVENT_ID, "output": output}
        return [_event({**message, "success": True}), _event({"msg": "close_stream"})]


class Completions:
    """How chat completions say it."""

    @staticmethod
    def _message(delta: Any, reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        head = {"id": _EVENT_ID, "object": "chat.completion.chunk", "created": 1700000000}
        return _event({**head, "model": "m", "choices": [choice], "usage": None})

    @classmethod
    def head(cls, question: str) -> list[bytes]:
        """Say what comes before the first piece of text."""
        return [cls._message({"role": "assistant", "content": ""}, None)]

    @classmethod
    def piece(cls, text: str) -> bytes:
        """Add a piece of text."""
        return cls._message({"content": text}, None)

    @classmethod
    def tail(cls, question: str, text: str) -> list[bytes]:
        """Say what comes after the last piece."""
        return [cls._message({}, "stop"), b"data: [DONE]\n\n"]


@lru_cache(maxsize=8)
def _burst(dialect: Any, question: str) -> bytes:
    order = Order.read(question)
    piece = dialect.piece(_WORD)
    packs, rest = divmod(order.count, order.pack)
    parts = [_chunk(event) for event in dialect.head(question)]
    parts += [_chunk(piece * order.pack) * packs]
    if rest:
        parts.append(_chunk(piece * rest))
    if not order.hang:
        text = _WORD * order.count
        parts += [_chunk(event) for event in dialect.tail(question, text)]
        parts.append(b"0\r\n\r\n")
    return b"".join(parts)


class Connection:
    """
    A client's connection.

    Attributes:
        sock: Its socket.
        inbox: What has come and was not yet read.
        outbox: What could not be sent yet.
        delay: Seconds of round trip.
        streaming: It is in the middle of an answer.
    """

    def __init__(self, sock: socket.socket, delay: float) -> None:
        self.sock = sock
        self.inbox = b""
        self.outbox = memoryview(b"")
        self.delay = delay
        self.fresh = True
        self.streaming = False
        self.open = True


class Paced:
    """An answer whose pieces are sent one by one, each with the time in it."""

    def __init__(
        self, connection: Connection, dialect: Any, question: str, event_id: bytes
    ) -> None:
        self.connection = connection
        self.order = Order.read(question)
        self.left = self.order.count
        self.start = b"".join(map(_chunk, dialect.head(question)))
        self.start = self.start.replace(_EVENT_ID.encode(), event_id)
        chunk = _chunk(dialect.piece(_STAMP)).replace(_EVENT_ID.encode(), event_id)
        self.before, self.after = chunk.split(_STAMP.encode())
        self.text: list[bytes] = []
        self.tail = (dialect, question, event_id)

    def end(self) -> bytes:
        """Say what comes after the last piece."""
        dialect, question, event_id = self.tail
        text = b"".join(self.text).decode()
        return b"".join(map(_chunk, dialect.tail(question, text))).replace(
            _EVENT_ID.encode(), event_id
        )


class Server:
    """The loop."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.due: list[tuple[float, int, Any, Any]] = []
        self.order = count()
        self.config = _CONFIG.read_bytes()
        self.info = self._info()
        self.questions: dict[str, tuple[str, bytes]] = {}
        self.requests = 0
        self.connections = 0
        self.hangups: list[float] = []

    @staticmethod
    def _info() -> bytes:
        names = ["query", "history", "system"]
        parameters = [
            {"parameter_name": name, "label": name, "parameter_has_default": True}
            | {"parameter_default": value, "component": kind, "type": {}, "python_type": {}}
            for name, value, kind in zip(
                names, ["", [], _SYSTEM], ["Textbox", "Chatbot", "Textbox"], strict=True
            )
        ]
        endpoint = {"parameters": parameters, "returns": [], "show_api": True}
        return json.dumps(
            {"named_endpoints": {"/model_chat": endpoint}, "unnamed_endpoints": {}}
        ).encode()

    def listen(self, delay: float | None) -> int:
        """Open a port; `delay` seconds of round trip, or None for control."""
        sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ, delay)
        return int(sock.getsockname()[1])

    def run(self) -> None:
        """Serve for ever."""
        while True:
            wait = max(0.0, self.due[0][0] - monotonic()) if self.due else None
            for key, events in self.selector.select(wait):
                if isinstance(key.data, Connection):
                    if events & selectors.EVENT_WRITE:
                        self._flush(key.data)
                    if events & selectors.EVENT_READ:
                        self._read(key.data)
                else:
                    self._accept(key.fileobj, key.data)
            now = monotonic()
            while self.due and self.due[0][0] <= now:
                when, _, act, what = heapq.heappop(self.due)
                act(when, what)

    def _at(self, when: float, act: Any, what: Any) -> None:
        heapq.heappush(self.due, (when, next(self.order), act, what))

    def _accept(self, listener: Any, delay: float | None) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, delay or 0.0)
            if delay is not None:
                self.connections += 1
            self.selector.register(sock, selectors.EVENT_READ, connection)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        connection.inbox += data
        head, mark, rest = connection.inbox.partition(b"\r\n\r\n")
        if not mark:
            return
        size = 0
        for line in head.lower().split(b"\r\n")[1:]:
            if line.startswith(b"content-length:"):
                size = int(line[15:])
        if len(rest) < size:
            return
        connection.inbox = rest[size:]
        target = head.split(b" ", 2)[1].decode()
        delay = connection.delay * (2 if connection.fresh else 1)
        connection.fresh = False
        if delay:
            self._at(monotonic() + delay, self._later, (connection, target, rest[:size]))
        else:
            self._answer(connection, target, rest[:size])

    def _later(self, when: float, what: Any) -> None:
        self._answer(*what)

    def _answer(self, connection: Connection, target: str, body: bytes) -> None:
        url = urlsplit(target)
        if url.path == "/control":
            report = [self.requests, self.connections, self.hangups]
            self.requests, self.connections, self.hangups = 0, 0, []
            self._respond(connection, json.dumps(report).encode())
            return
        self.requests += 1
        if url.path == "/queue/join":
            payload = json.loads(body)
            event_id = uuid4().hex.encode()
            self.questions[payload["session_hash"]] = payload["data"][0], event_id
            self._respond(connection, b'{"event_id":"%s"}' % event_id)
        elif url.path == "/queue/data":
            session_hash = parse_qs(url.query)["session_hash"][0]
            self._stream(connection, Gradio, *self.questions.pop(session_hash))
        elif url.path == "/v1/chat/completions":
            question = json.loads(body)["messages"][-1]["content"]
            self._stream(connection, Completions, question, _EVENT_ID.encode())
        elif url.path.startswith("/heartbeat/"):
            # gradio_client keeps this one open, and counts on it.
            self._send(connection, _head("text/event-stream", None))
        else:
            self._respond(connection, self.info if url.path == "/info" else self.config)

    def _respond(self, connection: Connection, body: bytes) -> None:
        self._send(connection, _head("application/json", len(body)) + body)

    def _stream(self, connection: Connection, dialect: Any, question: str, event_id: bytes) -> None:
        order = Order.read(question)
        head = _head("text/event-stream; charset=utf-8", None)
        connection.streaming = True
        if order.pace:
            paced = Paced(connection, dialect, question, event_id)
            self._send(connection, head + paced.start)
            self._at(monotonic() + order.pace, self._pace, paced)
        else:
            body = _burst(dialect, question).replace(_EVENT_ID.encode(), event_id)
            if not order.hang:
                connection.streaming = False
            self._send(connection, head + body)

    def _pace(self, when: float, paced: Paced) -> None:
        connection = paced.connection
        if not connection.open:
            return
        if paced.left:
            stamp = b"%019d" % monotonic_ns()
            paced.text.append(stamp)
            paced.left -= 1
            self._send(connection, paced.before + stamp + paced.after)
            self._at(when + paced.order.pace, self._pace, paced)
        elif not paced.order.hang:
            connection.streaming = False
            self._send(connection, paced.end() + b"0\r\n\r\n")

    def _send(self, connection: Connection, data: bytes) -> None:
        if not connection.open:
            return
        if connection.outbox:
            connection.outbox = memoryview(bytes(connection.outbox) + data)
            return
        try:
            sent = connection.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        if sent < len(data):
            connection.outbox = memoryview(data)[sent:]
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            self.selector.modify(connection.sock, both, connection)

    def _flush(self, connection: Connection) -> None:
        try:
            sent = connection.sock.send(connection.outbox[: 1 << 20])
        except BlockingIOError:
            return
        except OSError:
            self._close(connection)
            return
        connection.outbox = connection.outbox[sent:]
        if not connection.outbox and connection.open:
            self.selector.modify(connection.sock, selectors.EVENT_READ, connection)

    def _close(self, connection: Connection) -> None:
        if connection.open:
            connection.open = False
            if connection.streaming:
                self.hangups.append(monotonic())
            self.selector.unregister(connection.sock)
            connection.sock.close()


def _head(kind: str, size: int | None) -> bytes:
    length = "transfer-encoding: chunked" if size is None else f"content-length: {size}"
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{length}\r\n\r\n".encode()


def main() -> None:
    """Print the ports and serve."""
    server = Server()
    print(server.listen(0.0), server.listen(ROUND_TRIP), server.listen(None), flush=True)
    try:
        server.run()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
