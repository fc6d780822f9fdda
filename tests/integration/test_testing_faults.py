"""Every fault that a client may meet can be ordered from a FakeSpace."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
from collections.abc import Callable

import pytest
import trustme
from raw_client import Raw, connect, fetch, join, payload, stream_target
from timing import PATIENCE

from qwen72b.testing import (
    Burst,
    Chunk,
    Close,
    CutAfter,
    FakeSpace,
    Gate,
    Heartbeat,
    Message,
    Pause,
    Proceed,
    Repeat,
    Reset,
    Respond,
    Send,
    Shape,
    Stall,
    Step,
    Throttle,
    Trickle,
    page,
    redirect,
)

PHASES: list[tuple[str, Callable[[FakeSpace], str]]] = [
    ("config", lambda space: "/config"),
    ("stream", lambda space: (join(space), stream_target(space))[1]),
]


@pytest.mark.parametrize(("phase", "target"), PHASES)
def test_reset_and_close_before_the_answer(phase: str, target: Callable[[FakeSpace], str]) -> None:
    """A request can be met by an RST, or by a FIN without a byte."""
    with FakeSpace() as space:
        space.fault(phase, Reset())
        space.fault(phase, Close())
        where = target(space)
        with Raw(space) as raw, pytest.raises(ConnectionResetError):
            raw.ask(where)
            raw.rest()
        with Raw(space) as raw:
            raw.ask(where)
            assert raw.rest() == b""
        assert fetch(space, "GET", where).status == 200


@pytest.mark.parametrize(("phase", "target"), PHASES)
@pytest.mark.parametrize("size", [0, 1, 15, 60, 200])
def test_answer_is_cut_at_any_byte(
    phase: str, target: Callable[[FakeSpace], str], size: int
) -> None:
    """The server's own answer ends after so many bytes, by RST or by FIN."""
    with FakeSpace() as space:
        where = target(space)
        space.fault(phase, CutAfter(size, Close()), Proceed())
        with Raw(space) as raw:
            raw.ask(where)
            assert len(raw.rest()) == size
        space.fault("config", CutAfter(size), Proceed())
        with Raw(space) as raw, pytest.raises(ConnectionResetError):
            raw.ask("/config")
            raw.rest()


def test_cut_may_be_a_silence() -> None:
    """After the last byte the server may just stop, until its client leaves."""
    with FakeSpace() as space:
        space.fault("config", CutAfter(20, Stall()), Proceed())
        with Raw(space) as raw:
            raw.ask()
            assert raw.until(b"HTTP/1.1 200 OK\r\nser") == b"HTTP/1.1 200 OK\r\nser"
            raw.socket.settimeout(0.05)
            with pytest.raises(TimeoutError):
                raw.socket.recv(1)
        space.wait_until_idle()


def test_bytes_trickle() -> None:
    """Headers and bodies may come in small pieces, with time between them."""
    with FakeSpace() as space:
        space.fault("config", Trickle(b"HTTP/1.1 200 OK\r\n\r\n", interval=0.001, size=3))
        space.fault("config", Throttle(64, 0.0005), Proceed())
        with Raw(space) as raw:
            raw.ask()
            assert raw.rest() == b"HTTP/1.1 200 OK\r\n\r\n"
        assert json.loads(fetch(space, "GET", "/config").text) == space.config


