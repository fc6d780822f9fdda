"""
Record what the installed Gradio sends, byte for byte, for ``tests/data/transcripts``.

::

    python tests/live/record.py FOLDER [SCENARIO ...]

starts the lab app and writes ``FOLDER/VERSION/config.json`` and a file for each
scenario (all that end by themselves, unless some are named), in the layout of
``tests/data/README.rst``. Everything goes over a raw socket: what a library would
make of the bytes is not what came. For dialects in which the join comes first.
"""

from __future__ import annotations

import json
import socket
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

# Run as a program, too.
sys.path.insert(0, str(Path(__file__).parents[1]))

from lab_scripts import DEFAULT_SYSTEM, SCRIPTS
from lab_server import Lab, history_types, running_lab

__all__ = ["main", "record"]

# Seconds of silence, longer than any script's.
PATIENCE = 30.0

# These wait for somebody to end them.
ENDLESS = ("gate", "endless")


@dataclass
class Response:
    """What came: the head, the body without its framing, and the sizes of its chunks."""

    status: int
    headers: list[str]
    body: bytes = b""
    chunks: list[int] = field(default_factory=list)
    complete: bool = False


def main(argv: list[str]) -> int:
    """Record scenarios with each form of history that the chatbot has."""
    folder, scenarios = Path(argv[0]), argv[1:]
    forms = history_types()
    for form in forms:
        with running_lab("--type", form) as lab:
            name = lab.gradio if form == forms[0] else f"{lab.gradio}-{form}"
            record(lab, folder / name, scenarios or [n for n in SCRIPTS if n not in ENDLESS])
    return 0


def record(lab: Lab, folder: Path, scenarios: list[str]) -> None:
    """Ask for each scenario in turn, and write what came."""
    folder.mkdir(parents=True, exist_ok=True)
    text = fetch(lab, "GET", "/config").body
    (folder / "config.json").write_bytes(text)
    config = json.loads(text)
    prefix = config.get("api_prefix") or ""
    for scenario in scenarios:
        script = SCRIPTS[scenario]
        request = {
            "data": [f"#lab:{scenario}", [], DEFAULT_SYSTEM],
            "event_data": None,
            "fn_index": 0,
            "trigger_id": config["dependencies"][0]["targets"][0][0],
            "session_hash": uuid.uuid4().hex[:12],
        }
        join = fetch(lab, "POST", f"{prefix}/queue/join", request)
        path = f"{prefix}/queue/data?session_hash={request['session_hash']}"
        stream = fetch(lab, "GET", path)
        head = {
            "gradio": lab.gradio,
            "protocol": config["protocol"],
            "scenario": scenario,
            "history": [],
            "truth": {
                "final_text": script.text,
                "end": script.failure or "ok",
                "append_only": script.appends,
            },
            "request": request,
            "join": {
                "status": join.status,
                "headers": join.headers,
                "body": join.body.decode(),
            },
            "stream": {
                "status": stream.status,
                "headers": stream.headers,
                "ending": "complete" if stream.complete else "cut",
                "chunks": stream.chunks,
            },
        }
        lines = ",\n".join(f' "{name}": {json.dumps(value)}' for name, value in head.items())
        (folder / f"{scenario}.txt").write_bytes(f"{{\n{lines}\n}}\n\n".encode() + stream.body)


def fetch(lab: Lab, method: str, path: str, content: Any = None) -> Response:
    """Make a request on a connection of its own."""
    parts = urlsplit(lab.base_url)
    body = b"" if content is None else json.dumps(content).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    if content is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
    with socket.create_connection((parts.hostname, parts.port), PATIENCE) as sock:
        sock.sendall(head + body)
        with sock.makefile("rb") as file:
            return _read(file)


def _read(file: BinaryIO) -> Response:
    response = Response(int(file.readline().split()[1]), [])
    while line := file.readline().decode("latin-1").strip():
        # Closing is what this recorder asks for, and no other client.
        if line.lower() != "connection: close":
            response.headers.append(line)
    if not any(line.lower() == "transfer-encoding: chunked" for line in response.headers):
        response.body, response.complete = file.read(), True
        return response
    while size := file.readline():
        length = int(size, 16)
        chunk = file.read(length)
        file.readline()
        if length == 0:
            response.complete = True
            break
        response.body += chunk
        response.chunks.append(len(chunk))
    return response


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
