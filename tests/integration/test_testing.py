"""FakeSpace speaks as a real Space, and remembers what its client did."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from raw_client import Raw, chat, connect, fetch, join, messages, names, payload, stream_target

from qwen72b.testing import (
    AwaitData,
    Burst,
    Chunk,
    CloseStream,
    Complete,
    Edits,
    End,
    Estimation,
    Event,
    Fail,
    FakeSpace,
    Heartbeat,
    Job,
    Layout,
    Log,
    Message,
    Outputs,
    Progress,
    Repeat,
    Shape,
    Snapshot,
    Start,
    UnexpectedError,
    find_dialect,
    words,
)

VERSIONS = ["4.12.0", "4.19.2", "4.36.1", "4.44.1", "5.25.2", "5.50.0", "6.0.2"]


@pytest.mark.parametrize("version", VERSIONS)
def test_answer_comes_as_the_version_says_it(version: str) -> None:
    """Every version gives its protocol's messages in their order."""
    with FakeSpace(version) as space:
        space.answer(*words("Hello to you"))
        said = chat(space)
    usual = ["estimation", "process_starts", *["process_generating"] * 3, "process_completed"]
    assert names(said) == usual + ["close_stream"] * (space.dialect.protocol == "sse_v3")
    final = said[5]["output"]["data"][1]
    assert final == space.dialect.turns([], "Hi", "Hello to you")
    assert said[2]["output"]["data"][1] == space.dialect.turns([], "Hi", "Hello")
    second = said[3]["output"]["data"]
    if space.dialect.diffs:
        assert second == [[], [["append", space.dialect.text_path(final), " to"]], []]
    else:
        assert second[1] == space.dialect.turns([], "Hi", "Hello to")


def test_gradio_4_0_takes_the_data_after_the_stream_has_begun() -> None:
    """In Gradio 4.0 the stream asks for the data, which come by another request."""
    with FakeSpace("4.0.2") as space, Raw(space) as stream:
        space.answer("Hel", "lo")
        stream.ask("/queue/join?fn_index=0&session_hash=abc")
        asked = stream.until(b"send_data").split(b'"event_id": "')[1][:32].decode()
        body = payload(event_id=asked)
        assert fetch(space, "POST", "/queue/data", body).text == "null"
        assert b'[["Hi", "Hello"]]' in stream.until(b"process_completed")
        assert fetch(space, "POST", "/queue/join", payload()).status == 405
        unknown = payload(event_id="other")
        assert fetch(space, "POST", "/queue/data", unknown).status == 404
        assert fetch(space, "GET", "/queue/join?fn_index=9&session_hash=a").status == 500
    assert [request.phase for request in space.requests][:2] == ["stream", "join"]
    assert space.jobs[0].query == "Hi"


def test_gradio_4_0_full_queue_is_a_message() -> None:
    """Gradio 4.0 says that its queue is full in the stream."""
    with FakeSpace("4.0.2", max_size=0) as space:
        answer = fetch(space, "GET", "/queue/join?fn_index=0&session_hash=abc")
    assert answer.text == 'data: {"msg": "queue_full"}\n\n'


def test_gradio_4_0_raw_stream_can_wait_for_the_data() -> None:
    """A raw script decides itself when it asks for the data."""
    with FakeSpace("4.0.2") as space, Raw(space) as stream:
        space.stream(Heartbeat(), AwaitData(), "Hi", Complete())
        stream.ask("/queue/join?fn_index=0&session_hash=abc")
        asked = stream.until(b"send_data").split(b'"event_id": "')[1][:32].decode()
        fetch(space, "POST", "/queue/data", payload(event_id=asked))
        stream.until(b"process_completed")


@pytest.mark.parametrize(
    ("chat_format", "history", "turn"),
    [
        ("pairs", [["a", "b"]], ["Hi", "x"]),
        ("messages", [{"role": "user", "content": "a"}], "x"),
        ("parts", [{"role": "user", "content": [{"type": "text", "text": "a"}]}], "x"),
    ],
)
def test_history_is_given_back_before_the_answer(
    chat_format: str, history: list[object], turn: object
) -> None:
    """The chatbot's value is the client's own turns and then the new one."""
    with FakeSpace("5.25.2", chat=chat_format) as space:  # type: ignore[arg-type]
        space.answer("x")
        value = chat(space, history=history)[2]["output"]["data"][1]
    assert value[: len(history)] == history
    found = value
    for key in space.dialect.text_path(value):
        found = found[key]
    assert found == "x"