def test_stall_ends_when_the_client_leaves() -> None:
    """A server that never answers notices that its client has gone."""
    with FakeSpace() as space:
        space.fault("join", Stall())
        with Raw(space) as raw:
            raw.socket.sendall(b"POST /queue/join HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            space.wait_for_request("join")
            assert space.open_connections == 1
        space.wait_until_idle()


def test_connection_faults_come_before_the_request() -> None:
    """A connection may be reset, or held, before anything is read from it."""
    gate = Gate()
    with FakeSpace() as space:
        space.fault("connect", Reset())
        space.fault("connect", gate)
        with contextlib.suppress(ConnectionError), Raw(space) as raw:
            raw.rest()
        with Raw(space) as raw:
            raw.ask()
            gate.wait_reached()
            assert space.requests == []
            gate.open()
            raw.until(b'"protocol"')


def test_refused_connections() -> None:
    """The port can be closed for a while."""
    with FakeSpace() as space:
        space.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(space).connect()
        space.refuse(False)
        assert fetch(space, "GET", "/config").status == 200


@pytest.mark.parametrize(
    ("step", "status", "text", "headers"),
    [
        (page("Sleeping <now>"), 503, "<title>Sleeping &lt;now&gt;</title>", {}),
        (page("x", 200), 200, "x", {"content-type": "text/html; charset=utf-8"}),
        (Respond(status=204), 204, "", {}),
        (redirect("/else"), 307, "", {"location": "/else"}),
        (Respond(status=429, headers={"Retry-After": "3"}), 429, "", {"retry-after": "3"}),
        (Respond(body=[1, 2]), 200, "[1, 2]", {"content-type": "application/json"}),
        (Respond(body="é", framing="chunked"), 200, "é", {"transfer-encoding": "chunked"}),
        (Respond(body=b"x", framing="close"), 200, "x", {"connection": "close"}),
        (Respond(status=599, reason="Odd", headers={"server": None}), 599, "", {"server": None}),
    ],
)
def test_responses_of_ones_own(
    step: Respond, status: int, text: str, headers: dict[str, str | None]
) -> None:
    """Any status, header, type, framing and body can be the answer."""
    with FakeSpace() as space:
        space.fault("config", step)
        response = fetch(space, "GET", "/config")
        assert response.status == status
        assert text in response.text
        for name, value in headers.items():
            assert response.headers[name] == value
        assert fetch(space, "GET", "/config").status == 200


def test_connection_goes_on_after_a_whole_response() -> None:
    """A fault that answers in full leaves the connection usable."""
    with FakeSpace() as space:
        space.fault("config", Respond(status=502), times=2)
        connection = connect(space)
        statuses = []
        for _ in range(3):
            connection.request("GET", "/config")
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.request("GET", "/config", headers={"Connection": "close"})
        connection.getresponse().read()
        space.wait_until_idle()
        connection.close()
    assert statuses == [502, 502, 200]
    assert space.connections == 1


def test_content_length_may_lie() -> None:
    """A response may promise more than it has."""
    with FakeSpace() as space, Raw(space) as raw:
        space.fault("config", Respond(body="{}", length=9), Close())
        raw.ask()
        assert raw.rest().endswith(b"content-length: 9\r\n\r\n{}")


def test_small_gzip_may_be_a_large_body() -> None:
    """A compressed body can be a bomb."""
    with FakeSpace() as space, Raw(space) as raw:
        space.fault("config", Respond(body=b"0" * 10_000_000, gzip=True), Close())
        raw.ask()
        head, _, body = raw.rest().partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head
    assert len(body) < 20_000
    assert gzip.decompress(body) == b"0" * 10_000_000


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        ([Send(b"5\r\nab"), Close()], b"5\r\nab"),
        ([Send(b"zz\r\nab\r\n"), Close()], b"zz\r\nab\r\n"),
        ([Chunk(b'data: {"ms'), Close()], b'a\r\ndata: {"ms\r\n'),
        ([Chunk(b"\xef\xbb\xbf: c\r\n")], b"8\r\n\xef\xbb\xbf: c\r\n\r\n0\r\n\r\n"),
    ],
)
def test_chunks_may_be_broken(steps: list[Step], end: bytes) -> None:
    """A stream's chunks can be cut, of a bad size, or hold anything."""
    with FakeSpace() as space, Raw(space) as raw:
        space.stream(*steps)
        join(space)
        raw.ask(stream_target(space))
        raw.socket.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            raw.rest()
        assert raw.seen.endswith(b"\r\n\r\n" + end)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(framing="close"),
        Shape(framing="close", gzip=True),
        Shape(gzip=True),
        Shape(piece=3),
        Shape(newline="\r\n", bom=True),
        Shape(framing="length", headers={"content-length": "1000000"}),
    ],
)
def test_streams_may_be_framed_in_any_way(shape: Shape) -> None:
    """The same events come in any framing, compression, cut and line end."""
    with FakeSpace(shape=shape) as space, Raw(space) as raw:
        space.answer("Hel", "lo")
        join(space)
        raw.ask(stream_target(space))
        if shape.framing == "close":
            body = raw.rest().partition(b"\r\n\r\n")[2]
            body = gzip.decompress(body) if shape.gzip else body
        elif shape.framing == "length":
            body = raw.until(b"close_stream").partition(b"\r\n\r\n")[2]
        else:
            raw.until(b"\r\n0\r\n\r\n")
            chunks = raw.seen.partition(b"\r\n\r\n")[2]
            body = b""
            while size := int(chunks.partition(b"\r\n")[0], 16):
                start = chunks.index(b"\r\n") + 2
                assert shape.piece is None or size <= shape.piece
                body += chunks[start : start + size]
                chunks = chunks[start + size + 2 :]
            body = gzip.decompress(body) if shape.gzip else body
    assert body.startswith(b"\xef\xbb\xbf") == shape.bom
    line_end = shape.newline.encode()
    assert body.count(b"}" + 2 * line_end) in (6, 5 + (shape.framing != "length"))
    assert b'"append",[0,1],"lo"' in body


