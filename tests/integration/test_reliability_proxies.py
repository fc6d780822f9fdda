"""Through proxies, TLS and the caller's own session: the same answers, and the same limits."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import traceback
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import requests
import responses
import trustme
from askers import ASKERS, ONCE, check_error
from raw_server import Last, once, raw_server
from timing import AMPLE, MS, PATIENCE, SHORT

from qwen72b import (
    AsyncClient,
    AsyncStream,
    AuthenticationError,
    Client,
    ConnectFailed,
    HTTPStatusError,
    InvalidOption,
    InvalidServerMessage,
    Qwen72BError,
    RequestTimeout,
    StreamInterrupted,
    Timeout,
)
from qwen72b.testing import (
    Close,
    FakeProxy,
    FakeSocksProxy,
    FakeSpace,
    Gate,
    Pause,
    Reset,
    Respond,
    Send,
    Stall,
)


@dataclass(frozen=True)
class Authority:
    """Certificates, as files and as a server's settings."""

    ca: str
    client: tuple[str, str]
    server: ssl.SSLContext
    strict: ssl.SSLContext
    wrong_name: ssl.SSLContext


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    mine = ca.issue_cert("me@example.org")
    mine.private_key_pem.write_to_path(str(folder / "key.pem"))
    mine.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    contexts = []
    for name in ("127.0.0.1", "127.0.0.1", "other.example"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(name).configure_cert(context)
        contexts.append(context)
    contexts[1].verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(contexts[1])
    return Authority(
        str(folder / "ca.pem"), (str(folder / "cert.pem"), str(folder / "key.pem")), *contexts
    )


@pytest.fixture(params=["http", "https"])
def space(request: pytest.FixtureRequest, authority: Authority) -> Iterator[FakeSpace]:
    """A Space that speaks http, and one that speaks https."""
    with FakeSpace(tls=authority.server if request.param == "https" else None) as space:
        yield space


@pytest.fixture(params=["http", "socks"])
def proxy(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "socks":
        pytest.importorskip("socks")
    with FakeSocksProxy() if request.param == "socks" else FakeProxy() as proxy:
        yield proxy


@pytest.mark.parametrize("way", ASKERS)
def test_proxy_argument(way: str, space: FakeSpace, proxy: Any, authority: Authority) -> None:
    """proxy= is used for every request, with CONNECT for https."""
    answer = ASKERS[way](space.url, proxy=proxy.url, verify=authority.ca)
    assert answer.error is None and answer.text
    host = space.url.partition("//")[2]
    assert set(proxy.targets) == {host}
    if space.url.startswith("https") and isinstance(proxy, FakeProxy):
        assert {request.method for request in proxy.requests} == {"CONNECT"}


@pytest.mark.anyio
@pytest.mark.parametrize("through", [None, FakeProxy])
async def test_streams_on_a_loop_hold_no_thread(
    through: Any, space: FakeSpace, authority: Authority
) -> None:
    """Over TLS and through a proxy too, one thread serves all streams that wait."""
    gate = Gate()
    space.answer("a", gate, "b" * 50_000, "c")
    with through() if through else nullcontext() as proxy:
        options = {"proxy": proxy and proxy.url, "verify": authority.ca, "max_threads": 1}
        async with AsyncClient(space.url, **options) as client:
            streams = [client.stream("hi") for _ in range(3)]
            assert [await anext(stream) for stream in streams] == ["a"] * 3
            rests: list[list[int]] = []

            async def rest(stream: AsyncStream) -> None:
                rests.append([len(chunk) async for chunk in stream])

            async with anyio.create_task_group() as group:
                for stream in streams:
                    group.start_soon(rest, stream)
                await anyio.wait_all_tasks_blocked()
                with anyio.fail_after(PATIENCE):
                    assert (await client.status()).ready
                gate.open()
    assert rests == [[50_000, 1]] * 3


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"])
def test_proxy_of_the_environment(
    name: str, space: FakeSpace, proxy: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's proxies are used, for the schemes that they are for."""
    monkeypatch.setenv(name, proxy.url)
    assert ASKERS["sync"](space.url, verify=authority.ca).text
    meant = name.lower() == "all_proxy" or space.url.startswith(name.partition("_")[0] + ":")
    assert bool(proxy.targets) == meant


def test_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """no_proxy is kept to."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with FakeSpace() as space:
        assert ASKERS["sync"](space.url).text


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_dead_proxy(scheme: str) -> None:
    """A proxy that is not there is ConnectFailed, and the Space is not asked without it."""
    if scheme != "http":
        pytest.importorskip("socks")
    with FakeSpace() as space:
        error = ASKERS["sync"](space.url, proxy=f"{scheme}://127.0.0.1:1", retry=ONCE).error
        check_error(error, ConnectFailed)
        assert error.stage in ("proxy", "tcp")
        assert not space.requests


def test_proxy_with_a_password(authority: Authority) -> None:
    """A proxy's user and password are sent to the proxy, and not to the Space."""
    with FakeSpace(tls=authority.server) as space, FakeProxy(auth=("user", "pass")) as proxy:
        url = proxy.url.replace("//", "//user:pass@")
        assert ASKERS["sync"](space.url, proxy=url, verify=authority.ca).text
        assert all("proxy-authorization" not in request.headers for request in space.requests)
        error = ASKERS["sync"](space.url, proxy=proxy.url, verify=authority.ca, retry=ONCE).error
        check_error(error, ConnectFailed)
        assert error.stage == "proxy"


@pytest.mark.parametrize(
    "steps",
    [[Reset()], [Close()], [Send(b"garbage\r\n\r\n"), Close()], [Respond(status=502)]],
    ids=str,
)
def test_proxy_that_fails(steps: Any, authority: Authority) -> None:
    """A proxy that does not open the tunnel is a typed error."""
    with FakeSpace(tls=authority.server) as space, FakeProxy() as proxy:
        proxy.fault(*steps)
        error = ASKERS["sync"](space.url, proxy=proxy.url, verify=authority.ca, retry=ONCE).error
        assert isinstance(error, (ConnectFailed, StreamInterrupted)), error
        check_error(error, type(error))
        assert error.__cause__ is not None


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("own_session", [False, True])
@pytest.mark.parametrize("status", [403, 407, 502, 503, 504])
def test_refusal_of_a_proxy(
    way: str, own_session: bool, status: int, space: FakeSpace, authority: Authority
) -> None:
    """A proxy's refusal names the proxy, without its password, and asks for no token."""
    with FakeProxy() as proxy, requests.Session() as session:
        proxy.fault(Respond(status=status, headers={"Connection": "close"}))
        url = proxy.url.replace("//", "//user:SECRET@")
        options: dict[str, Any] = {"proxy": url, "verify": authority.ca}
        if own_session:
            session.proxies = {"http": url, "https": url}
            session.verify = authority.ca
            options = {"session": session}
        error = ASKERS[way](space.url, retry=ONCE, **options).error
        assert proxy.url.partition("//")[2] in error.reason
        assert "SECRET" not in f"{error} {error!r}" and "token" not in str(error)
        if space.url.startswith("https") or status == 407:
            check_error(error, ConnectFailed)
            assert error.stage == "proxy"
        else:
            check_error(error, HTTPStatusError)
        if status == 407:
            assert "user:password@" in error.hint


EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


class HastyProxy(FakeProxy):
    """A proxy that sends something ahead of its answer; on https that is the tunnel's."""

    def __init__(self, ahead: bytes) -> None:
        self.ahead = ahead
        super().__init__()

    def _handle(self, connection: Any) -> None:
        connection.send(self.ahead)
        super()._handle(connection)


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    "ahead",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 100 Continue\r\nVia: 1.1 proxy\r\n\r\n",
        b"HTTP/1.1 102 Processing\n\n",
        b"HTTP/1.1 199 What\r\nContent-Length: 5\r\n\r\n",
        EARLY + b"HTTP/1.1 100\r\n\r\n" + EARLY * 20,
    ],
    ids=repr,
)
def test_answers_ahead_of_a_proxys(way: str, tls: bool, ahead: bytes, authority: Authority) -> None:
    """1xx answers of a proxy are skipped, ahead of its "Connection established" too."""
    with FakeSpace(tls=authority.server if tls else None) as space, HastyProxy(ahead) as proxy:
        answer = ASKERS[way](space.url, proxy=proxy.url, verify=authority.ca, retry=ONCE)
        assert answer.error is None
        assert answer.text
        assert proxy.targets


@pytest.mark.parametrize(
    ("ahead", "kind", "words"),
    [
        (EARLY * 1000, InvalidServerMessage, "ahead of the final one"),
        (EARLY[:-2] + b"X: y\r\n" * 1000 + b"\r\n", InvalidServerMessage, "100 headers"),
        (EARLY[:-4] + b"x" * 100_000 + b"\r\n\r\n", InvalidServerMessage, "header line"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", ConnectFailed, "101 Switching"),
    ],
    ids=["endless", "many headers", "long header", "switching"],
)
def test_answers_ahead_of_a_tunnel_have_an_end(
    ahead: bytes, kind: type[Qwen72BError], words: str, authority: Authority
) -> None:
    """What comes ahead is no answer, and there is a limit to it; the proxy is named."""
    with FakeSpace(tls=authority.server) as space, HastyProxy(ahead) as proxy:
        error = ASKERS["sync"](
            space.url, proxy=proxy.url, verify=authority.ca, retry=ONCE, timeout=PATIENCE
        ).error
        check_error(error, kind)
        assert words in error.reason
        assert proxy.url.removeprefix("http://") in error.reason


def test_refusal_behind_a_tunnel(authority: Authority) -> None:
    """What a Space says through TLS is its own word, and no proxy is blamed."""
    with FakeSpace(tls=authority.server) as space, FakeProxy() as proxy:
        space.fault("config", Respond(status=403))
        error = ASKERS["sync"](space.url, proxy=proxy.url, verify=authority.ca, retry=ONCE).error
        check_error(error, AuthenticationError)
        assert "proxy" not in error.reason


def test_tls_to_a_proxy_that_speaks_none(authority: Authority) -> None:
    """A proxy whose URL says https, wrongly, is told so."""
    with FakeSpace(tls=authority.server) as space:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            host = "127.0.0.1:{1}".format(*listener.getsockname())

            def refuse() -> None:
                sock, _ = listener.accept()
                with sock:
                    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    with suppress(ConnectionError):
                        while sock.recv(65536):
                            pass

            thread = threading.Thread(target=refuse)
            thread.start()
            error = ASKERS["sync"](
                space.url, proxy=f"https://{host}", verify=authority.ca, retry=ONCE
            ).error
            thread.join()
        check_error(error, ConnectFailed)
        assert error.stage == "proxy" and host in error.reason and "http://" in error.hint


def test_silent_space_behind_a_proxy(space: FakeSpace, proxy: Any, authority: Authority) -> None:
    """The clocks hold behind proxies, too."""
    space.answer("Hel", Stall())
    answer = ASKERS["sync"](
        space.url, proxy=proxy.url, verify=authority.ca, timeout=Timeout(total=AMPLE)
    )
    check_error(answer.error, RequestTimeout, "Hel")


def test_slow_tls_behind_a_proxy(proxy: Any, authority: Authority) -> None:
    """A TLS handshake has as much time behind a proxy as without one."""
    with FakeSpace(tls=authority.server) as space:
        space.fault("connect", Pause(300 * MS))
        answer = ASKERS["sync"](space.url, proxy=proxy.url, verify=authority.ca, retry=ONCE)
        assert answer.error is None and answer.text


def test_silent_socks_proxy() -> None:
    """The connect clock covers a SOCKS proxy that says nothing."""
    pytest.importorskip("socks")
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = "socks5h://{}:{}".format(*server.getsockname())
        error = ASKERS["sync"](
            "http://space.invalid", proxy=proxy, timeout=Timeout(connect=SHORT)
        ).error
        check_error(error, RequestTimeout)
        assert error.phase == "connect"


@pytest.mark.parametrize("proxy", ["", "nonsense://host", "http://", "http://h:99999", 7], ids=repr)
def test_impossible_proxy(proxy: Any) -> None:
    """A proxy that is none is refused before any I/O."""
    with pytest.raises(InvalidOption):
        Client("http://127.0.0.1:1", proxy=proxy)


@pytest.mark.parametrize("own_session", [True, False])
@pytest.mark.parametrize(
    "proxy",
    [
        "http://[::1",
        "http://user:hunter2@host:port",
        "ftp://host",
        "http://user:hunter2@",
        "@@",
        "http:///path",
        "?",
        "socks9://host",
        "socks5h://user:hunter2@",
    ],
)
def test_impossible_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, proxy: str, own_session: bool
) -> None:
    """It is the proxy that is malformed, not the Space's URL."""
    monkeypatch.setenv("http_proxy", proxy)
    with requests.Session() as session:
        options: dict[str, Any] = {} if own_session else {"session": session}
        error = ASKERS["sync"]("http://space.invalid", retry=ONCE, **options).error
    check_error(error, InvalidOption)
    assert "proxy" in error.reason
    assert "hunter2" not in "".join(traceback.format_exception(error))


def test_socks_proxy_that_is_not_there() -> None:
    """It is the proxy that refuses, not the Space."""
    pytest.importorskip("socks")
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = "{}:{}".format(*server.getsockname())
    error = ASKERS["sync"]("http://space.invalid", proxy=f"socks5h://{name}", retry=ONCE).error
    check_error(error, ConnectFailed)
    assert error.stage == "proxy"
    assert f"the proxy {name} " in error.reason


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "said",
    [b"", b"\0\xff\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1 2x0 OK\r\n"],
)
def test_proxy_that_says_something_odd(scheme: str, said: bytes) -> None:
    """It is named, and how to change it is told where it cannot have been the Space."""
    with raw_server(lambda *_: Last(said)) as proxy:
        name = proxy.url.partition("//")[2]
        url = f"{scheme}://space.invalid"
        error = ASKERS["sync"](url, proxy=f"http://user:hunter2@{name}", retry=ONCE).error
    assert isinstance(error, (ConnectFailed, StreamInterrupted))
    assert f"the proxy {name}" in error.reason
    assert "https://" not in error.hint and "hunter2" not in str(error)


