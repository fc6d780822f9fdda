"""The recorder: what it writes is read as the kept recordings are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lab_server import Lab
from record import record

REPLAY = Path(__file__).parents[1] / "integration" / "replay.py"


def test_recording_is_replayed(lab: Lab, tmp_path: Path) -> None:
    """A new recording, replayed against the client, is what its server meant."""
    scenarios = ["english", "nested_list", "rewrite", "gr_error_mid", "exception_first", "no_yield"]
    record(lab, tmp_path / lab.gradio, scenarios)
    done = subprocess.run(
        [sys.executable, str(REPLAY), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].split()[:3] == ["all", "6", "6"]
