"""The upstream backend against a scripted OpenAI-compatible server on the loopback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from raw_server import Last, Script, once, raw_server, silent_address
from timing import PATIENCE

from qwen72b.cli.exits import describe
from qwen72b.errors import (
    ConnectFailed,
    GenerationFailed,
    HTTPStatusError,
    InvalidOption,
    InvalidServerMessage,
    Qwen72BError,
    RateLimited,
    RequestTimeout,
    SpaceUnavailable,
    StreamInterrupted,
)
from qwen72b.local import Backend, backend, upstream
from qwen72b.protocol.joberror import job_error
from qwen72b.timeout import Timeout

MESSAGES = [{"role": "user", "content": "Hi"}]


def chunk(text: str | None, finish_reason: str | None = None) -> str:
    """Write one SSE event of OpenAI's API."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


WHOLE = chunk("Hello") + chunk(None, "stop") + "data: [DONE]\n\n"


def streamed(body: str = WHOLE, *, end: bool = True) -> bytes:
    """Write a chunked answer; without its end more of it may come."""
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    tail = "0\r\n\r\n" if end else ""
    return f"{head}{len(body):x}\r\n{body}\r\n{tail}".encode()


def ask(script: Script) -> tuple[str, list[int]]:
    """Ask twice what a raw server says; give both texts, and the numbers of the connections."""
    with (
        raw_server(script) as heard,
        closing(backend("upstream", upstream=heard.url, model="m")) as made,
    ):
        text = "".join([*made.stream(MESSAGES), *made.stream(MESSAGES)])
        return text, [number for number, *_ in heard.requests]


def fail(script: Script) -> Qwen72BError:
    """Give the error of what a raw server says."""
    with (
        raw_server(script) as heard,
        closing(backend("upstream", upstream=heard.url, model="m")) as made,
        pytest.raises(Qwen72BError) as caught,
    ):
        list(made.stream(MESSAGES))
    return caught.value


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


def test_pieces_that_come_together_are_one(server: Server) -> None:
    """Each piece costs a Space milliseconds; those of one read are handed on as one."""
    server.answers = [
        (200, "".join(map(chunk, "Hello")) + chunk(None, "stop") + "data: [DONE]\n\n")
    ]
    pieces = [piece for piece in server.backend().stream(MESSAGES) if piece]
    assert "".join(pieces) == "Hello"
    assert len(pieces) <= 2


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
    (line,) = describe(GenerationFailed("The upstream http://a answered 401: no."))
    assert line == "The upstream http://a answered 401: no."


@pytest.mark.parametrize(("asked", "way"), [(None, "Ask again later."), (7, "Ask again in 7 s.")])
def test_way_out_on_the_command_line_for_now(asked: float | None, way: str) -> None:
    """What passes has the time to come back as its hint, and no other Space."""
    output = {"error": "The upstream http://a answered 503: x.", "duration": asked}
    for title in ("Busy", "Unavailable for now"):
        (line,) = describe(job_error({"output": {**output, "title": title}}))
        assert line == f"The upstream http://a answered 503: x. {way}"


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


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("X: y", None), ("Retry-After: 7", 7.0), ("Retry-After: soon", None)],
)
@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, HTTPStatusError)])
def test_refusal_says_how_long(
    status: int, kind: type[HTTPStatusError], header: str, seconds: float | None
) -> None:
    """A busy server is told by its status, with the seconds that it names."""
    said = f"HTTP/1.1 {status} No\r\n{header}\r\nContent-Length: 4\r\n\r\nbusy"
    error = fail(lambda *_: said.encode())
    assert type(error) is kind
    assert (error.status_code, error.retry_after) == (status, seconds)
    assert error.reason.endswith(f"answered {status}: busy.")


