"""Each of the five clocks ends what it limits, whatever comes meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
import requests
import trustme
from askers import ASKERS, ONCE, check_error
from slowness import ENDLESS_HEAD, HEARTBEATS, SLOW, full_backlog, slow_names
from timing import AMPLE, MS, SHORT

from qwen72b import (
    AsyncClient,
    Client,
    ConnectFailed,
    InvalidOption,
    Queued,
    QueueFull,
    RateLimited,
    RequestTimeout,
    Retry,
    Timeout,
)
from qwen72b.testing import (
    AwaitData,
    Chunk,
    Complete,
    End,
    Estimation,
    FakeProxy,
    FakeSpace,
    Gate,
    Heartbeat,
    Message,
    Progress,
    Repeat,
    Respond,
    Send,
    Snapshot,
    Stall,
    Start,
    Trickle,
)

NO_LIMITS: dict[str, Any] = dict.fromkeys(("connect", "read", "queue", "first_token", "total"))

__all__ = ["slow_names"]

PHASES = ["config", "join", "stream"]


def limit(**limits: float) -> Timeout:
    """Make limits of which only the given ones hold."""
    return Timeout(**{**NO_LIMITS, **limits})


def check_timeout(error: Any, phase: str, partial: str = "") -> None:
    check_error(error, RequestTimeout, partial)
    assert error.phase == phase, error
    assert isinstance(error, TimeoutError)
    assert error.hint


@pytest.mark.parametrize(
    ("way", "where"),
    [*(("sync", phase) for phase in PHASES), ("asyncio", "stream"), ("trio", "join")],
)
@pytest.mark.parametrize("clock", ["read", "total"])
@pytest.mark.parametrize("steps", [slow[1] for slow in SLOW], ids=[slow[0] for slow in SLOW])
def test_slow_request(way: str, clock: str, where: str, steps: Sequence[Any]) -> None:
    """Neither silence nor a trickle of head or body outlasts the read and the total clock."""
    with FakeSpace() as space:
        space.fault(where, *steps, times=None)
        answer = ASKERS[way](space.url, timeout=limit(**{clock: SHORT}))
        check_timeout(answer.error, clock)


@pytest.mark.parametrize("clock", ["read", "total"])
@pytest.mark.parametrize("where", PHASES)
@pytest.mark.parametrize(
    "steps", [slow[1] for slow in SLOW[:5]], ids=[slow[0] for slow in SLOW[:5]]
)
def test_slow_request_through_a_session(clock: str, where: str, steps: Sequence[Any]) -> None:
    """The clocks hold for the caller's own session, too."""
    with FakeSpace() as space, requests.Session() as session:
        space.fault(where, *steps, times=None)
        answer = ASKERS["sync"](space.url, session=session, timeout=limit(**{clock: SHORT}))
        check_timeout(answer.error, clock)


SLOW_STREAMS: list[tuple[str, str, Sequence[Any], str]] = [
    ("read_silence", "read", [Stall()], ""),
    ("read_silence_later", "read", ["Hel", Stall()], "Hel"),
    ("read_half_event", "read", ["Hel", Repeat(Chunk(b"data: x"), interval=20 * MS)], "Hel"),
    ("queue_silence", "queue", [Stall()], ""),
    ("queue_heartbeats", "queue", [HEARTBEATS], ""),
    ("queue_comments", "queue", [Repeat(Chunk(b": hi\n\n"), interval=20 * MS)], ""),
    (
        "queue_estimations",
        "queue",
        [Repeat(Message("estimation", rank=1, queue_size=2), interval=20 * MS)],
        "",
    ),
    ("first_token_silence", "first_token", [Start(), Stall()], ""),
    ("first_token_heartbeats", "first_token", [Start(), HEARTBEATS], ""),
    ("first_token_progress", "first_token", [Repeat(Progress(), interval=20 * MS)], ""),
    ("first_token_empty", "first_token", [Repeat(Snapshot(""), interval=20 * MS)], ""),
    ("total_silence", "total", ["Hel", Stall()], "Hel"),
    ("total_heartbeats", "total", ["Hel", HEARTBEATS], "Hel"),
    ("total_trickle", "total", ["Hel", Repeat(Chunk(b"data: x"), interval=20 * MS)], "Hel"),
]


