"""
Play recordings back to the client, and say what came of it.

::

    python tests/integration/replay.py FOLDER

runs every recording below FOLDER through ``Client.stream`` and prints a table
per version. The exit status is 1 if any of them came out wrong. The server
(``FakeSpace``) keeps status, headers and chunk borders as they were recorded.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recordings import Outcome, Recording, find_recordings

from qwen72b import (
    Client,
    Delta,
    Finished,
    Revised,
    SpaceError,
    Stream,
    StreamInterrupted,
)
from qwen72b.testing import FakeSpace

__all__ = ["check", "main"]


def check(recording: Recording) -> list[str]:
    """
    Play a recording to the client and compare.

    Returns:
        What is wrong; empty if nothing is.
    """
    question, system = _question(recording)
    messages: list[dict[str, str]] = []
    for user, assistant in recording.history:
        messages.append({"role": "user", "content": user})
        messages.append({"role": "assistant", "content": assistant})
    messages.append({"role": "user", "content": question})
    with TemporaryDirectory() as folder:
        recording.write(Path(folder))
        with FakeSpace.from_transcript(folder) as space, Client(space.url) as client:
            faults = _check_chunks(client.stream(messages, system=system), recording.outcome)
            faults += _check_events(client.stream(messages, system=system), recording.outcome)
            joins = [request.json() for request in space.requests if request.method == "POST"]
    return faults + _check_join(recording, joins)


def _question(recording: Recording) -> tuple[str, str]:
    if recording.request is None:
        return "A question that was not kept", "And its system text"
    query, _, system = recording.request["data"]
    return query, system


def _check_chunks(stream: Stream, outcome: Outcome) -> list[str]:
    """Iterate as most users do; the pieces joined are what they see."""
    chunks: list[str] = []
    error: Exception | None = None
    try:
        chunks.extend(stream)
    except Exception as exc:  # noqa: BLE001 - one that is not ours is a finding too
        error = exc
    faults = _check_error(error, outcome)
    joined, wanted = "".join(chunks), _last(outcome)
    if stream.text != wanted:
        faults.append(f"stream.text is {stream.text!r:.80}, not {wanted!r:.80}")
    if outcome.taken_back == "nothing":
        right = joined == wanted
    elif outcome.taken_back == "white space":
        right = "".join(joined.split()) == "".join(wanted.split())
    else:
        right = joined.endswith(wanted)
    if not right:
        faults.append(f"the chunks make {joined!r:.80}, not {wanted!r:.80}")
    return faults


def _check_events(stream: Stream, outcome: Outcome) -> list[str]:
    """Follow the events; what they add and take back must be the server's text."""
    text = ""
    finished: str | None = None
    error: Exception | None = None
    try:
        for event in stream.events():
            if isinstance(event, Delta):
                text += event.text
            elif isinstance(event, Revised):
                text = text[: event.offset] + event.text
            elif isinstance(event, Finished):
                finished = event.text
    except Exception as exc:  # noqa: BLE001 - one that is not ours is a finding too
        error = exc
    faults = _check_error(error, outcome)
    if text != _last(outcome):
        faults.append(f"the events make {text!r:.80}, not {_last(outcome)!r:.80}")
    if finished != outcome.text:
        faults.append(f"Finished says {finished!r:.80}, not {outcome.text!r:.80}")
    return faults


def _check_error(error: Exception | None, outcome: Outcome) -> list[str]:
    if outcome.end == "finished":
        return [] if error is None else [f"raised {error!r}, but the answer was complete"]
    kind = SpaceError if outcome.end == "failed" else StreamInterrupted
    if not isinstance(error, kind):
        return [f"raised {error!r}, not {kind.__name__}"]
    faults = []
    if outcome.words is not None and outcome.words not in str(error):
        faults.append(f"the error says {str(error)!r}, not {outcome.words!r}")
    if error.partial != _last(outcome):
        faults.append(f"the error's partial is {error.partial!r:.80}")
    return faults


def _check_join(recording: Recording, joins: list[dict[str, Any]]) -> list[str]:
    if recording.request is None:
        return []
    wanted = {**recording.request, "session_hash": ...}
    if recording.asked_id is not None:
        wanted["event_id"] = recording.asked_id
    return [
        f"posted {join}, not {wanted}" for join in joins if {**join, "session_hash": ...} != wanted
    ]


def _last(outcome: Outcome) -> str:
    return outcome.snapshots[-1] if outcome.snapshots else ""


def main(folder: str) -> int:
    columns = ("recordings", "right", "finished", "failed", "cut", "white space", "text", "wrong")
    tables: dict[str, Counter[str]] = {}
    for recording in find_recordings(Path(folder)):
        version, outcome = recording.name.split("/")[0], recording.outcome
        faults = check(recording)
        for fault in faults:
            print(f"{recording.name}: {fault}")
        figures = tables.setdefault(version, Counter())
        figures.update(["recordings", outcome.end, "wrong" if faults else "right"])
        figures[outcome.taken_back] += 1
    print(f"{'version':18}" + "".join(f"{column:>13}" for column in columns))
    tables["all"] = sum(tables.values(), Counter())
    for version, figures in tables.items():
        print(f"{version:18}" + "".join(f"{figures[column]:13}" for column in columns))
    return 1 if tables["all"]["wrong"] or not tables["all"]["recordings"] else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
