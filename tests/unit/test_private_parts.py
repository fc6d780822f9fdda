"""
Canaries: the private parts of others that we stand on are still there.

One test for each, by the part's name. If one fails after an update of a library,
look up the part in the table of private parts (the contributor's guide), and
mend what stands on it before the update reaches anybody.
"""

from __future__ import annotations

import argparse
import ast
import http.client
import inspect
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from timing import PATIENCE
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import ssl_

import qwen72b

RESPONSE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n"


class Reached(Exception):
    """The private part was used."""


def fail(*_: Any, **__: Any) -> Any:
    raise Reached


@pytest.fixture
def response() -> Iterator[tuple[socket.socket, urllib3.HTTPResponse]]:
    """A response whose body has only begun to come, and the socket that it comes from."""
    ours, theirs = socket.socketpair()
    connection = HTTPConnection("space.invalid")
    connection.sock = ours
    with ours, theirs:
        theirs.sendall(RESPONSE)
        connection.request("GET", "/", preload_content=False)
        answer = connection.getresponse()
        yield ours, answer
        answer.close()
        connection.close()


# urllib3


@pytest.mark.parametrize("kind", [HTTPConnection, HTTPSConnection])
def test_urllib3_new_conn(kind: type[HTTPConnection], monkeypatch: pytest.MonkeyPatch) -> None:
    """connect() gets its socket from _new_conn: our override bounds name lookup and connecting."""
    monkeypatch.setattr(kind, "_new_conn", fail)
    with pytest.raises(Reached):
        kind("127.0.0.1", 1, timeout=1).connect()


def test_urllib3_new_conn_gives_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """What _new_conn returns is the connection's sock: it knows the call that it belongs to."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(HTTPConnection, "_new_conn", lambda self: ours)
    connection = HTTPConnection("127.0.0.1", 1)
    with ours, theirs:
        connection.connect()
        assert connection.sock is ours
        connection.close()


def test_urllib3_new_conn_through_socks() -> None:
    """SOCKSConnection talks to its proxy in _new_conn: we do the same in a thread to be left."""
    pytest.importorskip("socks", reason="needs the extra socks")
    from urllib3.contrib.socks import SOCKSConnection

    assert "_new_conn" in vars(SOCKSConnection)
    assert issubclass(SOCKSConnection, HTTPConnection)


def test_urllib3_dns_host() -> None:
    """_dns_host is the host as it was given: with the dot at its end that ends the search."""
    assert HTTPConnection("space.invalid.")._dns_host == "space.invalid."


def test_urllib3_ssl_context() -> None:
    """A context set before connect() is used: ours makes sockets that know their call."""
    context = ssl_.create_urllib3_context(cert_reqs=ssl_.resolve_cert_reqs(None))
    assert isinstance(context, ssl.SSLContext)
    context.wrap_socket = fail  # type: ignore[method-assign]
    ours, theirs = socket.socketpair()
    connection = HTTPSConnection("127.0.0.1", 1)
    assert connection.ssl_context is None
    connection.ssl_context = context
    connection._new_conn = lambda: ours  # type: ignore[method-assign]
    with ours, theirs, pytest.raises(Reached):
        connection.connect()


def test_urllib3_original_response(response: Any) -> None:
    """_original_response is http.client's: its reader holds what came with the head."""
    _, answer = response
    assert isinstance(answer._original_response, http.client.HTTPResponse)


def test_urllib3_length_remaining(response: Any) -> None:
    """length_remaining is None for a body without a length: it may be received directly."""
    _, answer = response
    assert answer.length_remaining is None


def test_urllib3_pools() -> None:
    """PoolManager.pools can be listed and asked: closing a client closes every pool in it."""
    manager = urllib3.PoolManager()
    pool = manager.connection_from_url("http://space.invalid")
    assert [manager.pools.get(key) for key in manager.pools.keys()] == [pool]  # noqa: SIM118
    assert manager.pools.get("no such pool") is None


