"""What networks do to connections: dead addresses, answers ahead of answers, dead reuse."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import trustme
from askers import ASKERS, ONCE, check_error
from raw_server import Answers, Last, conversation, found, once, raw_server, silent_address
from timing import AMPLE, PATIENCE, SHORT

from qwen72b import (
    AsyncClient,
    Client,
    ConnectFailed,
    HTTPStatusError,
    InvalidOption,
    InvalidServerMessage,
    RequestTimeout,
    Retry,
    StreamInterrupted,
    Timeout,
)
from qwen72b.testing import FakeSpace, Respond

ROUTES = ["/config", "/queue/join", "/queue/data"]

EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
AHEAD = [
    EARLY,
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n",
    b"HTTP/1.1 199 What\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    EARLY * 20,
    EARLY + b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY,
    b"HTTP/1.1 103\r\n\r\n",
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ssl.SSLContext]:
    """The file of an authority, and the settings of a server named space.test."""
    ca = trustme.CA()
    path: Path = tmp_path_factory.mktemp("certificates") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("space.test", "127.0.0.1").configure_cert(context)
    return str(path), context


# Addresses


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("dead", ["silent", "refused", "silent twice", "refused, silent"])
def test_dead_first_address(
    way: str,
    scheme: str,
    dead: str,
    authority: tuple[str, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name whose first addresses answer nothing is reached at the next one."""
    tls = authority[1] if scheme == "https" else None
    with silent_address() as silent, FakeSpace(tls=tls) as space:
        port = int(space.url.rpartition(":")[2])
        refused = ("127.0.0.1", 1)
        first = {
            "silent": [silent],
            "refused": [refused],
            "silent twice": [silent, silent],
            "refused, silent": [refused, silent],
        }[dead]
        monkeypatch.setattr(socket, "getaddrinfo", found(*first, ("127.0.0.1", port)))
        answer = ASKERS[way](
            f"{scheme}://space.test:{port}",
            verify=authority[0] if tls else None,
            timeout=Timeout(connect=3 * AMPLE),
            retry=ONCE,
        )
        assert answer.error is None and answer.text


