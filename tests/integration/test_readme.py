"""What README.rst says is so: its examples run, its tables name what there is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from clusters import cluster
from docutils import nodes
from docutils.core import publish_doctree
from timing import PATIENCE

from qwen72b import errors
from qwen72b.cli.exits import exit_status
from qwen72b.testing import DEFAULT_ANSWER, FakeSpace

HOME = Path(__file__).parents[2]
README = (HOME / "README.rst").read_text("utf-8")

# Never raised themselves.
BASES = {"Qwen72BError", "TransportError", "ProtocolError", "SpaceError"}


def parse() -> nodes.document:
    """Parse the README; whatever docutils would remark on is an error."""
    # Colours are for whoever shows it, and would want Pygments.
    settings = {"halt_level": 1, "syntax_highlight": "none", "_disable_config": True}
    return publish_doctree(README, source_path="README.rst", settings_overrides=settings)


DOCUMENT = parse()


def find_examples() -> Iterator[tuple[str, str]]:
    """Find the blocks of Python; each is named by its section and its number there."""
    for section in DOCUMENT.findall(nodes.section):
        blocks = [
            block
            for block in section.children
            if isinstance(block, nodes.literal_block) and "python" in block["classes"]
        ]
        for number, block in enumerate(blocks, 1):
            yield f"{section['names'][0]}-{number}", block.astext()


EXAMPLES = dict(find_examples())


def read_table(first: str) -> list[list[str]]:
    """Read the rows of the table whose first heading is this."""
    for table in DOCUMENT.findall(nodes.table):
        rows = [[cell.astext() for cell in row.children] for row in table.findall(nodes.row)]
        if rows[0][0] == first:
            return rows[1:]
    raise AssertionError(f"there is no table of {first!r}")


def run(folder: Path, space: FakeSpace, *command: str) -> str:
    """Run Python in an empty folder, with this Space as the public one; give its output."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "QWEN72B_BASE_URL": space.url},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_readme_has_examples() -> None:
    """There are examples to run, in these sections among others."""
    sections = {name.rpartition("-")[0] for name in EXAMPLES}
    assert sections >= {"in a script", "async", "conversations", "many prompts", "errors"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name: str, tmp_path: Path) -> None:
    """An example does what it shows, as it stands, in a fresh process."""
    source = EXAMPLES[name]
    script = tmp_path / "example.py"
    with FakeSpace() as space:
        if "def test_" in source:
            script.write_text(source, "utf-8")
            # By its module, so that this holds for a checkout that is not installed, too.
            plugins = ("-p", "no:cacheprovider", "-p", "no:qwen72b", "-p", "qwen72b.testing.plugin")
            printed = run(tmp_path, space, "-m", "pytest", "-W", "error", *plugins, str(script))
            assert " passed" in printed
        elif "\nreply = await" in source:
            # Cells of a notebook, where an await needs no function around it.
            script = script.with_suffix(".ipy")
            script.write_text(source, "utf-8")
            printed = run(tmp_path, space, "-m", "IPython", "--quick", "--no-banner", str(script))
            assert printed.count(DEFAULT_ANSWER) == 4
        elif "tcp://scheduler:8786" in source:
            with cluster(tmp_path) as address:
                script.write_text(source.replace("tcp://scheduler:8786", address), "utf-8")
                printed = run(tmp_path, space, str(script))
            assert printed.count(DEFAULT_ANSWER) == 2
        else:
            script.write_text(source, "utf-8")
            printed = run(tmp_path, space, str(script))
            assert "print(" not in source or DEFAULT_ANSWER.lower() in printed.lower()


@pytest.mark.parametrize(
    "name", [name for name, source in EXAMPLES.items() if "asyncio.run(" in source]
)
def test_async_example_runs_on_trio(name: str, tmp_path: Path) -> None:
    """The async examples say the same on trio."""
    script = tmp_path / "example.py"
    source = EXAMPLES[name].replace("asyncio.run(main())", "trio.run(main)")
    script.write_text(source.replace("import asyncio", "import trio"), "utf-8")
    with FakeSpace() as space:
        assert DEFAULT_ANSWER in run(tmp_path, space, str(script))


def test_error_table() -> None:
    """The table names each error that can be raised, and what else it is."""
    rows = read_table("error")
    assert {row[0] for row in rows} == set(errors.__all__) - BASES
    for name, _, other in rows:
        ancestors = {each.__name__ for each in getattr(errors, name).__mro__}
        assert ancestors & {"ValueError", "ConnectionError", "TimeoutError"} == set(other.split())


def test_exit_status_table() -> None:
    """The table has each exit status that a command can end with."""
    raised = [getattr(errors, name)("why") for name in errors.__all__]
    raised += [KeyboardInterrupt(), BrokenPipeError(), RuntimeError()]
    statuses = {0, *map(exit_status, raised)}
    assert [int(row[0]) for row in read_table("Exit status")] == sorted(statuses)


def test_commands_of_the_beginning() -> None:
    """The two commands come first; CI runs the second, and the first finds what it installs."""
    blocks = (block for block in DOCUMENT.findall(nodes.literal_block))
    try_it, test_it = next(blocks).astext(), next(blocks).astext()
    ci = (HOME / ".ci" / "run").read_text("utf-8").replace(" --quiet", "").splitlines()
    assert test_it.split(" && ") == ci[-3:]
    assert try_it.split(" && ") == [
        "python3 -m venv .venv",
        '.venv/bin/pip install ".[local]"',
        '.venv/bin/qwen72b --local "What is the capital of France?"',
    ]
    setup = ConfigParser()
    setup.read(HOME / "setup.cfg", "utf-8")
    assert "local" in setup["options.extras_require"]
    assert "qwen72b = qwen72b.cli:main" in setup["options.entry_points"]["console_scripts"]


def test_tox_environments() -> None:
    """Each tox environment that the README names is one."""
    tox = (HOME / "tox.ini").read_text("utf-8")
    named = {line.split()[2] for line in README.splitlines() if line.startswith("    tox -e ")}
    assert named
    assert all(f"[testenv:{name}]" in tox for name in named)


def test_pictures() -> None:
    """Each picture is there, is small, and is described."""
    pictures = list(DOCUMENT.findall(nodes.image))
    assert len(pictures) >= 3
    for picture in pictures:
        assert picture["alt"]
        assert 0 < (HOME / picture["uri"]).stat().st_size < 150_000