@pytest.mark.parametrize("said", [b"\0\x5a\0\0\0\0\0\0", b"\x05\xff", b"HTTP/1.1 400 x\r\n\r\n"])
def test_socks_proxy_that_says_something_odd(said: bytes) -> None:
    """It is named, too."""
    pytest.importorskip("socks")
    with once(said) as name:
        error = ASKERS["sync"]("http://127.0.0.1:1", proxy=f"socks5h://{name}", retry=ONCE).error
    check_error(error, ConnectFailed)
    assert f"the proxy {name} " in error.reason


def test_proxy_without_a_scheme() -> None:
    """host:port is an http proxy."""
    with FakeSpace() as space, FakeProxy() as proxy:
        assert ASKERS["sync"](space.url, proxy=proxy.url.partition("//")[2]).text
        assert proxy.targets


# TLS


@pytest.mark.parametrize("way", ASKERS)
def test_verify(way: str, authority: Authority) -> None:
    """verify= names the authorities, or turns the check off."""
    with FakeSpace(tls=authority.server) as space:
        assert ASKERS[way](space.url, verify=authority.ca).text
        error = ASKERS[way](space.url, retry=ONCE).error
        check_error(error, ConnectFailed)
        assert error.stage == "tls"


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_verify_off(authority: Authority) -> None:
    """verify=False checks nothing, as in requests, which warns."""
    with FakeSpace(tls=authority.wrong_name) as space:
        assert ASKERS["sync"](space.url, verify=False).text


