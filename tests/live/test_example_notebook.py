"""The example notebook against the local Space with its real model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from execute_example import execute_example

from qwen72b.local import backend, running

pytest.importorskip("gradio", minversion="5.50")
pytest.importorskip("xllamacpp")
pytest.importorskip("nbclient")


def test_example_notebook_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each answer of the model is one output, and the conversations have their turns."""
    with running(backend("smollm2", progress=sys.stderr)) as base_url:
        monkeypatch.setenv("QWEN72B_BASE_URL", base_url)
        answers = execute_example(tmp_path)
    assert len(answers) == 8
    assert all(answer.strip() for answer in answers)
