"""The head of an answer is read as http.client reads it, but for its end and what came ahead."""

from __future__ import annotations

import io
import re
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen72b.transport.head import Head


class _Socket:
    """What http.client asks of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._data))  # type: ignore[arg-type]


def read(kind: type[HTTPResponse], data: bytes) -> Any:
    """Read a head; give all that was made of it, and what is left to read."""
    response = kind(_Socket(data))  # type: ignore[arg-type]
    try:
        response.begin()
        reader: Any = response.fp
        found = {
            "status": response.status,
            "code": response.code,
            "reason": response.reason,
            "version": response.version,
            "headers": response.msg.items(),
            "same": response.headers is response.msg,
            "chunked": response.chunked,
            "chunk_left": response.chunk_left if response.chunked else None,
            "length": response.length,
            "will_close": response.will_close,
            "defects": [type(defect) for defect in response.msg.defects],
            "rest": reader.read() if reader is not None else None,
        }
    except (HTTPException, ValueError, OSError) as error:
        return type(error), str(error)
    finally:
        response.close()
    return found


def expected(data: bytes) -> Any:
    """Read a head as http.client does; one without its end, which passes there, was cut."""
    found = read(HTTPResponse, data)
    if isinstance(found, dict) and not re.search(rb"\n\r?\n", data):
        return RemoteDisconnected, "it was closed in the middle of an answer's head"
    return found


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK", body: bytes = b"body") -> bytes:
    return b"\r\n".join([status, *lines, b"", body])


HEADS = [
    head(),
    head(b"Content-Length: 4", b"Content-Type: text/html; charset=utf-8"),
    head(b"content-length:4"),
    head(b"Content-Length: 4", b"Content-Length: 5"),
    head(b"Content-Length: -4"),
    head(b"Content-Length: four"),
    head(b"Content-Length: "),
    head(b"Content-Length: +4"),
    head(b"Content-Length: 1_0"),
    head(b"Content-Length: " + b"9" * 5000),
    head(b"Transfer-Encoding: chunked", b"Content-Length: 4"),
    head(b"TRANSFER-ENCODING: Chunked"),
    head(b"Transfer-Encoding: gzip, chunked"),
    head(b"Transfer-Encoding: "),
    head(b"Connection: close", b"Content-Length: 4"),
    head(b"Connection: Keep-Alive, CLOSE", b"Content-Length: 4"),
    head(b"Connection: keep-alive"),
    head(b"X:   padded \t "),
    head(b"X:", b"Y: a:b"),
    head(b"Set-Cookie: a=b", b"Set-Cookie: c=d"),
    head(b"X: a", b" folded"),
    head(b" folded first"),
    head(b"X : blank"),
    head(b"no colon"),
    head(b": no name"),
    head("X: é".encode("latin-1")),
    head(b"X: a\x00b"),
    head(b"X: a\rb"),
    head(b"X: a\x0bb\x1cc"),
    head(*[b"X: y"] * 100),
    head(*[b"X: y"] * 101),
    head(b"X: " + b"y" * 7000),
    head(b"X: " + b"y" * 9000),
    head(b"X: " + b"y" * 65536),
    head(status=b"HTTP/1.1 204 No Content"),
    head(b"Content-Length: 4", status=b"HTTP/1.1 304 Not Modified"),
    head(b"Content-Length: 4", status=b"HTTP/1.1 404 Not Found"),
    head(b"Content-Length: 4", status=b"HTTP/1.1 200"),
    head(b"Content-Length: 4", status=b"HTTP/1.1 200 "),
    head(b"Content-Length: 4", status=b"HTTP/1.1 200  Two  blanks "),
    head(b"Content-Length: 4", status=b"HTTP/1.0 200 OK"),
    head(b"Connection: keep-alive", b"Content-Length: 4", status=b"HTTP/1.0 200 OK"),
    head(b"Content-Length: 4", status=b"HTTP/1.2 200 OK"),
    head(b"Content-Length: 4", status=b"HTTP/2 200 OK"),
    head(b"Content-Length: 4", status=b"HTTP/1.1 999 What"),
    head(b"Content-Length: 4", status=b"HTTP/1.1 099 What"),
    head(b"Content-Length: 4", status=b"HTTP/1.1 1000 What"),
    head(b"Content-Length: 4", status=b"HTTP/1.1 two OK"),
    head(b"Content-Length: 4", status=b"garbage"),
    b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 20",
    b"",
    b"\r\n\r\n",
]


@pytest.mark.parametrize("data", HEADS, ids=lambda data: repr(data[:60]))
def test_head_as_http_client_reads_it(data: bytes) -> None:
    """Whatever comes, the same is made of it, and the same is left."""
    assert read(Head, data) == expected(data)


LINES = st.lists(
    st.tuples(
        st.sampled_from(
            [b"Content-Length", b"Transfer-Encoding", b"Connection", b"X", b"", b"a b", b"\xe9"]
        ),
        st.sampled_from([b":", b": ", b" : ", b"", b":\t"]),
        st.one_of(
            st.sampled_from([b"4", b"chunked", b"close", b"0", b"-1"]), st.binary(max_size=6)
        ),
        st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"]),
    ).map(b"".join),
    max_size=5,
).map(b"".join)


@given(st.sampled_from([b"200 OK", b"404 No", b"204 x", b"200", b"999 \xe9"]), LINES)
def test_any_head_as_http_client_reads_it(status: bytes, lines: bytes) -> None:
    """Any lines make the same of a head as they do with http.client."""
    data = b"HTTP/1.1 " + status + b"\r\n" + lines + b"\r\nbody"
    assert read(Head, data) == expected(data)


@given(st.integers(100, 199), st.integers(1, 5), LINES)
def test_any_head_behind_others(status: int, count: int, lines: bytes) -> None:
    """What comes ahead changes nothing of the final head."""
    if status == 101:
        return
    final = b"HTTP/1.1 200 OK\r\n" + lines + b"\r\nbody"
    ahead = b"HTTP/1.1 %d Ahead\r\nX: y\r\nContent-Length: 9\r\n\r\n" % status
    assert read(Head, ahead * count + final) == expected(final)
