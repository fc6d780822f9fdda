"""The command as a process: pipes, a terminal, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminals import start, terminal
from timing import PATIENCE

from qwen72b.testing import Estimation, FakeSpace, Gate, Snapshot

ERASE = "\r\x1b[2K"


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeSpace]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with FakeSpace() as space:
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        yield space


def test_answer_is_on_stdout(space: FakeSpace) -> None:
    """``python -m qwen72b`` answers, and says nothing else."""
    space.answer("Hel", "lo \x1b[31mred")
    with start("Hi") as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "Hello \x1b[31mred\n", "")


def test_answer_is_piped_on_while_it_comes(space: FakeSpace) -> None:
    """A pipe gets the first piece before the second exists."""
    gate = Gate()
    space.answer("Hel", gate, "lo")
    with start("Hi") as process:
        assert process.stdout is not None
        assert process.stdout.read(3) == "Hel"
        gate.open()
        assert process.communicate(timeout=PATIENCE) == ("lo\n", "")
    assert process.returncode == 0


def test_answer_in_a_file_is_exact(space: FakeSpace, tmp_path: Path) -> None:
    """A redirection to a file gets the final text only, though the Space took text back."""
    answer = tmp_path / "answer"
    space.answer("Thinking...", Snapshot("Four."))
    with answer.open("w") as file:
        assert start("2 + 2?", stdout=file, stderr=None).wait(PATIENCE) == 0
    assert answer.read_text() == "Four.\n"


def test_closed_pipe_is_quiet(space: FakeSpace) -> None:
    """A reader that leaves ends the command with status 141 and without a word."""
    gate = Gate()
    space.answer("Hel", gate, "lo")
    with start("Hi") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(3) == "Hel"
        process.stdout.close()
        gate.open()
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE) == 141


def test_interrupt_keeps_what_came(space: FakeSpace) -> None:
    """SIGINT ends the command with status 130, the text so far, and the Space's job."""
    space.answer("Hel", Gate())
    with start("Hi") as process:
        assert process.stdout is not None
        assert process.stdout.read(3) == "Hel"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE) == ("\n", "")
    assert process.returncode == 130
    space.wait_for_disconnect()


def test_answer_that_cannot_be_encoded_is_escaped(space: FakeSpace) -> None:
    """An ASCII standard output gets escapes in place of an error."""
    space.answer("Ä")
    code = "from qwen72b.cli import main; main()"
    argv = [sys.executable, "-X", "utf8=0", "-c", code, "Hi"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, env=env, timeout=PATIENCE, check=True
    )
    assert done.stdout == b"\\xc4\n"


def test_help_loads_no_network_library() -> None:
    """Help and mistakes are told without importing what only a question needs."""
    # From Python 3.14 on argparse itself loads dataclasses once it writes.
    code = """
import argparse, sys
argparse.ArgumentParser().format_help()
before = {*sys.modules}
from qwen72b.cli import main
main(["--help"])
main(["--bogus"])
heavy = {"requests", "anyio", "urllib3", "logging", "dataclasses"}
sys.exit(", ".join(heavy & {*sys.modules} - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stderr.splitlines()[1:] == [""]


def test_queue_is_shown_and_erased(space: FakeSpace) -> None:
    """On a terminal the place in the queue is told, and gone before the answer."""
    gate = Gate()
    space.answer(Estimation(3, 4, 12.4), gate, "Hello")
    with terminal("Hi") as screen:
        screen.read_until("3 before you in the queue, about 12 s...")
        gate.open()
        status, rest = screen.finish()
    assert status == 0
    last_line = rest.rpartition(ERASE)[2]
    assert last_line == "Hello\r\n"


def test_status_line_keeps_out_of_a_pipe(space: FakeSpace) -> None:
    """With standard output in a pipe the status line is on the terminal only."""
    space.answer(Estimation(3, 4), "Hello")
    with terminal("Hi", piped=True) as screen:
        status, seen = screen.finish()
        assert screen.process.stdout is not None
        assert screen.process.stdout.read() == b"Hello\n"
    assert status == 0
    assert "3 before you in the queue" in seen
    assert seen.endswith(ERASE)


@pytest.mark.parametrize(
    ("argv", "env"), [(["-q", "Hi"], {}), (["Hi"], {"TERM": "dumb"})], ids=["quiet", "dumb"]
)
def test_status_line_can_be_absent(space: FakeSpace, argv: list[str], env: dict[str, str]) -> None:
    """Neither ``-q`` nor a terminal without control codes gets a status line."""
    space.answer(Estimation(3, 4), "Hello")
    with terminal(*argv, env=env) as screen:
        assert screen.finish() == (0, "Hello\r\n")


@pytest.mark.parametrize(("env", "colours"), [({"NO_COLOR": "1"}, False), ({}, True)])
def test_colours_can_be_turned_off(space: FakeSpace, env: dict[str, str], colours: bool) -> None:
    """``NO_COLOR`` leaves the status line without attributes."""
    space.answer(Estimation(3, 4), "Hello")
    with terminal("Hi", env=env) as screen:
        seen = screen.finish()[1]
    assert "3 before you" in seen
    assert ("\x1b[2m" in seen) is colours


def test_control_characters_are_escaped_on_a_terminal(space: FakeSpace) -> None:
    """A model's text cannot command the terminal."""
    space.answer("\x1b]0;owned\x07 \u202egnp.exe\r\x9b2J\ttab ä")
    with terminal("-q", "Hi") as screen:
        status, seen = screen.finish()
    assert status == 0
    assert seen.replace("\t", " ").split() == [
        "\\x1b]0;owned\\x07",
        "\\u202egnp.exe\\x0d\\x9b2J",
        "tab",
        "ä",
    ]


