"""What the README and the guide say is so: examples run, tables name what there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from clusters import cluster
from documents import DOCUMENTS, GUIDE, HOME, find_examples, parse, read_tables
from timing import PATIENCE

from qwen72b import errors
from qwen72b.cli.exits import exit_status
from qwen72b.cli.help import TOPICS, read_topic, summarize
from qwen72b.testing import DEFAULT_ANSWER, FakeSpace

PYTHON = dict(find_examples("python"))
SHELL = dict(find_examples("sh"))

# What an example on trio says instead. Some show what asyncio alone has.
ON_TRIO = {
    name: source.replace("asyncio.run(main())", "trio.run(main)").replace(
        "import asyncio", "import trio"
    )
    for name, source in PYTHON.items()
    if "asyncio.run(" in source and "asyncio.gather(" not in source
}

# Never raised themselves.
BASES = {"Qwen72BError", "TransportError", "ProtocolError", "SpaceError"}

# What a Space says to the examples of the command line, one of which wants code.
CODE = "Look:\n```sh\nls -l\n```\nDone."


def run(folder: Path, space: FakeSpace, *command: str) -> str:
    """Run a command in a folder, with this Space as the public one; give its output."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={
            **os.environ,
            "QWEN72B_BASE_URL": space.url,
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_is_clean(name: str) -> None:
    """docutils has nothing to remark on, not even where it would only inform."""
    assert parse(name).children


def test_there_are_examples() -> None:
    """There are examples to run, of these topics among others."""
    topics = {name.partition("-")[0] for name in PYTHON}
    assert topics >= {"readme", "messages", "async", "conversations", "batch", "errors"}
    assert {name.partition("-")[0] for name in SHELL} >= {"shell", "batch"}


@pytest.mark.parametrize("name", PYTHON)
def test_python_example_runs(name: str, tmp_path: Path) -> None:
    """An example does what it shows, as it stands, in a fresh process."""
    source = PYTHON[name]
    script = tmp_path / "example.py"
    python = sys.executable
    with FakeSpace() as space:
        if "def test_" in source:
            script.write_text(source, "utf-8")
            # By its module, so that this holds for a checkout that is not installed, too.
            plugins = ("-p", "no:cacheprovider", "-p", "no:qwen72b", "-p", "qwen72b.testing.plugin")
            options = ("-W", "error", *plugins, str(script))
            assert " passed" in run(tmp_path, space, python, "-m", "pytest", *options)
        elif "\nreply = await" in source:
            # Cells of a notebook, where an await needs no function around it.
            script = script.with_suffix(".ipy")
            script.write_text(source, "utf-8")
            options = ("--quick", "--no-banner", str(script))
            printed = run(tmp_path, space, python, "-m", "IPython", *options)
            assert printed.count(DEFAULT_ANSWER) == 4
        elif "tcp://scheduler:8786" in source:
            with cluster(tmp_path) as address:
                script.write_text(source.replace("tcp://scheduler:8786", address), "utf-8")
                printed = run(tmp_path, space, python, str(script))
            assert printed.count(DEFAULT_ANSWER) == 2
        else:
            script.write_text(source, "utf-8")
            printed = run(tmp_path, space, python, str(script))
            assert "print(" not in source or printed


@pytest.mark.parametrize("name", ON_TRIO)
def test_async_example_runs_on_trio(name: str, tmp_path: Path) -> None:
    """The async examples say the same on trio."""
    script = tmp_path / "example.py"
    script.write_text(ON_TRIO[name], "utf-8")
    with FakeSpace() as space:
        assert DEFAULT_ANSWER in run(tmp_path, space, sys.executable, str(script))


