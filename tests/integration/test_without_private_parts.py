"""Where a private part of others is gone, a slower way does; ``_new_conn`` has tests of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from urllib3 import HTTPResponse

from qwen72b import AsyncClient, Client, Timeout
from qwen72b.cli.arguments import list_arguments
from qwen72b.testing import DEFAULT_ANSWER, FakeSpace
from qwen72b.transport import body
from qwen72b.transport.adapter import Adapter
from qwen72b.transport.connections import CallConnection
from qwen72b.transport.deadlines import Deadlines
from qwen72b.transport.scope import CallScope


def hide_original_response(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = property(lambda _: None, lambda *_: None)
    monkeypatch.setattr(HTTPResponse, "_original_response", nothing, raising=False)


def hide_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BoundedSocket", type("Elsewhere", (), {}))


@pytest.mark.parametrize("hide", [hide_original_response, hide_socket])
def test_body_is_read_by_urllib3(hide: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body whose socket is not found is read through urllib3, blocking and async."""
    hide(monkeypatch)

    async def ask(url: str) -> str:
        async with AsyncClient(url) as client:
            return await client.ask("Hi")

    with FakeSpace() as space, Client(space.url) as client:
        assert client.ask("Hi") == DEFAULT_ANSWER
        assert client.ask("Hi again") == DEFAULT_ANSWER
        assert anyio.run(ask, space.url) == DEFAULT_ANSWER


def test_host_is_looked_up() -> None:
    """Without the name as it was given, urllib3's own form of it is looked up."""
    connection: Any = SimpleNamespace(host="127.0.0.1", port=80)
    found = CallConnection._look_up(connection, CallScope(Deadlines(Timeout())))
    assert found[0][-1] == ("127.0.0.1", 80)


def test_pools_are_left_to_requests() -> None:
    """Pools that cannot be listed are cleared."""
    adapter, cleared = Adapter(), []
    adapter.poolmanager = SimpleNamespace(clear=lambda: cleared.append(True))
    adapter.close()
    assert cleared == [True]


def test_arguments_are_not_listed() -> None:
    """A parser that keeps its arguments elsewhere is taken to have none."""
    parser: Any = SimpleNamespace()
    assert list_arguments(parser) == []
