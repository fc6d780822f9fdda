"""The OpenAI-compatible gateway: whom it lets in, how long it waits, and when it hangs up."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import anyio
import pytest
from doors import HI, PATIENCE, Answer, Door, door, read_until
from timing import AMPLE, SHORT

import qwen72b.gateway.channel
import qwen72b.gateway.chat
import qwen72b.gateway.heads
from qwen72b import AsyncClient, Client, InvalidOption
from qwen72b.gateway import app, running
from qwen72b.testing import (
    Burst,
    Fail,
    FakeSpace,
    Gate,
    Log,
    Repeat,
    Stall,
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
def locked_gateway() -> Iterator[Door]:
    """A gateway with a key and a further name, before no Space at all."""
    with door("http://127.0.0.1:9", key="s3cret", allow_hosts=["More.example"]) as gateway:
        yield gateway


class TestWaiting:
    """Queues, and clients that leave."""

    def test_comments_while_the_queue_is_long(
        self, space: FakeSpace, gateway: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The head waits for the first text for a while only; then comments come, then the text."""
        monkeypatch.setattr(qwen72b.gateway.chat, "HEAD_TIME", 0.05)
        monkeypatch.setattr(qwen72b.gateway.chat, "KEEP_ALIVE", 0.02)
        gate = Gate()
        space.answer(gate, "Blue.")
        with closing(gateway.begin(stream=True)) as there:
            seen = read_until(there, b"\r\n\r\n") + read_until(there, b": ") + there.recv(99)
            assert seen.startswith(b"HTTP/1.1 200")
            assert b"data:" not in seen
            gate.open()
            rest = read_until(there, b"[DONE]")
            assert b"Blue." in rest

    def test_error_after_a_long_queue(
        self, space: FakeSpace, gateway: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once the head is sent, an error before the first text is an event."""
        monkeypatch.setattr(qwen72b.gateway.chat, "HEAD_TIME", 0.01)
        gate = Gate()
        space.answer(gate, Fail("broken"))
        with closing(gateway.begin(stream=True)) as there:
            read_until(there, b": ")
            gate.open()
            rest = read_until(there, b"0\r\n\r\n")
            assert b'"code":"generation_failed"' in rest
            assert b"[DONE]" not in rest

    @pytest.mark.parametrize("stream", [True, False])
    @pytest.mark.parametrize("first", [[], ["It is"]])
    def test_hang_up_reaches_the_space(
        self, space: FakeSpace, gateway: Door, stream: bool, first: list[str]
    ) -> None:
        """A client that leaves, before the first text or after it, ends the Space's job."""
        gate = Gate()
        space.answer(*first, gate, "never")
        with closing(gateway.begin(stream=stream)) as there:
            gate.wait_reached()
            if first and stream:
                read_until(there, b"It is")
        space.wait_for_disconnect()

    @pytest.mark.parametrize("stream", [True, False])
    def test_hang_up_during_the_join(self, space: FakeSpace, gateway: Door, stream: bool) -> None:
        """A client that leaves while the job is being joined ends the call."""
        space.fault("join", Stall())
        with closing(gateway.begin(stream=stream)):
            space.wait_for_request("join")
        space.wait_until_idle()

    def test_hang_up_with_the_body_unfinished(self, space: FakeSpace, gateway: Door) -> None:
        """A client that leaves in the middle of its request is forgotten."""
        with closing(gateway.connect()) as there:
            there.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
            )
        assert gateway.ask().status == 200
        assert gateway.send("GET", "/health").json == {"status": "ok", "requests": 0}
        assert len(space.jobs) == 1

    def test_slow_reader_holds_its_own_stream_alone(self, space: FakeSpace, gateway: Door) -> None:
        """A client that does not read holds its stream back, and others are answered."""
        space.answer(Repeat("x" * 10_000), times=1)
        with closing(gateway.begin(stream=True)) as there:
            space.wait_for_job("running")
            assert gateway.ask().status == 200
            assert gateway.ask(stream=True).text == LINES
            assert there.recv(10)
        space.wait_for_disconnect()

    def test_client_that_never_reads_again(
        self, space: FakeSpace, gateway: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A client that has not read for very long loses its place."""
        monkeypatch.setattr(qwen72b.gateway.chat, "HEAD_TIME", 0.01)
        monkeypatch.setattr(qwen72b.gateway.chat, "KEEP_ALIVE", 0.02)
        monkeypatch.setattr(qwen72b.gateway.chat, "UNREAD_TIME", 0.1)
        space.answer(Repeat("x" * 10_000), times=1)
        with closing(gateway.begin(stream=True)):
            space.wait_for_disconnect()

    def test_hang_up_behind_another_request(
        self, gateway: Door, space: FakeSpace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A client that has sent its next request already is seen to leave, too."""
        # Else a comment might find out.
        monkeypatch.setattr(qwen72b.gateway.chat, "HEAD_TIME", AMPLE)
        monkeypatch.setattr(qwen72b.gateway.chat, "KEEP_ALIVE", AMPLE)
        space.answer(Stall())
        body = json.dumps({"messages": HI}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
        )
        request = head.encode() + b"\r\n\r\n" + body
        there = gateway.connect()
        there.sendall(request)
        space.wait_for_job("running")
        there.sendall(request)
        there.close()
        space.wait_for_disconnect()
        assert len(space.jobs) == 1

    def test_many_requests_on_one_connection(self, gateway: Door, space: FakeSpace) -> None:
        """Requests that come ahead are answered in their order, however much they hold."""
        space.answer(lambda job: [job.query[:1]])
        words = ["a", "b" * 200_000, "c", "d" * 100_000, "e"]
        requests = b""
        for word in words:
            body = json.dumps({"messages": [{"role": "user", "content": word}]}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
            requests += head.encode() + b"\r\n\r\n" + body
        with closing(gateway.connect()) as there:
            there.sendall(requests)
            seen = read_until(there, b'"content":"e"')
        assert re.findall(rb'"content":"(.)"', seen) == [b"a", b"b", b"c", b"d", b"e"]

    def test_end_of_the_gateway_is_no_end_of_an_answer(self, space: FakeSpace) -> None:
        """A gateway that ends cuts its streams, and hangs up on the Space."""
        gate = Gate()
        space.answer("It is", gate)
        with door(space.url) as gateway:
            there = gateway.begin(stream=True)
            read_until(there, b"It is")
        with there:
            rest = read_until(there, b"never")
            assert b"[DONE]" not in rest
            assert b'"code":"closed"' in rest
            assert not rest.endswith(b"0\r\n\r\n")
        space.wait_for_disconnect()


class TestLimits:
    """What protects it."""

    def test_requests_at_once(self, space: FakeSpace) -> None:
        """Beyond so many requests at once there is 429, at once; a place is free after an end."""
        gate = Gate()
        space.answer(gate, "Blue.", times=1)
        with door(space.url, max_requests=1) as gateway, closing(gateway.begin()) as there:
            gate.wait_reached()
            answer = gateway.ask()
            assert (answer.status, answer.error["code"]) == (429, "too_many_requests")
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["x-should-retry"] is None
            assert gateway.send("GET", "/health").json["requests"] == 1
            gate.open()
            read_until(there, b"Blue.")
            assert gateway.ask().status == 200

    @pytest.mark.parametrize("chunked", [True, False])
    def test_large_body(self, space: FakeSpace, chunked: bool) -> None:
        """A body that is too large is 413, whether its length is told or not."""
        body = b"[" * 300_000
        with door(space.url, max_body=100_000) as gateway, closing(gateway.connect()) as there:
            head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            if chunked:
                there.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
                there.sendall(b"%x\r\n%s\r\n" % (len(body), body))
            else:
                there.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            seen = read_until(there, b"}}")
            assert seen.startswith(b"HTTP/1.1 413")
            assert b"connection: close" in seen
        assert space.requests == []

    def test_large_body_that_waits_to_be_asked_for(self, gateway: Door) -> None:
        """A client that asks first whether to send a body is not told to, if it is too large."""
        with closing(gateway.connect()) as there:
            there.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
            )
            assert read_until(there, b"}}").startswith(b"HTTP/1.1 413")

    def test_slow_body(self, gateway: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        """A body that does not come is 408."""
        monkeypatch.setattr(qwen72b.gateway.channel, "BODY_TIME", 0.05)
        monkeypatch.setattr(qwen72b.gateway.channel, "DRAIN_TIME", 0.05)
        with closing(gateway.connect()) as there:
            there.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
            )
            assert read_until(there, b"}}").startswith(b"HTTP/1.1 408")

    @pytest.mark.parametrize("begun", [b"", b"GET /health HTT"])
    def test_slow_head(self, gateway: Door, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
        """A connection without a whole head is closed, on a connection's later requests too."""
        monkeypatch.setattr(qwen72b.gateway.heads, "HEAD_TIME", SHORT)
        with closing(gateway.connect()) as there:
            there.sendall(begun)
            assert there.recv(1) == b""
        monkeypatch.setattr(qwen72b.gateway.heads, "HEAD_TIME", AMPLE)
        with closing(gateway.connect()) as there:
            there.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_until(there, b"}").startswith(b"HTTP/1.1 200")
            there.sendall(b"GET /hea")
            assert there.recv(1) == b""

    def test_answer_may_take_longer_than_a_head(
        self, space: FakeSpace, gateway: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The limit ends with the head."""
        monkeypatch.setattr(qwen72b.gateway.heads, "HEAD_TIME", AMPLE)
        space.answer("It", *[" is"] * 20, delay=AMPLE / 15)
        assert gateway.ask(stream=True).events[-1] == "[DONE]"

    def test_request_after_another_may_take_longer_than_a_head(
        self, space: FakeSpace, gateway: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What comes after a request that waited for the one before it cuts no answer."""
        monkeypatch.setattr(qwen72b.gateway.heads, "HEAD_TIME", AMPLE)
        space.answer("Yes.", times=1)
        space.answer("It", *[" is"] * 20, delay=AMPLE / 15)
        body = json.dumps({"messages": HI, "stream": True}).encode()
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        )
        with closing(gateway.connect()) as there:
            there.sendall((head % len(body) + body) * 2)
            read_until(there, b"It")
            there.sendall(b"GET /health HTT")
            assert b"[DONE]" in read_until(there, b"[DONE]")

    def test_large_head(self, gateway: Door) -> None:
        """A head without end is refused."""
        with closing(gateway.connect()) as there:
            there.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000)
            assert read_until(there, b"\r\n").startswith(b"HTTP/1.1 400")

    @pytest.mark.parametrize(
        "options",
        [{"max_requests": 0}, {"max_body": True}, {"hosts": "localhost"}, {"cors": "http://a"}],
    )
    def test_useless_setting(self, options: dict[str, Any]) -> None:
        """A limit that is none is refused."""
        with pytest.raises(InvalidOption):
            app(AsyncClient("http://127.0.0.1:9"), **options)


class TestGuard:
    """Who may come in."""

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("localhost", 200),
            ("LOCALHOST:1234", 200),
            ("127.0.0.1:80", 200),
            ("[::1]:8000", 200),
            ("more.example", 200),
            ("evil.example", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("evil.example:8000", 403),
            ("localhost@evil.example", 403),
            ("192.0.2.1", 403),
            ("0.0.0.0", 403),
            ("", 403),
        ],
    )
    def test_host(self, locked_gateway: Door, host: str, status: int) -> None:
        """On loopback the Host header is one of the machine's names, or one that is allowed."""
        key = "Bearer s3cret"
        assert locked_gateway.send("GET", "/health", Host=host).status == status
        listed = locked_gateway.send("GET", "/v1/models", Host=host, Authorization=key)
        assert listed.status == status

    @pytest.mark.parametrize(
        ("given", "status"),
        [
            ("Bearer s3cret", 200),
            ("bearer s3cret", 200),
            ("Bearer s3cre", 401),
            ("Bearer s3crets", 401),
            ("Basic s3cret", 401),
            ("s3cret", 401),
            ("Bearer s\xe9cret", 401),
            ("", 401),
        ],
    )
    def test_key(self, locked_gateway: Door, given: str, status: int) -> None:
        """With a key, whoever does not know it is 401; the health is everybody's."""
        answer = locked_gateway.send("GET", "/v1/models", Authorization=given)
        assert answer.status == status
        assert locked_gateway.send("GET", "/health").status == 200
        if status == 401:
            assert answer.error["code"] == "invalid_api_key"
            asked = locked_gateway.send("POST", "/v1/chat/completions", b"{}", Authorization=given)
            assert asked.status == 401

    @pytest.mark.parametrize("key", ["", "a b", "a\n", "\xe9"])
    def test_useless_key(self, key: str) -> None:
        """A key that no header can carry is refused, and not shown."""
        with pytest.raises(InvalidOption) as caught:
            app(AsyncClient("http://127.0.0.1:9"), key=key)
        assert not key or repr(key) not in str(caught.value)

    def test_page_of_a_named_origin(self, space: FakeSpace) -> None:
        """A page of a named origin may ask, read errors, and is told so beforehand."""
        origin = "http://localhost:3000"
        with door(space.url, cors=[origin], key="k") as gateway:
            before = gateway.send(
                "OPTIONS",
                "/v1/chat/completions",
                Origin=origin,
                Access_Control_Request_Method="POST",
                Access_Control_Request_Headers="authorization, content-type",
                Access_Control_Request_Private_Network="true",
            )
            refused = gateway.send("GET", "/v1/models", Origin=origin)
            listed = gateway.send("GET", "/v1/models", Origin=origin, Authorization="Bearer k")
        assert before.status == 204
        assert before.headers["access-control-allow-headers"] == "authorization, content-type"
        assert before.headers["access-control-allow-private-network"] == "true"
        for answer, status in ((before, 204), (refused, 401), (listed, 200)):
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == origin
            assert answer.headers["vary"] == "Origin"

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3001"])
    @pytest.mark.parametrize("method", ["POST", "OPTIONS"])
    def test_page_of_another_origin(self, space: FakeSpace, origin: str, method: str) -> None:
        """A page of any other origin can neither read an answer nor have a question asked."""
        with door(space.url, cors=["http://localhost:3000"]) as gateway:
            body = json.dumps({"messages": HI}).encode()
            answer = gateway.send(
                method,
                "/v1/chat/completions",
                body,
                Origin=origin,
                Access_Control_Request_Method="POST",
                Content_Type="text/plain",
            )
        assert answer.status == 403
        assert answer.headers["access-control-allow-origin"] is None
        assert space.requests == []

    def test_page_of_the_same_origin(self, gateway: Door) -> None:
        """A page that the gateway's own host serves may ask."""
        same = f"127.0.0.1:{gateway.port}"
        assert gateway.send("GET", "/v1/models", Origin=f"http://{same}").status == 200

    @pytest.mark.parametrize(
        "options",
        [
            {"hosts": ["a b"]},
            {"hosts": ["name:80"]},
            {"hosts": ["http://name"]},
            {"cors": ["*"]},
            {"cors": ["localhost:3000"]},
            {"cors": ["http://localhost:3000/"]},
            {"cors": ["http://*.example"]},
            {"cors": ["http://localhost:99999"]},
            {"cors": "http://localhost"},
            {"cors": 5},
            {"hosts": "name"},
            {"hosts": [5]},
            {"aliases": "name"},
            {"aliases": [5]},
            {"key": ""},
            {"key": 5},
            {"max_requests": "many"},
        ],
    )
    def test_useless_name(self, options: dict[str, Any]) -> None:
        """What is no host, or no origin, is refused."""
        with pytest.raises(InvalidOption):
            app(AsyncClient("http://127.0.0.1:9"), **options)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"host": "0.0.0.0"}, "no key"),
            ({"host": "::"}, "no key"),
            ({"host": "0.0.0.0", "key": "k"}, "allow_hosts="),
            ({"host": "0.0.0.0", "key": "k", "allow_hosts": "name"}, "no list of names"),
            ({"host": None}, "cannot listen on None"),
            ({"port": "80"}, "'80' is no port"),
        ],
    )
    def test_door_open_to_everybody(self, options: dict[str, Any], words: str) -> None:
        """Elsewhere than on loopback it wants a key, and the names under which it is reached."""
        with (
            pytest.raises(InvalidOption, match=words),
            running(AsyncClient("http://127.0.0.1:9"), **options),
        ):
            pass

    def test_other_addresses(self, space: FakeSpace) -> None:
        """Elsewhere than on loopback only the names that are allowed are its own."""
        with door(space.url, host="0.0.0.0", key="k", allow_hosts=["box.example"]) as gateway:
            assert gateway.send("GET", "/health", Host="box.example").status == 200
            assert gateway.send("GET", "/health", Host="localhost").status == 403

    def test_port_that_is_taken(self, gateway: Door) -> None:
        """A port that is taken is told."""
        with (
            pytest.raises(InvalidOption, match="gateway cannot listen"),
            running(AsyncClient("http://127.0.0.1:9"), port=gateway.port),
        ):
            pass


