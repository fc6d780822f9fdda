"""The local Space: a real Gradio server, a real model, raw requests."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from timing import FACTOR

from qwen72b import AsyncClient, Client
from qwen72b.batch import Tally
from qwen72b.errors import GenerationFailed, HTTPStatusError, InvalidOption, Qwen72BError
from qwen72b.local import Backend, backend, running
from qwen72b.local.generation import MANY, Generation, Messages

pytest.importorskip("gradio", minversion="5.50")
xllamacpp = pytest.importorskip("xllamacpp")

# Gradio's own, raised in its threads after each answer (6.31) or join (5.50).
pytestmark = [
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
    pytest.mark.filterwarnings("ignore:'HTTP_422_UNPROCESSABLE_ENTITY' is deprecated"),
]


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """In place of the suite's check: the module's Spaces run in this process, between its tests."""


SYSTEM = "You are a helpful assistant."
# Seconds after which a wait is a failure; nothing here takes as long.
PATIENCE = 60 * FACTOR


class Scripted(Backend):
    """Answers by a function of the test; remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        super().__init__("A script", stand_in=True, concurrency=MANY)
        self.answer = answer
        self.asked: list[Messages] = []
        self.ended = threading.Event()

    def produce(self, messages: Messages, generation: Generation) -> None:
        self.asked.append(messages)
        try:
            self.answer(generation)
        finally:
            self.ended.set()


class Talk:
    """One job on a Space, by hand."""

    def __init__(self, base_url: str, *data: Any, fn_index: int = 0) -> None:
        prefix = requests.get(base_url + "/config", timeout=PATIENCE).json()["api_prefix"]
        session_hash = secrets.token_hex(6)
        join = {"data": data, "fn_index": fn_index, "session_hash": session_hash}
        url = base_url + prefix
        requests.post(url + "/queue/join", json=join, timeout=PATIENCE).raise_for_status()
        self.response = requests.get(
            url + "/queue/data",
            params={"session_hash": session_hash},
            stream=True,
            timeout=PATIENCE,
        )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self.response:
            for line in self.response.iter_lines():
                if line:
                    yield json.loads(line.removeprefix(b"data: "))

    def end(self) -> dict[str, Any]:
        (end,) = (message for message in self if message["msg"] == "process_completed")
        return end

    def text(self) -> str:
        return text_of(self.end()["output"]["data"][1][-1])


def text_of(turn: dict[str, Any]) -> str:
    """Read a turn in the form of Gradio 5 or 6."""
    content = turn["content"]
    return content if isinstance(content, str) else content[0]["text"]