def test_interrupt_key_is_status_130(space: FakeSpace) -> None:
    """Ctrl-C on a terminal ends the answer on a line of its own."""
    space.answer("Hello", Gate())
    with terminal("Hi", typed=True) as screen:
        screen.read_until("Hello")
        screen.type("\x03")
        status, rest = screen.finish()
    assert status == 130
    assert rest == "^C\r\n"
    space.wait_for_disconnect()


def test_prompt_is_not_awaited_on_a_terminal() -> None:
    """Without a prompt a terminal is not read; the usage error says what to do."""
    with terminal(typed=True) as screen:
        status, seen = screen.finish()
    assert status == 2
    assert "there is no prompt" in seen


def test_open_pipe_is_not_awaited_silently(space: FakeSpace) -> None:
    """Standard input that does not end is told of, so that nobody wonders."""
    with start("Hi", stdin=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert "reading standard input" in process.stderr.readline()
        assert process.communicate(timeout=PATIENCE)[1] == ""
    assert process.returncode == 0


# Chat


def test_chat_edits_lines_and_remembers_turns(space: FakeSpace) -> None:
    """Backspace edits, the up key brings the last line back, Ctrl-D leaves."""
    space.answer(lambda job: [f"<{job.query}, {len(job.history)}>"])
    with terminal("chat", typed=True) as screen:
        screen.read_until("> ")
        screen.type("Hx\x7fi\r")
        screen.read_until("<Hi, 0>\r\n")
        screen.read_until("> ")
        screen.type("\x1b[A there\r")
        screen.read_until("<Hi there, 1>\r\n")
        screen.read_until("> ")
        screen.type("\x04")
        assert screen.finish()[0] == 0
    assert space.jobs[1].history == [["Hi", "<Hi, 0>"]]


def test_chat_outlives_an_interrupted_answer(space: FakeSpace) -> None:
    """Ctrl-C stops the answer, whose beginning is kept; the chat goes on."""
    space.answer("One, two", Gate(), times=1)
    space.answer("Done.")
    with terminal("chat", typed=True) as screen:
        screen.read_until("> ")
        screen.type("Count\r")
        screen.read_until("One, two")
        screen.type("\x03")
        screen.read_until("stopped; what came is kept.")
        screen.read_until("> ")
        screen.type("Go on\r")
        screen.read_until("Done.\r\n")
        screen.read_until("> ")
        screen.type("/exit\r")
        assert screen.finish()[0] == 0
    assert [job.query for job in space.jobs] == ["Count", "Go on"]
    assert space.jobs[1].history == [["Count", "One, two"]]


def test_chat_prompts_on_the_terminal_alone(space: FakeSpace) -> None:
    """With standard output in a pipe the prompt is on the terminal, the answer in the pipe."""
    space.answer("Hello")
    with terminal("chat", typed=True, piped=True) as screen:
        screen.read_until("> ")
        screen.type("Hi\r")
        screen.read_until("> ")
        screen.type("\x04")
        assert screen.finish()[0] == 0
        assert screen.process.stdout is not None
        assert screen.process.stdout.read() == b"Hello\n"


# Lines


def test_words_are_wrapped_on_a_terminal_only(space: FakeSpace) -> None:
    """A terminal gets line ends between words; a pipe gets the text as it is."""
    space.answer("one two th", "ree four")
    with terminal("-q", "Hi", size=(24, 10)) as screen:
        assert screen.finish() == (
            0,
            "one two t\x1b[1D\x1b[K\r\nthree fou\x1b[3D\x1b[K\r\nfour\r\n",
        )
    with terminal("-q", "Hi", size=(24, 10), piped=True) as screen:
        assert screen.finish() == (0, "")
        assert screen.process.stdout is not None
        assert screen.process.stdout.read() == b"one two three four\n"


def test_line_ends_of_windows_are_line_ends(space: FakeSpace) -> None:
    """CR LF is no control character, wherever it is cut; in a pipe it stays."""
    space.answer("one\r", "\ntwo\r\n", "three\r\n")
    with terminal("-q", "Hi") as screen:
        assert screen.finish() == (0, "one\r\ntwo\r\nthree\r\n")
    with start("-q", "Hi", text=False) as process:
        assert process.communicate(timeout=PATIENCE)[0] == b"one\r\ntwo\r\nthree\r\n"


# What happens to the terminal of a chat

PASTED = "\x1b[200~One\r/reset\rthree\x1b[201~"


def test_paste_is_one_question(space: FakeSpace) -> None:
    """Several lines that are pasted are asked together, and none of them is a command."""
    space.answer("Done.")
    with terminal("chat", typed=True) as screen:
        screen.read_until("> ")
        screen.type(f"{PASTED}\r")
        screen.read_until("Done.\r\n")
        screen.read_until("> ")
        screen.type("\x04")
        assert screen.finish()[0] == 0
    assert [job.query for job in space.jobs] == ["One\n/reset\nthree"]


def test_paste_is_one_question_without_readline(space: FakeSpace) -> None:
    """So it is where the answers go into a pipe."""
    space.answer("Done.")
    with terminal("chat", typed=True, piped=True) as screen:
        screen.read_until("> ")
        screen.type(f"{PASTED}\r")
        screen.read_until("> ")
        screen.type("\x04")
        assert screen.finish()[0] == 0
    assert [job.query for job in space.jobs] == ["One\n/reset\nthree"]


def test_what_is_typed_during_an_answer_waits(space: FakeSpace) -> None:
    """It does not run into the answer; it is the next question, a paste as a whole."""
    gate = Gate()
    space.answer("One, ", gate, "two.", times=1)
    space.answer("Done.")
    with terminal("chat", typed=True) as screen:
        screen.read_until("> ")
        screen.type("Count\r")
        screen.read_until("One, ")
        screen.type(PASTED)
        gate.open()
        screen.read_until("two.")
        screen.read_until("three")
        screen.type("\r")
        screen.read_until("Done.\r\n")
        # Before the next prompt is there, perhaps; it counts all the same.
        screen.type("\x04")
        assert screen.finish()[0] == 0
    assert "One, two." in screen.written
    assert [job.query for job in space.jobs] == ["Count", "One\n/reset\nthree"]


def test_bad_byte_costs_a_typed_line(space: FakeSpace) -> None:
    """A line that is no text is left out; the chat and its turns go on."""
    space.answer(lambda job: [f"<{job.query}>"])
    with terminal("chat", typed=True, env={"LC_ALL": "C.UTF-8"}) as screen:
        for line, reply in (("One", "<One>"), ("T\udcffwo", "left out"), ("Three", "<Three>")):
            screen.read_until("> ")
            screen.type(f"{line}\r")
            screen.read_until(reply)
        screen.type("\x04")
        assert screen.finish()[0] == 0
    assert space.jobs[1].history == [["One", "<One>"]]


@pytest.mark.parametrize("way", ["closed", "closed while answering", "told", "nohup"])
def test_chat_outlives_its_terminal(space: FakeSpace, tmp_path: Path, way: str) -> None:
    """When the terminal is closed, the chat is kept, for its owner alone; the path is told."""
    space.answer("Answer", times=1)
    space.answer("Half an answer", Gate())
    ignored = (signal.SIGHUP,) if way == "nohup" else ()
    with terminal("chat", typed=True, ignored=ignored) as screen:
        screen.read_until("> ")
        screen.type("One\r")
        screen.read_until("Answer\r\n")
        screen.read_until("> ")
        if way == "closed while answering":
            screen.type("Two\r")
            screen.read_until("Half an answer")
        if way == "told":
            screen.wait_until_asleep()
            screen.process.terminate()
            screen.read_until(f"the chat is in {tmp_path}")
            screen.finish()
        else:
            screen.hang_up()
        assert screen.process.wait(PATIENCE) == (143 if way == "told" else 129)
    (file,) = (tmp_path / "qwen72b" / "chats").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    kept = [message["content"] for message in json.loads(file.read_text())]
    assert kept == ["One", "Answer"] + ["Two", "Half an answer"] * (way == "closed while answering")


@pytest.mark.parametrize("locale", ["C", "POSIX", "no-such-locale"])
def test_letters_are_typed_in_any_locale(space: FakeSpace, locale: str) -> None:
    """Where no language is set (ssh, cron, containers), what is typed is UTF-8 all the same."""
    space.answer("Yes.", times=None)
    with terminal("chat", typed=True, env={"LC_ALL": locale}) as screen:
        screen.read_until("> ")
        screen.type("caf\u00e9 \u6f22 \U0001f600\r")
        screen.read_until("Yes.")
        screen.read_until("> ")
        screen.type("\x04")
        assert screen.finish()[0] == 0
    assert [job.query for job in space.jobs] == ["caf\u00e9 \u6f22 \U0001f600"]


@pytest.mark.parametrize("home", ["", "relative"])
def test_useless_home_is_none(space: FakeSpace, tmp_path: Path, home: str) -> None:
    """An empty HOME is no HOME: the chat is kept where the system says, not below the root."""
    code = (
        "import pwd, sys; from types import SimpleNamespace; from qwen72b.cli import main; "
        f"pwd.getpwuid = lambda uid: SimpleNamespace(pw_dir={str(tmp_path)!r}); "
        "sys.exit(main(['chat', '--save']))"
    )
    env = {**os.environ, "HOME": home, "XDG_STATE_HOME": home}
    done = subprocess.run(
        [sys.executable, "-c", code], input="Hi\n", cwd=tmp_path, env=env,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (kept,) = tmp_path.rglob("*.json")
    assert kept.parent == tmp_path / ".local" / "state" / "qwen72b" / "chats"
    assert str(kept) in done.stderr


def test_no_home_at_all(space: FakeSpace) -> None:
    """A user without a home folder is told what to set, and can chat all the same."""
    code = (
        "import pwd, sys; from qwen72b.cli import main; pwd.getpwuid = lambda uid: {}[uid]; "
        "sys.exit(main(sys.argv[1:]))"
    )
    env = {name: value for name, value in os.environ.items() if name[:4] not in ("HOME", "XDG_")}
    for option, status in (["--save"], 2), ([], 0):
        done = subprocess.run(
            [sys.executable, "-c", code, "chat", *option], input="Hi\n", env=env,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert ("Set HOME, or XDG_STATE_HOME." in done.stderr) == (status == 2)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["chatt"], "chat"),
        (["hlep"], "help"),
        (["Bath"], "batch"),
        (["stauts"], "status"),
        (["ask", "chat"], ""),
        (["Hello"], ""),
        (["Help", "me"], ""),
        (["What?"], ""),
    ],
)
def test_mistyped_command(space: FakeSpace, words: list[str], command: str) -> None:
    """A lone word that is nearly a command's name is asked, and that is said."""
    space.answer("Yes.", times=None)
    with start(*words) as process:
        out, err = process.communicate(timeout=PATIENCE)
    told = f"qwen72b: asking {words[0]!r}; the command is qwen72b {command}.\n" if command else ""
    assert (process.returncode, out, err) == (0, "Yes.\n", told)


@pytest.mark.parametrize("command", ["serve", "gateway"])
@pytest.mark.parametrize("port", ["99999", "-1", "http", "\u0663", "8" * 50])
def test_port_that_is_none(command: str, port: str) -> None:
    """It is told before anything slow begins, such as fetching a model."""
    with start(command, f"--port={port}") as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert "is no port: a number from 0 to 65535." in err


@pytest.mark.parametrize(
    ("argv", "line"), [(["-f", "-"], "Why?"), (["batch", "-", "-o", "answers"], '"Why?"')]
)
def test_standard_input_is_typed(
    space: FakeSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], line: str
) -> None:
    """Who asked for standard input on a terminal is told at once that it is read, and what ends it."""
    monkeypatch.chdir(tmp_path)
    with terminal(*argv, typed=True) as screen:
        screen.read_until("Ctrl-D")
        screen.type(f"{line}\n\x04")
        status, rest = screen.finish()
    assert status == 0, rest
    assert [job.query for job in space.jobs] == ["Why?"]