@pytest.mark.parametrize(
    ("way", "version"),
    [("sync", "4.0.2"), ("asyncio", "4.36.1"), ("trio", "6.0.2")],
)
@pytest.mark.parametrize(
    ("clock", "steps", "partial"),
    [slow[1:] for slow in SLOW_STREAMS],
    ids=[slow[0] for slow in SLOW_STREAMS],
)
def test_slow_stream(
    way: str, version: str, clock: str, steps: Sequence[Any], partial: str
) -> None:
    """No heartbeat, comment, repeated estimation or empty text moves a clock that it should not."""
    with FakeSpace(version) as space:
        space.answer(*steps, times=None)
        answer = ASKERS[way](space.url, timeout=limit(**{clock: AMPLE}))
        check_timeout(answer.error, clock, partial)
        assert answer.shown == partial
        space.wait_for_disconnect()


def test_silence_after_the_upload() -> None:
    """A Space that is silent once it has the data that it asked for is as silent as any."""
    with FakeSpace("4.0.2") as space, Client(space.url, timeout=limit(read=AMPLE)) as client:
        gate = Gate()
        space.stream(Estimation(), gate, AwaitData(), Stall())
        events = client.stream("Hi").events()
        assert type(next(events)) is Queued
        gate.open()
        with pytest.raises(RequestTimeout) as caught:
            next(events)
        check_timeout(caught.value, "read")


def test_text_without_end() -> None:
    """An answer that grows without end is ended by the total clock."""
    with FakeSpace() as space:
        space.answer(Repeat("x", interval=0.001))
        error = ASKERS["sync"](space.url, timeout=limit(total=AMPLE)).error
        assert isinstance(error, RequestTimeout)
        assert error.phase == "total" and set(error.partial) == {"x"}


@pytest.mark.parametrize("way", ASKERS)
def test_timeout_as_a_number(way: str) -> None:
    """A number limits the whole call."""
    with FakeSpace() as space:
        space.answer("Hel", HEARTBEATS)
        check_timeout(ASKERS[way](space.url, timeout=AMPLE).error, "total", "Hel")


def test_patient_clocks() -> None:
    """Whole messages restart the read clock; a start stops queue, text stops first_token."""
    beats = Repeat(Heartbeat(), times=6, interval=AMPLE / 4)
    with FakeSpace() as space:
        space.answer("Hel", beats, "lo")
        limits = limit(read=AMPLE, queue=AMPLE, first_token=AMPLE)
        assert ASKERS["sync"](space.url, timeout=limits).text == "Hello"


@pytest.mark.parametrize("way", ASKERS)
def test_body_that_stays_open_after_the_end(way: str) -> None:
    """A complete answer is not held up by a body that does not end."""
    with FakeSpace() as space:
        space.answer("Hello", Complete(), Stall(), times=None)
        assert ASKERS[way](space.url).text == "Hello"
        space.answer("Hello", Complete(), HEARTBEATS, times=None)
        assert ASKERS[way](space.url).text == "Hello"


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("clock", ["connect", "total"])
def test_connection_that_does_not_come(way: str, clock: str) -> None:
    """The connect clock ends a connection that nobody accepts."""
    with full_backlog() as url:
        check_timeout(ASKERS[way](url, timeout=limit(**{clock: SHORT})).error, clock)


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("steps", [[Stall()], [Repeat(Trickle(b"\x16\x03\x03", 20 * MS))]])
def test_slow_tls(way: str, steps: Sequence[Any], tls: Any) -> None:
    """The connect clock covers the TLS handshake, also one that trickles."""
    with FakeSpace(tls=tls) as space:
        # A whole record's head, so that the client waits for the rest.
        space.fault("connect", Send(b"\x16\x03\x03\x3f\xff"), *steps, times=None)
        check_timeout(ASKERS[way](space.url, timeout=limit(connect=SHORT)).error, "connect")


