"""Every fault becomes a typed error that keeps what had come, or does no harm at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from askers import ASKERS, ONCE, check_error

from qwen72b import (
    AuthenticationError,
    ConnectFailed,
    GenerationFailed,
    HTTPStatusError,
    InvalidDiff,
    InvalidServerMessage,
    QueueFull,
    QuotaExceeded,
    Qwen72BError,
    Qwen_Qwen_2_72B,
    RateLimited,
    Retry,
    SpaceUnavailable,
    StreamInterrupted,
)
from qwen72b.testing import (
    Chunk,
    Close,
    CloseStream,
    Complete,
    Edits,
    End,
    Event,
    Fail,
    FakeSpace,
    Heartbeat,
    Message,
    Outputs,
    Proceed,
    Reset,
    Respond,
    Send,
    Shape,
    Step,
    Throttle,
    UnexpectedError,
    page,
    redirect,
)

# A version of each protocol and of each form of history.
VERSIONS = ["4.0.2", "4.12.0", "4.19.2", "4.36.1", "5.25.2", "6.0.2"]

WAYS = [("sync", version) for version in VERSIONS] + [("asyncio", "4.36.1"), ("trio", "4.0.2")]

HEAD = b"HTTP/1.1 200 OK\r\n"
STREAM_HEAD = HEAD + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


# Name, script after "Hel", error.
MIDWAY: list[tuple[str, Sequence[Any], type[Qwen72BError]]] = [
    ("reset", [Reset()], StreamInterrupted),
    ("fin_without_last_chunk", [Close()], StreamInterrupted),
    ("clean_end", [End()], StreamInterrupted),
    ("truncated_chunk", [Send(b"ff\r\ndata: {"), Close()], StreamInterrupted),
    ("bad_chunk_size", [Send(b"zz\r\nwhat?\r\n"), Close()], StreamInterrupted),
    ("bad_chunk_with_an_event", [Send(b"zz\r\n\n\ndata: x\n\n"), Close()], StreamInterrupted),
    ("half_an_event", [Chunk(b'data: {"msg":"process_comp'), End()], StreamInterrupted),
    ("event_without_its_end", [Chunk(b'data: {"msg":"close_stream"}\n'), End()], StreamInterrupted),
    ("close_stream_too_early", [Message("close_stream", event_id=None)], StreamInterrupted),
    ("session_not_found", [UnexpectedError()], StreamInterrupted),
    ("server_stopped", [UnexpectedError("Server stopped unexpectedly.")], StreamInterrupted),
    ("unexpected_error", [UnexpectedError("str is not valid UTF-8")], GenerationFailed),
    ("unexpected_error_null", [Message("unexpected_error", message=None)], GenerationFailed),
    ("queue_full", [Message("queue_full")], QueueFull),
    ("failure_hidden", [Fail(None)], GenerationFailed),
    ("failure_with_text", [Fail("no such city")], GenerationFailed),
    ("failure_with_quotes", [Fail("it's 'bad'", quotes=True)], GenerationFailed),
    ("failure_of_quota", [Fail("GPU quota exceeded. Try again in 0:01:00")], QuotaExceeded),
    ("failure_without_output", [Message("process_completed", success=False)], GenerationFailed),
    ("failure_output_null", [Complete(None, success=False)], GenerationFailed),
    ("completed_without_success", [Message("process_completed", output={})], GenerationFailed),
    ("cancelled_by_others", [Complete({})], GenerationFailed),
    ("completed_output_a_list", [Complete([1])], InvalidServerMessage),
    ("completed_data_a_text", [Complete({"data": "all"})], InvalidServerMessage),
    ("completed_data_short", [Complete({"data": []})], InvalidServerMessage),
    ("completed_chat_a_number", [Complete({"data": ["", 7, ""]})], InvalidServerMessage),
    (
        "generating_without_output",
        [Message("process_generating", success=True)],
        InvalidServerMessage,
    ),
    (
        "generating_failed",
        [Message("process_generating", output={"error": "oh"}, success=False)],
        GenerationFailed,
    ),
    ("generating_data_null", [Edits(None)], InvalidServerMessage),
    (
        "deep_chat",
        [Event('{"msg":"process_completed","success":true,"output":' + deep(100_000) + "}"), End()],
        StreamInterrupted,
    ),
    ("completion_of_another_job", [Complete(event_id="another"), End()], StreamInterrupted),
    ("completion_without_json", [Event('{"msg":"process_completed",'), End()], StreamInterrupted),
]


@pytest.mark.parametrize(("way", "version"), WAYS)
@pytest.mark.parametrize(
    ("steps", "kind"), [fault[1:] for fault in MIDWAY], ids=[fault[0] for fault in MIDWAY]
)
def test_fault_in_mid_answer(
    way: str, version: str, steps: Sequence[Any], kind: type[Qwen72BError]
) -> None:
    """A fault after the first text raises its error, with the text, and nothing is asked again."""
    with FakeSpace(version) as space:
        if version == "4.0.2" and any("another" in str(vars(step)) for step in steps):
            pytest.skip("this version's messages name no job")
        space.answer("Hel", *steps, times=None)
        answer = ASKERS[way](space.url)
        check_error(answer.error, kind, "Hel")
        assert answer.shown == answer.text == "Hel"
        assert len(space.jobs) == 1
        assert [request.phase for request in space.requests].count("stream") == 1


@pytest.mark.parametrize(("way", "version"), WAYS)
@pytest.mark.parametrize(
    ("steps", "kind"), [fault[1:] for fault in MIDWAY], ids=[fault[0] for fault in MIDWAY]
)
def test_fault_before_any_text(
    way: str, version: str, steps: Sequence[Any], kind: type[Qwen72BError]
) -> None:
    """A fault before any text raises its error; only a lost stream is joined anew, once."""
    with FakeSpace(version) as space:
        if version == "4.0.2" and any("another" in str(vars(step)) for step in steps):
            pytest.skip("this version's messages name no job")
        space.answer(*steps, times=None)
        answer = ASKERS[way](space.url, retry=ONCE)
        check_error(answer.error, kind)
        assert answer.shown == ""
        lost = kind is StreamInterrupted
        assert len(space.jobs) == (2 if lost else 1)
        assert len({job.session_hash for job in space.jobs}) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("steps", "kind"), [fault[1:] for fault in MIDWAY], ids=[fault[0] for fault in MIDWAY]
)
async def test_fault_under_the_provider(steps: Sequence[Any], kind: type[Qwen72BError]) -> None:
    """The class-level provider raises the same errors."""
    with FakeSpace() as space:
        space.answer("Hel", *steps, times=None)
        messages = [{"role": "user", "content": "Hi"}]
        chunks = []
        with pytest.raises(Qwen72BError) as caught:
            async for chunk in Qwen_Qwen_2_72B.create_async_generator(
                "qwen-2-72b", messages, base_url=space.url
            ):
                chunks.append(chunk)  # what came before the error counts
        check_error(caught.value, kind, "Hel")
        assert chunks == ["Hel"]


# Edits that fit nothing; only where edits are spoken.
BAD_EDITS = [
    [[], [["append", [9, 1], "x"]], []],
    [[], [["append", ["key"], "x"]], []],
    [[], [["replace", [0, 5], "x"]], []],
    [[], [["shuffle", [0, 1], "x"]], []],
    [[], [["append", [0, 1]]], []],
    [[], [["append", 7, "x"]], []],
    [[], ["append"], []],
    [[], {"append": 1}, []],
    [[], [["append", [0, 1], 5]], []],
    [[], [["delete", [5, 5], None]], []],
    [[], [["add", [7], "x"]], []],
    # To Python they are 0 and 1.
    [[], [["append", [0.0, 1], "x"]], []],
    [[], [["append", [False, 1], "x"]], []],
    [[], [["append", [0, 1.0], "x"]], []],
    [[], [["append", [0, True], "x"]], []],
    [[], [["append", [-0.0, 1], "x"]], []],
    [[], [["append", [1.0, "content", 0, "text"], "x"]], []],
    [[], [["append", [True, "content", False, "text"], "x"]], []],
    [[], [["append", None, "x"]], []],
    [[], [["append", [0, 1], "x"], ["append", [0, True], "y"]], []],
    [[], [["replace", [0, 1.0], "x"]], []],
    [[], [["add", [1.0], ["q", "a"]]], []],
    [[], [["delete", [0.0], None]], []],
    [[], [["delete", [0, 1], None], ["delete", [0.0, 0], None]], []],
    [[], [["delete", [False, 1], None], ["delete", [0, 0], None]], []],
]


@pytest.mark.parametrize("data", BAD_EDITS, ids=json.dumps)
@pytest.mark.parametrize("version", ["4.19.2", "4.36.1", "6.0.2"])
def test_edits_that_do_not_fit(version: str, data: Any) -> None:
    """Edits that do not fit the answer raise, instead of making up text."""
    with FakeSpace(version) as space:
        space.answer("Hel", Edits(data), "lo")
        check_error(ASKERS["sync"](space.url).error, InvalidDiff, "Hel")


HARMLESS: list[tuple[str, Sequence[Any]]] = [
    ("not_json", [Event("Traceback (most recent call last):")]),
    ("json_list", [Event("[1, 2]")]),
    ("json_number", [Event("7")]),
    ("json_nan", [Event("NaN")]),
    ("json_null", [Event("null")]),
    ("empty_event", [Event("")]),
    ("deep_json", [Event(deep(100_000))]),
    ("deep_object", [Event('{"msg":' * 100_000)]),
    ("huge_number", [Event('{"msg":"estimation","rank":' + "9" * 5000 + "}")]),
    ("unknown_message", [Message("process_dreaming", dream=[1])]),
    ("msg_a_list", [Event('{"msg":["process_completed"]}')]),
    ("msg_missing", [Event('{"success":true}')]),
    ("heartbeats", [Heartbeat()] * 50),
    ("failure_of_another_job", [Message("process_completed", success=False, event_id="another")]),
    ("text_of_another_job", [Message("process_generating", output={}, event_id="another")]),
    ("comment_and_fields", [Chunk(b": hi\n\nretry: 1\n\nid: 7\nevent: x\n\n")]),
    ("bad_estimation", [Message("estimation", rank="first", queue_size={}, rank_eta=[])]),
    ("estimation_nan", [Event('{"msg":"estimation","rank":NaN,"rank_eta":NaN}')]),
    ("estimation_infinity", [Event('{"msg":"estimation","rank":1e999,"rank_eta":-Infinity}')]),
    ("bad_progress", [Message("progress", progress_data=[7, None, {"index": "a", "desc": []}])]),
    ("progress_null", [Message("progress", progress_data=None)]),
    ("bad_log", [Message("log", log=None, level=7, title=[])]),
    ("started_twice", [Message("process_starts", eta="soon"), Message("process_starts")]),
    ("invalid_utf8", [Event(b'{"msg":"log","log":"\xff\xed\xa0\x80"}')]),
    ("line_separators", [Event('{"msg":"log","log":"\u2028\u0085\x0b"}')]),
]


@pytest.mark.parametrize(("way", "version"), WAYS)
@pytest.mark.parametrize(
    "steps", [fault[1] for fault in HARMLESS], ids=[fault[0] for fault in HARMLESS]
)
def test_harmless_oddity(way: str, version: str, steps: Sequence[Any]) -> None:
    """What can be read past is: the whole answer comes, once."""
    with FakeSpace(version) as space:
        if version == "4.0.2" and any("another" in str(vars(step)) for step in steps):
            pytest.skip("this version's messages name no job")
        space.answer(*steps, "Hel", *steps, "lo", *steps)
        answer = ASKERS[way](space.url)
        assert (answer.error, answer.shown, answer.text) == (None, "Hello", "Hello")


AFTER_THE_END: list[tuple[str, Sequence[Any]]] = [
    ("completed_twice", [Complete(), Complete()]),
    ("failed_after_completion", [Complete(), Fail("late")]),
    ("text_after_completion", [Complete(), " and more"]),
    ("unexpected_error_after_completion", [Complete(), UnexpectedError()]),
    ("cut_after_completion", [Complete(), Close()]),
    ("reset_after_completion", [Complete(), Send(b"x"), Close()]),
    ("garbage_after_completion", [Complete(), Chunk(b"\x00\xff" * 1000)]),
    ("completed_before_started", [Complete()]),
]


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize(
    "steps", [fault[1] for fault in AFTER_THE_END], ids=[fault[0] for fault in AFTER_THE_END]
)
def test_oddity_after_the_end(way: str, steps: Sequence[Any]) -> None:
    """What follows the completion changes nothing."""
    with FakeSpace() as space:
        space.answer("Hel", "lo", *steps)
        answer = ASKERS[way](space.url)
        assert (answer.error, answer.shown, answer.text) == (None, "Hello", "Hello")


CHATS = [
    ("lone_surrogate", '"Hi \\ud83d"', "Hi \ufffd"),
    ("surrogate_pair", '"Hi \\ud83d\\ude00"', "Hi \U0001f600"),
    ("nul", '"a\\u0000b"', "a\0b"),
    ("empty", '""', ""),
]


@pytest.mark.parametrize(("body", "text"), [case[1:] for case in CHATS], ids=[c[0] for c in CHATS])
def test_odd_text(body: str, text: str) -> None:
    """Odd text comes out as text that can be printed and written to a file."""
    with FakeSpace("4.12.0") as space:
        event = '{"msg":"%s","output":{"data":["",[["Hi",' + body + ']],""]},"success":true}'
        space.stream(Event(event % "process_generating"), Event(event % "process_completed"))
        answer = ASKERS["sync"](space.url)
        assert (answer.error, answer.shown, answer.text) == (None, text, text)
        answer.text.encode()


SHAPES = [
    Shape(framing="close"),
    Shape(gzip=True),
    Shape(framing="close", gzip=True),
    Shape(piece=1),
    Shape(piece=1, gzip=True),
    Shape(framing="close", piece=7),
    Shape(newline="\r\n", piece=1),
    Shape(newline="\r", piece=3),
    Shape(bom=True, piece=1),
    Shape(content_type="text/event-stream"),
    Shape(content_type="TEXT/Event-Stream; charset=latin-1"),
]


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shape_of_the_stream(way: str, shape: Shape) -> None:
    """However the bytes are wrapped and cut, the same text comes."""
    with FakeSpace(shape=shape) as space:
        space.answer("Hé", "llo \U0001f600", "\u2028!")
        answer = ASKERS[way](space.url)
        assert (answer.error, answer.text) == (None, "Héllo \U0001f600\u2028!")
        assert answer.shown == answer.text


@pytest.mark.parametrize("way", ASKERS)
def test_one_byte_at_a_time(way: str) -> None:
    """Heads and bodies that come byte by byte are read as well."""
    with FakeSpace() as space:
        for phase in ("config", "join", "stream"):
            space.fault(phase, Throttle(1, 0.0), Proceed(), times=None)
        space.answer("Hel", "lo")
        assert ASKERS[way](space.url).text == "Hello"


@pytest.mark.parametrize(
    "shape", [Shape(framing="close"), Shape(framing="length", headers={"content-length": "900"})]
)
@pytest.mark.parametrize("gzip", [False, True])
def test_cut_that_http_may_not_notice(shape: Shape, gzip: bool) -> None:
    """A stream that ends without its completion was cut, also where HTTP sees a good end."""
    shape = Shape(framing=shape.framing, headers=shape.headers, gzip=gzip)
    with FakeSpace(shape=shape) as space:
        space.answer("Hel", Close())
        check_error(ASKERS["sync"](space.url).error, StreamInterrupted, "Hel")


PHASES = ["config", "join", "stream"]

# Name, script, error at config, join and stream.
ANSWERS: list[tuple[str, Sequence[Step], type[Qwen72BError]]] = [
    ("reset", [Reset()], StreamInterrupted),
    ("fin", [Close()], StreamInterrupted),
    ("half_a_status_line", [Send(b"HTTP/1.1 20"), Close()], StreamInterrupted),
    ("half_a_head", [Send(HEAD + b"Content-Ty"), Close()], StreamInterrupted),
    ("garbage", [Send(b"\x16\x03\x01 what is this?\r\n\r\n"), Close()], StreamInterrupted),
    ("endless_header", [Send(HEAD + b"X: " + b"y" * 70_000), Close()], InvalidServerMessage),
    ("many_headers", [Send(HEAD + b"X: y\r\n" * 500), Close()], InvalidServerMessage),
    (
        "short_body",
        [Respond(body="{}", length=100), Close()],
        StreamInterrupted,
    ),
    ("status_99", [Send(b"HTTP/1.1 99 Early\r\n\r\n"), Close()], StreamInterrupted),
    ("status_999", [Respond(status=999, reason="What")], HTTPStatusError),
    ("status_204", [Respond(status=204)], HTTPStatusError),
    ("status_206", [Respond(status=206, body="{}")], HTTPStatusError),
    ("status_302", [redirect("http://127.0.0.1:1/there", 302)], HTTPStatusError),
    ("status_307", [redirect("http://127.0.0.1:1/there", 307)], HTTPStatusError),
    ("status_303_home", [redirect("/there", 303)], HTTPStatusError),
    ("redirect_nowhere", [Respond(status=307)], HTTPStatusError),
    ("status_400", [Respond(status=400, body={"detail": "bad"})], HTTPStatusError),
    ("status_401", [Respond(status=401, body={"detail": "login"})], AuthenticationError),
    ("status_403", [Respond(status=403)], AuthenticationError),
    ("status_404", [Respond(status=404, body={"detail": "Not Found"})], HTTPStatusError),
    ("status_405", [Respond(status=405)], HTTPStatusError),
    ("status_422", [Respond(status=422, body={"detail": []})], HTTPStatusError),
    ("status_429", [Respond(status=429)], RateLimited),
    ("status_500", [Respond(status=500, body="Internal Server Error")], HTTPStatusError),
    ("status_502", [Respond(status=502)], HTTPStatusError),
    ("status_503", [Respond(status=503)], HTTPStatusError),
    ("status_504", [Respond(status=504)], HTTPStatusError),
    ("queue_full", [Respond(status=503, body={"detail": "Queue is full."})], QueueFull),
    ("page_200", [page("Sleeping", 200)], SpaceUnavailable),
    ("page_404", [page("404", 404)], SpaceUnavailable),
    ("page_503", [page("Building", 503)], SpaceUnavailable),
    ("bad_gzip", [Respond(body="{", headers={"content-encoding": "gzip"})], InvalidServerMessage),
]


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    ("steps", "kind"), [fault[1:] for fault in ANSWERS], ids=[fault[0] for fault in ANSWERS]
)
def test_answer_that_is_none(
    way: str, phase: str, steps: Sequence[Step], kind: type[Qwen72BError]
) -> None:
    """A request that is refused or cut raises its error, at every step of the conversation."""
    with FakeSpace() as space:
        space.fault(phase, *steps, times=None)
        answer = ASKERS[way](space.url, retry=ONCE)
        check_error(answer.error, kind)
        assert answer.shown == ""


BODIES: list[tuple[str, Any]] = [
    ("empty", ""),
    ("text", "hello"),
    ("half", '{"event_id": "a'),
    ("list", []),
    ("null", None),
    ("number", 7),
    ("nan", "NaN"),
    ("no_fields", {}),
    ("deep", deep(100_000)),
    ("id_null", {"event_id": None}),
    ("id_a_number", {"event_id": 7}),
    ("id_empty", {"event_id": ""}),
    ("id_a_list", {"event_id": ["a"]}),
    ("huge", b'{"event_id": "' + b"a" * (17 << 20)),
]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("body", [body[1] for body in BODIES], ids=[body[0] for body in BODIES])
def test_body_that_makes_no_sense(phase: str, body: Any) -> None:
    """A body that is not what was asked for is the Space's fault, and said so."""
    with FakeSpace() as space:
        space.fault(phase, Respond(body=body), times=None)
        error = ASKERS["sync"](space.url, retry=ONCE).error
        if phase == "config" and body == {}:
            assert isinstance(error, Qwen72BError)
        else:
            check_error(error, InvalidServerMessage)


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("coding", ["compress", "nonsense", "gzip;q=1", "gzip, nonsense"])
def test_content_encoding_that_nobody_reads(way: str, phase: str, coding: str) -> None:
    """A body in an encoding that was not asked for is told as that, and no stream as cut."""
    with FakeSpace() as space:
        head = {"content-encoding": coding}
        if phase == "stream":
            head["content-type"] = "text/event-stream"
        space.fault(phase, Respond(body="{}", headers=head), times=None)
        error = ASKERS[way](space.url, retry=ONCE).error
        check_error(error, InvalidServerMessage)
        assert "content encoding" in error.reason and coding in error.reason


