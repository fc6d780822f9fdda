"""A recorded conversation is played as it was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from raw_client import Raw, fetch, payload, stream_target
from timing import PATIENCE

from qwen72b.testing import FakeSpace

BORDERS = [b'data: {"msg":"esti', b'mation"}\n\nda', b"ta: {}\n\n"]


def record(
    folder: Path,
    *,
    gradio: str = "4.36.1",
    ended: str = "eof-chunk",
    pieces: list[bytes] = BORDERS,
    answer: Any = None,
) -> Path:
    """Write a recording."""
    config = {"version": gradio, "protocol": "sse_v3", "dependencies": [], "root": "http://old"}
    times, offset = [], 0
    for number, piece in enumerate(pieces, start=1):
        times.append({"t": number * 0.002, "off": offset, "n": len(piece)})
        offset += len(piece)
    head = {"status_line": "HTTP/1.1 200 Fine", "headers": [["X-Odd", "1"]], "chunked": False}
    chunked = {**head, "headers": [["Transfer-Encoding", "chunked"]], "chunked": True}
    join_head = {**head, "headers": [["content-length", "16"], ["x-odd", "1"]], "ended": "length"}
    for name, content in {
        "config": config,
        "meta": {"gradio": gradio},
        "join_response": {"event_id": "e"} if answer is None else answer,
        "headers": {"join": join_head, "data": {**chunked, "ended": ended}},
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1))
    (folder / "data.sse").write_bytes(b"".join(pieces))
    (folder / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in times))
    return folder


@pytest.mark.parametrize("timing", [False, True])
def test_status_headers_and_borders_are_kept(tmp_path: Path, timing: bool) -> None:
    """Status lines, headers and chunk borders are those of the recording, for every client."""
    with FakeSpace.from_transcript(record(tmp_path), timing=timing) as space:
        assert json.loads(fetch(space, "GET", "/config").text)["root"] == "http://old"
        for _ in range(2):
            joined = fetch(space, "POST", "/queue/join", payload())
            assert (joined.reason, joined.headers["x-odd"]) == ("Fine", "1")
            assert joined.text == '{"event_id":"e"}'
            with Raw(space) as raw:
                raw.ask(stream_target(space))
                body = raw.until(b"\r\n0\r\n\r\n").partition(b"\r\n\r\n")[2]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in BORDERS)
            assert body == chunks + b"0\r\n\r\n"


def test_cut_end_is_kept(tmp_path: Path) -> None:
    """A body that the recorder saw cut is cut."""
    with FakeSpace.from_transcript(record(tmp_path, ended="closed")) as space, Raw(space) as raw:
        raw.ask(stream_target(space))
        assert raw.rest().endswith(b"ta: {}\n\n\r\n")


def test_gradio_4_0_waits_for_the_data(tmp_path: Path) -> None:
    """A stream that asked for data goes on when they have come, for each client anew."""
    pieces = [b'data: {"msg": "send_data"}\n\n', b'data: {"msg": "process_starts"}\n\n']
    folder = record(tmp_path, gradio="4.0.2", pieces=pieces, answer="0123456789abcd")
    with FakeSpace.from_transcript(folder) as space:
        for _ in range(2):
            with Raw(space) as raw:
                raw.ask("/queue/join?fn_index=0&session_hash=abc")
                raw.until(b"send_data")
                raw.socket.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    raw.until(b"process_starts")
                raw.socket.settimeout(PATIENCE)
                fetch(space, "POST", "/queue/data", payload(event_id="e"))
                raw.until(b"process_starts")