@pytest.mark.parametrize("way", ASKERS)
def test_no_address_answers(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The addresses of a name share one clock."""
    with silent_address() as silent:
        monkeypatch.setattr(socket, "getaddrinfo", found(silent, silent, silent))
        error = ASKERS[way](
            "http://space.test", timeout=Timeout(connect=4 * SHORT), retry=ONCE
        ).error
        check_error(error, RequestTimeout)
        assert error.phase == "connect"


def test_every_address_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose addresses all refuse is ConnectFailed."""
    monkeypatch.setattr(socket, "getaddrinfo", found(("127.0.0.1", 1), ("127.0.0.1", 2)))
    error = ASKERS["sync"]("http://space.test", retry=ONCE).error
    check_error(error, ConnectFailed)
    assert error.stage == "tcp"


def test_families_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second address that is tried is the first of the other family."""
    with silent_address() as silent, FakeSpace() as space:
        port = int(space.url.rpartition(":")[2])
        tcp = (socket.SOCK_STREAM, 6, "")
        listed = [(socket.AF_INET, *tcp, silent)] * 40
        listed += [(socket.AF_INET6, *tcp, ("::1", 1)), (socket.AF_INET, *tcp, silent)]
        listed[0] = (socket.AF_INET, *tcp, ("127.0.0.1", 1))
        listed += [(socket.AF_INET6, *tcp, ("::ffff:127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: listed)
        # Forty silent ones, a quarter of a second each, would outlast this.
        assert Client(f"http://space.test:{port}", timeout=Timeout(connect=AMPLE)).ask("Hi")


# Answers ahead of the answer


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("ahead", AHEAD, ids=repr)
@pytest.mark.parametrize("route", [*ROUTES, "all"])
def test_answers_ahead(way: str, ahead: bytes, route: str) -> None:
    """1xx answers are skipped wherever they come (RFC 9110, section 15.2)."""

    def change(path: str, good: bytes, before: int) -> bytes:
        return ahead + good if route in (path, "all") else good

    with raw_server(conversation(change)) as server:
        answer = ASKERS[way](server.url, retry=ONCE)
        assert (answer.error, answer.text) == (None, "Hello")
        assert server.paths == ROUTES
        assert {number for number, *_ in server.requests} == {1}


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (EARLY, StreamInterrupted),
        (EARLY[:12], StreamInterrupted),
        (EARLY * 1000, InvalidServerMessage),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", HTTPStatusError),
        (EARLY + b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", HTTPStatusError),
    ],
    ids=["nothing follows", "cut", "endless", "switching", "refusal"],
)
def test_answers_ahead_of_none(way: str, said: bytes, kind: type[Exception]) -> None:
    """What comes ahead is no answer, and there is a limit to it."""
    with raw_server(lambda path, before: Last(said)) as server:
        error = ASKERS[way](server.url, retry=ONCE).error
        assert type(error) is kind, repr(error)


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("status", [b"102 Processing", b"103 Early Hints", b"199 What"], ids=repr)
def test_answers_ahead_on_a_session_of_the_callers(way: str, route: str, status: bytes) -> None:
    """requests takes them for the answer, which is said; the next request does not meet the rest."""

    def change(path: str, good: bytes, before: int) -> bytes:
        return b"HTTP/1.1 " + status + b"\r\n\r\n" + good if path == route else good

    with raw_server(conversation(change)) as server, requests.Session() as session:
        error = ASKERS[way](server.url, session=session, retry=ONCE).error
        check_error(error, InvalidServerMessage)
        assert "session=" in error.hint
        if route != "/config":
            assert session.get(f"{server.url}/config").json()["dependencies"]


# Connections that were kept


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("route", ROUTES[1:])
def test_kept_connection_that_is_dead(
    way: str, scheme: str, route: str, authority: tuple[str, ssl.SSLContext]
) -> None:
    """A request whose kept connection dies before a byte of an answer is made again, on a new one."""

    def change(path: str, good: bytes, before: int) -> bytes | None:
        return None if path == route and before else good

    tls = authority[1] if scheme == "https" else None
    with raw_server(conversation(change), tls) as server:
        answer = ASKERS[way](server.url, verify=tls and authority[0], retry=ONCE)
        assert (answer.error, answer.text) == (None, "Hello")
        assert server.paths.count(route) == 2


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("route", ROUTES)
def test_new_connection_that_is_dead(way: str, route: str) -> None:
    """A request whose new connection dies is not made again, nor more than once."""

    def change(path: str, good: bytes, before: int) -> bytes | None:
        return None if path == route else good

    with raw_server(conversation(change)) as server:
        check_error(ASKERS[way](server.url, retry=ONCE).error, StreamInterrupted)
        # The configuration came over it, so it was an old one; and the stream that
        # is lost is joined anew, once.
        most = {"/config": 1, "/queue/join": 2, "/queue/data": 4}
        assert server.paths.count(route) == most[route]


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("said", [b"H", b"HTTP/1.1 2", EARLY], ids=repr)
def test_kept_connection_that_dies_in_the_answer(way: str, said: bytes) -> None:
    """A request of which a byte was answered is not made again."""
    good = Answers()

    def script(path: str, before: int) -> bytes:
        return Last(said) if before else good(path)

    with raw_server(script) as server:
        error = ASKERS[way](server.url, retry=ONCE).error
        assert isinstance(error, StreamInterrupted)
        assert server.paths.count("/queue/join") == 1


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("status", [b"200 OK", b"503 Service Unavailable"], ids=repr)
@pytest.mark.parametrize("cut", [b"", b"Content-Le", b"Content-Type: text/event-stream\r\n"])
def test_connection_that_dies_in_a_head(way: str, route: str, status: bytes, cut: bytes) -> None:
    """A head without its end is a lost connection, whatever it says so far."""
    good = Answers()

    def script(path: str, before: int) -> bytes:
        return Last(b"HTTP/1.1 " + status + b"\r\n" + cut) if path == route else good(path)

    with raw_server(script) as server:
        check_error(ASKERS[way](server.url, retry=ONCE).error, StreamInterrupted)


# No descriptors left


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open nothing more."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as spare:
        lowest = spare.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "space.invalid"])
def test_no_descriptor_is_left(scheme: str, host: str) -> None:
    """A process that can open no more sockets is told so, wherever it shows."""
    client = Client(f"{scheme}://{host}:1", retry=ONCE)
    with no_descriptors(), pytest.raises(ConnectFailed, match="open no more files") as caught:
        client.ask("Hi")
    check_error(caught.value, ConnectFailed)
    assert "ulimit" in caught.value.hint


@pytest.mark.anyio
async def test_no_descriptor_is_left_on_a_loop() -> None:
    """The async client tells it, too."""
    async with AsyncClient("http://127.0.0.1:1", retry=ONCE) as client:
        with no_descriptors(), pytest.raises(ConnectFailed, match="open no more files"):
            await client.ask("Hi")


# Asks where nothing can be opened, and once more where nobody listens.
_FIRST_CALL = """
import asyncio, os, resource, trio
from qwen72b import AsyncClient, Client, ConnectFailed, Retry

async def drain(results):
    return [result async for result in results]

async def ask_on_a_loop(limit):
    client = AsyncClient("http://127.0.0.1:1", retry=Retry(attempts=1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    await {awaited}

def ask(limit):
    client = Client("http://127.0.0.1:1", retry=Retry(attempts=1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    {code}

limits = resource.getrlimit(resource.RLIMIT_NOFILE)
for limit, words in ((3, "can open no more files"), (limits[0], "did not accept")):
    try:
        {run}
    except ConnectFailed as error:
        assert words in error.reason, error
        assert error.__cause__.__traceback__ is None
    else:
        assert limit > 3 and "map" in {code!r}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
"""


@pytest.mark.parametrize(
    "run", ["ask(limit)", "asyncio.run(ask_on_a_loop(limit))", "trio.run(ask_on_a_loop, limit)"]
)
@pytest.mark.parametrize(
    "code",
    [
        "client.ask('Hi')",
        "client.conversation().ask('Hi')",
        "client.status()",
        "client.describe()",
        "client.stream('Hi').result(progress=True)",
        "client.stream('Hi').display()",
        "list(client.map(['Hi']))",
    ],
)
def test_no_descriptor_is_left_for_the_first_call(code: str, run: str) -> None:
    """What is imported where it is first needed is told of in the same words, and is had later."""
    pytest.importorskip("resource")
    awaited = code.replace("list(", "drain(")
    script = _FIRST_CALL.format(code=code, awaited=awaited, run=run)
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr


# TLS that cannot be


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("kind", ["missing", "no certificate", "empty"])
def test_authorities_that_cannot_be_read(
    way: str, name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that names no file of certificates is named, and nothing is sent."""
    path = tmp_path / "ca.pem"
    if kind != "missing":
        path.write_text("" if kind == "empty" else "nothing of the kind")
    monkeypatch.setenv(name, str(path))
    with raw_server(lambda *_: None) as server:
        error = ASKERS[way](server.url.replace("http", "https"), retry=ONCE).error
        check_error(error, InvalidOption)
        assert name in str(error) and not server.requests
    with FakeSpace() as space:
        assert ASKERS[way](space.url).text, "plain http needs no authorities"


@pytest.mark.parametrize("own_session", [False, True])
def test_certificates_that_have_gone(own_session: bool, tmp_path: Path) -> None:
    """A file of verify= that has gone since is named."""
    path = tmp_path / "ca.pem"
    path.write_text("")
    with requests.Session() as session:
        if own_session:
            session.verify = str(path)
        client = Client(
            "https://127.0.0.1:1",
            session=session if own_session else None,
            verify=None if own_session else str(path),
            retry=ONCE,
        )
        path.unlink()
        with pytest.raises(InvalidOption, match=r"ca\.pem"):
            client.ask("Hi")


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"Invalid HTTP request received.",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
def test_plain_http_under_https(way: str, said: bytes) -> None:
    """A port that speaks no TLS is called that, and no authority is blamed."""
    with once(said) as name:
        error = ASKERS[way](f"https://{name}", retry=ONCE).error
    check_error(error, ConnectFailed)
    assert error.stage == "tls"
    assert "plain" in error.reason and "http://" in error.hint and "CA_BUNDLE" not in str(error)


def test_tls_under_http() -> None:
    """A port that answers with TLS is called no HTTP."""
    alert = Last(b"\x15\x03\x01\x00\x02\x02\x0a")
    with raw_server(lambda *_: alert) as server:
        error = ASKERS["sync"](server.url, retry=ONCE).error
        check_error(error, StreamInterrupted)
        assert "https://" in error.hint


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("line", [b"HTTP/2 200 OK", b"HTTP/3.9 200", b"ICY 200 OK", b"220 mail"])
def test_another_protocol(way: str, line: bytes) -> None:
    """What speaks something else is no connection that was lost."""
    with raw_server(lambda *_: Last(line + b"\r\n\r\n")) as server:
        error = ASKERS[way](server.url, retry=ONCE).error
        check_error(error, StreamInterrupted)
        assert "no HTTP/1.1" in error.reason and "Is the URL right?" in error.hint


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("route", ROUTES)
def test_head_that_makes_no_sense(way: str, route: str) -> None:
    """Nor is a head with two lengths."""
    good = Answers()
    head = b"Content-Length: 7\r\n"
    with raw_server(lambda path, _: good(path, head if path == route else b"")) as server:
        error = ASKERS[way](server.url, retry=ONCE).error
        check_error(error, InvalidServerMessage)
        assert "Content-Length" in error.reason


# Heads without end


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "head", [b"X: y\r\n" * 101, b"X: %b\r\n" % (b"y" * 65536)], ids=["many", "long"]
)
def test_head_that_is_too_large(way: str, route: str, head: bytes) -> None:
    """More headers than 100, or a longer one than 65,536 bytes, are the Space's fault."""
    good = Answers()
    with raw_server(lambda path, _: good(path, head if path == route else b"")) as server:
        error = ASKERS[way](server.url, retry=ONCE).error
        check_error(error, InvalidServerMessage)
        assert "head" in error.reason


# Zones


def _link_local() -> str | None:
    """Find an address of this machine that is only one together with its interface."""
    try:
        with open("/proc/net/if_inet6") as lines:
            fields = [line.split() for line in lines]
    except OSError:
        return None
    for digits, _, _, scope, _, name in fields:
        if scope == "20":
            groups = [digits[at : at + 4] for at in range(0, 32, 4)]
            return f"{':'.join(groups)}%{name}"
    return None


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("separator", ["%25", "%"])
def test_address_with_a_zone(way: str, separator: str) -> None:
    """A link-local address is reached by its zone, which nobody else is told (RFC 6874)."""
    address = _link_local()
    if address is None:
        pytest.skip("no link-local address")
    host, _, zone = address.partition("%")
    with raw_server(conversation(lambda path, good, before: good), host=address) as server:
        port = server.url.rpartition(":")[2]
        answer = ASKERS[way](f"http://[{host}{separator}{zone}]:{port}", retry=ONCE)
        assert (answer.error, answer.text) == (None, "Hello")
        for _, _, _, head in server.requests:
            lines = head.decode().split("\r\n")
            assert lines[1].lower() == f"host: [{host}]:{port}".lower()
            assert zone not in head.decode()


# What a server names


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("asked", ["0", "0.0001", "999999999", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_wait_that_a_waking_space_names(way: str, asked: str) -> None:
    """However soon a Space that comes up says to look again, it is asked a second later."""
    with FakeSpace() as space:
        waking = Respond(
            status=503,
            body="<html><title>Building</title></html>",
            headers={"Retry-After": asked, "Content-Type": "text/html"},
        )
        space.fault("config", waking)
        answer = ASKERS[way](space.url, retry=ONCE, wait_for_space=AMPLE)
        assert answer.error is None
        first, second = space.requests[:2]
        # On the Space's clock, which may note the first a little late.
        assert second.time - first.time > 0.5


def test_wait_of_nothing_between_tries() -> None:
    """Tries that a server wants at once are still some time apart."""
    with FakeSpace() as space:
        space.fault("config", Respond(status=429, headers={"Retry-After": "0"}), times=None)
        retry = Retry(attempts=1000, base=0.0)
        ASKERS["sync"](space.url, retry=retry, timeout=Timeout(total=AMPLE))
        assert 2 <= len(space.requests) <= 1 + AMPLE / 0.1
