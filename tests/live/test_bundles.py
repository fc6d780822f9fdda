"""The command as one file: zipapp and PyInstaller find all of its modules."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
import zipapp
from collections.abc import Iterator
from pathlib import Path

import pytest

import qwen72b
from qwen72b.cli.options import COMMANDS
from qwen72b.testing import FakeSpace

HOME = Path(qwen72b.__file__).parent

# Seconds; PyInstaller looks through all that is installed.
PATIENCE = 500

# What the bundle is to do without, and PyInstaller to look through.
EXTRAS = ("IPython", "distributed", "gradio", "markdown_it", "numpy", "pytest", "rich", "tqdm")


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer(lambda job: [f"re: {job.query}"])
        yield space


def see_that_it_works(command: list[str], space: FakeSpace, folder: Path) -> None:
    """Ask, batch and look, as a user of the file would."""

    def run(*words: str) -> str:
        done = subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=60, cwd=folder,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("--version") == f"qwen72b {qwen72b.__version__}\n"
    assert run("--url", space.url, "Hi") == "re: Hi\n"
    assert "All is well." in run("doctor", "--url", space.url)
    for name in COMMANDS:
        assert "usage:" in run(name, "--help")
    (folder / "prompts.jsonl").write_text('"a"\n')
    run("batch", "prompts.jsonl", "-o", "answers.jsonl", "--url", space.url)
    assert json.loads((folder / "answers.jsonl").read_text())["answer"] == "re: a"


def test_zipapp(space: FakeSpace, tmp_path: Path) -> None:
    """A zip file with the package in it is the command."""
    source = tmp_path / "source"
    shutil.copytree(HOME, source / "qwen72b", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "__main__.py").write_text(
        "import sys\nfrom qwen72b.cli import main\nsys.exit(main())\n"
    )
    zipapp.create_archive(source, tmp_path / "app.pyz")
    shutil.rmtree(source)
    see_that_it_works([sys.executable, str(tmp_path / "app.pyz")], space, tmp_path)


def test_pyinstaller(space: FakeSpace, tmp_path: Path) -> None:
    """PyInstaller finds the commands, though they are loaded by name."""
    if importlib.util.find_spec("PyInstaller") is None:
        pytest.skip("PyInstaller is not installed")
    script = tmp_path / "app.py"
    script.write_text("import sys\nfrom qwen72b.cli import main\nsys.exit(main())\n")
    options = [f"--exclude-module={name}" for name in EXTRAS]
    subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--log-level=ERROR", f"--paths={HOME.parent}",
         *options, "--collect-data=qwen72b", str(script)],
        cwd=tmp_path, check=True, timeout=PATIENCE,
    )  # fmt: skip
    see_that_it_works([str(tmp_path / "dist" / "app" / "app")], space, tmp_path)


def test_commands_are_imported_where_bundlers_look() -> None:
    """Each command has an import statement, which only bundlers need."""
    tree = ast.parse((HOME / "cli" / "__init__.py").read_text())
    found = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not node.module
        for alias in node.names
    }
    assert found == set(COMMANDS)
