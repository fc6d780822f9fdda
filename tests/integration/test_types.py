"""What the README and the guide show is right for type checkers, as strict as they are."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import HOME, find_examples

# Whatever checks types has its say on these; a cell of a notebook awaits
# outside of functions, and Dask has no types.
EXAMPLES = {
    re.sub(r"\W", "_", name): source
    for name, source in find_examples("python")
    if "\nreply = await" not in source and "distributed" not in source
}

NARROWING = """
from qwen72b import Client

with Client() as client:
    for result in client.map(["Hi"]):
        if result.error is not None:
            print(result.error.hint.upper())
        else:
            print(result.reply.timings.total + 1)
    reply = client.ask("Hi")
    print(reply.timings.total + 1, reply.text.upper())
"""

NARROWING_FOR_ALL = """
from qwen72b import Answered, Client, Failed

def tell(result: Answered | Failed) -> str:
    match result:
        case Answered():
            return result.reply.upper()
        case Failed():
            return result.error.hint

with Client() as client:
    for result in client.map(["Hi"]):
        print(result.reply.upper() if result.ok is True else result.error.hint, tell(result))
"""

# pyright follows a bool to what it says of its object only if it is compared:
# it narrows x by the truth of x, and not by that of x.y (its "Type narrowing").
NARROWING_BY_OK = """
from qwen72b import Answered, Client, Failed

def tell(result: Answered | Failed) -> str:
    return result.reply.upper() if result.ok else result.error.hint

with Client() as client:
    print(*map(tell, client.map(["Hi"])))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, source in {
        **EXAMPLES,
        "narrowing": NARROWING,
        "narrowing_for_all": NARROWING_FOR_ALL,
    }.items():
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
    return tmp_path


def check(folder: Path, tool: str, *options: str) -> None:
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", tool, *options], capture_output=True, text=True, cwd=folder,
        timeout=300, check=False,
    )  # fmt: skip
    if "error: Unable to connect" in done.stderr or "getaddrinfo" in done.stderr:
        pytest.skip("pyright is not here yet, and cannot be fetched")
    assert done.returncode == 0, done.stdout + done.stderr


def test_examples_pass_mypy(folder: Path) -> None:
    """``mypy --strict`` has nothing against any example; ``ok`` tells what a result has."""
    (folder / "narrowing_by_ok.py").write_text(NARROWING_BY_OK)
    # The package's own lines are checked by the project's settings, and the
    # extras need not be here.
    settings = "[mypy]\nstrict = True\nfollow_imports = silent\nignore_missing_imports = True\n"
    (folder / "mypy.ini").write_text(f"{settings}mypy_path = {HOME}\n")
    check(folder, "mypy", *(path.name for path in folder.glob("*.py")))


def test_examples_pass_pyright(folder: Path) -> None:
    """Nor has pyright, in its strict mode."""
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(HOME)], "pythonVersion": "3.10"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    check(folder, "pyright", f"--pythonpath={sys.executable}")