@pytest.mark.parametrize("name", SHELL)
def test_shell_example_runs(name: str, tmp_path: Path) -> None:
    """What is to be typed works, in a folder that has the files it names."""
    source = SHELL[name]
    for tool in ("bash", "git", "jq"):
        if (tool == "bash" or re.search(rf"\b{tool}\b", source)) and not shutil.which(tool):
            pytest.skip(f"there is no {tool} here")
    command = tmp_path / "qwen72b"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qwen72b "$@"\n', "utf-8")
    command.chmod(0o755)
    for file in ("app.py", "test.py"):
        (tmp_path / file).write_text("print(1)\n", "utf-8")
    (tmp_path / "prompts.jsonl").write_text('"Hi"\n{"prompt": "Ho"}\n', "utf-8")
    (tmp_path / "openai.jsonl").write_text(
        '{"custom_id": "1", "body": {"messages": [{"role": "user", "content": "Hi"}]}}\n', "utf-8"
    )
    with FakeSpace() as space:
        space.answer(CODE, times=None)
        ready = "git init -q . && git add app.py && echo 'print(2)' > app.py\n"
        script = (ready if "git diff" in source else "") + source
        printed = run(tmp_path, space, "bash", "-eu", "-o", "pipefail", "-c", script)
    answers = tmp_path / "out.jsonl"
    assert "ls -l" in printed + (answers.read_text("utf-8") if answers.exists() else "")


def test_error_tables() -> None:
    """A table of errors names each that can be raised, and what else it is."""
    for name, rows in read_tables("error"):
        assert {row[0] for row in rows} == set(errors.__all__) - BASES, name
        for error, _, other in rows:
            ancestors = {each.__name__ for each in getattr(errors, error).__mro__}
            builtin = ancestors & {"ValueError", "ConnectionError", "TimeoutError"}
            assert builtin == set(other.split()), (name, error)


def test_exit_status_tables() -> None:
    """A table of exit statuses has each that a command can end with."""
    raised = [getattr(errors, name)("why") for name in errors.__all__]
    raised += [KeyboardInterrupt(), BrokenPipeError(), RuntimeError()]
    statuses = sorted({0, *map(exit_status, raised)})
    for name, rows in read_tables("Exit status"):
        assert [int(row[0]) for row in rows] == statuses, name


def test_tox_environments() -> None:
    """Each environment of tox that a document names is one."""
    tox = (HOME / "tox.ini").read_text("utf-8")
    named = {
        found[1]
        for path in DOCUMENTS.values()
        for found in re.finditer(r"\btox -e ([\w-]+)", path.read_text("utf-8"))
    }
    assert "bench" in named
    listed = re.search(r"^envlist = (.*)$", tox, re.MULTILINE)
    assert listed
    for environment in named:
        base = re.sub(r"\d+$", "", environment)
        assert f"[testenv:{environment}]" in tox or base in listed[1], environment


def test_files_that_documents_name() -> None:
    """Each path of the repository that a document names is there."""
    named = {
        (name, path.rstrip("."))
        for name, document in DOCUMENTS.items()
        for path in re.findall(
            r"(?<![\w./-])(?:qwen72b|tests|\.ci|\.github)/[\w./-]*\w", document.read_text("utf-8")
        )
    }
    missing = {(name, path) for name, path in named if not (HOME / path).exists()}
    assert not missing


def test_no_document_installs_what_is_on_no_index() -> None:
    """The package is installed from its folder, and no line names it to pip."""
    lines = [
        f"{name}: {line.strip()}"
        for name, document in DOCUMENTS.items()
        for line in document.read_text("utf-8").splitlines()
        if re.search(r"pip install[^&]*\bqwen72b\b", line)
    ]
    assert lines == []


def test_table_of_private_parts() -> None:
    """Each private part of others in the table has its canary, and each canary its line."""
    ((_, rows),) = read_tables("Library")
    files = ("unit/test_private_parts.py", "live/test_gradio_private_parts.py")
    canaries = "".join((HOME / "tests" / file).read_text("utf-8") for file in files)
    defined = set(re.findall(r"^def (test_\w+)", canaries, re.MULTILINE))
    named = {test for row in rows for test in row[3].split(", ")}
    assert named == defined - {"test_every_private_part_has_a_canary"}


def test_topics_are_files() -> None:
    """The topics of ``qwen72b help`` are the files of the guide."""
    assert sorted(TOPICS) == sorted(path.stem for path in GUIDE.iterdir())


@pytest.mark.parametrize("topic", TOPICS)
def test_topic_has_the_form_of_one(topic: str) -> None:
    """A topic has a title, a line that sums it up, and lines that fit a terminal."""
    title, rule, empty, summary, *rest = read_topic(topic).split("\n")
    assert rule == "=" * len(title)
    assert (empty, rest[0]) == ("", "")
    assert summary == summarize(read_topic(topic))
    assert 0 < len(summary) <= 78
    assert summary.endswith(".")
    assert all(len(line) <= 80 for line in [title, *rest])