def test_heartbeats_without_end() -> None:
    """A stream can stay alive for ever and never say anything."""
    with FakeSpace() as space, Raw(space) as raw:
        space.answer(Repeat(Heartbeat(), interval=0.001))
        join(space)
        raw.ask(stream_target(space))
        while raw.seen.count(b"heartbeat") < 5:
            raw.seen += raw.socket.recv(4096)
        raw.socket.close()
        assert space.wait_for_disconnect().cancelled


def test_gate_orders_client_and_server() -> None:
    """The server goes on when the test lets it, for this and for later jobs."""
    gate = Gate()
    with FakeSpace() as space, Raw(space) as raw:
        space.answer("one", gate, "two")
        join(space)
        raw.ask(stream_target(space))
        raw.until(b'"one"')
        gate.wait_reached()
        assert b'"two"' not in raw.seen
        gate.open()
        raw.until(b'"two"')
        with pytest.raises(TimeoutError, match="gate"):
            Gate().wait_reached(0.01)


def test_pause_is_left_when_the_client_leaves() -> None:
    """A script that waits for long does not outlive its client."""
    with FakeSpace() as space:
        space.answer("one", Pause(600), "two")
        join(space)
        with Raw(space) as raw:
            raw.ask(stream_target(space))
            raw.until(b'"one"')
        job = space.wait_for_disconnect()
        assert job.cancelled_at is not None
        space.wait_until_idle()


def test_client_that_is_reset_is_noticed() -> None:
    """A client that goes by RST has hung up as well."""
    with FakeSpace() as space:
        space.answer("one", Stall())
        join(space)
        with Raw(space) as raw:
            raw.ask(stream_target(space))
            raw.until(b'"one"')
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert space.wait_for_disconnect().query == "Hi"


def test_large_and_deep_events() -> None:
    """Events of any size and depth are sent."""
    with FakeSpace() as space, Raw(space) as raw:
        space.stream(
            Message("news", text="x" * 5_000_000), Chunk(b"data: " + b"[" * 100_000 + b"\n\n")
        )
        join(space)
        raw.ask(stream_target(space))
        assert len(raw.until(b"[" * 100_000 + b"\n\n\r\n0\r\n\r\n")) > 5_000_000


def test_burst_of_many_events() -> None:
    """Twenty thousand events are no burden for the fake."""
    with FakeSpace() as space, Raw(space) as raw:
        space.answer(Burst([" x"] * 20_000, per_write=100))
        join(space)
        raw.ask(stream_target(space))
        assert raw.until(b"close_stream").count(b"process_generating") == 20_000


def test_login() -> None:
    """With a login nothing is told without its cookie, and a wrong password is refused."""
    with FakeSpace("4.36.1", auth=("ann", "s3cret")) as space:
        refused = fetch(space, "GET", "/config")
        assert (refused.status, refused.text) == (401, '{"detail": "Not authenticated"}')
        assert fetch(space, "GET", "/").status == 200
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert fetch(space, "POST", "/login", "username=ann&password=no", **form).status == 400
        done = fetch(space, "POST", "/login", "username=ann&password=s3cret", **form)
        cookies = done.headers.get_all("set-cookie")
        assert cookies is not None and "Secure" in cookies[0] and "Secure" not in cookies[1]
        cookie = {"Cookie": cookies[1].partition(";")[0]}
        assert fetch(space, "GET", "/config", **cookie).status == 200
        assert fetch(space, "POST", "/queue/join", payload()).status == 401
    with FakeSpace("5.50.0", auth=("a", "b")) as space:
        assert json.loads(fetch(space, "GET", "/config").text)["detail"]["auth_message"] is None
    with FakeSpace() as space:
        assert fetch(space, "POST", "/login", "").status == 404


def test_token() -> None:
    """A private Space is not there without its token."""
    with FakeSpace(token="hf_x", token_status=401) as space:
        assert fetch(space, "GET", "/config").status == 401
        space.token_status = 404
        assert fetch(space, "GET", "/config", Authorization="Bearer hf_y").status == 404
        for name in ("Authorization", "X-HF-Authorization"):
            assert fetch(space, "GET", "/config", **{name: "Bearer hf_x"}).status == 200


def test_sticky_sessions() -> None:
    """A session is known only to the replica that its cookie names."""
    with FakeSpace(sticky=True) as space:
        first = fetch(space, "POST", "/queue/join", payload())
        cookie = (first.headers["set-cookie"] or "").partition(";")[0]
        with Raw(space) as raw:
            raw.ask(stream_target(space))
            assert b"Session not found" in raw.rest()
        kept = fetch(space, "GET", stream_target(space), Cookie=cookie)
        assert "process_completed" in kept.text
        assert kept.headers["set-cookie"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"[1]", 422),
        (payload(fn_index=None), 400),
        (payload(session_hash=None), 400),
        (payload(fn_index=99), 500),
        (payload(fn_index="0"), 200),
    ],
)
def test_wrong_joins_are_refused_as_gradio_does(body: object, status: int) -> None:
    """A join that makes no sense has the status that Gradio gives it."""
    with FakeSpace() as space:
        assert fetch(space, "POST", "/queue/join", body).status == status