def turns(base_url: str, *texts: str) -> list[dict[str, Any]]:
    """Write a history in the form that this Gradio wants."""
    config = requests.get(base_url + "/config", timeout=PATIENCE).json()
    parts = int(config["version"].split(".")[0]) >= 6
    return [
        {
            "role": ("user", "assistant")[position % 2],
            "content": [{"type": "text", "text": text}] if parts else text,
        }
        for position, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def echo_space() -> Iterator[str]:
    with running(backend("echo")) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def small_space() -> Iterator[str]:
    with running(backend("smollm2", progress=sys.stderr)) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def small_file() -> Path:
    from qwen72b.local.model_file import small_model

    return small_model(sys.stderr)


@pytest.fixture(scope="module")
def openai_server(small_file: Path) -> Iterator[str]:
    """llama.cpp's own OpenAI-compatible server with the small model, behind a key."""
    params = xllamacpp.CommonParams()
    params.model.path = str(small_file)
    params.n_ctx = 256
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.verbosity = 0
    params.api_keys = ["the-key"]
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


def test_config(echo_space: str) -> None:
    """Ids, functions and names are those of the public Space."""
    config = requests.get(echo_space + "/config", timeout=PATIENCE).json()
    assert config["protocol"] == "sse_v3"
    labels = {part["id"]: part["props"].get("label") for part in config["components"]}
    assert (labels[4], labels[11]) == ("System", "Input")
    types = {part["id"]: part["type"] for part in config["components"]}
    assert (types[8], types[10]) == ("textbox", "chatbot")
    assert list(types.values()).count("markdown") == 1
    assert [
        (each["id"], each["api_name"], each["targets"], each["inputs"], each["outputs"])
        # What Gradio adds for the Stop button comes after them.
        for each in config["dependencies"][:4]
    ] == [
        (0, "model_chat", [[11, "submit"]], [11, 10, 8], [11, 10, 4]),
        (1, "model_chat_1", [[14, "click"]], [11, 10, 8], [11, 10, 4]),
        (2, "clear_session", [[13, "click"]], [], [11, 10]),
        (3, "modify_system_session", [[7, "click"]], [4], [8, 4, 10]),
    ]
    assert config["dependencies"][0]["types"]["generator"] is True


def test_second_space_has_the_same_ids(echo_space: str) -> None:
    """A second Space in the same process has the ids of the first."""
    with running(backend("echo")) as base_url:
        configs = [
            requests.get(url + "/config", timeout=PATIENCE).json() for url in (echo_space, base_url)
        ]
    assert configs[0]["dependencies"] == configs[1]["dependencies"]


@pytest.mark.parametrize("fn_index", [0, 1])
def test_echo_streams(echo_space: str, fn_index: int) -> None:
    """An answer comes in many pieces and ends with the whole text."""
    prompt = "One two three four five six seven"
    messages = list(Talk(echo_space, prompt, [], SYSTEM, fn_index=fn_index))
    # A piece for each word; before the first, on a slow machine, the question alone.
    assert [each["msg"] for each in messages].count("process_generating") in (7, 8)
    data = messages[-2]["output"]["data"]
    assert data[0] == ""
    assert [text_of(turn) for turn in data[1]] == [prompt, prompt]
    assert [turn["role"] for turn in data[1]] == ["user", "assistant"]
    assert data[2] == SYSTEM


def test_conversation_reaches_the_model() -> None:
    """The model gets system prompt, turns and question as role and content."""
    script = Scripted(lambda generation: generation.emit("Fine."))
    with running(script) as base_url:
        assert (
            Talk(base_url, "And you?", turns(base_url, "Hi", "Hello"), "Be kind.").text() == "Fine."
        )
    assert script.asked == [
        [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "And you?"},
        ]
    ]


def test_answer_without_text() -> None:
    """A model that says nothing has answered, with an empty text."""
    with running(Scripted(lambda generation: None)) as base_url, Client(base_url) as client:
        assert client.ask("Hi") == ""


def test_clear_session(echo_space: str) -> None:
    """The clear function empties input and chatbot."""
    assert Talk(echo_space, fn_index=2).end()["output"]["data"] == ["", []]


@pytest.mark.parametrize(("given", "set_to"), [("Be brief.", "Be brief."), ("", SYSTEM)])
def test_modify_system_session(echo_space: str, given: str, set_to: str) -> None:
    """A system prompt is set, an empty one is the default, and the chat starts over."""
    assert Talk(echo_space, given, fn_index=3).end()["output"]["data"] == [set_to, set_to, []]


def test_empty_message(echo_space: str) -> None:
    """An empty message is answered with an error that says what to do."""
    end = Talk(echo_space, " ", [], SYSTEM).end()
    assert end["success"] is False
    assert end["output"]["error"] == "Type a message first."


def test_failure_keeps_its_words(capfd: pytest.CaptureFixture[str]) -> None:
    """A backend's error reaches the client in words, and the terminal stays quiet."""

    def fail(generation: Generation) -> None:
        generation.emit("Half an")
        raise GenerationFailed("The model caught fire.")

    with running(Scripted(fail)) as base_url:
        end = Talk(base_url, "Hi", [], SYSTEM).end()
    assert end["output"]["error"] == "The model caught fire."
    assert (end["output"]["title"], end["output"]["duration"]) == ("Error", 10)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("silent", [False, True])
