"""Each command and option of the README, as a real process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminals import command
from timing import PATIENCE

from qwen72b.testing import FakeSpace

ANSWER = "Look:\n```sh\nls -l\n```\nDone."


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace("5.50.0") as space:
        space.answer(ANSWER, times=None)
        yield space


def run(*argv: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*argv), input=given, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.parametrize(
    ("argv", "out"),
    [
        (["Hi"], ANSWER),
        (["--no-stream", "Hi"], ANSWER),
        (["-x", "Hi"], "ls -l"),
        (["--extract", "Hi"], "ls -l"),
        (["-q", "Hi"], ANSWER),
        (["-v", "Hi"], ANSWER),
        (["--timeout", "20", "Hi"], ANSWER),
    ],
)
def test_option_of_a_question(space: FakeSpace, argv: list[str], out: str) -> None:
    """The answer, or its first code block, is all that is on standard output."""
    done = run("--url", space.url, *argv)
    assert (done.returncode, done.stdout) == (0, out + "\n")


def test_prompt_of_three_sources(space: FakeSpace, tmp_path: Path) -> None:
    """Argument, file and standard input are one question, below the system text."""
    file = tmp_path / "app.py"
    file.write_text("print(1)", encoding="utf-8")
    argv = ["--url", space.url, "-s", "Be brief.", "--file", str(file), "Review this"]
    assert run(*argv, given="a diff").returncode == 0
    job = space.jobs[-1]
    assert job.system == "Be brief."
    assert all(text in job.query for text in ("Review this", "print(1)", "a diff"))


def test_events_as_json_lines(space: FakeSpace) -> None:
    """``--json`` writes a line an event; the last one has the whole answer."""
    done = run("--url", space.url, "--json", "Hi")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, events[-1]["type"], events[-1]["text"]) == (0, "finished", ANSWER)


def test_markdown_is_drawn(space: FakeSpace) -> None:
    """``--markdown`` shows the code without its fence."""
    pytest.importorskip("rich")
    done = run("--url", space.url, "--markdown", "Hi")
    assert done.returncode == 0
    assert "ls -l" in done.stdout
    assert "```" not in done.stdout


def test_status(space: FakeSpace) -> None:
    """It says that the Space is up, for people and for programs."""
    assert run("status", "--url", space.url).returncode == 0
    done = run("status", "--json", "--wait", "1", "--url", space.url)
    assert done.returncode == 0
    assert json.loads(done.stdout)["ready"] is True


def test_doctor(space: FakeSpace) -> None:
    """Each of its lines says ok where all is well."""
    done = run("doctor", "--url", space.url)
    assert done.returncode == 0
    assert "ok" in done.stdout
    assert "FAIL" not in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """It prints a script for each shell."""
    done = run("completion", shell)
    assert done.returncode == 0
    assert "qwen72b" in done.stdout


def test_batch(space: FakeSpace, tmp_path: Path) -> None:
    """It answers each line of a file."""
    prompts, answers = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    prompts.write_text('"one"\n"two"\n', encoding="utf-8")
    assert run("batch", str(prompts), "-o", str(answers), "--url", space.url).returncode == 0
    kept = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    assert [line["answer"] for line in kept] == [ANSWER, ANSWER]


WRITING = [
    ["--help"],
    ["--version"],
    ["chat", "--help"],
    ["help"],
    ["help", "errors"],
    ["completion", "bash"],
    ["status"],
    ["status", "--json"],
    ["inspect"],
    ["doctor"],
    ["Hi"],
    ["--json", "Hi"],
    ["--no-stream", "Hi"],
    ["-x", "Hi"],
    ["chat"],
    ["batch", "-", "-o", "-", "-q"],
    ["batch", "-", "-o", "/dev/full", "-q"],
    ["gateway"],
    ["gateway", "--help"],
]


@pytest.mark.parametrize("argv", WRITING, ids=" ".join)
def test_full_disk_is_told(space: FakeSpace, argv: list[str]) -> None:
    """What cannot be written is a failure, in one line, whichever command writes it."""
    # Buffered, as users have it, there is still something to write at the end.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command(*argv), input='"Hi"\n', stdout=full, stderr=subprocess.PIPE, text=True,
            env={**environment, "QWEN72B_BASE_URL": space.url}, timeout=PATIENCE, check=False,
        )  # fmt: skip
    (line,) = [line for line in done.stderr.splitlines() if "warning" not in line]
    assert "No space left on device" in line
    assert done.returncode == 1