@pytest.mark.parametrize(
    ("version", "history"),
    [("4.36.1", [{"role": "user", "content": "a"}]), ("6.0.2", [["a", "b"]]), ("6.0.2", "text")],
)
def test_history_of_the_wrong_form_fails_without_a_reason(version: str, history: object) -> None:
    """A history that the chatbot does not take is an error that says nothing."""
    with FakeSpace(version) as space:
        body = payload()
        body["data"][1] = history
        assert fetch(space, "POST", space.dialect.join_path, body).status == 200
        connection = connect(space)
        connection.request("GET", stream_target(space))
        said = list(messages(connection.getresponse().read()))
        connection.close()
    assert said[2]["output"] == {"error": None}
    assert said[2]["success"] is False


def test_requests_and_jobs_are_recorded() -> None:
    """A test sees what its client sent, and on which connection."""
    with FakeSpace() as space:
        assert chat(space, query="Why?")
        job = space.wait_for_job("finished")
        space.wait_until_idle()
        fetch(space, "GET", "/config?a=1&b=", Cookie="x=1; y=2")
        seen = space.wait_for_request("config")
        assert space.wait_for_request("GET /config") is seen
    assert [request.phase for request in space.requests] == ["join", "stream", "config"]
    assert [request.connection for request in space.requests] == [1, 2, 3]
    assert (job.query, job.history, job.system) == ("Why?", [], "Be brief.")
    assert (seen.path, seen.query, seen.cookies) == (
        "/config",
        {"a": "1", "b": ""},
        {"x": "1", "y": "2"},
    )
    assert space.connections == 3
    space.reset()
    assert space.requests == space.jobs == []


def test_waiting_in_vain_tells_what_did_happen() -> None:
    """A wait that runs out names the requests and jobs that there were."""
    with FakeSpace() as space:
        join(space)
        with pytest.raises(TimeoutError, match=r"POST /queue/join.*waiting"):
            space.wait_for_disconnect(timeout=0.01)


def test_answer_may_depend_on_the_job() -> None:
    """A callable makes the script from what was asked."""
    with FakeSpace() as space:
        space.answer(lambda job: [job.query.upper(), " ", job.system])
        assert chat(space, query="why")[-2]["output"]["data"][1] == [["why", "WHY Be brief."]]


def test_answers_with_a_number_come_first() -> None:
    """Scripts for so many jobs are used up before the standing one."""
    with FakeSpace() as space:
        space.answer("standing")
        space.answer("once", times=1)
        space.answer("twice", times=2, delay=0.001)
        texts = [chat(space)[-2]["output"]["data"][1][0][1] for _ in range(4)]
    assert texts == ["once", "twice", "twice", "standing"]


def test_script_error_is_raised_when_the_space_is_closed() -> None:
    """An exception in a test's own callable is not lost in a thread."""

    def broken(job: Job) -> list[str]:
        raise LookupError("mine")

    with pytest.raises(RuntimeError, match="script") as caught, FakeSpace() as space:
        space.answer(broken)
        join(space)
        with Raw(space) as raw:
            raw.ask(stream_target(space))
            raw.rest()
    assert isinstance(caught.value.__cause__, LookupError)


def test_messages_about_the_job_are_sent_as_scripted() -> None:
    """Places in the queue, logs and progress stand where the script puts them."""
    with FakeSpace("5.25.2") as space:
        space.answer(
            Estimation(2, 3, 1.5),
            Estimation(0, 1),
            Start(),
            Log("careful", "warning"),
            Log("so"),
            Progress(1, 4, desc="one"),
            Heartbeat(),
            "Hi",
        )
        said = chat(space)
    assert names(said)[:6] == [
        *["estimation"] * 2,
        "process_starts",
        "log",
        "log",
        "progress",
    ]
    assert (said[0]["rank"], said[0]["queue_size"], said[0]["rank_eta"]) == (2, 3, 1.5)
    assert (said[3]["log"], said[3]["level"], said[3]["title"]) == ("careful", "warning", "Warning")
    assert said[5]["progress_data"][0] == {
        "index": 1,
        "length": 4,
        "unit": "steps",
        "progress": None,
        "desc": "one",
    }