def test_hang_up_stops_the_model(silent: bool) -> None:
    """A client that hangs up stops the model, be it talking or silent."""

    def go_on(generation: Generation) -> None:
        while generation.pause(PATIENCE if silent else 0.01):
            generation.emit("and on ")

    script = Scripted(go_on)
    with running(script) as base_url:
        talk = Talk(base_url, "Talk.", [], SYSTEM)
        assert next(m for m in talk if m["msg"] == "process_generating")
        talk.response.close()
        assert script.ended.wait(PATIENCE / 2)


def test_stop_leaves_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """A Space that stops amid an answer says so to the client and leaves no thread."""
    before = set(threading.enumerate())
    with running(Scripted(lambda generation: generation.pause(PATIENCE))) as base_url:
        talk = iter(Talk(base_url, "Talk.", [], SYSTEM))
        assert next(m for m in talk if m["msg"] == "process_generating")
    end = next(m for m in talk if m["msg"] == "process_completed")
    # It was to be asked again, as whoever restarts a Space would wish.
    assert (end["success"], end["output"]["title"]) == (False, "Unavailable for now")
    talk.close()
    assert set(threading.enumerate()) <= before
    assert capfd.readouterr().out == ""


def test_taken_port(echo_space: str) -> None:
    """A second Space on the same port is refused."""
    port = int(echo_space.rpartition(":")[2])
    with (
        pytest.raises(InvalidOption, match="Choose another port"),
        running(backend("echo"), port=port),
    ):
        pass


def test_page_stays_at_home(echo_space: str) -> None:
    """The page forbids browsers to load anything from elsewhere."""
    response = requests.get(echo_space, timeout=PATIENCE)
    assert response.ok
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "An echo" in response.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_a_signal(number: signal.Signals) -> None:
    """serve() tells its address, and returns at Ctrl-C and at SIGTERM."""
    script = (
        "from qwen72b.local import backend, serve\n"
        "tell = lambda url: print(url, flush=True)\n"
        "serve(backend('echo'), host='127.0.0.1', port=0, ready=tell)\n"
        "print('stopped')"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        base_url = run.stdout.readline().strip()
        assert Talk(base_url, "Hello there", [], SYSTEM).text() == "Hello there"
        run.send_signal(number)
        assert run.stdout.read() == "stopped\n"
    assert run.returncode == 0


def test_small_model_knows_paris(small_space: str) -> None:
    """The real model answers rightly, piece by piece, and the same each time."""
    question = "What is the capital of France?"
    messages = list(Talk(small_space, question, [], SYSTEM))
    assert [each["msg"] for each in messages].count("process_generating") > 4
    answer = text_of(messages[-2]["output"]["data"][1][-1])
    assert "Paris" in answer
    assert Talk(small_space, question, [], SYSTEM).text() == answer


def test_client_streams(small_space: str) -> None:
    """Our own client hands out the answer in chunks that joined are the final text."""
    with Client(small_space) as client:
        stream = client.stream("What is the capital of France?")
        chunks = list(stream)
    assert len(chunks) > 4
    assert "".join(chunks) == stream.text
    assert "Paris" in stream.text


def test_async_client_streams(small_space: str) -> None:
    """The async client hands out the same text."""

    async def ask() -> list[str]:
        async with AsyncClient(small_space) as client:
            return [chunk async for chunk in client.stream("What is the capital of France?")]

    chunks = asyncio.run(ask())
    assert len(chunks) > 4
    assert "Paris" in "".join(chunks)


def test_small_model_after_a_hang_up(small_space: str) -> None:
    """The model is free again after a client hung up while its long prompt was read."""
    talk = Talk(small_space, "word " * 2500, [], SYSTEM)
    assert next(m for m in talk if m["msg"] == "process_generating")
    talk.response.close()
    assert Talk(small_space, "Say hello.", [], SYSTEM).text()


def test_small_model_forgets_old_turns(small_space: str) -> None:
    """A conversation that is too long loses its oldest turns, not the question."""
    old = turns(small_space, "word " * 5000, "Indeed.", "Hello", "Hello! How can I help?")
    assert "Paris" in Talk(small_space, "What is the capital of France?", old, SYSTEM).text()


def test_small_model_refuses_a_book(small_space: str) -> None:
    """A message that cannot fit is refused with its size."""
    end = Talk(small_space, "word " * 5000, [], SYSTEM).end()
    assert "The message is too long: with its 50" in end["output"]["error"]


def test_gguf_file(small_file: Path) -> None:
    """Any GGUF file answers under its own name."""
    model = backend("gguf", gguf=small_file)
    try:
        assert model.label == "SmolLM2-135M-Instruct.Q4_1, standing in for Qwen2-72B-Instruct"
        messages = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": "What is the capital of France?"},
        ]
        assert "Paris" in "".join(model.stream(messages))
    finally:
        model.close()


