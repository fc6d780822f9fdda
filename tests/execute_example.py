"""The example notebook, run headless."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["EXAMPLE", "execute_example", "read_answers"]

EXAMPLE = Path(__file__).parent / "data" / "example.ipynb"

# In a process of its own: nbclient leaves its event loop and sockets behind.
_RUN = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
# As every frontend does, pieces of one stream become one output.
NotebookClient(notebook, timeout=120, coalesce_streams=True, record_timing=False).execute()
nbformat.write(notebook, sys.argv[2])
"""


def execute_example(folder: Path) -> list[str]:
    """
    Run the example notebook against the Space of ``QWEN72B_BASE_URL``.

    Args:
        folder: Where the executed notebook goes, as ``executed.ipynb``.

    Returns:
        The answers that it shows.
    """
    target = folder / "executed.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(EXAMPLE), str(target)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return read_answers(target)


def read_answers(path: Path) -> list[str]:
    """
    Read the answers that an executed notebook shows, and see that each is one output.

    Args:
        path: The notebook.

    Returns:
        The text of each cell that is tagged as an answer.
    """
    answers = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        if "answer" in cell["metadata"].get("tags", ()):
            (output,) = cell["outputs"]
            answers.append(_text(output))
        else:
            assert not cell.get("outputs")
    return answers


def _text(output: dict[str, Any]) -> str:
    text = output["text"] if output["output_type"] == "stream" else output["data"]["text/markdown"]
    return text if isinstance(text, str) else "".join(text)
