"""The upstream backend against a scripted OpenAI-compatible server on the loopback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from raw_server import once
from timing import PATIENCE

from qwen72b.cli.exits import describe
from qwen72b.errors import (
    ConnectFailed,
    GenerationFailed,
    HTTPStatusError,
    InvalidOption,
    InvalidServerMessage,
    SpaceUnavailable,
    StreamInterrupted,
)
from qwen72b.local import Backend, backend

MESSAGES = [{"role": "user", "content": "Hi"}]


def chunk(text: str | None, finish_reason: str | None = None) -> str:
    """Write one SSE event of OpenAI's API."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


class Server:
    """Answers each request with the next of its scripted answers."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        self.requests: list[dict[str, Any]] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                script.requests.append(json.loads(self.rfile.read(size)))
                status, body = script.answers.pop(0)
                self.send_response(status)
                if status == 307:
                    self.send_header("Location", self.path)
                self.end_headers()
                with suppress(OSError):
                    # One that knows already what is wrong hangs up.
                    self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)

    def backend(self) -> Backend:
        url = f"http://127.0.0.1:{self.http.server_port}/v1"
        return backend("upstream", upstream=url, model="the-model")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def test_request(server: Server) -> None:
    """The request carries model, messages, a bound on the answer and Qwen's sampling."""
    server.answers = [(200, chunk("Hello") + chunk(None, "stop") + "data: [DONE]\n\n")]
    assert "".join(server.backend().stream(MESSAGES)) == "Hello"
    assert server.requests == [
        {
            "model": "the-model",
            "messages": MESSAGES,
            "stream": True,
            "max_tokens": 2048,
            "temperature": 0.7,
            "top_p": 0.8,
            "repetition_penalty": 1.05,
        }
    ]


def test_strict_server(server: Server) -> None:
    """A server that refuses the extension is asked again without it, and never with it again."""
    whole = (200, chunk("Hello", "stop"))
    server.answers = [(400, "unknown field repetition_penalty"), whole, whole]
    upstream = server.backend()
    assert "".join(upstream.stream(MESSAGES)) == "Hello"
    assert "".join(upstream.stream(MESSAGES)) == "Hello"
    assert ["repetition_penalty" in each for each in server.requests] == [True, False, False]


def test_refusal(server: Server) -> None:
    """A request that stays refused is an error with the server's words."""
    server.answers = [(400, "no such model")] * 2
    with pytest.raises(HTTPStatusError, match="400: no such model"):
        list(server.backend().stream(MESSAGES))


def test_redirect(server: Server) -> None:
    """A redirect is not followed: it could carry the prompt elsewhere."""
    server.answers = [(307, "")]
    with pytest.raises(HTTPStatusError, match="307"):
        list(server.backend().stream(MESSAGES))
    assert len(server.requests) == 1


def test_counting_chunk(server: Server) -> None:
    """A chunk without choices, such as a count of tokens, is passed over."""
    usage = 'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n'
    server.answers = [(200, chunk("Hello") + chunk(None, "stop") + usage)]
    assert "".join(server.backend().stream(MESSAGES)) == "Hello"


@pytest.mark.parametrize("tail", ["", 'data: {"choices": [{"del'])
def test_cut_answer(server: Server, tail: str) -> None:
    """An answer that ends before its end is an error, after its text."""
    server.answers = [(200, chunk("Hel") + tail)]
    pieces = server.backend().stream(MESSAGES)
    assert next(piece for piece in pieces if piece) == "Hel"
    with pytest.raises(StreamInterrupted, match="was cut"):
        list(pieces)


def test_failure_midway(server: Server) -> None:
    """An error amid the answer is an error with the server's words."""
    server.answers = [(200, chunk("Hel") + 'data: {"error": {"message": "out of memory"}}\n\n')]
    with pytest.raises(GenerationFailed, match="out of memory"):
        list(server.backend().stream(MESSAGES))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            500,
            '{"error": {"message": "CUDA is\\n gone.", "type": "x"}}',
            "answered 500: CUDA is gone.",
        ),
        (500, '{"detail": "busy"}', "answered 500: busy."),
        (500, '{"object": "error", "message": "busy"}', "answered 500: busy."),
        (500, "", "answered 500: without a word."),
        (500, "[" * 5000, "answered 500: [["),
        (401, '{"error": "no key"}', "401: no key. Its key is read from QWEN72B_UPSTREAM_KEY."),
        (404, "{}", "404: {}. Are the URL and the name of the model right?"),
    ],
)
def test_words_of_a_refusal(server: Server, status: int, body: str, words: str) -> None:
    """A server's error is its message, in a line, and what helps."""
    server.answers = [(status, body)]
    with pytest.raises(HTTPStatusError) as caught:
        list(server.backend().stream(MESSAGES))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 600


def test_nothing_listens() -> None:
    """A server that is not there is told in the system's words, not in the libraries'."""
    upstream = backend("upstream", upstream="http://127.0.0.1:1", model="m")
    with pytest.raises(ConnectFailed) as caught:
        list(upstream.stream(MESSAGES))
    assert str(caught.value).endswith("cannot be reached: Connection refused. Is it running there?")


