"""What is tried again, how often, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
import trustme
from askers import ASKERS, ONCE, check_error
from raw_server import conversation, raw_server
from timing import AMPLE, PATIENCE

from qwen72b import (
    AuthenticationError,
    Client,
    ConnectFailed,
    GenerationFailed,
    HTTPStatusError,
    InvalidOption,
    QueueFull,
    QuotaExceeded,
    Qwen72BError,
    RateLimited,
    RequestTimeout,
    Retry,
    SpaceUnavailable,
    StreamInterrupted,
    Timeout,
)
from qwen72b.client import space as client_space
from qwen72b.testing import (
    Close,
    Complete,
    End,
    Fail,
    FakeSpace,
    Message,
    Proceed,
    Reset,
    Respond,
    Stall,
    Start,
    UnexpectedError,
    page,
    redirect,
)

QUICK = Retry(attempts=3, base=0.0)


def count(space: FakeSpace, phase: str) -> int:
    return [request.phase for request in space.requests].count(phase)


def respond(status: int, retry_after: str | None = None) -> Respond:
    return Respond(
        status=status, headers={} if retry_after is None else {"Retry-After": retry_after}
    )


FULL = Respond(status=503, body={"detail": "Queue is full. Max size is 1 and size is 1."})

PASSING = [respond(429), respond(502), respond(503), respond(504), FULL, page("Waking", 503)]


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("phase", ["config", "join", "stream"])
@pytest.mark.parametrize("refusal", PASSING, ids=str)
def test_passing_refusal(way: str, phase: str, refusal: Respond) -> None:
    """A refusal that passes is tried again, and costs no second job."""
    with FakeSpace() as space:
        space.fault(phase, refusal, times=2)
        answer = ASKERS[way](space.url, retry=QUICK)
        assert answer.error is None
        assert {name: count(space, name) for name in ("config", "join", "stream")} == {
            "config": 1,
            "join": 1,
            "stream": 1,
            phase: 3,
        }
        assert len(space.jobs) == 1


@pytest.mark.parametrize("phase", ["config", "join", "stream"])
@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_number_of_tries(phase: str, attempts: int) -> None:
    """Retry(attempts=n) makes n tries in all, then raises the last refusal."""
    with FakeSpace() as space:
        space.fault(phase, respond(429), times=None)
        error = ASKERS["sync"](space.url, retry=Retry(attempts=attempts, base=0.0)).error
        check_error(error, RateLimited)
        assert count(space, phase) == attempts


LASTING: list[tuple[Any, type[Qwen72BError]]] = [
    (respond(400), HTTPStatusError),
    (respond(401), AuthenticationError),
    (respond(403), AuthenticationError),
    (respond(404), HTTPStatusError),
    (respond(405), HTTPStatusError),
    (respond(422), HTTPStatusError),
    (respond(500), HTTPStatusError),
    (respond(501), HTTPStatusError),
    (respond(204), HTTPStatusError),
    (redirect("http://127.0.0.1:1/", 302), HTTPStatusError),
    (page("Gone", 404), SpaceUnavailable),
    (page("Hello", 200), SpaceUnavailable),
]


@pytest.mark.parametrize("phase", ["config", "join", "stream"])
@pytest.mark.parametrize(("refusal", "kind"), LASTING, ids=str)
def test_lasting_refusal(phase: str, refusal: Respond, kind: type[Qwen72BError]) -> None:
    """A refusal that is final is raised at once."""
    with FakeSpace() as space:
        space.fault(phase, refusal, times=None)
        check_error(ASKERS["sync"](space.url, retry=QUICK).error, kind)
        assert count(space, phase) == 1


FAILURES: list[tuple[Sequence[Any], type[Qwen72BError]]] = [
    ([Fail(None)], GenerationFailed),
    ([Fail("no")], GenerationFailed),
    ([Fail("You have exceeded your GPU quota. Try again in 0:10:00")], QuotaExceeded),
    ([UnexpectedError("oh no")], GenerationFailed),
    ([Complete({})], GenerationFailed),
]


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize(
    ("steps", "kind"), FAILURES, ids=["null", "words", "quota", "unexpected", "cancelled"]
)
def test_failed_job(way: str, steps: Sequence[Any], kind: type[Qwen72BError]) -> None:
    """A job that failed is not asked again."""
    with FakeSpace() as space:
        space.answer(*steps, times=None)
        check_error(ASKERS[way](space.url, retry=QUICK).error, kind)
        assert len(space.jobs) == 1


def test_tls_failure_is_not_retried() -> None:
    """A certificate that is not trusted is not tried again."""
    with FakeSpace(tls=server_tls()) as space:
        error = ASKERS["sync"](space.url, retry=QUICK).error
        check_error(error, ConnectFailed)
        assert error.stage == "tls"
        assert space.connections == 1


def test_refused_connection_is_retried() -> None:
    """A refused connection is tried again; nothing can have been sent."""
    with FakeSpace() as space:
        space.refuse()
        tries: list[float] = []

        class Counting(Retry):
            pass

        check_error(ASKERS["sync"](space.url, retry=QUICK).error, ConnectFailed)
        assert not tries and not space.requests


LOST: list[Sequence[Any]] = [
    [Reset()],
    [Close()],
    [End()],
    [Start(), Reset()],
    [Message("close_stream", event_id=None)],
    [UnexpectedError()],
    [UnexpectedError("Server stopped unexpectedly.")],
]


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("version", ["4.0.2", "4.36.1"])
@pytest.mark.parametrize("steps", LOST, ids=str)
def test_lost_before_any_text(way: str, version: str, steps: Sequence[Any]) -> None:
    """A stream that is lost before any text is joined anew, in the same session."""
    with FakeSpace(version) as space:
        space.answer(*steps, times=1)
        space.answer("Hel", "lo")
        answer = ASKERS[way](space.url, retry=QUICK)
        assert (answer.error, answer.shown) == (None, "Hello")
        assert len(space.jobs) == 2
        assert len({job.session_hash for job in space.jobs}) == 1


@pytest.mark.parametrize("version", ["4.0.2", "4.36.1"])
def test_lost_twice_before_any_text(version: str) -> None:
    """It is joined anew once, not twice."""
    with FakeSpace(version) as space:
        space.answer(Reset(), times=None)
        check_error(ASKERS["sync"](space.url, retry=QUICK).error, StreamInterrupted)
        assert len(space.jobs) == 2


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("steps", LOST, ids=str)
def test_lost_after_text(way: str, steps: Sequence[Any]) -> None:
    """After the first text nothing is sent again."""
    with FakeSpace() as space:
        space.answer("Hel", *steps, times=1)
        answer = ASKERS[way](space.url, retry=QUICK)
        check_error(answer.error, StreamInterrupted, "Hel")
        assert len(space.jobs) == 1


@pytest.mark.parametrize("step", [Reset(), Close(), Stall()], ids=str)
def test_join_without_an_answer(step: Any) -> None:
    """A join that may have been taken is made again once only if an old connection died under it."""
    with FakeSpace() as space:
        space.fault("join", step, times=None)
        error = ASKERS["sync"](space.url, retry=QUICK, timeout=Timeout(read=AMPLE)).error
        assert isinstance(error, (StreamInterrupted, RequestTimeout))
        assert count(space, "join") == (1 if isinstance(step, Stall) else 2)


@pytest.mark.parametrize("phase", ["config", "stream"])
@pytest.mark.parametrize("step", [Reset(), Close()], ids=str)
def test_get_without_an_answer(phase: str, step: Any) -> None:
    """A GET whose connection is lost before any byte is made again, alone."""
    with FakeSpace() as space:
        space.fault(phase, step, times=1)
        assert ASKERS["sync"](space.url, retry=QUICK).error is None
        assert count(space, phase) == 2
        assert len(space.jobs) == 1


@pytest.mark.parametrize("version", ["4.0.2", "4.36.1"])
def test_queue_full_on_the_stream(version: str) -> None:
    """A queue that says on the stream that it is full is joined again."""
    with FakeSpace(version) as space:
        space.answer(Message("queue_full"), End(), times=2)
        space.answer("Hello")
        assert ASKERS["sync"](space.url, retry=QUICK).shown == "Hello"
        space.answer(Message("queue_full"), End(), times=None)
        check_error(ASKERS["sync"](space.url, retry=QUICK).error, QueueFull)
        assert len(space.jobs) == 6


def test_full_queue_that_empties() -> None:
    """A full queue is joined again, as often as Retry says."""
    with FakeSpace(max_size=0) as space:
        check_error(ASKERS["sync"](space.url, retry=QUICK).error, QueueFull)
        assert count(space, "join") == 3


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize(
    ("title", "kind"), [("Busy", QueueFull), ("Unavailable for now", SpaceUnavailable)]
)
def test_app_that_says_no_for_now(way: str, title: str, kind: type[Qwen72BError]) -> None:
    """An app's error with such a title is a refusal: a new job is queued, as often as Retry says."""
    no = Fail("Soon.", title=title, duration=0.01)
    with FakeSpace("6.31.0") as space:
        space.answer(no, times=2)
        space.answer("Hello")
        assert ASKERS[way](space.url, retry=QUICK).shown == "Hello"
        space.answer(no, times=None)
        check_error(ASKERS[way](space.url, retry=QUICK).error, kind)
        assert len(space.jobs) == 6


