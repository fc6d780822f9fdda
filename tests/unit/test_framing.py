"""The shield and sseclient-py together read what the WHATWG rules say, wherever bytes are cut."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from qwen72b import InvalidServerMessage
from qwen72b.protocol.sse import MAX_EVENT_BYTES, MAX_EVENT_LINES, Shield, read_events

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "sse_vectors.json").read_bytes())


def read(*chunks: bytes) -> list[str]:
    shield = Shield()
    return [text for chunk in chunks for text in read_events(shield.feed(chunk))]


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
    shield = Shield()
    with pytest.raises(InvalidServerMessage, match="larger"):
        for _ in range(MAX_EVENT_BYTES // size + 1):
            assert shield.feed(b"x" * size) == b""


def test_event_of_many_lines() -> None:
    """An event of more lines than sseclient-py can join in time is refused."""
    shield = Shield()
    with pytest.raises(InvalidServerMessage, match="lines"):
        for _ in range(MAX_EVENT_LINES + 1):
            shield.feed(b"data: x\n")