class TestLog:
    """What is told, and what is not."""

    def test_no_texts(
        self, space: FakeSpace, gateway: Door, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log has requests, statuses and times, and no text, name or key."""
        caplog.set_level(logging.DEBUG, "qwen72b.gateway")
        space.answer("an answer", Log("a note"))
        question = [{"role": "user", "content": "a question"}]
        gateway.ask(question, model="a-model", user="a-person")
        gateway.ask(question, user="a-person", stop="a-stop", **{"x y": 1, "z" * 99: 1})
        gateway.send("GET", "/a-path", Authorization="Bearer a-key")
        assert "POST /v1/chat/completions: 404" in caplog.text
        assert "POST /v1/chat/completions: 200" in caplog.text
        for secret in ("question", "answer", "note", "model", "person", "stop", "path", "key"):
            assert f"a {secret}" not in caplog.text
            assert f"a-{secret}" not in caplog.text
        assert "x y" not in caplog.text
        assert "zzz" not in caplog.text

    def test_ignored_fields_are_named_once(
        self, gateway: Door, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What has no meaning to the Space is named at its first use."""
        for _ in range(3):
            gateway.ask(seed=1, temperature=0.5)
        told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert sorted(words.split()[0] for words in told) == ["seed", "temperature"]


class TestMounting:
    """The app without its server."""

    @pytest.mark.anyio
    async def test_mounted_app_on_both_loops(self, space: FakeSpace) -> None:
        """Mounted at a path of another app it answers, on asyncio and on trio."""
        async with AsyncClient(space.url) as client:
            made = app(client, hosts=None)
            sent = await _call(made, "/llm/v1/chat/completions", root_path="/llm")
        assert sent[0]["status"] == 200
        assert json.loads(sent[1]["body"])["choices"][0]["message"]["content"] == LINES

    @pytest.mark.anyio
    async def test_pieces_that_come_at_once(self, space: FakeSpace) -> None:
        """What one network read brings leaves in one part of the body, a chunk for each piece."""
        space.answer(Burst(words(LINES), per_write=99))
        async with AsyncClient(space.url) as client:
            sent = await _call(app(client, hosts=None), "/v1/chat/completions", stream=True)
        head, *bodies = [message.get("body", b"") for message in sent]
        assert head == b""
        # The first event tells who speaks, and may come in a read of its own.
        assert len(bodies) <= 3
        assert b"".join(bodies).count(b'"content":') == 1 + len(words(LINES))
        assert bodies[-1].endswith(b"data: [DONE]\n\n")

    @pytest.mark.anyio
    async def test_comment_that_is_not_read(
        self, space: FakeSpace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A client that takes not even a comment for very long loses its place."""
        # Until then the Space's stream is open.
        monkeypatch.setattr(qwen72b.gateway.chat, "HEAD_TIME", AMPLE)
        monkeypatch.setattr(qwen72b.gateway.chat, "UNREAD_TIME", 0.01)
        space.answer(Stall())

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await anyio.sleep_forever()

        async with AsyncClient(space.url) as client:
            await _call(app(client, hosts=None), "/v1/chat/completions", send=send, stream=True)
        space.wait_for_disconnect()
        assert "has not read" in caplog.text

    @pytest.mark.anyio
    @pytest.mark.parametrize("stream", [True, False])
    async def test_answer_that_is_not_read(
        self, space: FakeSpace, monkeypatch: pytest.MonkeyPatch, stream: bool
    ) -> None:
        """A client that does not take its answer for very long loses its place, streamed or not."""
        for name in ("HEAD_TIME", "KEEP_ALIVE", "UNREAD_TIME"):
            monkeypatch.setattr(qwen72b.gateway.chat, name, 0.01)

        async def send(message: Any) -> None:
            await anyio.sleep_forever()

        async with AsyncClient(space.url) as client:
            made = app(client, hosts=None)
            await _call(made, "/v1/chat/completions", send=send, stream=stream)

    @pytest.mark.anyio
    async def test_server_that_tells_of_hang_ups_when_it_sends(self, space: FakeSpace) -> None:
        """A send that fails is a client that has gone."""

        async def send(message: Any) -> None:
            raise OSError

        async with AsyncClient(space.url) as client:
            await _call(app(client, hosts=None), "/v1/chat/completions", send=send)

    @pytest.mark.anyio
    async def test_hang_up_that_a_comment_finds(
        self, space: FakeSpace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A comment that cannot be sent ends the call, and is no error of ours."""
        monkeypatch.setattr(qwen72b.gateway.chat, "HEAD_TIME", 0.01)
        space.answer(Stall())

        async def send(message: Any) -> None:
            # Not before: a connection that still fetches the configuration may be kept.
            await anyio.to_thread.run_sync(space.wait_for_job, "running")
            raise OSError

        async with AsyncClient(space.url) as client:
            made = app(client, hosts=None)
            await _call(made, "/v1/chat/completions", send=send, stream=True)
            await anyio.to_thread.run_sync(space.wait_for_disconnect)
        assert "internal" not in caplog.text

    @pytest.mark.anyio
    async def test_other_protocols(self) -> None:
        """A lifespan is followed, and a WebSocket closed."""
        async with AsyncClient("http://127.0.0.1:9") as client:
            made = app(client)
            phases = ["lifespan.startup", "lifespan.shutdown"]
            sent: list[str] = []

            async def receive() -> dict[str, Any]:
                return {"type": phases.pop(0)}

            async def send(message: Any) -> None:
                sent.append(message["type"])

            await made({"type": "lifespan"}, receive, send)
            await made({"type": "websocket"}, receive, send)
        assert sent == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
            "websocket.close",
        ]


@pytest.mark.parametrize("client", [None, "http://127.0.0.1:9", Client("http://127.0.0.1:9")])
def test_client_of_another_kind(client: Any) -> None:
    """What is not an async client is told when the app is made, not by its every answer."""
    with pytest.raises(InvalidOption, match="AsyncClient"):
        app(client)


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("br", 415), ("Identity", 200)])
def test_compressed_body(space: FakeSpace, gateway: Door, coding: str, status: int) -> None:
    """A body that cannot be read is told from one that is malformed."""
    body = json.dumps({"messages": HI}).encode()
    path = "/v1/chat/completions"
    assert gateway.send("POST", path, body, Content_Encoding=coding).status == status


