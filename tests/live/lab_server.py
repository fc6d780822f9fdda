"""
Start the lab app and talk to it.

The app (``lab_app.py``) runs on whatever Gradio is installed, in a process of
its own, so that the test process imports no Gradio.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import requests
from lab_scripts import script_for
from timing import FACTOR

__all__ = ["PATIENCE", "Lab", "gradio_version", "history_types", "running_lab"]

APP = Path(__file__).with_name("lab_app.py")
# Seconds that a test waits for what should take milliseconds.
PATIENCE = 10.0 * FACTOR


@dataclass(frozen=True)
class Lab:
    """
    A running lab app.

    Args:
        base_url: Where it serves.
        gradio: The version it runs on.
        messages: Its chatbot wants role dicts instead of pairs.
        keeps_indentation: Its chatbot shows text as it is.
    """

    base_url: str
    gradio: str
    messages: bool
    keeps_indentation: bool

    def prompt(self, name: str) -> tuple[str, str]:
        """Return a prompt that picks the script ``name``, and the job's new token."""
        token = uuid.uuid4().hex
        return f"#lab:{name}:{token}", token

    def answer(self, prompt: str, pairs: Any = (), system: str = "") -> str:
        """Return the exact answer that this server gives in the end."""
        text = script_for(prompt, pairs, system).text
        return text if self.keeps_indentation else inspect.cleandoc(text)

    def end_of(self, token: str) -> str | None:
        """
        Wait for the end of a job and return what it was.

        Returns:
            ``"finished"``, ``"raised"``, ``"closed"`` (the generator was
            closed early), or ``None`` if the job still runs after ``PATIENCE``.
        """
        end: str | None = self._call("get", f"/lab/ended/{token}?patience={PATIENCE}")["end"]
        return end

    def open_gate(self, token: str) -> None:
        """Let a job of the script "gate" go on."""
        self._call("post", f"/lab/open/{token}")

    def _call(self, method: str, path: str) -> dict[str, Any]:
        with requests.Session() as session:
            session.trust_env = False
            response = session.request(method, self.base_url + path, timeout=2 * PATIENCE)
            response.raise_for_status()
            answer: dict[str, Any] = response.json()
            return answer


def gradio_version() -> tuple[int, ...]:
    """Return the installed Gradio's version; empty if there is none."""
    try:
        return tuple(int(part) for part in version("gradio").split(".")[:2])
    except PackageNotFoundError:
        return ()


def history_types() -> list[str]:
    """Return the forms of history that the installed Gradio's chatbot has."""
    if gradio_version() >= (6, 0):
        return ["messages"]
    return ["tuples", "messages"] if gradio_version() >= (4, 44) else ["tuples"]


@contextmanager
def running_lab(*options: str) -> Iterator[Lab]:
    """Run the lab app and stop it."""
    if not gradio_version():
        pytest.skip("Gradio is not installed")
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, str(APP), *options],
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
                pytest.fail(f"The lab app did not start:\n{log.read()}")
            facts = json.loads(line)
            port = facts.pop("port")
            yield Lab(base_url=f"http://127.0.0.1:{port}", **facts)
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
