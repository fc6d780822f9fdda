"""Signal handlers and trace functions that close what they interrupt, and threads that are not to be had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTING = Path(__file__).with_name("interrupting.py")


@pytest.mark.parametrize("side", ["blocking", "asyncio", "trio"])
@pytest.mark.parametrize("what", ["stream", "client"])
@pytest.mark.parametrize("way", ["lines", "alarms"])
def test_closed_at_any_point(way: str, what: str, side: str, exhaustive: bool) -> None:
    """
    Closing at any line of a question, or at any moment, neither hangs nor leaves anything.

    A sample of lines and moments; with ``--exhaustive`` every line, and thousands of alarms.
    """
    rounds = {"lines": 0, "alarms": 3000} if exhaustive else {"lines": 50, "alarms": 50}
    run = subprocess.run(
        [sys.executable, "-W", "error", INTERRUPTING, way, what, side, str(rounds[way])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 0
