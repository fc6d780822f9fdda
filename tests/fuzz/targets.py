"""What is fuzzed, and what must hold of every input."""

from __future__ import annotations

import copy
import http.client
import io
import itertools
import json
from pathlib import Path
from typing import Any

import conversations  # noqa: F401  # a target more
import reference
from asking import DOCUMENTED, joined
from hypothesis import strategies as st
from registry import target

from qwen72b import Delta, Finished, Qwen72BError, Revised
from qwen72b.errors import InvalidDiff, InvalidServerMessage
from qwen72b.protocol import diff, jsontext, sse
from qwen72b.protocol.choose import choose
from qwen72b.protocol.config import QueueProtocol
from qwen72b.protocol.page import read_page
from qwen72b.protocol.reading import ChatReader
from qwen72b.testing import make_diff
from qwen72b.transport import chunked

DATA = Path(__file__).parents[1] / "data" / "transcripts"

CUTS = st.lists(st.integers(0, 400), max_size=8)


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes at some places."""
    borders = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    return [whole[a:b] for a, b in itertools.pairwise(borders)]


# Framing

LINES = st.one_of(
    st.sampled_from(
        [b"", b"", b"", b"data", b"data:", b"data:x", b"data: ", b": ping", b"event: e"]
    ),
    st.sampled_from(
        [b"id: 1", b"retry: 5", b"dat: x", b"data : x", b" data: x", b"\xef\xbb\xbfdata: b"]
    ),
    st.binary(max_size=8).map(lambda data: b"data: " + data.translate(None, b"\r\n")),
    st.binary(max_size=8).map(lambda data: data.translate(None, b"\r\n")),
)
STREAMS = st.lists(
    st.tuples(LINES, st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])), max_size=25
).map(lambda lines: b"".join(line + end for line, end in lines))


@target(STREAMS, CUTS)
def framing(stream: bytes, cuts: list[int]) -> None:
    """Cut anywhere, a stream has the events that the rules say."""
    splitter = sse.EventSplitter()
    found = [text for piece in pieces(stream, cuts) for text in splitter.split(piece)]
    assert found == reference.events(stream)


# Dechunking

CHUNKS = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=40),
        st.sampled_from([b"", b";x", b';a="b"', b" ", b"\t;"]),
        st.sampled_from(["%x", "%X", "0%x", "%04x"]),
    ),
    max_size=6,
)


@target(CHUNKS, st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n"]), CUTS)
def dechunking(chunks: list[tuple[bytes, bytes, str]], trailers: bytes, cuts: list[int]) -> None:
    """Cut anywhere, a body has the payload that http.client finds."""
    wire = b"".join(
        (form % len(data)).encode() + extension + b"\r\n" + data + b"\r\n"
        for data, extension, form in chunks
    )
    wire += b"0\r\n" + trailers + b"\r\n"

    class Socket:
        def makefile(self, *_: Any) -> io.BytesIO:
            return io.BytesIO(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + wire)

    response = http.client.HTTPResponse(Socket())  # type: ignore[arg-type]  # all that it needs
    response.begin()
    body = chunked.ChunkedDecoder()
    found = b"".join(body.feed(piece) for piece in pieces(wire, cuts))
    assert found == response.read()
    assert (body.ended, body.failure) == (True, None)


@target(st.binary(max_size=60) | st.text("0123aAfF;x \r\n", max_size=60).map(str.encode), CUTS)
def broken_chunks(wire: bytes, cuts: list[int]) -> None:
    """What is no body is told, wherever it is cut, and the payload before it is the same."""

    def read(parts: list[bytes]) -> tuple[bytes, bool, bool]:
        body = chunked.ChunkedDecoder()
        found = b""
        for part in parts:
            if body.failure is None and not body.ended:
                found += body.feed(part)
        return found, body.ended, body.failure is not None

    assert read(pieces(wire, cuts)) == read([wire]) == read([bytes([byte]) for byte in wire])


# JSON

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=30,
)


@target(VALUES, st.text('[]{}",:\\ue1-n\n', max_size=6), st.integers(0, 500), st.integers(1, 400))
def jsons(value: Any, noise: str, at: int, times: int) -> None:
    """Text with noise in it reads as Python's decoder reads it, or is refused."""
    text = json.dumps(value)
    at %= len(text) + 1
    text = text[:at] + noise * times + text[at:]
    try:
        expected = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        expected = jsontext.NotJSON
    try:
        found = jsontext.read_json(text)
    except jsontext.NotJSON:
        found = jsontext.NotJSON
    # Deeper than 200 is refused, and only that.
    assert found == expected or (found is jsontext.NotJSON and reference.depth(text) > 200)


# Edits

SMALL = st.recursive(
    st.none() | st.integers(-2, 2) | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("kl"), inner, max_size=2)
    ),
    max_leaves=10,
)
KEYS = st.sampled_from([0, 1, 2, 3, "k", "l", -1, True, None])
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "replace", "add", "delete", "move"]),
        st.lists(KEYS, max_size=3),
        SMALL,
    ).map(list),
    max_size=12,
)


