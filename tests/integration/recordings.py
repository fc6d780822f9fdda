"""
Recordings of real Gradio servers, and what each says by itself.

A recording is one answer: the ``/config`` before it, the join, and the bytes of
the stream with the borders of their HTTP chunks. Two layouts are read: the kept
set's (``tests/data/README.rst``), and a recorder's folder per answer with
``data.sse``, ``timing.jsonl``, ``headers.json``, ``join_request.json``,
``join_response.json`` and ``meta.json``.

What the recording says is worked out here without any of the package's code, so
that a mistake of the package is not also the test's.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

__all__ = ["KEPT", "Outcome", "Recording", "find_recordings"]

KEPT = Path(__file__).parent.parent / "data" / "transcripts"

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Outcome:
    """
    What the server said on the wire.

    Args:
        snapshots: The answer so far, at each message that carried one.
        text: The last whole answer; ``None`` unless the job ended well.
        words: The server's words for a failure; ``None`` if it kept them.
        end: ``"finished"``, ``"failed"`` (it said so) or ``"cut"``.
    """

    snapshots: tuple[str, ...]
    text: str | None
    words: str | None
    end: Literal["finished", "failed", "cut"]

    @property
    def taken_back(self) -> Literal["nothing", "white space", "text"]:
        """What the server took back of what it had sent."""
        kept = [_bare(snapshot) for snapshot in self.snapshots]
        if all(new.startswith(old) for old, new in pairwise(self.snapshots)):
            return "nothing"
        if all(new.startswith(old) for old, new in pairwise(kept)):
            return "white space"
        return "text"


@dataclass(frozen=True)
class Recording:
    """
    One recorded answer.

    Args:
        name: ``version/scenario``.
        config: The body of ``/config``.
        history: The turns before the question, as (user, assistant).
        truth: What the app really answered (``final_text``, ``end``).
        request: The join's JSON; ``None`` if the recorder kept none.
        join_status: The status of the join's answer.
        join_headers: Its headers.
        join_body: Its body.
        stream_status: The status of the stream.
        stream_headers: Its headers.
        chunks: Its body, an item per HTTP chunk.
        complete: The body ended as HTTP wants it; else the server hung up.
    """

    name: str
    config: bytes
    history: list[tuple[str, str]]
    truth: dict[str, Any]
    request: dict[str, Any] | None
    join_status: int
    join_headers: Headers
    join_body: bytes
    stream_status: int
    stream_headers: Headers
    chunks: list[bytes]
    complete: bool

    def write(self, folder: Path) -> None:
        """Write it as a recorder's folder, which is what ``FakeSpace`` plays."""
        files: dict[str, Any] = {
            "meta.json": {"gradio": json.loads(self.config)["version"]},
            "join_response.json": json.loads(self.join_body),
            "headers.json": {
                "join": {
                    "status_line": f"HTTP/1.1 {self.join_status} OK",
                    "headers": self.join_headers,
                    "chunked": False,
                    "ended": "length",
                },
                "data": {
                    "status_line": f"HTTP/1.1 {self.stream_status} OK",
                    "headers": self.stream_headers,
                    "chunked": True,
                    "ended": "eof-chunk" if self.complete else "closed",
                },
            },
        }
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content))
        (folder / "config.json").write_bytes(self.config)
        (folder / "data.sse").write_bytes(b"".join(self.chunks))
        offset, lines = 0, []
        for chunk in self.chunks:
            lines.append(json.dumps({"t": 0, "off": offset, "n": len(chunk)}))
            offset += len(chunk)
        (folder / "timing.jsonl").write_text("\n".join(lines))

    @property
    def asked_id(self) -> str | None:
        """
        The job for which Gradio 4.0 asks on the stream, as its data must name it.

        The recorder sent the id but left it out of what it kept of the request.
        """
        for message in _messages(self.chunks):
            if message["msg"] == "send_data":
                return str(message["event_id"])
        return None

    @property
    def outcome(self) -> Outcome:
        """What the server says in this recording."""
        return _read_outcome(self)


def find_recordings(root: Path) -> Iterator[Recording]:
    """Yield every recording below a folder, in either layout, in order."""
    for config in sorted(root.rglob("config.json")):
        folder = config.parent
        if (folder / "data.sse").exists():
            yield _load_folder(folder)
        else:
            for path in sorted(folder.glob("*.txt")):
                yield _load_file(path)


def _load_file(path: Path) -> Recording:
    head_text, _, body = path.read_bytes().partition(b"\n\n")
    head = json.loads(head_text)
    join, stream = head["join"], head["stream"]
    return Recording(
        name=f"{path.parent.name}/{path.stem}",
        config=path.with_name("config.json").read_bytes(),
        history=[(user, bot) for user, bot in head["history"]],
        truth=head["truth"],
        request=head["request"],
        join_status=join["status"],
        join_headers=[_header(line) for line in join["headers"]],
        join_body=join["body"].encode(),
        stream_status=stream["status"],
        stream_headers=[_header(line) for line in stream["headers"]],
        chunks=_cut(body, stream["chunks"]),
        complete=stream["ending"] == "complete",
    )