def test_allowed_name_that_is_not_ascii() -> None:
    """A name is allowed as clients send it."""
    with door("http://127.0.0.1:9", allow_hosts=["m\u00fcnchen.example"]) as gateway:
        assert gateway.send("GET", "/health", Host="xn--mnchen-3ya.example").status == 200
        assert gateway.send("GET", "/health", Host="munchen.example").status == 403


@pytest.mark.parametrize(
    ("allowed", "sent"),
    [
        ("https://A.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://m\u00fcnchen.example", "http://xn--mnchen-3ya.example"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("chrome-extension://abc", "chrome-extension://abc"),
    ],
)
def test_origin_is_allowed_as_browsers_send_it(allowed: str, sent: str) -> None:
    """However it was written: without the usual port, in small letters and in ASCII."""
    with door("http://127.0.0.1:9", cors=[allowed]) as gateway:
        answer = gateway.send("GET", "/health", Origin=sent)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == sent
        assert gateway.send("GET", "/health", Origin=f"{sent}x").status == 403


class TestClosing:
    """A server that stops while it answers."""

    @pytest.mark.parametrize("stream", [True, False])
    def test_before_the_first_text(self, space: FakeSpace, stream: bool) -> None:
        """A client that has nothing yet gets an answer as from any server that stops."""
        space.answer(Gate())
        with ExitStack() as stack:
            with door(space.url) as gateway:
                there = stack.enter_context(gateway.begin(stream=stream))
                space.wait_for_job("running")
            answer = Answer("POST", read_until(there, b"\0"))
        assert answer.status == 503
        assert answer.error["code"] == "closed"
        space.wait_for_disconnect()

    def test_half_a_body(self, space: FakeSpace) -> None:
        """A client that still sends its question is told, too."""
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        with ExitStack() as stack:
            with door(space.url) as gateway:
                there = stack.enter_context(gateway.connect())
                there.sendall(head + b"Expect: 100-continue\r\n\r\n")
                # The gateway asks for the body: it reads.
                read_until(there, b"100 Continue")
            answer = Answer("POST", read_until(there, b"HTTP") + read_until(there, b"\0"))
        assert answer.status == 503

    @pytest.mark.anyio
    async def test_response_that_is_over(self, space: FakeSpace) -> None:
        """Nothing is said after the end of a response."""
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)
            if not message.get("more_body", True):
                scope.cancel()
                await anyio.sleep_forever()

        async with AsyncClient(space.url) as client:
            with anyio.CancelScope() as scope:
                await _call(app(client, hosts=None), "/v1/chat/completions", send=send)
        assert [message["type"] for message in sent] == [
            "http.response.start",
            "http.response.body",
        ]


