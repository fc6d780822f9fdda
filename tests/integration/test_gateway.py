"""The OpenAI-compatible gateway: what it answers, whom it lets in, and when it hangs up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from doors import Door, door
from timing import AMPLE

import qwen72b.gateway.channel
import qwen72b.gateway.chat
import qwen72b.gateway.heads
from qwen72b import AsyncClient
from qwen72b.gateway import app, running
from qwen72b.testing import (
    Burst,
    Close,
    Complete,
    Fail,
    FakeSpace,
    Layout,
    Respond,
    Snapshot,
    Stall,
    page,
    words,
)

pytest.importorskip("uvicorn")

LINES = "It is blue. It is not green."


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer(*words(LINES))
        yield space


@pytest.fixture
def gateway(space: FakeSpace) -> Iterator[Door]:
    with door(space.url) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def lone_gateway() -> Iterator[Door]:
    """A gateway before no Space at all: whatever would ask it is 502."""
    with door("http://127.0.0.1:9") as gateway:
        yield gateway


class TestAnswers:
    """What comes back."""

    def test_whole_answer(self, gateway: Door) -> None:
        """A completion has the exact text, and counts that are whole numbers."""
        answer = gateway.ask(model="qwen-qwen2-72b-instruct")
        assert answer.status == 200
        assert answer.json["object"] == "chat.completion"
        [choice] = answer.json["choices"]
        assert choice["message"] == {"role": "assistant", "content": LINES}
        assert choice["finish_reason"] == "stop"
        usage = answer.json["usage"]
        assert usage == {"prompt_tokens": 1, "completion_tokens": 7, "total_tokens": 8}

    def test_streamed_answer(self, gateway: Door) -> None:
        """A stream has a chunk for each piece of text, says who speaks first, and ends."""
        answer = gateway.ask(stream=True)
        *chunks, done = answer.events
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert [chunk["choices"][0]["delta"] for chunk in chunks[1:-1]] == [
            {"content": word} for word in words(LINES)
        ]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert all("usage" not in chunk for chunk in chunks)
        assert len({chunk["id"] for chunk in chunks}) == 1
        assert done == "[DONE]"

    def test_usage_of_a_stream(self, gateway: Door) -> None:
        """The last chunk has the counts where they are asked for, and no choices."""
        *_, last, done = gateway.ask(stream=True, stream_options={"include_usage": True}).events
        assert last["choices"] == []
        assert last["usage"] == {"prompt_tokens": 1, "completion_tokens": 7, "total_tokens": 8}
        assert done == "[DONE]"

    @pytest.mark.parametrize("stream", [True, False])
    def test_text_of_every_kind(self, space: FakeSpace, gateway: Door, stream: bool) -> None:
        """Any character arrives as it is, line ends and half a surrogate pair included."""
        text = 'a"b\\\n\ndata: [DONE]\r\n\u2028你好 👩‍👦'
        space.answer(*text)
        answer = gateway.ask(stream=stream)
        assert (answer.text if stream else answer.json["choices"][0]["message"]["content"]) == text

    def test_chat_reaches_the_space(self, space: FakeSpace, gateway: Door) -> None:
        """The Space gets the system text, the turns and the question."""
        chat = [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "One?"}]},
            {"role": "assistant", "content": "Two."},
            {"role": "user", "content": "Three?"},
        ]
        assert gateway.ask(chat).status == 200
        job = space.jobs[-1]
        assert (job.query, job.system) == ("Three?", "Be brief.")
        assert job.history == [["One?", "Two."]]

    def test_history_of_an_agent(self, space: FakeSpace, gateway: Door) -> None:
        """Calls of tools are left out of the history, and their results are what the user says."""
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        chat = [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "Rain."},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "user", "content": "Then?"},
        ]
        assert gateway.ask(chat, tools=[{"type": "function"}], tool_choice="auto").status == 200
        assert space.jobs[-1].history == [["Weather?\n\nRain.", "No."]]

    @pytest.mark.parametrize(
        "fields",
        [
            # aider's, by way of litellm.
            {"temperature": 0, "stream": True},
            # Continue's: a chat with tools at hand, and a completion of code.
            {
                "stream": True,
                "max_tokens": 2048,
                "tools": [{"type": "function", "function": {"name": "read_file"}}],
                "parallel_tool_calls": False,
                "stream_options": {"include_usage": True},
            },
            {
                "stream": True,
                "max_tokens": 256,
                "temperature": 0.01,
                "stop": ["<fim_prefix>", "\n\n\n", "/src/"],
                "presence_penalty": 0,
                "frequency_penalty": 0,
            },
        ],
    )
    def test_request_of_an_editor(
        self, space: FakeSpace, gateway: Door, fields: dict[str, Any]
    ) -> None:
        """What coding tools send is answered: parts, turns that were made up, and their fields."""
        chat = [
            {"role": "system", "content": "Act as an expert."},
            {"role": "user", "content": "These are my files."},
            {"role": "assistant", "content": "Ok."},
            {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
        ]
        answer = gateway.ask(chat, model="qwen-2-72b", **fields)
        assert (answer.text, answer.events[-1]) == (LINES, "[DONE]")
        job = space.jobs[-1]
        assert (job.query, job.system) == ("Why?", "Act as an expert.")
        assert job.history == [["These are my files.", "Ok."]]

    @pytest.mark.parametrize("stream", [True, False])
    def test_text_taken_back(self, space: FakeSpace, gateway: Door, stream: bool) -> None:
        """Streamed, the new text follows on a line of its own; unstreamed there is only the new."""
        space.answer(Snapshot("It is red."), Snapshot("No: blue."))
        answer = gateway.ask(stream=stream)
        if stream:
            assert answer.text == "It is red.\nNo: blue."
        else:
            assert answer.json["choices"][0]["message"]["content"] == "No: blue."

    @pytest.mark.parametrize(
        ("stop", "text"),
        [
            ("blue", "It is "),
            (["no such", " It is"], "It is blue."),
            (["green.."], LINES),
            ([], LINES),
            (LINES[0], ""),
        ],
    )
    @pytest.mark.parametrize("stream", [True, False])
    def test_stop_sequence(self, gateway: Door, stop: Any, text: str, stream: bool) -> None:
        """The answer ends before the first stop sequence, also where it comes in pieces."""
        answer = gateway.ask(stop=stop, stream=stream)
        assert (answer.text if stream else answer.json["choices"][0]["message"]["content"]) == text

    def test_stop_sequence_in_a_burst(self, space: FakeSpace, gateway: Door) -> None:
        """Of pieces that come at once none after a stop sequence is part of the answer."""
        space.answer(Burst(words(LINES), per_write=99))
        assert gateway.ask(stop="blue", stream=True).text == "It is "

    @pytest.mark.parametrize("stream", [True, False])
    def test_stop_hangs_up(self, space: FakeSpace, gateway: Door, stream: bool) -> None:
        """What comes after a stop sequence is not waited for."""
        space.answer("One\nT", "wo\nThree", Stall())
        answer = gateway.ask(stop="\nThree", stream=stream)
        space.wait_for_disconnect()
        text = answer.text if stream else answer.json["choices"][0]["message"]["content"]
        assert text == "One\nTwo"

    def test_stop_in_text_taken_back(self, space: FakeSpace, gateway: Door) -> None:
        """A stop sequence across the place where text was started over is none of the answer's."""
        space.answer(Snapshot("It is red"), Snapshot("No: blue."))
        answer = gateway.ask(stop="red\nNo")
        assert answer.json["choices"][0]["message"]["content"] == "No: blue."

    def test_stop_is_told_in_the_last_chunk(self, gateway: Door) -> None:
        """With a stop sequence in the first text there is still a chunk that says who speaks."""
        answer = gateway.ask(stop="It", stream=True, stream_options={"include_usage": True})
        first, last, usage, done = answer.events
        assert first["choices"][0]["delta"]["role"] == "assistant"
        assert last["choices"][0]["finish_reason"] == "stop"
        assert usage["usage"]["completion_tokens"] == 0
        assert done == "[DONE]"