def test_app_that_says_no_for_long() -> None:
    """A wait beyond the cap is not begun; the error says how long it would be."""
    with FakeSpace("6.31.0") as space:
        space.answer(Fail("Later.", title="Busy", duration=90))
        error = ASKERS["sync"](space.url, retry=QUICK).error
        check_error(error, QueueFull)
        assert error is not None
        assert error.retry_after == 90
        assert len(space.jobs) == 1


@pytest.mark.parametrize("title", ["Busy", "Unavailable for now", "Interrupted"])
def test_app_that_says_no_after_some_text(title: str) -> None:
    """What has been shown is not asked for again."""
    with FakeSpace("6.31.0") as space:
        space.answer("Half an", Fail("Cut.", title=title))
        answer = ASKERS["sync"](space.url, retry=QUICK)
        assert answer.error is not None
        assert (answer.shown, answer.error.partial) == ("Half an", "Half an")
        assert len(space.jobs) == 1


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("path", ["/config", "/queue/join", "/queue/data"])
@pytest.mark.parametrize("body", [b"Content-Length: 99\r\n\r\nbusy", b"\r\nbusy", b"\r\n"])
def test_refusal_whose_body_does_not_end(
    way: str, path: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told by its status and its Retry-After, which have come, and long before the clocks."""
    monkeypatch.setattr(client_space, "_WORDS", 0.05)
    said = b"HTTP/1.1 429 No\r\nRetry-After: 3\r\n" + body
    with raw_server(conversation(lambda at, good, _: said if at == path else good)) as heard:
        error = ASKERS[way](heard.url, retry=ONCE).error
    check_error(error, RateLimited)
    assert error is not None
    assert error.retry_after == 3


def at(seconds: float) -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("value", ["0", "0.01", "Mon, 06 Jul 2009 08:00:00 GMT"])
def test_retry_after_that_has_passed(value: str) -> None:
    """Retry-After in seconds, or as a date that has passed, is kept to."""
    with FakeSpace() as space:
        space.fault("join", respond(429, value))
        # base and cap would make it wait for minutes.
        retry = Retry(attempts=2, base=1000.0, cap=1000.0)
        assert ASKERS["sync"](space.url, retry=retry, timeout=PATIENCE).error is None


def test_retry_after_is_waited_for() -> None:
    """The next try does not come before the time that the Space named."""
    with FakeSpace() as space:
        space.fault("join", respond(503, "0.3"))
        assert ASKERS["sync"](space.url, retry=QUICK).error is None
        first, second = (request.time for request in space.requests if request.phase == "join")
        assert second - first >= 0.3


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_above_the_cap(status: int, form: str) -> None:
    """A wait above the cap is not begun; the error says how long it would be."""
    with FakeSpace() as space:
        space.fault("join", respond(status, "90" if form == "seconds" else at(90)), times=None)
        error = ASKERS["sync"](space.url, retry=Retry(base=0.0, cap=20.0)).error
        assert isinstance(error, (RateLimited, HTTPStatusError))
        assert count(space, "join") == 1
        if status == 429:
            assert 85 < error.retry_after <= 90


@pytest.mark.parametrize(
    ("phase", "refusal"),
    [
        ("join", respond(429, "10")),
        ("stream", respond(429, "10")),
        ("config", respond(429, "10")),
        (
            "join",
            Respond(status=503, body={"detail": "Queue is full."}, headers={"Retry-After": "10"}),
        ),
        ("join", page("Busy", 503)),
    ],
    ids=str,
)
def test_retry_after_beyond_the_total(phase: str, refusal: Respond) -> None:
    """A wait that would outlast the total clock is not begun either."""
    with FakeSpace() as space:
        space.fault(phase, refusal, times=None)
        retry = Retry(base=1000.0, cap=1000.0) if refusal.status == 503 else Retry()
        error = ASKERS["sync"](space.url, retry=retry, timeout=3).error
        assert isinstance(error, (RateLimited, QueueFull, SpaceUnavailable))
        if "Retry-After" in refusal.headers:
            assert error.retry_after == 10


@pytest.mark.parametrize(
    "value",
    [
        *["soon", "", "-5", "nan", "inf", "1e9", "99999999999999", "Mon, 99"],
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 0001 00:00:00 +9999",
        "Mon, 01 Jan 2030 99999999999999999999:00:00 GMT",
        "Mon, 01 Jan 2030 00:00:00 +99999999999999999999",
        "9" * 5000,
        "9," * 5000,
        "\u00b2\u00b3",
    ],
    ids=lambda value: value[:30],
)
def test_retry_after_that_makes_no_sense(value: str) -> None:
    """A Retry-After that cannot be read is as none."""
    with FakeSpace() as space:
        space.fault("join", respond(429, value))
        assert ASKERS["sync"](space.url, retry=QUICK).error is None


def test_nothing_is_sent_twice() -> None:
    """A plain call makes one config, one join, one stream; the next only the last two."""
    with FakeSpace() as space, Client(space.url) as client:
        for _ in range(3):
            client.ask("Hi")
        assert [count(space, phase) for phase in ("config", "join", "stream")] == [1, 3, 3]
        assert space.connections == 1
        assert len({job.session_hash for job in space.jobs}) == 3


def test_space_that_changed() -> None:
    """A Space that moved its routes is read again, once, and the question then asked there."""
    with FakeSpace() as space, Client(space.url) as client:
        client.ask("Hi")
        space.fault("join", Respond(status=404, body={"detail": "Not Found"}))
        space.config["dependencies"][0]["targets"] = [[14, "click"]]
        assert client.ask("Hi")
        assert [count(space, phase) for phase in ("config", "join")] == [2, 3]


def test_connection_dropped_while_idle() -> None:
    """A kept connection that the server dropped meanwhile is replaced in silence."""
    with FakeSpace() as space, Client(space.url) as client:
        space.fault("stream", Proceed())
        client.ask("Hi")
        space.fault("join", Respond(status=429, headers={"Connection": "close"}))
        assert client.ask("Hi")


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": -1},
        {"attempts": 1.5},
        {"attempts": True},
        {"base": -1},
        {"base": float("nan")},
        {"cap": float("inf")},
        {"cap": "5"},
    ],
    ids=str,
)
def test_impossible_retry(options: dict[str, Any]) -> None:
    """Settings that make no sense are refused before any I/O."""
    with pytest.raises(InvalidOption):
        Retry(**options)


def test_once_means_once() -> None:
    """Retry(attempts=1) tries nothing again, not even a GET."""
    with FakeSpace() as space:
        space.fault("stream", Reset(), times=None)
        check_error(ASKERS["sync"](space.url, retry=ONCE).error, StreamInterrupted)
        assert len(space.jobs) >= 1


def server_tls() -> Any:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context