async def _call(
    made: Any, path: str, *, root_path: str = "", send: Any = None, stream: bool = False
) -> list[Any]:
    sent: list[Any] = []
    bodies = [json.dumps({"messages": HI, "stream": stream}).encode()]

    async def receive() -> dict[str, Any]:
        if bodies:
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}
        await anyio.sleep_forever()
        raise AssertionError

    async def keep(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "root_path": root_path,
        "headers": [(b"host", b"testserver")],
    }
    with anyio.fail_after(PATIENCE):
        await made(scope, receive, send or keep)
    return sent


def test_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uvicorn the way to install it is told."""
    import sys

    monkeypatch.setitem(sys.modules, "uvicorn.protocols.http.h11_impl", None)
    with (
        pytest.raises(InvalidOption, match="pip install"),
        running(AsyncClient("http://127.0.0.1:9")),
    ):
        pass


def test_ipv6(space: FakeSpace) -> None:
    """The IPv6 loopback is a loopback too."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    with door(space.url, host="::1") as gateway:
        assert gateway.url.startswith("http://[::1]:")
        with closing(socket.create_connection(("::1", gateway.port))) as there:
            there.sendall(b"GET /health HTTP/1.1\r\nHost: [::1]\r\n\r\n")
            assert read_until(there, b"}").startswith(b"HTTP/1.1 200")