def test_certificate_of_another_host(authority: Authority) -> None:
    """A certificate for another name is ConnectFailed at stage tls, and nothing is sent."""
    with FakeSpace(tls=authority.wrong_name) as space:
        error = ASKERS["sync"](space.url, verify=authority.ca, retry=ONCE).error
        check_error(error, ConnectFailed)
        assert error.stage == "tls" and not space.requests


def test_authorities_of_the_environment(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE is kept to, and verify= wins over it."""
    with FakeSpace(tls=authority.server) as space:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority.ca)
        assert ASKERS["sync"](space.url).text
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", __file__)
        assert ASKERS["sync"](space.url, verify=authority.ca).text


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("option", ["verify", "cert", "variable"])
@pytest.mark.parametrize("kind", ["gone", "garbage"])
def test_certificates_that_go_between_two_questions(
    kind: str,
    option: str,
    variable: bool,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file that is of no use any more is named, and whoever named it."""
    path = tmp_path / "mine.pem"
    source = authority.client[0] if option == "cert" else authority.ca
    path.write_bytes(Path(source).read_bytes())
    options: dict[str, Any] = {"verify": authority.ca}
    if option == "cert":
        options["cert"] = (str(path), authority.client[1])
    elif option == "verify":
        options["verify"] = str(path)
    else:
        options = {}
    if variable or option == "variable":
        named = path if option == "variable" else authority.ca
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(named))
    with FakeSpace(tls=authority.server) as space, Client(space.url, retry=ONCE, **options) as it:
        # Its connections are not kept: the next question reads the files again.
        space.fault("stream", Respond(status=404, headers={"Connection": "close"}))
        space.fault("join", Respond(status=404, headers={"Connection": "close"}))
        with pytest.raises(HTTPStatusError):
            it.ask("Hi")
        path.unlink()
        if kind == "garbage":
            path.write_text("nothing of the kind")
        with pytest.raises(InvalidOption) as caught:
            it.ask("Hi")
    assert str(path) in str(caught.value)
    assert ("REQUESTS_CA_BUNDLE" in str(caught.value)) is (option == "variable")
    assert ("verify=" in str(caught.value)) is (option != "variable")