def _load_folder(folder: Path) -> Recording:
    def load(name: str) -> Any:
        return json.loads((folder / name).read_bytes())

    meta, headers = load("meta.json"), load("headers.json")
    join, stream = headers["join"], headers["data"]
    timing = (folder / "timing.jsonl").read_text().splitlines()
    return Recording(
        name=f"{folder.parent.name}/{folder.name}",
        config=(folder / "config.json").read_bytes(),
        history=[(user, bot) for user, bot in meta["history_in"]],
        truth=meta["truth"],
        request=load("join_request.json"),
        join_status=int(join["status_line"].split()[1]),
        join_headers=[(name, value) for name, value in join["headers"]],
        # The recorder laid it out anew; on the wire it had no spaces.
        join_body=json.dumps(load("join_response.json"), separators=(",", ":")).encode(),
        stream_status=int(stream["status_line"].split()[1]),
        stream_headers=[(name, value) for name, value in stream["headers"]],
        chunks=_cut((folder / "data.sse").read_bytes(), [json.loads(line)["n"] for line in timing]),
        complete=stream["ended"] == "eof-chunk",
    )


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name, value


def _cut(body: bytes, sizes: list[int]) -> list[bytes]:
    chunks, start = [], 0
    for size in sizes:
        chunks.append(body[start : start + size])
        start += size
    assert start == len(body), "the chunks are not the body"
    return chunks


def _bare(text: str) -> str:
    return "".join(text.split())


def _messages(chunks: list[bytes]) -> Iterator[dict[str, Any]]:
    for block in b"".join(chunks).split(b"\n\n")[:-1]:
        yield json.loads(block.removeprefix(b"data: "))


def _read_outcome(recording: Recording) -> Outcome:
    config = json.loads(recording.config)
    diffs = config.get("protocol", "ws") not in ("ws", "sse", "sse_v1")
    own_id = (json.loads(recording.join_body) or {}).get("event_id")
    chat: Any = None
    snapshots: list[str] = []
    for message in _messages(recording.chunks):
        if own_id and message.get("event_id") not in (None, own_id):
            continue
        if message["msg"] == "unexpected_error":
            return Outcome(tuple(snapshots), None, message["message"], "failed")
        if message["msg"] not in ("process_generating", "process_completed"):
            continue
        last = message["msg"] == "process_completed"
        if not message["success"]:
            if last:
                words = _unquoted(message["output"]["error"], config["version"])
                return Outcome(tuple(snapshots), None, words, "failed")
            continue
        data = message["output"]["data"][1]
        chat = _edited(chat, data) if diffs and not last and snapshots else data
        snapshots.append(_answer(chat, len(recording.history)))
        if last and not chat:
            # A success without a turn of the assistant's is no answer.
            return Outcome(tuple(snapshots), None, "without an answer", "failed")
        if last:
            return Outcome(tuple(snapshots), snapshots[-1], None, "finished")
    return Outcome(tuple(snapshots), None, None, "cut")


def _answer(chat: Any, turn: int) -> str:
    """Return the assistant's text of one turn; empty while there is none."""
    if chat and isinstance(chat[0], dict):
        said = chat[2 * turn + 1]["content"] if len(chat) > 2 * turn + 1 else ""
        return said if isinstance(said, str) else "".join(part["text"] for part in said)
    return (chat[turn][1] or "") if chat and len(chat) > turn else ""


def _edited(value: Any, edits: list[list[Any]]) -> Any:
    """Return what Gradio's edits make of a JSON value."""
    box = [json.loads(json.dumps(value))]
    deleted: dict[str, int] = {}
    for action, path, new in edits:
        *way, key = [0, *path]
        parent: Any = box
        for step in way:
            parent = parent[step]
        if action == "append":
            parent[key] += new
        elif action == "add" and isinstance(parent, list):
            parent.insert(key, new)
        elif action == "delete" and isinstance(parent, list):
            # Deletes only ever cut a list's end, but are numbered in two ways.
            first = deleted.setdefault(str(way), key)
            del parent[min(first, key) :]
        elif action == "delete":
            del parent[key]
        else:
            parent[key] = new
    return box[0]


def _unquoted(words: str | None, version: str) -> str | None:
    """Return the words of an error: up to Gradio 5.0 ``gr.Error`` sends a Python literal."""
    # One Gradio (4.19) sends the word None instead of null.
    if words in (None, "", "None"):
        return None
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) < (5, 25) and words[0] in "'\"" and words[-1] == words[0]:
        return str(ast.literal_eval(words))
    return words
