"""The debug log tells enough to replay a failure, and nobody's texts or secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from qwen72b import Client, Qwen72BError, Retry
from qwen72b.testing import Edits, Fail, FakeSpace, Message, Respond, Snapshot, Stall, page
from qwen72b.transport.debuglog import shown

TOKEN = "hf_sesame"


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "qwen72b")
    return caplog


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace("5.25.2") as space:
        yield space


def lines(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.name == "qwen72b"]


def received(log: pytest.LogCaptureFixture) -> Iterator[dict[str, Any]]:
    """Read the Space's messages from the log."""
    for line in lines(log):
        _, found, message = line.partition(": received ")
        if found:
            yield json.loads(message)


def test_log_tells_the_course_of_a_call(space: FakeSpace, debug: pytest.LogCaptureFixture) -> None:
    """Requests with their statuses, what the Space is, its messages, and the end, all by call."""
    space.answer("Hel", "lo")
    with Client(space.url) as client:
        client.ask("Hi")
    told = "\n".join(lines(debug))
    assert f"to {space.url} with qwen72b" in told
    assert "/config  -> 200 application/json after 0." in told
    assert "Gradio 5.25.2, sse_v3, function 0 (model_chat)" in told
    assert "/queue/join  -> 200" in told
    assert "-> 200 text/event-stream" in told
    kinds = [message["msg"] for message in received(debug)]
    assert kinds[:3] == ["estimation", "process_starts", "process_generating"]
    assert "process_completed" in kinds
    assert "complete, 5 characters, Timings(" in lines(debug)[-1]
    calls = {line.partition(":")[0] for line in lines(debug)}
    assert len(calls) == 1


def test_log_has_no_texts_and_no_secrets(space: FakeSpace, debug: pytest.LogCaptureFixture) -> None:
    """Neither prompt, answer, system text, history, token nor header is in it."""
    space.token = TOKEN
    space.answer("green ", "cheese", Fail("blue moon"))
    chat = [
        {"role": "user", "content": "first ask"},
        {"role": "assistant", "content": "first reply"},
        {"role": "user", "content": "second ask"},
    ]
    client = Client(space.url, token=TOKEN, headers={"X-Key": "abracadabra"})
    with client, pytest.raises(Qwen72BError):
        client.ask(chat, system="be secretive")
    told = "\n".join(lines(debug))
    assert "failed with GenerationFailed, 12 characters" in told
    for text in ("ask", "reply", "secretive", "cheese", "moon", TOKEN, "abracadabra"):
        assert text not in told


