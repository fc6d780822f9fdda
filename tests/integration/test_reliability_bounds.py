"""What a server sends costs a bounded amount of memory, on each way that it comes."""

from __future__ import annotations

import gzip
import resource
from typing import Any

import pytest
import requests
from askers import ASKERS, ONCE, check_error
from raw_server import Answers, raw_server

from qwen72b import AsyncClient, Client, HTTPStatusError, InvalidServerMessage, Qwen72BError
from qwen72b.testing import FakeSpace, Respond

ROUTES = ["/config", "/queue/join", "/queue/data"]


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """400 kB that become 400 MB."""
    return gzip.compress(bytes(400 << 20), 9)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _redirect(bomb: bytes, location: bytes, status: int = 302) -> bytes:
    return (
        b"HTTP/1.1 %d Found\r\nLocation: %b\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        % (status, location, len(bomb))
    ) + bomb


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("own_session", [False, True])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("status", [302, 307])
def test_body_of_a_redirect(
    way: str, own_session: bool, route: str, status: int, bomb: bytes
) -> None:
    """A redirect's body is read within bounds, by a caller's session too."""
    good = Answers()
    elsewhere = b"http://127.0.0.1:1/there"

    def script(path: str, before: int) -> bytes:
        return _redirect(bomb, elsewhere, status) if path == route else good(path)

    with raw_server(script) as server, requests.Session() as session:
        before = _peak()
        error = ASKERS[way](server.url, retry=ONCE, session=session if own_session else None).error
        assert isinstance(error, (HTTPStatusError, InvalidServerMessage)), repr(error)
        assert _peak() - before < 150


@pytest.mark.parametrize("own_session", [False, True])
@pytest.mark.parametrize(
    "location", [b"http://[", b"http://h:port/", b"//[::1", b"\xff\xfe", b"http://\xe9[/", b""]
)
def test_malformed_target_of_a_redirect(own_session: bool, location: bytes) -> None:
    """A redirect to what is no URL is a typed error."""
    said = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location
    with raw_server(lambda *_: said) as server, requests.Session() as session:
        error = ASKERS["sync"](
            server.url, retry=ONCE, session=session if own_session else None
        ).error
        check_error(error, HTTPStatusError)
        assert error.status_code == 302


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("location", ["/config", "?again", "//HOST/config"])
def test_redirect_to_itself(way: str, location: str) -> None:
    """It is told as one that does not end, not as one to elsewhere."""
    with FakeSpace() as space:
        target = location.replace("HOST", space.url.partition("//")[2])
        space.fault("config", Respond(status=307, headers={"Location": target}), times=None)
        error = ASKERS[way](space.url, retry=ONCE).error
    check_error(error, HTTPStatusError)
    assert "redirects to itself" in error.reason
    assert "base_url" not in error.hint


@pytest.mark.parametrize("status", [300, 304, 307])
@pytest.mark.parametrize("head", [b"", b"Location: \r\n"])
def test_redirect_to_nowhere(status: int, head: bytes) -> None:
    """What names no other place is a status like any other, asked for once."""
    said = b"HTTP/1.1 %d Odd\r\nContent-Length: 0\r\n%b\r\n" % (status, head)
    with raw_server(lambda *_: said) as server:
        error = ASKERS["sync"](server.url, retry=ONCE).error
        check_error(error, HTTPStatusError)
        assert error.status_code == status
        assert "redirect" not in error.reason and "base_url" not in error.hint
        assert len(server.paths) == 1


def test_redirect_within_the_space_on_a_callers_session() -> None:
    """A redirect that is followed is followed on a caller's session too, with its own hooks."""
    with FakeSpace() as space, requests.Session() as session:
        space.fault("join", Respond(status=307, headers={"Location": "/queue/join?"}))
        heard: list[tuple[int, bool]] = []

        def hear(response: requests.Response, **_: Any) -> None:
            heard.append((response.status_code, response.is_redirect))

        session.hooks["response"] = hear
        assert Client(space.url, session=session).ask("Hi")
        assert heard == [(200, False), (307, True), (200, False), (200, False)]
        assert session.hooks["response"] is hear


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
)
def test_redirects_that_never_end(framing: bytes) -> None:
    """A few are followed, and the last one is told as what it is."""
    said = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /config\r\n" + framing
    with raw_server(lambda *_: said) as server:
        error = ASKERS["sync"](server.url).error
        check_error(error, HTTPStatusError)
        assert error.status_code == 307
        assert server.paths == ["/config"] * 5