def test_broken_gguf_file(tmp_path: Path) -> None:
    """A file that only begins like a model is refused when it is loaded."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    with (
        pytest.raises(InvalidOption, match="cannot load the model"),
        running(backend("gguf", gguf=path)),
    ):
        pass
    model = backend("gguf", gguf=path)
    with pytest.raises(InvalidOption, match="cannot load the model"):
        "".join(model.stream([{"role": "user", "content": "Hi"}]))
    model.close()


def test_upstream(openai_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Space with an OpenAI-compatible server behind it streams that server's answer."""
    monkeypatch.setenv("OPENAI_API_KEY", "the-key")
    upstream = backend("upstream", upstream=openai_server, model="any")
    with running(upstream) as base_url:
        messages = list(Talk(base_url, "Tell me a long story about a dog.", [], SYSTEM))
    assert [each["msg"] for each in messages].count("process_generating") > 4
    assert messages[-2]["success"] is True


@pytest.mark.parametrize("suffix", ["/", "/v1", "/v1/", "/v1/chat/completions"])
def test_upstream_url(openai_server: str, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL is the one that the server's own documents give, in any of its forms."""
    monkeypatch.setenv("OPENAI_API_KEY", "the-key")
    upstream = backend("upstream", upstream=openai_server + suffix, model="any")
    pieces = upstream.stream([{"role": "user", "content": "Tell me a story."}])
    assert next(piece for piece in pieces if piece)
    upstream.close()


def test_upstream_key_of_our_own(openai_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """QWEN72B_UPSTREAM_KEY goes before OPENAI_API_KEY."""
    monkeypatch.setenv("OPENAI_API_KEY", "for-another-server")
    monkeypatch.setenv("QWEN72B_UPSTREAM_KEY", "the-key")
    upstream = backend("upstream", upstream=openai_server, model="any")
    pieces = upstream.stream([{"role": "user", "content": "Tell me a story."}])
    assert next(piece for piece in pieces if piece)
    upstream.close()


def test_upstream_refuses(openai_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream's refusal is an error with its status and its words."""
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    upstream = backend("upstream", upstream=openai_server, model="any")
    with pytest.raises(HTTPStatusError, match="401") as caught:
        list(upstream.stream([{"role": "user", "content": "Say hello."}]))
    assert "wrong" not in str(caught.value)


def test_upstream_is_away() -> None:
    """An upstream that is not there is an error that names it."""
    upstream = backend("upstream", upstream="http://127.0.0.1:1", model="any")
    with pytest.raises(Qwen72BError, match=r"http://127\.0\.0\.1:1/v1/chat/completions"):
        list(upstream.stream([{"role": "user", "content": "Say hello."}]))


def test_upstream_is_stopped(openai_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing an upstream amid an answer ends its thread."""
    monkeypatch.setenv("OPENAI_API_KEY", "the-key")
    before = set(threading.enumerate())
    upstream = backend("upstream", upstream=openai_server, model="any")
    pieces = upstream.stream([{"role": "user", "content": "Tell me a long story about a dog."}])
    assert next(piece for piece in pieces if piece)
    upstream.close()
    assert set(threading.enumerate()) <= before


class Moody:
    """
    An upstream that refuses in each way that passes, is away for a while, and cuts.

    Args:
        away: Its own number of the request after which its port is closed.
    """

    def __init__(self, away: int) -> None:
        self.away = away
        self.count = 0
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.server: HTTPServer | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        """Listen, again at the same port."""
        moody = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with suppress(OSError):
                    self.wfile.write(moody.answer(body["messages"][-1]["content"]))

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.closed.clear()

    def close(self) -> None:
        """Listen no more."""
        assert self.server is not None
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.closed.set()

    def answer(self, question: str) -> bytes:
        """Say what the next request gets, each in its turn."""
        with self.lock:
            self.count += 1
            count = self.count
        first = {
            1: b"HTTP/1.0 429 No\r\nRetry-After: 1\r\n\r\nslow down",
            2: b"HTTP/1.0 502 No\r\n\r\n",
            3: b"HTTP/1.0 503 No\r\nRetry-After: 0\r\n\r\nloading",
            4: b"HTTP/1.0 504 No\r\n\r\n",
            5: b"",
            6: b'HTTP/1.0 200 OK\r\n\r\ndata: {"error": {"code": "429", "message": "busy"}}\n\n',
            7: b"HTTP/1.0 200 OK\r\n\r\n",
        }
        if count in first:
            return first[count]
        if count == self.away:
            # Once this one is answered, and those that wait are left without a word.
            threading.Thread(target=self.close).start()
        words = ["re: ", question]
        events = [{"choices": [{"delta": {"content": word}}]} for word in words]
        said = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        # One in ten is cut after some of its text.
        said = f"{said}data: [DONE]\n\n" if count % 10 else said[:-20]
        return f"HTTP/1.0 200 OK\r\n\r\n{said}".encode()


def test_batch_outlives_its_upstream() -> None:
    """What an upstream refuses for now, its restart and its cuts cost a batch no item."""
    moody = Moody(away=20)

    def restart(tally: Tally) -> None:
        if moody.closed.is_set() and "cannot be reached" in tally.reason:
            moody.open()

    upstream = backend("upstream", upstream=f"http://127.0.0.1:{moody.port}", model="any")
    with (
        closing(moody),
        running(upstream) as base_url,
        Client(base_url, timeout=PATIENCE) as client,
    ):
        results = list(client.map(map(str, range(40)), max_in_flight=4, progress=restart))
    assert [result.reply for result in results] == [f"re: {number}" for number in range(40)]
    assert moody.count > 50


def test_many_answers_at_once() -> None:
    """As many answers as the backend can make are in the making at once, and no fewer."""
    everybody = threading.Barrier(MANY)

    def answer(generation: Generation) -> None:
        generation.emit("We ")
        everybody.wait(PATIENCE)
        generation.emit("all.")

    with running(Scripted(answer)) as base_url, Client(base_url, timeout=2 * PATIENCE) as client:
        for result in client.map(["Hi"] * MANY, max_in_flight=MANY):
            assert result.reply == "We all.", result.error


def test_concurrency() -> None:
    """No more answers are in the making at once than the Space is told, and no fewer."""
    pair = threading.Barrier(2)
    running_now: set[int] = set()
    most: list[int] = []

    def answer(generation: Generation) -> None:
        running_now.add(id(generation))
        pair.wait(PATIENCE)
        most.append(len(running_now))
        pair.wait(PATIENCE)
        running_now.discard(id(generation))
        generation.emit("Done.")

    with running(Scripted(answer), concurrency=2) as base_url, Client(base_url) as client:
        for result in client.map(["Hi"] * 6, max_in_flight=6, timeout=PATIENCE):
            assert result.reply == "Done.", result.error
    assert most == [2] * 6