@target(SMALL, EDITS)
def edits(value: Any, edited: list[Any]) -> None:
    """Edits lead where Gradio's own rules lead, leave their input alone, or are refused."""
    before = copy.deepcopy((value, edited))
    expected = reference.apply(copy.deepcopy(value), copy.deepcopy(edited))
    found = _attempt(value, edited)
    assert (value, edited) == before
    assert json.dumps(found) == json.dumps(expected)
    assert json.dumps(_attempt(value, edited, in_place=True)) == json.dumps(expected)


def _attempt(value: Any, edited: list[Any], **options: Any) -> Any:
    try:
        return diff.apply_edits(value, edited, **options)
    except InvalidDiff:
        return "refused"


TURNS = st.lists(
    st.tuples(st.text("ab \n", max_size=3), st.text("ab \n", max_size=5)), max_size=3
).map(lambda turns: [list(turn) for turn in turns])
CHAT_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "replace", "add", "delete"]),
        st.tuples(st.integers(0, 2), st.integers(0, 2)).map(list)
        | st.integers(0, 3).map(lambda n: [n])
        | st.just([]),
        st.text("ab", max_size=3) | st.none() | st.just(["q", "a"]) | TURNS,
    ).map(list),
    max_size=4,
)


# How a chat goes on, as an app may have it.
STEPS = st.tuples(
    st.sampled_from(["grow", "grow", "grow", "turn", "undo", "question", "rewrite"]),
    st.text("ab \n", min_size=1, max_size=4),
)


def step(chat: list[Any], how: str, text: str) -> list[Any]:
    """Go on with a chat by one step."""
    chat = copy.deepcopy(chat)
    if how == "turn" or not chat:
        return [*chat, ["q", text]]
    if how == "undo":
        return chat[:-1]
    if how == "question":
        chat[-1][0] = text
    else:
        chat[-1][1] = (chat[-1][1] or "") + text if how == "grow" else text
    return chat


@target(TURNS, st.lists(CHAT_EDITS | STEPS, max_size=8))
def jobs(first: list[Any], rounds: list[Any]) -> None:
    """What a job tells, replayed, is the answer in the value that the edits lead to."""
    job = joined()
    text, value = "", first
    for number, change in enumerate([first, *rounds]):
        if isinstance(change, tuple):
            if not _is_chat(value):
                return
            change = make_diff(value, step(value, *change))
        output = {"data": ["", change, ""]}
        data = json.dumps({"msg": "process_generating", "success": True, "output": output})
        if number:
            value = reference.apply(value, copy.deepcopy(change))
        try:
            events = job.receive_data(data)
        except Qwen72BError:
            assert value == "refused" or not isinstance(value, list | dict | None)
            return
        assert value != "refused"
        for event in events:
            if isinstance(event, Delta):
                text += event.text
            elif isinstance(event, Revised):
                text = text[: event.offset] + event.text
        found = ChatReader([], "q").read(value)
        assert found is None or text == job.text == found.text


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, list) and len(turn) == 2 and isinstance(turn[1], str | None)
        for turn in value
    )


# Configurations

CONFIGS = [json.loads(path.read_text("utf-8")) for path in sorted(DATA.glob("*/config.json"))] or [
    {}
]
ANYTHING = LEAVES | st.lists(st.integers(-1, 20), max_size=4) | st.just({}) | st.just("chatbot")


@target(
    st.sampled_from(CONFIGS),
    st.lists(st.tuples(st.lists(st.integers(0, 40), max_size=6), ANYTHING), max_size=6),
)
def configurations(config: Any, changes: list[tuple[list[int], Any]]) -> None:
    """A configuration with anything changed gives an endpoint that can be asked, or an error."""
    config = copy.deepcopy(config)
    for path, value in changes:
        reference.put(config, path, value)
    text = json.dumps(config)
    try:
        plan = choose(read_page(text))
        payload = joined(plan).payload
    except Qwen72BError as error:
        assert str(error)
        return
    assert len(json.dumps(payload)) <= len(text) + 1000


# Whole messages, mangled

WORDS = st.sampled_from(
    [
        "estimation",
        "process_starts",
        "process_generating",
        "process_completed",
        "log",
        "progress",
        "unexpected_error",
        "close_stream",
        "queue_full",
        "send_data",
        "heartbeat",
    ]
)


@target(st.sampled_from(QueueProtocol), st.lists(st.tuples(WORDS, VALUES, VALUES), max_size=6))
def messages(protocol: QueueProtocol, said: list[tuple[str, Any, Any]]) -> None:
    """Whatever a queue says, events or an error of ours come of it."""
    job = joined(DOCUMENTED._replace(protocol=protocol))
    names = [
        "rank",
        "eta",
        "rank_eta",
        "progress_data",
        "log",
        "level",
        "title",
        "message",
        "success",
    ]
    for word, one, other in said:
        fields = dict.fromkeys(names, other) | {
            "msg": word,
            "output": {"data": ["", one, ""], "error": other},
        }
        for message in (fields, {**fields, "output": other}, {**fields, "success": True}):
            try:
                for event in job.receive_data(json.dumps(message)):
                    assert repr(event)
                    assert not isinstance(event, Finished) or event.text == job.text
            except (Qwen72BError, InvalidServerMessage) as error:
                assert str(error)
                return