# Cookies


def _cookies(space: FakeSpace, **cookies: str) -> None:
    for name, value in cookies.items():
        headers = {"Set-Cookie": f"{name}={value}; Path=/"}
        space.fault("join", Respond(status=429, headers=headers))


def _sent(space: FakeSpace) -> dict[str, str]:
    return space.requests[-1].cookies


def test_cookies_do_not_pile_up() -> None:
    """However many cookies a Space sets, the newest are kept, and not more than a head takes."""
    with FakeSpace() as space:
        client = Client(space.url, retry=ONCE)
        for number in range(120):
            _cookies(space, **{f"c{number}": "x" * 100})
            with pytest.raises(Qwen72BError):
                client.ask("Hi")
        client.ask("Hi")
        names = list(_sent(space))
        assert "c119" in names and "c0" not in names
        assert 20 <= len(names) <= 50
        for number in range(20):
            _cookies(space, **{f"long{number}": "y" * 3000})
            with pytest.raises(Qwen72BError):
                client.ask("Hi")
        client.ask("Hi")
        assert len(space.requests[-1].headers["cookie"]) < 10_000
        assert "long19" in _sent(space)


def test_cookie_that_is_set_again_is_new() -> None:
    """A cookie that a Space keeps setting stays, however old it is."""
    with FakeSpace() as space:
        client = Client(space.url, retry=ONCE)
        for number in range(60):
            _cookies(space, **{f"c{number}": "x"})
            with pytest.raises(Qwen72BError):
                client.ask("Hi")
            _cookies(space, replica=str(number))
            with pytest.raises(Qwen72BError):
                client.ask("Hi")
        client.ask("Hi")
        assert _sent(space)["replica"] == "59"


def test_cookie_that_is_too_long() -> None:
    """A cookie that no browser would take is not kept, and does no harm to the others."""
    with FakeSpace() as space:
        client = Client(space.url, retry=ONCE)
        _cookies(space, replica="a", huge="z" * 60_000)
        for _ in range(2):
            with pytest.raises(Qwen72BError):
                client.ask("Hi")
        client.ask("Hi")
        assert _sent(space) == {"replica": "a"}


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize(
    "attributes", [b";" * 60_000, b"; expires=1 a 1" + b" " * 60_000 + b"!", b"; a=b" * 12_000]
)
def test_attributes_of_a_cookie_that_are_too_long(way: str, attributes: bytes) -> None:
    """A cookie with attributes that no server sends is not taken apart, which would cost seconds."""
    good = Answers()
    head = b"Set-Cookie: small=1\r\n"
    head += b"".join(b"Set-Cookie: a%d=b%b\r\n" % (number, attributes) for number in range(90))
    with raw_server(lambda path, _: good(path, head)) as server:
        assert ASKERS[way](server.url, retry=ONCE).error is None
        sent = b"".join(request for *_, request in server.requests)
        assert b"Cookie: small=1\r\n" in sent
        assert b"a0=b" not in sent and b"a89=b" not in sent


@pytest.mark.anyio
async def test_cookies_on_a_loop() -> None:
    """The async client's cookies do not pile up either."""
    with FakeSpace() as space:
        async with AsyncClient(space.url, retry=ONCE) as client:
            for number in range(60):
                _cookies(space, **{f"c{number}": "x" * 1000})
                with pytest.raises(Qwen72BError):
                    await client.ask("Hi")
            await client.ask("Hi")
        assert len(space.requests[-1].headers["cookie"]) < 10_000
        assert "c59" in _sent(space)
