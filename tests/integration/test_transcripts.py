"""The client against recordings of real Gradio servers."""

from __future__ import annotations

import pytest
from recordings import KEPT, Recording, find_recordings
from replay import check, main

RECORDINGS = list(find_recordings(KEPT))


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
def test_transcript_replayed(recording: Recording) -> None:
    """
    The recorded text is what the client gives, and a recorded error what it raises.

    The chunks joined are the text where nothing was taken back, the text but
    for white space where only that moved, and end with the text in any case.
    The join is the recorded one.
    """
    assert check(recording) == []


def test_transcripts_cover_the_versions() -> None:
    """Recordings of six versions are kept, with every kind of end and of taking back."""
    outcomes = [recording.outcome for recording in RECORDINGS]

    assert len({recording.name.split("/")[0] for recording in RECORDINGS}) == 6
    assert {outcome.end for outcome in outcomes} == {"finished", "failed", "cut"}
    assert {outcome.taken_back for outcome in outcomes} == {"nothing", "white space", "text"}


def test_replay_prints_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of recordings is replayed by a command, which prints a table."""
    assert main(str(KEPT / "6.0.2")) == 0

    *_, last = capsys.readouterr().out.splitlines()
    assert last.split()[:3] == ["all", "42", "42"]