def test_other_paths_and_methods() -> None:
    """The wrong prefix is a 404, the wrong method a 405."""
    with FakeSpace("5.25.2") as space:
        assert fetch(space, "POST", "/queue/join", payload()).status == 404
        assert fetch(space, "GET", "/gradio_api/queue/join").status == 405
        assert fetch(space, "POST", "/gradio_api/cancel", {}).text == '{"success": true}'


def test_full_queue() -> None:
    """More jobs than the queue holds are turned away with 503."""
    with FakeSpace(max_size=1) as space:
        join(space)
        full = fetch(space, "POST", "/queue/join", payload())
    assert full.status == 503
    assert full.text == '{"detail": "Queue is full. Max size is 1 and size is 1."}'


def test_hub_tells_the_stages_in_turn() -> None:
    """The same server can play the Hub, and the last stage stays."""
    with FakeSpace() as space:
        space.hub("owner/name", "SLEEPING", "RUNNING")
        answers = [fetch(space, "GET", "/api/spaces/owner/name").text for _ in range(3)]
    stages = [json.loads(answer)["runtime"]["stage"] for answer in answers]
    assert stages == ["SLEEPING", "RUNNING", "RUNNING"]


def test_chunked_requests_are_understood() -> None:
    """A client may send its body in chunks."""
    with FakeSpace() as space:
        connection = connect(space)
        body = iter([b'{"fn_index":0,"session_hash":"a",', b'"data":["Q",[],""]}'])
        connection.request("POST", "/queue/join", body, encode_chunked=True)
        assert connection.getresponse().status == 200
        connection.close()
    assert space.jobs[0].query == "Q"


def test_tls() -> None:
    """With a context it speaks https; what is no TLS is dropped."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    with FakeSpace(tls=server) as space:
        assert space.url.startswith("https://")
        space.answer("one", Stall())
        with Raw(space) as raw:
            raw.ask()
            with contextlib.suppress(ConnectionError):
                raw.rest()
        with Raw(space) as raw:
            raw.socket = client.wrap_socket(raw.socket, server_hostname="127.0.0.1")
            body = json.dumps(payload()).encode()
            raw.socket.sendall(
                b"POST /queue/join HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            raw.until(b"event_id")
            raw.ask(stream_target(space))
            raw.until(b'"one"')
        assert space.wait_for_disconnect().query == "Hi"


def test_wrong_orders_are_refused_at_once() -> None:
    """A place that does not exist is an error in the test, not a fault that never comes."""
    with FakeSpace() as space, pytest.raises(ValueError, match="confg"):
        space.fault("confg", Reset())


@pytest.mark.parametrize("step", ["text", Heartbeat()])
def test_steps_in_the_wrong_place_are_told(step: object) -> None:
    """Text and messages belong into answers; elsewhere they are an error of the test."""
    with pytest.raises(RuntimeError) as caught, FakeSpace() as space:
        space.fault("config", step)  # type: ignore[arg-type]
        with Raw(space) as raw:
            raw.ask()
            raw.rest()
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("step", [Proceed(), 7])
def test_answers_hold_only_what_they_can(step: object) -> None:
    """A number or `Proceed` has no meaning inside of an answer."""
    with pytest.raises(RuntimeError) as caught, FakeSpace() as space:
        space.answer("a", step)  # type: ignore[arg-type]
        join(space)
        with Raw(space) as raw:
            raw.ask(stream_target(space))
            raw.rest()
    assert isinstance(caught.value.__cause__, TypeError)


def test_many_connections_and_a_quick_end() -> None:
    """Hundreds of clients are served at once, and all are let go at the end."""
    space = FakeSpace()
    space.answer("one", Stall())
    clients = [Raw(space) for _ in range(300)]
    for number, client in enumerate(clients):
        body = json.dumps(payload(session_hash=str(number))).encode()
        head = b"POST /queue/join HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        target = stream_target(space, str(number)).encode()
        client.socket.sendall(head + body + b"GET %b HTTP/1.1\r\n\r\n" % target)
    for client in clients:
        client.until(b'"one"')
    assert space.open_connections == 300
    space.close()
    for client in clients:
        client.socket.settimeout(PATIENCE)
        client.rest()
        client.socket.close()
    assert space.open_connections == 0
