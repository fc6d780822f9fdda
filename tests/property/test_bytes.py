"""Where the network cuts the bytes does not matter."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from qwen72b.protocol.sse import EventSplitter, read_events

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.one_of(
    st.binary(max_size=6).map(lambda data: b"data: " + data.translate(None, b"\r\n")),
    st.sampled_from(
        [b"", b"", b"data", b"data:x", b": comment", b"event: e", b"\xef\xbb\xbfdata:b"]
    ),
)
STREAMS = st.lists(st.tuples(LINES, LINE_ENDS), max_size=12).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def parse(chunks: list[bytes]) -> list[str]:
    splitter = EventSplitter()
    return [text for chunk in chunks for text in read_events(splitter.feed(chunk))]


@given(STREAMS, st.lists(st.integers(0, 80), max_size=8))
def test_any_split_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    """Whole, cut anywhere, and byte by byte, a stream has the same events."""
    borders = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[a:b] for a, b in itertools.pairwise(borders)]
    whole = parse([stream])
    assert parse(pieces) == whole
    assert parse([bytes([byte]) for byte in stream]) == whole


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=6))
def test_gradios_events_come_back(texts: list[str]) -> None:
    """One data line an event, whatever its JSON holds, raw or escaped."""
    stream = b"".join(
        b"data: " + json.dumps(text, ensure_ascii=len(text) % 2 == 0).encode() + b"\n\n"
        for text in texts
    )
    assert [json.loads(data) for data in parse([stream])] == texts