def test_snapshots_and_outputs_come_as_edits() -> None:
    """What a script sets is told as the difference to what was."""
    with FakeSpace() as space:
        update = {"__type__": "update", "interactive": False}
        space.answer(
            "Thin", "king", Snapshot("Answer"), Outputs([update, [["Hi", "A"]], None]), "b"
        )
        said = chat(space)
    data = [message["output"]["data"] for message in said[2:-1]]
    assert data[2] == [[], [["replace", [0, 1], "Answer"]], []]
    assert data[3] == [
        [["replace", [], update]],
        [["replace", [0, 1], "A"]],
        [["replace", [], None]],
    ]
    assert data[4] == [[], [["append", [0, 1], "b"]], []]
    assert data[5] == [update, [["Hi", "Ab"]], None]


@pytest.mark.parametrize(
    ("version", "step", "error"),
    [
        ("4.36.1", Fail("no"), {"error": "'no'"}),
        ("4.36.1", Fail("no", quotes=False), {"error": "no"}),
        ("4.36.1", Fail(), {"error": None}),
        ("4.22.0", Fail(), {"error": "None"}),
        ("4.44.1", Fail("no"), {"error": "'no'", "duration": 10, "visible": True}),
        (
            "6.0.2",
            Fail("no", title="Quota"),
            {"error": "no", "duration": 10, "visible": True, "title": "Quota"},
        ),
    ],
)
def test_failure_reads_as_the_version_writes_it(
    version: str, step: Fail, error: dict[str, object]
) -> None:
    """The text of an error has the quotes and extras of its version."""
    with FakeSpace(version) as space:
        space.answer("a", step)
        completed = chat(space)[3]
    assert (completed["success"], completed["output"]) == (False, error)


def test_script_may_break_the_protocol() -> None:
    """What no Gradio would say is sent as it is told, and nothing is added to it."""
    with FakeSpace() as space:
        space.stream(
            Message("process_starts", event_id="other"),
            Message("news", event_id=None),
            Edits([[], [["append", [9, 9], "x"]], []]),
            Complete({}),
            Complete([1], success=False, event_id="other"),
            CloseStream(),
            Repeat(Heartbeat(), times=2, interval=0.001),
        )
        said = chat(space)
        assert names(said) == [
            "process_starts",
            "news",
            "process_starts",
            "process_generating",
            "process_completed",
            "process_completed",
            "close_stream",
            "heartbeat",
            "heartbeat",
        ]
        assert (said[0]["event_id"], "event_id" in said[1]) == ("other", False)
        space.stream(Event("not json"), Event(b"\xff"), Chunk(b": c\n\n"), End(), "never")
        join(space)
        with Raw(space) as raw:
            raw.ask(stream_target(space))
            assert raw.until(b"\r\n0\r\n\r\n").endswith(b": c\n\n\r\n0\r\n\r\n")
            assert b"data: not json\n\n" in raw.seen and b"data: \xff\n\n" in raw.seen
        assert space.wait_for_job("broken").cancelled_at is None


def test_unexpected_error_cuts_the_body() -> None:
    """After `UnexpectedError` the body ends without its last chunk."""
    with FakeSpace() as space, Raw(space) as raw:
        raw.ask(stream_target(space, "unknown"))
        assert raw.rest().endswith(b'"message":"404: Session not found.","success":false}\n\n\r\n')
        space.answer("a", UnexpectedError("stop"))
        join(space)
        with Raw(space) as other:
            other.ask(stream_target(space))
            assert not other.rest().endswith(b"0\r\n\r\n")


def test_stream_after_the_end_stays_silent() -> None:
    """A second stream of a session that has ended never says anything."""
    with FakeSpace() as space:
        chat(space)
        with Raw(space) as raw:
            raw.ask(stream_target(space))
            assert raw.until(b"\r\n\r\n").endswith(b"\r\n\r\n")
            raw.socket.settimeout(0.05)
            with pytest.raises(TimeoutError):
                raw.socket.recv(1)


def test_jobs_of_one_session_share_a_stream() -> None:
    """Two jobs that wait for one stream come one after the other, then close_stream."""
    with FakeSpace() as space:
        join(space)
        said = chat(space)
    assert names(said).count("process_completed") == 2
    assert names(said).count("close_stream") == 1
    assert len({message.get("event_id") for message in said[:-1]}) == 2