@pytest.mark.parametrize("way", ASKERS)
def test_client_certificate(way: str, authority: Authority) -> None:
    """cert= is shown to a Space that asks for it."""
    with FakeSpace(tls=authority.strict) as space:
        assert ASKERS[way](space.url, verify=authority.ca, cert=authority.client).text
        error = ASKERS[way](space.url, verify=authority.ca, retry=ONCE).error
        assert isinstance(error, (ConnectFailed, StreamInterrupted))


@pytest.mark.parametrize(
    "options",
    [{"verify": "/no/such"}, {"cert": "/no/such"}, {"cert": ("/no/such", "/no")}, {"verify": 7}],
    ids=str,
)
def test_files_that_are_missing(options: Any) -> None:
    """A file of certificates that is not there is refused before any I/O."""
    with pytest.raises(InvalidOption):
        Client("https://127.0.0.1:1", **options)


def test_plain_http_where_tls_is_due(authority: Authority) -> None:
    """TLS to a plain server, and plain http to a TLS server, are typed errors."""
    with FakeSpace() as space:
        space.fault("connect", Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Close())
        error = ASKERS["sync"](space.url.replace("http", "https"), retry=ONCE).error
        check_error(error, ConnectFailed)
        assert error.stage == "tls"
    with FakeSpace(tls=authority.server) as space:
        error = ASKERS["sync"](space.url.replace("https", "http"), retry=ONCE).error
        assert isinstance(error, (ConnectFailed, StreamInterrupted))