class TestSampling:
    """What a Space has an input for."""

    @pytest.fixture
    def space(self) -> Iterator[FakeSpace]:
        layout = Layout(inputs=("query", "chat", "system", "extra"))
        with FakeSpace("5.50.0", layout=layout) as space:
            yield space

    @pytest.mark.parametrize("stream", [True, False])
    def test_input_by_its_label(self, space: FakeSpace, gateway: Door, stream: bool) -> None:
        """An input that is called so gets the value; without one it keeps its own."""
        assert gateway.ask(temperature=0.25, top_p=0.5, stream=stream).status == 200
        assert gateway.ask(stream=stream).status == 200
        assert [job.data[-1] for job in space.jobs] == [0.25, 0.7]

    def test_only_what_has_no_input_is_named(
        self, gateway: Door, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What is passed on is not said to be ignored."""
        gateway.ask(temperature=0.25, top_p=0.5)
        assert "top_p has no meaning" in caplog.text
        assert "temperature" not in caplog.text

    @pytest.mark.parametrize(("asked", "got"), [(0, 0.1), (0.1, 0.1), (0.5, 0.5), (1, 1), (1.5, 1)])
    def test_value_outside_the_bounds(
        self,
        space: FakeSpace,
        gateway: Door,
        caplog: pytest.LogCaptureFixture,
        asked: float,
        got: float,
    ) -> None:
        """What the Space's input does not take is brought within its bounds, which is told once."""
        _slider(space).update(minimum=0.1, maximum=1, step=0.1)
        for _ in range(2):
            assert gateway.ask(temperature=asked).status == 200
        assert [job.data[-1] for job in space.jobs] == [got, got]
        told = "temperature is kept within the bounds of the Space's input"
        assert caplog.text.count(told) == (asked != got)

    @pytest.mark.parametrize("kind", ["dropdown", "radio"])
    @pytest.mark.parametrize(("asked", "got"), [(0, 0.1), (0.3, 0.1), (0.7, 0.7), (2, 1)])
    def test_value_that_is_no_choice(
        self,
        space: FakeSpace,
        gateway: Door,
        caplog: pytest.LogCaptureFixture,
        kind: str,
        asked: float,
        got: float,
    ) -> None:
        """The nearest of the choices that are numbers is taken, which is told once."""
        [slider] = [each for each in space.config["components"] if each["type"] == "slider"]
        slider["type"] = kind
        choices = [["low", 0.1], ["middle", 0.7], ["high", 1], ["any", "any"], ["yes", True]]
        slider["props"].update(choices=choices)
        for _ in range(2):
            assert gateway.ask(temperature=asked).status == 200
        assert [job.data[-1] for job in space.jobs] == [got, got]
        assert caplog.text.count("temperature is kept within") == (asked != got)

    def test_choices_without_numbers(
        self, space: FakeSpace, gateway: Door, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An input that takes no number is not set, and the parameter ignored."""
        [slider] = [each for each in space.config["components"] if each["type"] == "slider"]
        slider["type"] = "dropdown"
        slider["props"].update(choices=[["low", "low"], ["high", "high"]])
        assert gateway.ask(temperature=0.3).status == 200
        assert space.jobs[0].data[-1] == 0.7
        assert "temperature has no meaning" in caplog.text

    def test_bounds_that_change(self, space: FakeSpace, gateway: Door) -> None:
        """Where the Space says no to a value that it took before, its inputs are looked at anew."""
        _slider(space).update(minimum=0, maximum=2)
        assert gateway.ask(temperature=2).status == 200
        _slider(space).update(minimum=0, maximum=1)
        space.fault("join", Respond(status=404, body={"detail": "Not Found"}))
        answers = [gateway.ask(temperature=2) for _ in range(2)]
        assert answers[-1].status == 200
        assert [job.data[-1] for job in space.jobs][-1] == 1

    def test_space_that_changes(self, space: FakeSpace, gateway: Door) -> None:
        """An input that is gone is looked for again, and the question is answered without it."""
        assert gateway.ask(temperature=0.25).status == 200
        _slider(space)["label"] = "Wetness"
        space.fault("join", Respond(status=404, body={"detail": "Not Found"}))
        answers = [gateway.ask(temperature=0.25) for _ in range(2)]
        assert answers[-1].status == 200
        assert space.jobs[-1].data[-1] == 0.7

    def test_space_that_cannot_be_read(self, space: FakeSpace, gateway: Door) -> None:
        """A Space that is down says so itself."""
        space.fault("config", page("Sleeping Space"), times=None)
        assert gateway.ask(temperature=0.25).status == 503


def _slider(space: FakeSpace) -> dict[str, Any]:
    """Give what the Space says of its slider."""
    [slider] = [each for each in space.config["components"] if each["type"] == "slider"]
    props: dict[str, Any] = slider["props"]
    return props


class TestModels:
    """The model's names."""

    def test_list(self, gateway: Door) -> None:
        """The list has the model's name and its aliases, and each can be asked for."""
        names = [model["id"] for model in gateway.send("GET", "/v1/models").json["data"]]
        assert names == ["qwen-qwen2-72b-instruct", "qwen-2-72b"]
        for name in names:
            assert gateway.send("GET", f"/v1/models/{name}").json["id"] == name
            assert gateway.ask(model=name).json["model"] == names[0]

    def test_unknown_name(self, space: FakeSpace, gateway: Door) -> None:
        """Another name is 404, and the Space is not asked."""
        for answer in (gateway.ask(model="gpt-4"), gateway.send("GET", "/v1/models/gpt-4")):
            assert answer.status == 404
            assert answer.error["code"] == "model_not_found"
            assert "qwen-2-72b" in answer.error["message"]
        assert space.jobs == []

    @pytest.mark.parametrize(
        "name", ["Qwen/Qwen2-72B-Instruct", "qwen/qwen2-72b-instruct", "QWEN-2-72B"]
    )
    def test_name_of_the_model_itself(self, gateway: Door, name: str) -> None:
        """What the model is called on the Hub is taken, too, as by the client; case does not count."""
        assert gateway.ask(model=name).status == 200
        assert gateway.send("GET", f"/v1/models/{name}").status == 200

    def test_any_name(self, space: FakeSpace) -> None:
        """With ``any_model`` each name is answered."""
        with door(space.url, any_model=True) as gateway:
            assert gateway.ask(model="gpt-4").status == 200

    def test_name_of_another_space(self) -> None:
        """A Space on the Hub has the name of its address, and the alias that it is given."""
        made = app(AsyncClient(space="Owner/Some.Name"), aliases=["Owner/Some.Name"])
        assert made._names == ["owner-some-name", "Owner/Some.Name"]
        assert "qwen/qwen2-72b-instruct" not in made._taken


def app_error(title: str, duration: float) -> Complete:
    """Let the app say by a title of its error what is up, as from Gradio 5.25 on."""
    output = {"error": "Not now.", "title": title, "duration": duration}
    return Complete(output, success=False)


FAILURES: list[tuple[str, Any, int, str]] = [
    ("queue_full", Respond(status=503, body={"detail": "Queue is full."}), 429, "queue_full"),
    ("rate_limit", Respond(status=429, headers={"Retry-After": "7"}), 429, "rate_limit_exceeded"),
    ("quota", Fail("GPU quota exceeded. Try again in 0:01:00"), 429, "insufficient_quota"),
    ("busy", app_error("Busy", 9), 429, "queue_full"),
    ("away", app_error("Unavailable for now", 3), 503, "space_unavailable"),
    ("sleeping", page("Sleeping Space"), 503, "space_unavailable"),
    ("gateway", Respond(status=502, body="bad gateway"), 503, "space_error"),
    ("failed", Fail("CUDA out of memory"), 502, "generation_failed"),
    ("login", Respond(status=401), 502, "space_authentication"),
    ("cut", Close(), 502, "interrupted"),
    ("odd", Respond(status=418), 502, "space_error"),
]


class TestErrors:
    """What goes wrong."""

    @pytest.mark.parametrize("stream", [True, False])
    @pytest.mark.parametrize(("name", "step", "status", "code"), FAILURES)
    def test_failure_before_the_text(
        self,
        space: FakeSpace,
        gateway: Door,
        name: str,
        step: Any,
        status: int,
        code: str,
        stream: bool,
    ) -> None:
        """An error before the first text is a status, streamed or not, with OpenAI's body."""
        if isinstance(step, (Fail, Close, Complete)):
            space.answer(step)
        else:
            space.fault("join", step)
        answer = gateway.ask(stream=stream)
        assert (answer.status, answer.error["code"]) == (status, code)
        assert answer.error["message"]
        assert answer.error["type"]
        waits = {"queue_full": "5", "rate_limit": "7", "quota": "60", "busy": "9", "away": "3"}
        assert answer.headers["retry-after"] == waits.get(name)
        # The one that was not tried again.
        assert answer.headers["x-should-retry"] == (None if name == "cut" else "false")

    def test_space_that_is_gone(self, space: FakeSpace, gateway: Door) -> None:
        """A Space that takes no connection is 502."""
        space.refuse()
        assert gateway.ask().status == 502

    def test_space_that_is_silent(self, space: FakeSpace) -> None:
        """A limit that ran out is 504."""
        space.answer(Stall())
        client = AsyncClient(space.url, timeout=AMPLE)
        with running(client) as url:
            assert Door(url).ask().status == 504
        anyio.run(client.close)

    def test_failure_in_the_text(self, space: FakeSpace, gateway: Door) -> None:
        """After the head an error is an event of its own, and the stream is not said to be done."""
        space.answer("It is", Fail("CUDA out of memory"))
        answer = gateway.ask(stream=True)
        assert answer.status == 200
        assert answer.text == "It is"
        assert answer.events[-1]["error"]["code"] == "generation_failed"
        assert "[DONE]" not in answer.events

    def test_failure_in_the_text_unstreamed(self, space: FakeSpace, gateway: Door) -> None:
        """Unstreamed it is a status all the same."""
        space.answer("It is", Fail("CUDA out of memory"))
        assert gateway.ask().status == 502

    def test_client_behind_it_is_closed(self, space: FakeSpace) -> None:
        """A gateway whose client was closed says that it is ending."""
        client = AsyncClient(space.url)
        anyio.run(client.close)
        with running(client) as url:
            answer = Door(url).ask()
        assert (answer.status, answer.error["code"]) == (503, "closed")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b'"Hi"',
            b"\xff",
            b"[" * 100_000,
            b'{"messages": [' + b"[]," * 1_000_000 + b"[]]}",
            b"{}",
            b'{"messages": []}',
            b'{"messages": "Hi"}',
            b'{"messages": ["Hi"]}',
            b'{"messages": [{"content": "Hi"}]}',
            b'{"messages": [{"role": "judge", "content": "Hi"}]}',
            b'{"messages": [{"role": ["user"], "content": "Hi"}]}',
            b'{"messages": [{"role": "user"}]}',
            b'{"messages": [{"role": "user", "content": null}]}',
            b'{"messages": [{"role": "user", "content": 1}]}',
            b'{"messages": [{"role": "user", "content": ["Hi"]}]}',
            b'{"messages": [{"role": "user", "content": [{"type": "text"}]}]}',
            b'{"messages": [{"role": "assistant", "content": "Hi"}]}',
            b'{"messages": [{"role": "assistant", "content": null}]}',
        ],
    )
    def test_bad_body(self, lone_gateway: Door, body: bytes) -> None:
        """What is no request is 400, and the Space is not asked."""
        answer = lone_gateway.send("POST", "/v1/chat/completions", body)
        assert answer.status == 400
        assert answer.error["type"] == "invalid_request_error"

    @pytest.mark.parametrize(
        "fields",
        [
            {"stream": "yes"},
            {"stream": 1},
            {"stream_options": []},
            {"stream_options": {"include_usage": 1}},
            {"model": 1},
            {"temperature": 3},
            {"temperature": "hot"},
            {"temperature": True},
            {"temperature": float("nan")},
            {"top_p": -1},
            {"max_tokens": 0},
            {"max_tokens": 1.5},
            {"max_completion_tokens": "many"},
            {"n": 0},
            {"stop": 1},
            {"stop": ""},
            {"stop": ["a", 1]},
            {"stop": ["a"] * 5},
            {"stop": "a" * 257},
            {"response_format": "text"},
            # What a Space cannot do.
            {"n": 2},
            {"logprobs": True},
            {"top_logprobs": 2},
            {"tool_choice": "required"},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"function_call": {"name": "f"}},
            {"response_format": {"type": "json_object"}},
            {"response_format": {"type": "json_schema", "json_schema": {}}},
            {"modalities": ["text", "audio"]},
            {"audio": {"voice": "alloy"}},
        ],
    )
    def test_bad_field(self, lone_gateway: Door, fields: dict[str, Any]) -> None:
        """A field of the wrong kind, or one that a Space cannot serve, is 400 and named."""
        answer = lone_gateway.ask(**fields)
        assert answer.status == 400
        assert answer.error["param"].split(".")[0] in fields

    @pytest.mark.parametrize("kind", ["image_url", "input_audio", "file", "video"])
    def test_part_that_is_no_text(self, lone_gateway: Door, kind: str) -> None:
        """Images, audio and files are refused, by their place."""
        answer = lone_gateway.ask([{"role": "user", "content": [{"type": kind, kind: {}}]}])
        assert (answer.status, answer.error["param"]) == (400, "messages[0].content[0]")

    @pytest.mark.parametrize(
        "fields",
        [
            {"temperature": 0, "top_p": 1, "seed": 7, "user": "me", "max_tokens": 5},
            {"tools": [{"type": "function"}], "tool_choice": "none", "parallel_tool_calls": True},
            {"n": 1, "logprobs": False, "response_format": {"type": "text"}, "stop": None},
            {"modalities": ["text"], "logit_bias": {}, "something_new": {"a": 1}, "model": None},
        ],
    )
    def test_harmless_fields(self, gateway: Door, fields: dict[str, Any]) -> None:
        """What does not change what the answer is, is accepted."""
        assert gateway.ask(**fields).status == 200

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/", 404),
            ("POST", "/v1/completions", 404),
            ("POST", "/v1/responses", 404),
            ("GET", "/v1/chat/completions", 405),
            ("POST", "/v1/models", 405),
            ("DELETE", "/v1/models/qwen-2-72b", 405),
            ("OPTIONS", "/health", 405),
            ("HEAD", "/health", 200),
            ("HEAD", "/v1/models", 200),
        ],
    )
    def test_paths(self, lone_gateway: Door, method: str, path: str, status: int) -> None:
        """Another path is 404 and another method 405, with what there is."""
        answer = lone_gateway.send(method, path)
        assert answer.status == status
        if method == "HEAD":
            assert answer.body == b""
        elif status == 405:
            assert answer.headers["allow"]
        else:
            assert "/v1/chat/completions" in answer.error["message"]

    def test_bug(
        self, gateway: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A bug of ours is 500, and the log has its place but not its words."""

        def fail(*_: Any) -> None:
            raise RuntimeError("a secret")

        monkeypatch.setattr(qwen72b.gateway.chat.Answer, "_usage", fail)
        assert gateway.ask().status == 500
        answer = gateway.ask(stream=True, stream_options={"include_usage": True})
        assert answer.events[-1]["error"]["code"] == "internal"
        assert "RuntimeError at fail" in caplog.text
        assert "secret" not in caplog.text