def test_burst_equals_the_same_pieces_one_by_one() -> None:
    """Many pieces at once give the events that they would give singly."""
    pieces = [f" {number}" for number in range(50)]
    for shape in (Shape(), Shape(framing="close"), Shape(piece=7)):
        with FakeSpace(shape=shape) as space:
            space.answer(*pieces, times=1)
            space.answer(Burst(pieces, per_write=20))
            first, second = chat(space), chat(space)
        for message in first + second:
            message.pop("event_id", None)
        assert first == second


def test_clean_takes_indentation_back() -> None:
    """With `clean`, a list that is nested later rewinds as on a real Space."""
    with FakeSpace(clean=True) as space:
        space.answer("1. a\n   - b", "\n   - c", "\n2. d")
        said = chat(space)
    edits = [message["output"]["data"][1] for message in said[2:5]]
    assert edits[0] == [["Hi", "1. a\n- b"]]
    assert edits[2] == [["replace", [0, 1], "1. a\n   - b\n   - c\n2. d"]]


def test_layout_moves_ids_and_arguments() -> None:
    """The page decides over ids, numbers and order, and the job is read accordingly."""
    layout = Layout(
        headers=2,
        first_dependencies=1,
        api_name=None,
        inputs=("system", "extra", "query", "chat"),
        outputs=("extra", "chat"),
        system="Be kind.",
    )
    with FakeSpace("5.25.2", layout=layout) as space:
        config = json.loads(fetch(space, "GET", "/config").text)
        dependency = config["dependencies"][layout.fn_index]
        assert dependency["targets"] == [[12, "submit"]] == [[layout.trigger_id, "submit"]]
        kinds = {component["id"]: component["type"] for component in config["components"]}
        assert [kinds[number] for number in dependency["inputs"]] == [
            "textbox",
            "slider",
            "textbox",
            "chatbot",
        ]
        body = payload(fn_index=1)
        body["data"] = ["S", 0.5, "Q", []]
        space.answer("A")
        fetch(space, "POST", space.dialect.join_path, body)
        connection = connect(space)
        connection.request("GET", stream_target(space))
        said = list(messages(connection.getresponse().read()))
        connection.close()
    assert (space.jobs[0].query, space.jobs[0].system) == ("Q", "S")
    assert said[2]["output"]["data"] == [None, space.dialect.turns([], "Q", "A")]


def test_config_may_be_changed_at_any_time() -> None:
    """The server reads the config that the test has changed."""
    with FakeSpace() as space:
        space.config["dependencies"][0]["id"] = 7
        assert json.loads(fetch(space, "GET", "/config").text)["dependencies"][0]["id"] == 7
        assert fetch(space, "POST", "/queue/join", payload(fn_index=0)).status == 500
        assert fetch(space, "POST", "/queue/join", payload(fn_index=7)).status == 200


@pytest.mark.parametrize(
    ("version", "protocol"),
    [
        ("3.50.2", "ws"),
        ("4", "sse_v3"),
        ("4.0.2", "sse"),
        ("4.13", "sse_v1"),
        ("4.21.0", "sse_v2"),
        ("4.22.0", "sse_v3"),
        ("6", "sse_v3"),
        ("7.1", "sse_v3"),
    ],
)
def test_version_decides_the_protocol(version: str, protocol: str) -> None:
    """A version speaks as the newest measured one that is not newer."""
    with FakeSpace(version) as space:
        config = json.loads(fetch(space, "GET", "/config").text)
    assert config.get("protocol", "ws") == protocol
    assert config["version"] == version


def test_version_that_was_never_measured_is_refused() -> None:
    """There is no way to speak as Gradio 2."""
    with pytest.raises(ValueError, match="2.9"):
        find_dialect("2.9")


def test_dialect_may_be_mixed() -> None:
    """Each trait of a version can be replaced by another."""
    mixed = replace(find_dialect("4.36.1"), titles=True)
    with FakeSpace(mixed, protocol="sse_v2.1", prefix="/x", chat="parts") as space:
        space.answer("a", "b", Complete(title="T"))
        said = chat(space)
    assert said[3]["output"]["data"][1] == [["append", [1, "content", 0, "text"], "b"]]
    assert (said[4]["title"], names(said)[-1]) == ("T", "process_completed")


def test_lone_surrogates_can_be_sent() -> None:
    """A text that UTF-8 cannot say is sent with JSON's escapes."""
    with FakeSpace() as space:
        space.answer("a", "\ud83d")
        assert chat(space)[-2]["output"]["data"][1] == [["Hi", "a\ud83d"]]