def test_urllib3_pool_classes_by_scheme() -> None:
    """PoolManager takes its pools from pool_classes_by_scheme: ours have our connections."""

    class Pool(urllib3.HTTPConnectionPool):
        pass

    manager = urllib3.PoolManager()
    manager.pool_classes_by_scheme = {"http": Pool}
    assert type(manager.connection_from_url("http://space.invalid")) is Pool


# http.client and socket


def test_http_client_fp(response: Any) -> None:
    """HTTPResponse.fp is a buffered reader: peek() gives what came together with the head."""
    _, answer = response
    assert answer._original_response.fp.peek() == b"5\r\nearly\r\n"


def test_http_client_chunked(response: Any) -> None:
    """HTTPResponse.chunked tells the framing of the body that we take apart ourselves."""
    _, answer = response
    assert answer._original_response.chunked is True


@contextmanager
def _connection(response_class: Any) -> Iterator[HTTPConnection]:
    """Give a connection to a peer that says nothing, which makes such responses."""
    ours, theirs = socket.socketpair()
    connection = HTTPConnection("127.0.0.1", 1)
    connection.response_class = response_class
    connection._new_conn = lambda: ours  # type: ignore[method-assign]
    with ours, theirs:
        yield connection
        connection.close()


def test_http_client_response_class() -> None:
    """HTTPConnection makes its response of response_class, and has it read its own head."""

    class Response(http.client.HTTPResponse):
        def begin(self) -> None:
            raise Reached

    with _connection(Response) as connection:
        connection.request("GET", "/")
        with pytest.raises(Reached):
            connection.getresponse()


@pytest.mark.parametrize("tunnel", [False, True])
def test_http_client_read_status(tunnel: bool) -> None:
    """HTTPResponse._read_status is asked for the status of every head, a proxy's too."""

    class Response(http.client.HTTPResponse):
        def _read_status(self) -> Any:
            raise Reached

    with _connection(Response) as connection:
        if tunnel:
            connection.set_tunnel("space.invalid", 443)
        with pytest.raises(Reached):
            connection.request("GET", "/")
            connection.getresponse()


def test_http_client_begin() -> None:
    """HTTPResponse.begin sets no more than what is set in its place."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        answer = http.client.HTTPResponse(ours)
        before = dict(vars(answer))
        answer.begin()
        changed = {name for name, value in vars(answer).items() if before.get(name) is not value}
        known = {"code", "status", "reason", "version", "headers", "msg"}
        known |= {"chunked", "chunk_left", "length", "will_close"}
        assert changed <= known
        answer.close()


def test_http_client_send() -> None:
    """HTTPConnection sends all of a request with send: a head waits there for its body."""
    pieces: list[bytes] = []
    ours, theirs = socket.socketpair()
    connection = HTTPConnection("127.0.0.1", 1)
    connection._new_conn = lambda: ours  # type: ignore[method-assign]
    with ours, theirs:
        connection.connect()
        connection.send = pieces.append  # type: ignore[method-assign,assignment]
        connection.request("POST", "/", body=b"body")
        connection.close()
    assert b"".join(pieces).startswith(b"POST / HTTP/1.1\r\n")
    assert b"".join(pieces).endswith(b"\r\n\r\nbody")


def test_socket_io_sock(response: Any) -> None:
    """fp.raw._sock is the socket itself: we receive from it without http.client."""
    ours, answer = response
    assert answer._original_response.fp.raw._sock is ours


# requests


def test_requests_poolmanager() -> None:
    """HTTPAdapter.init_poolmanager makes .poolmanager: ours puts its pools there."""

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.made = self.poolmanager

    assert isinstance(Adapter().made, urllib3.PoolManager)


def test_requests_proxy_manager() -> None:
    """HTTPAdapter.proxy_manager keeps a manager by the proxy's URL: ours puts its pools there."""
    adapter = HTTPAdapter()
    manager = adapter.proxy_manager_for("http://proxy.invalid:1")
    assert adapter.proxy_manager == {"http://proxy.invalid:1": manager}