def test_log_has_no_login(debug: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    """A user and a password are not in it, even where texts are."""
    monkeypatch.setenv("QWEN72B_LOG_CONTENT", "1")
    login = ("alibaba", "sesame")
    with FakeSpace("5.25.2", auth=login) as space, Client(space.url, auth=login) as client:
        client.ask("Hi")
    told = "\n".join(lines(debug))
    assert "/login  -> 200" in told
    assert "alibaba" not in told
    assert "sesame" not in told


def test_log_has_the_texts_on_request(
    space: FakeSpace, debug: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With QWEN72B_LOG_CONTENT=1 the prompt and the answer are there, the token never."""
    monkeypatch.setenv("QWEN72B_LOG_CONTENT", "1")
    space.token = TOKEN
    space.answer("green ", "cheese")
    with Client(space.url, token=TOKEN) as client:
        client.ask("second ask")
    told = "\n".join(lines(debug))
    assert "second ask" in told
    assert "green " in told
    assert TOKEN not in told


def test_info_and_above_are_quiet(space: FakeSpace, caplog: pytest.LogCaptureFixture) -> None:
    """Without debug a good answer logs nothing at all."""
    caplog.set_level(logging.INFO)
    with Client(space.url) as client:
        client.ask("Hi")
    assert lines(caplog) == []


@pytest.mark.parametrize(
    "script",
    [
        ["Hel", Fail("out of memory")],
        [Snapshot("Thinking..."), Snapshot("The answer"), Fail(None)],
        ["Hel", Edits([[], [["append", [5, 5], "lo"]], []])],
        ["Hel", Message("unexpected_error", message="no more")],
    ],
)
@pytest.mark.parametrize("gradio", ["4.36.1", "5.25.2", "6.0.2"])
def test_failure_is_replayed_from_the_log(
    debug: pytest.LogCaptureFixture, gradio: str, script: list[Any]
) -> None:
    """Fed to another Space, the logged messages make the same error after as much text."""

    def fail(space: FakeSpace) -> Qwen72BError:
        with Client(space.url) as client, pytest.raises(Qwen72BError) as caught:
            client.ask("Hi")
        return caught.value

    with FakeSpace(gradio) as space:
        space.answer(*script)
        error = fail(space)
    messages = list(received(debug))
    for message in messages:
        message.pop("event_id", None)
    with FakeSpace(gradio) as space:
        space.stream(*[Message(message.pop("msg"), **message) for message in messages])
        again = fail(space)
    assert type(again) is type(error)
    assert len(again.partial) == len(error.partial)


def test_refused_requests_are_logged(space: FakeSpace, debug: pytest.LogCaptureFixture) -> None:
    """A status, the tries after it, and a connection that fails are told."""
    space.fault("join", Respond(status=503, headers={"Retry-After": "0"}))
    with Client(space.url, retry=Retry(base=0)) as client:
        client.ask("Hi")
        told = "\n".join(lines(debug))
        assert "/queue/join  -> 503" in told
        assert "; next try in 0.10 s" in told
        debug.clear()
        space.refuse()
    with Client(space.url, retry=Retry(attempts=1)) as client, pytest.raises(Qwen72BError):
        client.ask("Hi")
    assert "/config -> ConnectFailed after" in "\n".join(lines(debug))
    assert "failed with ConnectFailed, 0 characters" in lines(debug)[-1]


def test_page_instead_of_json_is_told_by_its_size(
    space: FakeSpace, debug: pytest.LogCaptureFixture
) -> None:
    """A body that is no JSON leaves its size, and a long one no more than that."""
    space.fault("config", page("Sleeping"))
    with Client(space.url, retry=Retry(attempts=1)) as client, pytest.raises(Qwen72BError):
        client.ask("Hi")
    assert "characters that are not JSON" in "\n".join(lines(debug))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('{"msg": "estimation", "rank": 3}', '{"msg":"estimation","rank":3}'),
        ({"msg": "log", "log": "hello"}, '{"msg":"log","log":"xxxxx"}'),
        ([["append", [0, "content"], "hello"]], '[["append",[0,"content"],"xxxxx"]]'),
        (["append", [["a", "b"], 1, "text"], "c"], '["append",[["x","x"],1,"text"],"x"]'),
        ("hello", "5 characters that are not JSON"),
        ("[" * 100_000, "100000 characters"),
        ('{"msg": ' + "[" * 100_000, "100008 characters that are not JSON"),
    ],
)
def test_texts_are_blanked(value: Any, text: str) -> None:
    """A message keeps its shape and size, and only the protocol's own words."""
    assert shown(value) == text


def test_stopped_stream_says_so(space: FakeSpace, debug: pytest.LogCaptureFixture) -> None:
    """An answer that was left early is told apart from one that came to its end, once."""
    space.answer("Hel", Stall())
    with Client(space.url) as client:
        for _ in client.stream("Hi"):
            break
    ends = [line for line in lines(debug) if "characters, Timings(" in line]
    assert len(ends) == 1
    assert ": stopped, 3 characters" in ends[0]


def test_hostile_texts_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a terminal would obey, and what would end the line, is escaped, and still JSON."""
    monkeypatch.setenv("QWEN72B_LOG_CONTENT", "1")
    text = '{"msg":\n\t"log", "log": "a\u202eb\x9b2Jé\U0001f600\ud800\U000e0041"}'
    told = shown(text)
    assert told.isprintable() and "é\U0001f600" in told
    assert json.loads(told) == json.loads(text)
    assert shown("Hello, x") == "Hello, x"


def test_long_messages_are_not_taken_apart_for_the_log() -> None:
    """Their length says enough."""
    for text in ('{"msg": ' + "[]," * 100_000, " " * 100_000 + '{"msg": 1}', "[" * 5000):
        assert shown(text) == f"{len(text)} characters"
    assert json.loads(shown('{"msg": "x", "log": "' + "a" * 10_000 + '"}'))["log"] == "x" * 10_000
    assert shown("[" * 4000) == "4000 characters that are not JSON"
