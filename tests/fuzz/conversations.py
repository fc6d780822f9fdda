"""Whole conversations with a server that sends bytes as they are drawn."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any

import anyio
from hypothesis import strategies as st
from registry import target

from qwen72b import AsyncClient, Client, Qwen72BError, Retry, Timeout

# Seconds that a question may take, and that it may be late on a busy machine.
TOTAL = 1.0
LATE = 5.0

CONFIG = json.dumps(
    {
        "version": "4.36.1",
        "protocol": "sse_v3",
        "components": [
            {"id": 1, "type": "textbox", "props": {"label": "Input"}},
            {"id": 2, "type": "chatbot", "props": {}},
            {"id": 3, "type": "textbox", "props": {"label": "System"}},
        ],
        "dependencies": [
            {
                "targets": [[1, "submit"]],
                "inputs": [1, 2, 3],
                "outputs": [1, 2, 3],
                "api_name": "model_chat",
            }
        ],
    }
)


def event(msg: str, **fields: Any) -> bytes:
    return b"data: " + json.dumps({"msg": msg, "event_id": "e", **fields}).encode() + b"\n\n"


def output(chat: Any) -> dict[str, Any]:
    return {"output": {"data": ["", chat, ""]}, "success": True}


ANSWER = [
    event("estimation", rank=0, queue_size=1, rank_eta=1.5),
    event("process_starts", eta=1.0),
    event("process_generating", **output([["Hi", "Hel"]])),
    event("process_generating", **output([["append", [0, 1], "lo"]])),
    event("process_completed", **output([["Hi", "Hello"]])),
    event("close_stream"),
]

ODD_EVENTS = [
    b": ping\n\n",
    b"data: {\n\n",
    b"data: [[[[[[\n\n",
    b"\n\n\n",
    b"event: x\ndata\ndata: 1\n\n",
    event("process_generating", **output([["delete", [0, 0], None]])),
    event("process_generating", **output([["replace", [0, 1], 7]])),
    event("process_generating", **output(None)),
    event("estimation", rank=10**400, rank_eta=10**400),
    event("process_completed", output={"error": "'x'"}, success=False),
    event("unexpected_error", message="404: Session not found."),
    event("log", log="\u202e\x1b[2J", level=[]),
]

# What a server may say in a head, one line each.
LINES = st.sampled_from(
    [
        b"Content-Type: text/event-stream",
        b"Content-Type: text/html",
        b"Content-Length: 5",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Encoding: gzip",
        b"Content-Encoding: br",
        b"Connection: close",
        b"Location: http://127.0.0.1:1/",
        b"Location: /config",
        b"Location: http://[",
        b"Retry-After: 99999999999999999999",
        b"Set-Cookie: a=" + b"x" * 5000,
        b"X: \xff\x00",
        b" folded",
        b"no colon",
        b": no name",
        b"",
    ]
)
STATUS = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 20
    + [b"HTTP/1.1 %d X" % status for status in (100, 103, 204, 302, 304, 401, 404, 413, 429, 503)]
    + [b"HTTP/1.0 200 OK", b"HTTP/2 200", b"HTTP/1.1 99999 X", b"", b"nonsense", b"HTTP/1.1 200"]
)
FRAMINGS = st.sampled_from(["length", "length", "chunked", "chunked", "close", "none"])
MANGLING = st.lists(
    st.tuples(
        st.integers(0, 3000),
        st.sampled_from(["cut", "insert", "drop", "double"]),
        st.binary(max_size=4)
        | st.sampled_from([b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"\n\n", b'"']),
    ),
    max_size=2,
)


@dataclass
class Script:
    """What a server answers with: the bytes for each path, and whether it hangs up then."""

    config: bytes
    join: bytes
    data: bytes
    hangs_up: bool


def response(body: bytes, kind: bytes, framing: str, status: bytes, lines: list[bytes]) -> bytes:
    head = [status, b"Content-Type: " + kind, *lines]
    if framing == "length":
        head.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        head.append(b"Transfer-Encoding: chunked")
        sizes = [body[at : at + 100] for at in range(0, len(body), 100)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in sizes) + b"0\r\n\r\n"
    elif framing == "close":
        head.append(b"Connection: close")
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def mangle(data: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    for at, how, noise in changes:
        at %= len(data) + 1
        if how == "cut":
            data = data[:at]
        elif how == "insert":
            data = data[:at] + noise + data[at:]
        elif how == "drop":
            data = data[:at] + data[at + 3 :]
        else:
            data = data[:at] + data[at : at + 50] * 2 + data[at + 50 :]
    return data


def answers(body: st.SearchStrategy[bytes], kind: bytes) -> st.SearchStrategy[bytes]:
    plain = st.builds(response, body, st.just(kind), FRAMINGS, STATUS, st.lists(LINES, max_size=2))
    usual = st.builds(
        response, body, st.just(kind), FRAMINGS, st.just(b"HTTP/1.1 200 OK"), st.just([])
    )
    return st.builds(mangle, plain, MANGLING) | usual | usual


def told(events: list[tuple[int, bytes]]) -> bytes:
    whole = list(ANSWER)
    for at, odd in events:
        whole.insert(at % (len(whole) + 1), odd)
    return b"".join(whole)


STREAM = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(ODD_EVENTS)), max_size=3).map(told)
SCRIPTS = st.builds(
    Script,
    st.just(response(CONFIG.encode(), b"application/json", "length", b"HTTP/1.1 200 OK", []))
    | answers(st.just(CONFIG.encode()), b"application/json"),
    st.just(response(b'{"event_id": "e"}', b"application/json", "length", b"HTTP/1.1 200 OK", []))
    | answers(st.just(b'{"event_id": "e"}'), b"application/json"),
    answers(STREAM, b"text/event-stream"),
    st.sampled_from([True, True, True, False]),
)


class Server:
    """Takes connections for as long as the process lives, and follows the present script."""

    def __init__(self) -> None:
        self.script: Script | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(TOTAL * 2)
            try:
                while (path := self._read(connection)) and (script := self.script):
                    name = path.partition("?")[0].rpartition("/")[2]
                    connection.sendall(getattr(script, name, b""))
                    if script.hangs_up:
                        return
            except (OSError, ValueError):
                return

    @staticmethod
    def _read(connection: socket.socket) -> str:
        """Read a request, and give its path; empty at the end."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(65536)):
                return ""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                left = int(line[15:]) - len(body)
                while left > 0:
                    left -= len(connection.recv(left)) or left
        return head.split(b" ")[1].decode("latin-1")


@cache
def server() -> Server:
    return Server()


async def _ask(url: str) -> str:
    async with AsyncClient(url, timeout=Timeout(total=TOTAL), retry=Retry(attempts=1)) as client:
        return str(await client.ask("Hi"))


@target(SCRIPTS, st.booleans(), examples=30)
def conversation(script: Script, on_a_loop: bool) -> None:
    """A question ends in time, with an answer or an error of ours."""
    server().script = script
    begun = monotonic()
    try:
        if on_a_loop:
            text = anyio.run(_ask, server().url)
        else:
            with Client(
                server().url, timeout=Timeout(total=TOTAL), retry=Retry(attempts=1)
            ) as client:
                text = str(client.ask("Hi"))
    except Qwen72BError as error:
        assert str(error) and error.reason
        assert "fault of qwen72b" not in str(error), str(error)
    else:
        text.encode()
    assert monotonic() - begun < TOTAL + LATE, "it ran over its deadline"