@pytest.mark.parametrize("end", ["close", "reset", "stall"])
def test_tls_stream_that_is_cut(end: str, authority: Authority) -> None:
    """A cut within TLS is StreamInterrupted with what had come; silence ends by the clock."""
    step = {"close": Close(), "reset": Reset(), "stall": Stall()}[end]
    with FakeSpace(tls=authority.server) as space:
        space.answer("Hel", step)
        error = ASKERS["sync"](space.url, verify=authority.ca, timeout=Timeout(total=AMPLE)).error
        check_error(error, RequestTimeout if end == "stall" else StreamInterrupted, "Hel")


# The caller's own session


def test_session_settings_are_used(authority: Authority) -> None:
    """A session's own verify, cert, proxies, headers, hooks and adapters are kept to."""
    with FakeSpace(tls=authority.strict) as space, FakeProxy() as proxy, requests.Session() as own:
        own.verify, own.cert = authority.ca, authority.client
        own.proxies = {"https": proxy.url}
        own.headers["X-Mine"] = "yes"
        heard = []
        own.hooks["response"].append(lambda response, **_: heard.append(response.status_code))
        assert Client(space.url, session=own).ask("Hi")
        assert proxy.targets and heard == [200, 200, 200]
        assert all(request.headers["x-mine"] == "yes" for request in space.requests)


def test_session_over_tls_is_closed_promptly(authority: Authority) -> None:
    """Hanging up works on the caller's session over TLS, too."""
    with FakeSpace(tls=authority.server) as space, requests.Session() as own:
        own.verify = authority.ca
        space.answer("Hel", Stall())
        client = Client(space.url, session=own)
        stream = client.stream("Hi")
        assert next(stream) == "Hel"
        stream.close()
        space.wait_for_disconnect()


@pytest.mark.parametrize("own_session", [False, True])
def test_mocked_requests(own_session: bool) -> None:
    """Tests of other people that mock requests see the whole conversation."""
    url = "http://space.test"
    with FakeSpace("4.12.0") as space:
        config = space.config
    done = {
        "msg": "process_completed",
        "event_id": "e",
        "success": True,
        "output": {"data": ["", [["Hi", "Hello"]], ""]},
    }
    with responses.RequestsMock() as mock:
        mock.get(f"{url}/config", json=config)
        mock.post(f"{url}/queue/join", json={"event_id": "e"})
        body = f"data: {json.dumps(done)}\n\n"
        mock.get(f"{url}/queue/data", body=body, content_type="text/event-stream")
        session = requests.Session() if own_session else None
        assert Client(url, session=session).ask("Hi") == "Hello"
        sent = mock.calls[0].request.headers
        assert sent["user-agent"].startswith("qwen72b/") and "ACCEPT" in sent
        assert sent.get("x-nothing") is None and "x-nothing" not in sent


def test_session_that_is_none() -> None:
    """Anything but a requests.Session is refused before any I/O."""
    with pytest.raises(InvalidOption):
        Client("http://127.0.0.1:1", session=requests)
