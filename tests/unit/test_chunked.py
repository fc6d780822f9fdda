"""A chunked body comes out the same wherever it is cut, and nothing else passes for one."""

from __future__ import annotations

import pytest

from qwen72b.transport.chunked import ChunkedDecoder

GOOD = [
    (b"0\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc"),
    (b"00A\r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
    (b"a;name=value;other\r\n\r\n\r\n\n\n\r\n\r\n\r\n0;last\r\n\r\n", b"\r\n\r\n\n\n\r\n\r\n"),
    (b"3 \t\r\nabc\r\n0\r\nTrailer: 1\r\nOther: 2\r\n\r\n", b"abc"),
    # As lenient as http.client.
    (b"3\nabc\r\n0\n\n", b"abc"),
]

BAD = [
    (b"zz\r\n", b""),
    (b"-1\r\na", b""),
    (b"+3\r\nabc\r\n", b""),
    (b"0x3\r\nabc\r\n", b""),
    (b"1_0\r\n", b""),
    (b"3 3\r\nabc\r\n", b""),
    (b"\r\n3\r\nabc\r\n", b""),
    (b"1000000000000000\r\n", b""),
    (b"3\r\nabcd\r\n0\r\n\r\n", b"abc"),
    (b"3\r\nabc\n0\r\n\r\n", b"abc"),
    (b"3\r\nabc\r\nevent: x\n\n", b"abc"),
]


def feed(body: ChunkedDecoder, *pieces: bytes) -> bytes:
    return b"".join(body.feed(piece) for piece in pieces)


@pytest.mark.parametrize(("wire", "payload"), GOOD)
def test_payload_at_every_cut(wire: bytes, payload: bytes) -> None:
    """Whole, cut in two anywhere, and byte by byte, a body has the same payload and end."""
    cuts = [(wire[:at], wire[at:]) for at in range(len(wire) + 1)]
    for pieces in [*cuts, tuple(bytes([byte]) for byte in wire)]:
        body = ChunkedDecoder()
        assert feed(body, *pieces) == payload
        assert (body.ended, body.overrun, body.failure) == (True, False, None)


@pytest.mark.parametrize(("wire", "payload"), GOOD)
def test_no_end_before_the_end(wire: bytes, payload: bytes) -> None:
    """A body that is cut short has not ended, wherever the cut is."""
    for at in range(len(wire)):
        body = ChunkedDecoder()
        assert payload.startswith(feed(body, wire[:at]))
        assert not body.ended and body.failure is None


@pytest.mark.parametrize(("wire", "payload"), BAD)
def test_what_is_none(wire: bytes, payload: bytes) -> None:
    """What is no chunk is told, behind the payload that came before it."""
    for pieces in (wire,), tuple(bytes([byte]) for byte in wire):
        body = ChunkedDecoder()
        found = b""
        for piece in pieces:
            if body.failure is None:
                found += body.feed(piece)
        assert (found, body.ended) == (payload, False)
        assert "malformed chunk" in str(body.failure)


def test_payload_comes_before_its_chunk_is_whole() -> None:
    """Half a chunk is handed out at once."""
    body = ChunkedDecoder()
    assert body.feed(b"ff\r\ndata") == b"data"
    assert body.feed(b": x") == b": x"


@pytest.mark.parametrize("wire", [b"0\r\n\r\n0", b"1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"])
def test_what_follows_the_body(wire: bytes) -> None:
    """Bytes behind the end are told, since their connection is good for nothing else."""
    body = ChunkedDecoder()
    body.feed(wire)
    assert body.ended and body.overrun


@pytest.mark.parametrize("start", [b"1;", b"0\r\nTrailer: "])
def test_endless_lines(start: bytes) -> None:
    """A head or a trailer without end is refused before it fills the memory."""
    body = ChunkedDecoder()
    body.feed(start)
    for _ in range(70):
        if body.failure is None:
            body.feed(b"x" * 1000)
    assert body.failure is not None


@pytest.mark.parametrize("start", [b"1;", b"1\r\na\r\n1;", b"0\r\nTrailer: "])
def test_long_lines_byte_by_byte(start: bytes) -> None:
    """A long head, or trailer, is put together once its end has come."""
    body = ChunkedDecoder()
    body.feed(start)
    for _ in range(50_000):
        body.feed(b"x")
    assert body.failure is None and not body.ended
    if body.feed(b"\r\n") == b"" and not start.startswith(b"0"):
        assert body.feed(b"b\r\n0\r\n") == b"b"
    body.feed(b"\r\n")
    assert body.ended and body.failure is None


def test_many_trailers() -> None:
    """Trailers are as long as a head at most, whatever their number."""
    body = ChunkedDecoder()
    body.feed(b"0\r\n")
    for _ in range(10_000):
        body.feed(b"a: b\r\n")
    assert body.failure is None
    for _ in range(1000):
        body.feed(b"a: b\r\n")
    assert "trailers" in str(body.failure)
