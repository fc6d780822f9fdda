"""
Start the apps of ``spaces/`` on the installed Gradio, in a process of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab_server import PATIENCE, gradio_version

__all__ = ["Apps", "running_apps"]

SERVE = Path(__file__).parent / "spaces" / "serve.py"


@dataclass(frozen=True)
class Apps:
    """
    The running apps.

    Args:
        gradio: The version that they run on.
        base_url: Where they are, each under its name.
        names: Their names.
    """

    gradio: str
    base_url: str
    names: tuple[str, ...]

    def url(self, name: str) -> str:
        """Return where an app is; skip the test if this Gradio is too old for it."""
        if name not in self.names:
            pytest.skip(f"Gradio {self.gradio} cannot run it")
        return f"{self.base_url}/{name}"

    @property
    def major(self) -> int:
        """The first number of Gradio's version."""
        return int(self.gradio.partition(".")[0])


@contextmanager
def running_apps() -> Iterator[Apps]:
    """Run the apps and stop them."""
    if not gradio_version():
        pytest.skip("Gradio is not installed")
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, str(SERVE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        assert process.stdin and process.stdout
        try:
            line = process.stdout.readline()
            if not line:
                log.seek(0)
                pytest.fail(f"The apps did not start:\n{log.read()}")
            facts = json.loads(line)
            url = f"http://127.0.0.1:{facts['port']}"
            yield Apps(facts["gradio"], url, tuple(facts["apps"]))
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
