"""Writes of the gateway's that leave together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qwen72b.gateway.writes import Writes

PEER = ("127.0.0.1", 1234)


class Transport:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        return PEER if name == "peername" else None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True


class Protocol(asyncio.Protocol):
    """What speaks HTTP."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport


@pytest.fixture
def writes() -> Writes:
    return Writes()


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
def protocol(writes: Writes, transport: Transport) -> Any:
    made = writes.gathering(Protocol)()
    made.connection_made(transport)
    return made


def _answer(writes: Writes, protocol: Any, messages: list[dict[str, Any]]) -> None:
    """Send as uvicorn does: each part by itself, and the end too."""

    async def send(message: Any) -> None:
        protocol.transport.write(message.get("body", b"head "))
        if not message.get("more_body", True):
            protocol.transport.write(b"end")

    async def respond() -> None:
        gathered = writes.gathered(PEER, send)
        for message in messages:
            await gathered(message)

    asyncio.run(respond())


def _body(data: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


HEAD = {"type": "http.response.start"}


def test_head_and_end_leave_with_text(writes: Writes, transport: Transport, protocol: Any) -> None:
    """The head leaves with the first text, the last text with the end, each other at once."""
    parts = [_body(b"one ", True), _body(b"two ", True), _body(b"three ", False)]
    _answer(writes, protocol, [HEAD, *parts])
    assert transport.written == [b"head one ", b"two ", b"three end"]


def test_whole_answer_is_one_write(writes: Writes, transport: Transport, protocol: Any) -> None:
    """An answer in one part leaves at once."""
    _answer(writes, protocol, [HEAD, _body(b"one ", False)])
    assert transport.written == [b"head one end"]


def test_head_alone_leaves_before_the_close(
    writes: Writes, transport: Transport, protocol: Any
) -> None:
    """What is held back is sent before the connection is closed."""
    _answer(writes, protocol, [HEAD])
    assert transport.written == []
    protocol.transport.close()
    assert (transport.written, transport.closed) == ([b"head "], True)


def test_send_that_fails_holds_nothing_back(
    writes: Writes, transport: Transport, protocol: Any
) -> None:
    """After a part that could not be sent the connection writes as ever."""

    async def send(message: Any) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(writes.gathered(PEER, send)(_body(b"one", True)))  # type: ignore[arg-type]
    protocol.transport.write(b"two")
    assert transport.written == [b"two"]


def test_client_that_has_gone(writes: Writes, protocol: Any) -> None:
    """Of a connection that is lost nothing is kept."""

    async def send(message: Any) -> None:
        raise AssertionError

    assert writes.gathered(PEER, send) is not send
    protocol.connection_lost(None)
    assert writes.gathered(PEER, send) is send
    assert writes.gathered(None, send) is send
