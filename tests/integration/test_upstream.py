"""The upstream backend against a scripted OpenAI-compatible server on the loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from qwen72b.cli.exits import describe
from qwen72b.errors import ConnectFailed, GenerationFailed, HTTPStatusError, StreamInterrupted
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