BROKEN_BODIES: list[tuple[str, Any]] = [
    ("gzip", [Respond(status=503, body="x", headers={"content-encoding": "gzip"})]),
    ("other_coding", [Respond(status=503, body="x", headers={"content-encoding": "nonsense"})]),
    ("large", [Respond(status=503, body=b"a" * (17 << 20))]),
    ("cut", [Send(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nx"), Close()]),
    ("chunked", [Send(b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"), Close()]),
]


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    "steps", [body[1] for body in BROKEN_BODIES], ids=[body[0] for body in BROKEN_BODIES]
)
def test_refusal_whose_body_is_broken(way: str, phase: str, steps: Any) -> None:
    """A status is told, and asked again after as ever, although its body cannot be read."""
    with FakeSpace() as space:
        space.fault(phase, *steps, times=1)
        assert ASKERS[way](space.url, retry=Retry(attempts=2, base=0.001)).error is None
        space.fault(phase, *steps, times=None)
        error = ASKERS[way](space.url, retry=ONCE).error
        assert getattr(error, "status_code", None) == 503, repr(error)


def test_http_1_0() -> None:
    """A server of HTTP/1.0, with headers in no charset, is read like any other."""
    with FakeSpace("4.12.0") as space:
        chat = (
            '{"msg":"process_completed","success":true,"output":{"data":["",[["Hi","Hello"]],""]}}'
        )
        head = b"HTTP/1.0 200\r\nContent-Type: text/event-stream\r\nX-\xe9: \xff\xfe\r\n\r\n"
        space.fault("stream", Send(head + b"data: " + chat.encode() + b"\n\n"), Close())
        error = ASKERS["sync"](space.url).error
        assert error is None


@pytest.mark.parametrize("way", ASKERS)
def test_refused_connection(way: str) -> None:
    """A port where nobody listens is ConnectFailed, and also a ConnectionError."""
    with FakeSpace() as space:
        space.refuse()
        error = ASKERS[way](space.url, retry=ONCE).error
        check_error(error, ConnectFailed)
        assert isinstance(error, ConnectionError) and error.stage == "tcp"
        assert error.__cause__ is not None


@pytest.mark.parametrize("way", ASKERS)
def test_unknown_host(way: str) -> None:
    """A name that does not exist is ConnectFailed at stage dns."""
    error = ASKERS[way]("http://no-such-host.invalid", retry=ONCE).error
    check_error(error, ConnectFailed)
    assert error.stage == "dns"


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "x..example"])
def test_impossible_host(host: str) -> None:
    """A name that no resolver takes is an error of this package, too."""
    error = ASKERS["sync"](f"http://{host}", retry=ONCE).error
    assert isinstance(error, Qwen72BError)


def test_hidden_failure_says_so() -> None:
    """A failure whose reason the Space hid says that it did."""
    with FakeSpace() as space:
        space.answer(Fail(None))
        assert "hid the reason" in str(ASKERS["sync"](space.url).error)


@pytest.mark.parametrize("version", ["4.36.1", "5.25.2"])
def test_failure_loses_its_quotes(version: str) -> None:
    """The quotes that old versions put around an app's words are gone, and no others."""
    with FakeSpace(version) as space:
        space.answer(Fail("say 'when'"))
        assert str(ASKERS["sync"](space.url).error) == "say 'when'"


def test_events_of_another_job_on_the_stream() -> None:
    """Messages of another job on the same stream are not taken for ours."""
    with FakeSpace() as space:
        other = {"data": ["", [["Hi", "WRONG"]], ""]}
        space.answer(
            Message("process_generating", output=other, success=True, event_id="another"),
            "Hel",
            Complete(other, event_id="another"),
            "lo",
        )
        assert ASKERS["sync"](space.url).shown == "Hello"


def test_component_updates_beside_the_answer() -> None:
    """What happens to other outputs does no harm."""
    with FakeSpace() as space:
        space.answer(
            Outputs([{"__type__": "update", "value": ""}, [["Hi", "Hel"]], None]),
            Outputs([None, [["Hi", "Hello"]], {"__type__": "update"}]),
        )
        assert ASKERS["sync"](space.url).shown == "Hello"


def test_close_stream_is_not_needed() -> None:
    """An answer that is complete is complete, with or without close_stream."""
    with FakeSpace() as space:
        space.answer("Hello", Complete(), CloseStream(), End())
        space.answer("Hello", Complete(), End())
        for _ in range(2):
            assert ASKERS["sync"](space.url).text == "Hello"