def test_requests_connection_comes_from_the_pool() -> None:
    """HTTPAdapter.send asks these managers, so that its connections are of our class."""
    adapter = HTTPAdapter()
    adapter.poolmanager.connection_from_host = fail  # type: ignore[method-assign]
    request = requests.Request("GET", "http://space.invalid").prepare()
    with pytest.raises(Reached):
        adapter.send(request)


# CPython


def test_threading_register_atexit() -> None:
    """What _register_atexit takes is called before threads are joined: it ends their waiting."""
    code = """
import threading
over = threading.Event()
thread = threading.Thread(target=over.wait)
def end():
    print("first", flush=True)
    over.set()
threading._register_atexit(end)
thread.start()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout == "first\n"
    assert callable(threading._register_atexit)


def test_argparse_actions() -> None:
    """A parser's _actions are its arguments: completion and the default command list them."""
    parser = argparse.ArgumentParser(add_help=False)
    action = parser.add_argument("--timeout")
    assert parser._actions == [action]


def test_argparse_choices_actions() -> None:
    """_choices_actions has the help of each command: ``qwen72b --help`` lists it."""
    commands = argparse.ArgumentParser().add_subparsers()
    commands.add_parser("ask", help="ask a question")
    assert [(one.dest, one.help) for one in commands._choices_actions] == [
        ("ask", "ask a question")
    ]


def test_argparse_sub_parsers_action() -> None:
    """What add_subparsers returns is an _SubParsersAction, by which it is annotated."""
    commands = argparse.ArgumentParser().add_subparsers()
    assert isinstance(commands, argparse._SubParsersAction)


def test_argparse_argument_group() -> None:
    """What add_argument_group returns is an _ArgumentGroup, by which it is annotated."""
    group = argparse.ArgumentParser().add_argument_group()
    assert isinstance(group, argparse._ArgumentGroup)


# anyio


def test_anyio_worker_thread_loop() -> None:
    """A worker thread of asyncio's side has its loop: a local Space waits for its own."""

    async def main() -> bool:
        import asyncio

        thread = await anyio.to_thread.run_sync(threading.current_thread)
        return thread.loop is asyncio.get_running_loop()  # type: ignore[attr-defined]

    assert anyio.run(main)


def test_anyio_worker_thread_stop() -> None:
    """A worker thread of asyncio's side ends when told to: one of a loop that was left, at exit."""

    async def main() -> Any:
        thread: Any = await anyio.to_thread.run_sync(threading.current_thread)
        thread.stop()
        thread.join(PATIENCE)
        return thread

    assert not anyio.run(main).is_alive()


# All of them


def private_names() -> Iterator[str]:
    """Find names with an underscore that our modules use and do not have themselves."""
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in Path(qwen72b.__file__).parent.rglob("*.py")
        # The one stands on the standard library alone, and has names that hide others'
        # here; the others override hooks of their tools, and are tested with these.
        if path.parent.name not in ("testing", "integrations")
    ]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    # In spite of its name ``os`` documents this one.
    own = {"_exit"}
    own |= {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    own |= {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    own |= {
        node.name
        for node in nodes
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    for node in nodes:
        if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
            above = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()"
            if above or node.attr not in own:
                yield node.attr
        elif isinstance(node, ast.Constant) and node.value not in own:
            # Given to getattr.
            yield from re.findall("^_[a-z]\\w+$", str(node.value))


def test_every_private_part_has_a_canary() -> None:
    """Whoever comes to stand on another private part of others adds a test for it."""
    tests = "\n".join(name for name, _ in inspect.getmembers(sys.modules[__name__]))
    # Those of Gradio are where Gradio is.
    live = Path(__file__).parents[1] / "live" / "test_gradio_private_parts.py"
    tests += live.read_text("utf-8")
    snake = {name: re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in private_names()}
    assert {name for name, word in snake.items() if f"{word}" not in tests} == set()
