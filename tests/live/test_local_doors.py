"""The local Space is this machine's: other pages, other routes and giants stay outside."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from qwen72b import Client
from qwen72b.errors import InvalidOption
from qwen72b.local import backend, running

pytest.importorskip("gradio", minversion="5.50")

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*' parameter in .* will be removed"),
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
    pytest.mark.filterwarnings("ignore:'HTTP_422_UNPROCESSABLE_ENTITY' is deprecated"),
]


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """In place of the suite's check: the module's Spaces run in this process, between its tests."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(backend("echo")) as url:
        yield url


@pytest.fixture(scope="module")
def proxied() -> Iterator[str]:
    """A Space that stands behind a reverse proxy."""
    with running(backend("echo"), allow_hosts=["chat.example", "2001:db8::1"]) as url:
        yield url


def ask(
    url: str,
    path: str = "/config",
    method: str = "GET",
    body: Any = None,
    headers: Any = (),
    host: str | None = "",
) -> tuple[int, bytes]:
    """One request whose headers are all the test's own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if host is not None:
            connection.putheader("Host", host or parts.netloc)
        for name, value in headers:
            connection.putheader(name, value)
        if isinstance(body, bytes):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        if isinstance(body, bytes):
            connection.send(body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


PORT = "{port}"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"]
)
def test_names_of_this_machine(url: str, host: str) -> None:
    """A loopback Space answers to the names of this machine, with its port."""
    assert ask(url, host=host.format(port=urlsplit(url).port))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "evil.example",
        "127.0.0.1",
        "localhost",
        "localhost:1",
        "localhost.evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "user@localhost:{port}",
        "localhost:{port}, evil.example",
        "[::2]:{port}",
        "127.0.0.1:{port}x",
        "chat.example",
        " ",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/config"), ("POST", "/gradio_api/queue/join"), ("GET", "/")]
)
def test_name_of_another_page(url: str, host: str, method: str, path: str) -> None:
    """Any other name is that of a web page that points here (DNS rebinding)."""
    status, body = ask(url, path, method, b"{}", host=host.format(port=urlsplit(url).port))
    assert status in (400, 403), body
    assert b"model_chat" not in body


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "", "file://", "x"],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/config"), ("POST", "/gradio_api/queue/join")]
)
def test_origin_of_another_page(url: str, origin: str, method: str, path: str) -> None:
    """A page of another origin may neither ask nor read."""
    assert ask(url, path, method, b"{}", [("Origin", origin)])[0] == 403


def test_own_origin(url: str) -> None:
    """The Space's own page may, and so may programs, which have no origin."""
    assert ask(url, headers=[("Origin", url)])[0] == 200
    port = urlsplit(url).port
    names = [("Origin", f"http://localhost:{port}")]
    assert ask(url, headers=names, host=f"localhost:{port}")[0] == 200
    with Client(url, token=False) as client:
        assert client.ask("Hi")


def test_allowed_names(proxied: str) -> None:
    """A reverse proxy's name is answered at any port, and is an origin; others still are not."""
    for host in ("chat.example", "CHAT.example:443", "[2001:db8::1]", urlsplit(proxied).netloc):
        assert ask(proxied, host=host)[0] == 200
    origin = [("Origin", "https://chat.example")]
    assert ask(proxied, headers=origin)[0] == 200
    assert ask(proxied, headers=origin, host="chat.example")[0] == 200
    assert ask(proxied, host="evil.example")[0] == 403
    assert ask(proxied, headers=[("Origin", "https://evil.example")])[0] == 403


def test_everywhere() -> None:
    """Where it listens on all addresses nobody knows its names; origins are checked."""
    with running(backend("echo"), host="0.0.0.0") as url:
        assert ask(url, host="box.lan:7860")[0] == 200
        assert ask(url, host="box.lan", headers=[("Origin", "http://box.lan")])[0] == 200
        assert ask(url, host="box.lan", headers=[("Origin", "http://evil.example")])[0] == 403


@pytest.mark.parametrize("name", ["a b", "host:80", "", "http://x"])
def test_names_that_are_none(name: str) -> None:
    """What is no name of a host is refused."""
    with pytest.raises(InvalidOption), running(backend("echo"), allow_hosts=[name]):
        pass


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/upload"),
        ("POST", "/upload"),
        ("GET", "/gradio_api/upload_progress?upload_id=x"),
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/file/etc/passwd"),
        ("GET", "/gradio_api/proxy=http://127.0.0.1/"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/run/model_chat"),
        ("POST", "/gradio_api/call/model_chat"),
        ("POST", "/gradio_api/api/model_chat"),
        ("POST", "/gradio_api/stream/x"),
        ("GET", "/gradio_api/runs"),
        ("GET", "/monitoring"),
        ("GET", "/openapi.json"),
        ("POST", "/login"),
        ("PUT", "/config"),
        ("DELETE", "/"),
        ("OPTIONS", "/gradio_api/queue/join"),
        ("GET", "/gradio_api/queue/join/../upload"),
    ],
)
def test_what_a_chat_does_not_need(url: str, method: str, path: str) -> None:
    """Upload and all the rest of Gradio is closed."""
    status, body = ask(url, path, method, b"x" if method == "POST" else None)
    assert (status, json.loads(body)["detail"]) == (404, "the local Space has no such thing.")


def test_page_and_its_files(url: str) -> None:
    """The page, its scripts, and the fonts of its theme are there."""
    status, page = ask(url, "/")
    assert status == 200 and b"local Space" in page
    status, css = ask(url, "/theme.css")
    assert status == 200
    paths = {part.split(b")")[0].strip(b"'\"") for part in css.split(b"url(")[1:]}
    fonts = [path for path in paths if path.startswith((b"static", b"/static"))]
    for path in fonts:
        assert ask(url, "/" + path.decode().lstrip("/"))[0] in (200, 404)
    scripts = [part.split(b'"')[0] for part in page.split(b'src="')[1:]]
    for script in scripts:
        if script.startswith((b"./assets", b"/assets", b"assets")):
            assert ask(url, "/" + script.decode().lstrip("./"))[0] == 200


@pytest.mark.parametrize("told", [True, False])
def test_request_that_holds_too_much(url: str, told: bool) -> None:
    """A body beyond the bound is refused, whether its length is told or not."""
    body = b'{"data": ["' + b"x" * (5 * 1024 * 1024) + b'"]}'
    path = "/gradio_api/queue/join"
    if told:
        status, words = ask(url, path, "POST", headers=[("Content-Length", str(len(body)))])
    else:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
        try:
            connection.request(
                "POST", path, pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
            )
        except (BrokenPipeError, ConnectionResetError):
            pass
        response = connection.getresponse()
        status, words = response.status, response.read()
        connection.close()
    assert status == 413, words
    with Client(url, token=False) as client:
        assert client.ask("x" * 100_000)