@pytest.mark.parametrize("way", ASKERS)
def test_slow_proxy(way: str) -> None:
    """The connect clock covers a proxy that never opens the tunnel."""
    with FakeProxy() as proxy:
        proxy.fault(Stall())
        answer = ASKERS[way]("https://space.invalid", proxy=proxy.url, timeout=limit(connect=SHORT))
        check_timeout(answer.error, "connect")


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("clock", ["connect", "total"])
def test_slow_name_lookup(way: str, clock: str, slow_names: None) -> None:
    """The connect and total clocks cover the name lookup, which nothing can interrupt."""
    answer = ASKERS[way]("http://space.invalid", timeout=limit(**{clock: SHORT}))
    check_timeout(answer.error, clock)


def test_retries_share_the_clocks() -> None:
    """The total clock covers every try together; a wait that would outlast it is not begun."""
    with FakeSpace() as space:
        space.fault("join", Respond(status=429, headers={"Retry-After": "5"}), times=None)
        error = ASKERS["sync"](space.url, timeout=limit(total=4.0)).error
        check_error(error, RateLimited)
        assert len(space.requests) == 2


@pytest.mark.parametrize("version", ["4.0.2", "4.36.1"])
def test_queue_clock_covers_every_join(version: str) -> None:
    """A queue that is full again and again does not start the queue clock anew."""
    with FakeSpace(version) as space:
        space.answer(Message("queue_full"), End(), times=None)
        retry = Retry(attempts=1000, base=0.01, cap=20 * MS)
        error = ASKERS["sync"](space.url, retry=retry, timeout=limit(queue=AMPLE)).error
        assert isinstance(error, (QueueFull, RequestTimeout))
        assert len(space.jobs) > 1


def test_connect_clock_covers_refusals() -> None:
    """Refused connections are tried again only as long as the connect clock allows."""
    with FakeSpace() as space:
        space.refuse()
        error = ASKERS["sync"](space.url, timeout=limit(connect=10 * MS)).error
        assert isinstance(error, (ConnectFailed, RequestTimeout))


def test_slow_consumer() -> None:
    """Time that the caller takes between two chunks is not the Space's silence."""
    with FakeSpace() as space, Client(space.url, timeout=limit(read=AMPLE)) as client:
        space.answer("Hel", "lo")
        stream = client.stream("Hi")
        assert next(stream) == "Hel"
        threading.Event().wait(AMPLE * 1.2)
        assert "".join(stream) == "lo"


def test_status_is_limited() -> None:
    """Client.status keeps to the clocks, too."""
    with FakeSpace() as space, Client(space.url, retry=ONCE) as client:
        space.fault("config", *ENDLESS_HEAD)
        with pytest.raises(RequestTimeout) as caught:
            client.status(timeout=SHORT)
        assert caught.value.phase == "total"


@pytest.mark.parametrize("value", [float("inf"), 1e300, 10**12, None])
def test_limit_that_is_as_good_as_none(value: Any) -> None:
    """No limit is too long."""
    with FakeSpace() as space:
        limits = Timeout(**dict.fromkeys(NO_LIMITS, value))
        assert ASKERS["sync"](space.url, timeout=limits).text


@pytest.mark.parametrize("value", [0, -1, float("nan"), "5", True, (1, 2), [3]])
def test_impossible_limit(value: Any) -> None:
    """A limit that is no positive number of seconds is refused before any I/O."""
    with pytest.raises(InvalidOption):
        Client("http://127.0.0.1:1", timeout=value)
    with pytest.raises(InvalidOption):
        Timeout(read=value)


@pytest.fixture(scope="session")
def tls() -> Any:
    """Return a server's TLS context; nobody trusts it here."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.usefixtures("anyio_backend")
async def test_a_slow_reader_is_not_the_silence_of_the_space(fake_space: FakeSpace) -> None:
    """Who takes long over one event of a flood gets the others, which have come already."""
    flood = b'data: {"msg":"log","log":"busy"}\n\n' * 4000
    fake_space.answer("a", Chunk(flood), "b")
    events = 0
    async with AsyncClient(fake_space.url, timeout=limit(read=AMPLE)) as client:
        stream = client.stream("Hi")
        async for _ in stream.events():
            events += 1
            if events == 300:
                # In the middle of what one network read brought.
                await anyio.sleep(1.2 * AMPLE)
        assert stream.text == "ab"
    assert events > 4000
