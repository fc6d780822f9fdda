"""``qwen72b help``: the guide on the terminal, from wherever the package is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from terminals import command, terminal

import qwen72b
from qwen72b.cli import main
from qwen72b.cli.help import TOPICS, read_topic, summarize

Capture = pytest.CaptureFixture[str]

PACKAGE = Path(qwen72b.__file__).parent


def test_help_lists_topics(capsys: Capture) -> None:
    """Each topic is there with the line that sums it up."""
    assert main(["help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    for topic in TOPICS:
        assert [topic, summarize(read_topic(topic))] in lines


@pytest.mark.parametrize("topic", TOPICS)
def test_help_shows_a_topic(topic: str, capsys: Capture) -> None:
    """A topic comes as plain text, without what is meant for a typesetter."""
    assert main(["help", topic]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    source = read_topic(topic)
    assert out.startswith(source[:20])
    assert "\x1b" not in out
    assert ".. " not in "\n".join(line[:3] for line in out.splitlines())
    said = [line for line in source.splitlines() if not line.startswith((".. ", "   :"))]
    assert [line for line in out.splitlines() if line] == [line for line in said if line]


@pytest.mark.parametrize("name", ["Wire", "wire.rst", "protocol_versions"])
def test_help_takes_a_topic_as_people_write_it(name: str, capsys: Capture) -> None:
    """Case, the file's ending and underscores do not matter."""
    assert main(["help", name]) == 0
    assert capsys.readouterr().out


def complaint(capsys: Capture, *argv: str) -> str:
    """Run what is refused; give the one line that says why."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_unknown_topic_names_the_nearest(capsys: Capture) -> None:
    """What was mistyped is told in one line, with what may have been meant."""
    assert "Nearest: wire." in complaint(capsys, "help", "wier")
    assert "protocol-versions" in complaint(capsys, "help", "protocol")
    assert "Nearest" not in complaint(capsys, "help", "xyzzy")
    assert "Nearest" not in complaint(capsys, "help", "")


def test_topic_that_is_a_command(capsys: Capture) -> None:
    """A command without a topic has a help of its own."""
    assert "qwen72b doctor --help" in complaint(capsys, "help", "doctor")


def test_question_that_begins_with_help(capsys: Capture) -> None:
    """Who wanted to ask the model for help learns how."""
    assert 'qwen72b ask "help me write"' in complaint(capsys, "help", "me", "write")


def test_help_is_paged_on_a_terminal() -> None:
    """A person reads through PAGER."""
    with terminal("help", "wire", typed=True, env={"PAGER": "sed 's/^/> /'"}) as screen:
        assert "> The wire" in screen.read_until("> How Gradio")
        status, rest = screen.finish()
    assert status == 0
    assert "> Not known" in rest


@pytest.mark.parametrize("variable", ["PAGER", "MANPAGER"])
@pytest.mark.parametrize(
    "pager", ["no-such-program", "no-such-program -R", "/", "   ", "# less", "'less", "less |"]
)
def test_pager_that_is_not_there(variable: str, pager: str) -> None:
    """A pager that cannot be run costs a line of the shell's, and no word of the guide."""
    with terminal("help", "glossary", typed=True, env={variable: pager}) as screen:
        status, shown = screen.finish()
    assert status == 0
    assert read_topic("glossary").splitlines()[-1] in shown


@pytest.mark.parametrize("env", [{"PAGER": "", "PATH": "/nowhere"}, {"TERM": "dumb"}])
def test_help_without_a_pager(env: dict[str, str]) -> None:
    """Where no program can page, the text comes as it is."""
    with terminal("help", "glossary", typed=True, env=env) as screen:
        status, shown = screen.finish()
    assert status == 0
    assert shown.replace("\r", "").startswith(read_topic("glossary")[:60])


def test_pager_that_is_left_early() -> None:
    """Whoever leaves the pager has read enough."""
    with terminal("help", "wire", typed=True, env={"PAGER": "head -n 1"}) as screen:
        status, shown = screen.finish()
    assert (status, shown.splitlines()) == (0, ["The wire"])


def test_help_needs_no_http() -> None:
    """Nothing that speaks HTTP is loaded to read a page."""
    code = (
        "import sys; from qwen72b.cli import main; main(['help', 'wire']); "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"requests", "urllib3", "anyio", "sseclient", "http", "ssl", "socket"}


def test_help_from_a_zip(tmp_path: Path) -> None:
    """The guide is found where the package lies in an archive."""
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in PACKAGE.rglob("*"):
            if path.suffix in (".py", ".rst"):
                file.write(path, path.relative_to(PACKAGE.parent))
    done = subprocess.run(
        command("help", "glossary"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(archive)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.rstrip("\n") == read_topic("glossary").rstrip("\n")
    traced = subprocess.run(
        [sys.executable, "-c", "import qwen72b; print(qwen72b.__file__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(archive)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert traced.stdout.startswith(str(archive))