def test_event_of_another_kind(server: Server) -> None:
    """An event that is no object is passed over."""
    server.answers = [(200, "data: 5\n\n" + chunk("Hello", "stop"))]
    assert "".join(server.backend().stream(MESSAGES)) == "Hello"


def test_way_out_on_the_command_line() -> None:
    """What the local Space says of its upstream has no second hint, of another kind, behind it."""
    (line,) = describe(GenerationFailed("The upstream http://a cannot be reached: no."))
    assert line == "The upstream http://a cannot be reached: no."


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": 5},
        {"choices": {"delta": {}}},
        {"choices": [5, None, []]},
        {"choices": [{"delta": 5}]},
        {"choices": [{"delta": ["x"]}]},
        {"choices": [{"delta": {"content": 5}}]},
        {"choices": [{"delta": {"content": ["x"]}}]},
    ],
    ids=json.dumps,
)
def test_chunk_of_another_shape(server: Server, odd: Any) -> None:
    """What is no text is passed over, wherever it stands in a chunk."""
    server.answers = [(200, f"data: {json.dumps(odd)}\n\n" + chunk("Hello", "stop"))]
    assert "".join(server.backend().stream(MESSAGES)) == "Hello"


@pytest.mark.parametrize("said", ["x", "[" * 5000, "9" * 5000, "[" + "0," * 200_001 + "0]"])
def test_event_that_is_no_json(server: Server, said: str) -> None:
    """An event that is no JSON, or none that an honest server sends, is told as that."""
    server.answers = [(200, f"data: {said}\n\n")]
    with pytest.raises(InvalidServerMessage, match=r"^The upstream .* no JSON"):
        list(server.backend().stream(MESSAGES))


def test_half_a_character(server: Server) -> None:
    """A lone surrogate, which no page takes, is replaced."""
    server.answers = [(200, chunk("a\ud800", "stop"))]
    assert "".join(server.backend().stream(MESSAGES)) == "a\ufffd"


@pytest.mark.parametrize(
    "head", [b"Content-Length: 99", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip"]
)
def test_refusal_whose_words_are_cut(head: bytes) -> None:
    """A refusal is told by its status, although its body cannot be read."""
    with once(b"HTTP/1.1 401 No\r\n" + head + b"\r\n\r\nno") as address:
        upstream = backend("upstream", upstream=f"http://{address}", model="m")
        with pytest.raises(HTTPStatusError, match="answered 401"):
            list(upstream.stream(MESSAGES))


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nX: "], ids=["nothing", "half_a_head"])
def test_closing_while_the_upstream_is_silent(said: bytes) -> None:
    """A backend closes at once while a server that took the request has not answered it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = "http://{}:{}".format(*listener.getsockname())
        upstream = backend("upstream", upstream=url, model="m")
        pieces = upstream.stream(MESSAGES)
        assert next(pieces) == ""
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(said)
            closer = threading.Thread(target=upstream.close)
            closer.start()
            closer.join(PATIENCE)
            assert not closer.is_alive()
    with pytest.raises(SpaceUnavailable, match="stopped"):
        list(pieces)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:SECRET12@127.0.0.1:1/v1",
        "http://SECRET12@127.0.0.1:1",
        "http://127.0.0.1:1/v1?key=SECRET12",
        "http://127.0.0.1:1/v1#SECRET12",
        "127.0.0.1:1?token=SECRET12",
        "ftp://user:SECRET12@127.0.0.1",
    ],
)
def test_secrets_in_the_url(url: str) -> None:
    """No user, password or query of the URL is in the label, which a page shows, or in an error."""
    with pytest.raises((ConnectFailed, InvalidOption)) as caught:
        upstream = backend("upstream", upstream=url, model="m")
        assert "SECRET12" not in upstream.label
        list(upstream.stream(MESSAGES))
    assert "SECRET12" not in str(caught.value)


@pytest.mark.parametrize("body", ['{{"error": "no {}"}}', "{}", "<p>{}"])
def test_key_that_is_repeated(server: Server, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the server repeats is masked: whoever asks the Space reads the error."""
    monkeypatch.setenv("QWEN72B_UPSTREAM_KEY", "sk-1234567890SECRET")
    server.answers = [(401, body.format("sk-1234567890SECRET"))]
    with pytest.raises(HTTPStatusError) as caught:
        list(server.backend().stream(MESSAGES))
    assert "SECRET" not in f"{caught.value} {caught.value.body}"


@pytest.mark.parametrize("key", ["sk-SECRET\nX: y", "sk-SECRET\u043a", "sk-SECRET\x7f"])
def test_key_that_no_header_can_carry(
    server: Server, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a key is refused with the name of its variable, and is not shown."""
    monkeypatch.setenv("QWEN72B_UPSTREAM_KEY", key)
    with pytest.raises(InvalidOption, match="QWEN72B_UPSTREAM_KEY") as caught:
        list(server.backend().stream(MESSAGES))
    assert "SECRET" not in str(caught.value)
    assert not server.requests
