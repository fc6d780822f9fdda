"""The splitter and sseclient-py together read what the WHATWG rules say, wherever bytes are cut."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from qwen72b import InvalidServerMessage
from qwen72b.protocol.sse import MAX_EVENT_BYTES, MAX_EVENT_LINES, EventSplitter, read_events

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "sse_vectors.json").read_bytes())


def read(*chunks: bytes) -> list[str]:
    splitter = EventSplitter()
    return [text for chunk in chunks for text in read_events(splitter.feed(chunk))]


def unpack(vector: dict[str, Any]) -> tuple[bytes, list[str]]:
    """Return a vector's bytes and the data of its events; tests/data/README.rst says how."""
    data = [event["data"] for event in vector["events"]]
    if "b64" in vector:
        return base64.b64decode(vector["b64"]), data
    before, after = (base64.b64decode(vector[f"b64_{side}"]) for side in ("before", "after"))
    middle = vector["repeated"] * vector["times"]
    return before + middle.encode() + after, [middle if text is None else text for text in data]


def test_all_vectors_are_here() -> None:
    """The file has all 60 vectors."""
    assert len(VECTORS) == len({vector["name"] for vector in VECTORS}) == 60


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vector(vector: dict[str, Any]) -> None:
    """A vector gives its events whole, in pieces of every size, and cut in two at every place."""
    stream, expected = unpack(vector)
    assert read(stream) == expected
    short = len(stream) <= 2000
    for size in range(1, len(stream) + 1) if short else (1, 7, 1024, 4096, 65536):
        if size > 1 or len(stream) < 200_000:
            pieces = (stream[at : at + size] for at in range(0, len(stream), size))
            assert read(*pieces) == expected, size
    for at in range(len(stream)) if short else ():
        assert read(stream[:at], stream[at:]) == expected, at
        # An empty read changes nothing.
        assert read(stream[:at], b"", stream[at:]) == expected, at


@pytest.mark.parametrize("size", [65536, 1 << 20])
def test_event_without_end(size: int) -> None:
    """An event that grows beyond its limit is refused, before it fills the memory."""
    splitter = EventSplitter()
    with pytest.raises(InvalidServerMessage, match="larger"):
        for _ in range(MAX_EVENT_BYTES // size + 1):
            assert splitter.feed(b"x" * size) == b""


def test_event_of_many_lines() -> None:
    """An event of more lines than sseclient-py can join in time is refused."""
    splitter = EventSplitter()
    with pytest.raises(InvalidServerMessage, match="lines"):
        for _ in range(MAX_EVENT_LINES + 1):
            splitter.feed(b"data: x\n")


def test_large_event_of_many_lines() -> None:
    """The more lines an event has, the smaller it must be to be joined in time."""
    shield = EventSplitter()
    with pytest.raises(InvalidServerMessage, match="lines"):
        for _ in range(MAX_EVENT_LINES):
            shield.feed(b"data: " + b"x" * 60_000 + b"\n")


def test_event_of_many_lines_that_comes_at_once() -> None:
    """The limit holds for an event that was never waited for."""
    block = EventSplitter().feed(b"data:\n" * (MAX_EVENT_LINES + 1) + b"\n")
    with pytest.raises(InvalidServerMessage, match="lines"):
        read_events(block)
    assert read_events(b"data:\n" * MAX_EVENT_LINES + b"\n\n") == ["\n" * (MAX_EVENT_LINES - 1)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(
    "lines",
    [[b"data: a", b"data: b"], [b"data", b"data:", b"data:c"], [b":", b"data: \xff", b"data:  d"]],
    ids=["spaced", "bare", "odd"],
)
def test_a_flood_of_events_of_many_lines(lines: list[bytes], end: bytes) -> None:
    """Thousands of events read as each of them does alone."""
    event = end.join([*lines, b"", b""])
    one = read(event)
    assert len(one) == 1
    assert "\n" in one[0]
    assert read(event * 4000) == one * 4000


@pytest.mark.parametrize("idle", [b":", b": ping", b"event: x", b"id: 1", b"x", b"datum: y", b""])
def test_what_is_no_data_is_left_out(idle: bytes) -> None:
    """Comments, other fields and blank lines are no events and change none."""
    block = (idle + b"\n") * 50_000 + b"\n"
    assert read(block) == []
    assert read(block + b"data: a\n\n" + block + b"data:b\n\n" + idle + b"\ndata\n\n" + block) == [
        "a",
        "b",
        "",
    ]
    assert read(b"data: a\n" + idle + b"\n" + b"data: b\n\n") == (["a\nb"] if idle else ["a", "b"])