@pytest.mark.parametrize(
    "head", [b"Content-Length: 99\r\n", b"Transfer-Encoding: chunked\r\n", b""]
)
def test_refusal_whose_words_do_not_end(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its status and its Retry-After are told without the rest, and the words that came."""
    monkeypatch.setattr(upstream, "_WORDS", 0.05)
    body = b"4\r\nbusy\r\n" if b"chunked" in head else b"busy"
    said = b"HTTP/1.1 429 No\r\nRetry-After: 3\r\n" + head + b"\r\n" + body
    error = fail(lambda *_: said)
    assert type(error) is RateLimited
    assert error.retry_after == 3
    assert error.reason.endswith("answered 429: busy.")


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b""], ids=["ended", "open"])
def test_connections_are_kept(end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two answers come over one connection, unless the first does not end after its end."""
    monkeypatch.setattr(upstream, "_DRAIN", 0.05)
    text, connections = ask(lambda *_: streamed(end=False) + end)
    assert text == "HelloHello"
    assert connections == ([1, 1] if end else [1, 2])


def test_kept_connection_that_died() -> None:
    """A connection that the server closed meanwhile is no refusal: another one is made."""
    text, connections = ask(lambda *_: Last(streamed()))
    assert text == "HelloHello"
    assert connections == [1, 2]


def test_refusal_keeps_its_connection() -> None:
    """What was refused costs no connection, and the next answer is as good as any."""
    busy = b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy"
    with (
        raw_server(lambda _, before: streamed() if before else busy) as heard,
        closing(backend("upstream", upstream=heard.url, model="m")) as made,
    ):
        with pytest.raises(HTTPStatusError):
            list(made.stream(MESSAGES))
        assert "".join(made.stream(MESSAGES)) == "Hello"
        assert [number for number, *_ in heard.requests] == [1, 1]


def test_server_that_hangs_up_without_a_word() -> None:
    """A connection that is lost before any answer is an interruption, of nothing."""
    error = fail(lambda *_: None)
    assert type(error) is StreamInterrupted
    assert "hung up" in error.reason


def test_answer_that_is_cut_in_a_chunk() -> None:
    """A cut in mid-answer is told as one, after its text."""
    error = fail(lambda *_: Last(streamed(chunk("Hel"), end=False)))
    assert type(error) is StreamInterrupted
    assert error.reason.startswith("The upstream's answer was cut")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    ],
)
def test_server_of_another_kind(said: bytes) -> None:
    """What is no stream of events, or no HTTP, will not be one the next time."""
    assert type(fail(lambda *_: Last(said))) is InvalidServerMessage


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 200 OK\r\n", streamed(end=False)[:-5], streamed(chunk("Hel"), end=False)]
)
def test_server_that_falls_silent(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence has its own error: whoever waited as long will not want to at once again."""
    monkeypatch.setattr(upstream, "TIMEOUT", Timeout(connect=PATIENCE, read=0.1))
    error = fail(lambda *_: said)
    assert type(error) is RequestTimeout
    assert error.reason.endswith("was silent for 0.1 s.")


def test_host_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where nobody answers is as one that refuses."""
    monkeypatch.setattr(upstream, "TIMEOUT", Timeout(connect=0.1, read=PATIENCE))
    with silent_address() as (host, port):
        made = backend("upstream", upstream=f"http://{host}:{port}", model="m")
        with pytest.raises(ConnectFailed, match="cannot be reached"):
            list(made.stream(MESSAGES))


def test_no_proxy_before_this_machine(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is not asked for a server on this machine."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.answers = [(200, WHOLE)]
    assert "".join(server.backend().stream(MESSAGES)) == "Hello"


@pytest.mark.parametrize("code", [429, 503])
def test_refusal_as_an_event(server: Server, code: int) -> None:
    """A refusal may come with status 200, as the first event."""
    server.answers = [(200, f'data: {{"error": {{"message": "busy", "code": {code}}}}}\n\n')]
    with pytest.raises((RateLimited, SpaceUnavailable), match="The upstream failed: busy"):
        list(server.backend().stream(MESSAGES))
