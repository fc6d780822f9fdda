"""``qwen72b chat``: turns, commands, and what goes wrong in between."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qwen72b.cli import main
from qwen72b.testing import Fail, FakeSpace, Gate

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer(lambda job: [f"<{job.query}>"])
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        yield space


@pytest.fixture
def pipe_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give the command its standard input as a pipe."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


class Typist(io.StringIO):
    """A terminal to read from; a line ``^C`` is the key."""

    def isatty(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:
        line = super().readline()
        if line == "^C\n":
            raise KeyboardInterrupt
        return line


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have someone type on a terminal."""
    return lambda text: monkeypatch.setattr(sys, "stdin", Typist(text))


def test_each_line_is_a_turn(
    space: FakeSpace, pipe_in: Callable[[str], None], capsys: Capture
) -> None:
    """Piped in, each line is answered on standard output, and nothing else is said."""
    pipe_in("One\n\nTwo\n")
    assert main(["chat", "-s", "Be brief."]) == 0
    assert capsys.readouterr() == ("<One>\n<Two>\n", "")
    assert space.jobs[1].history == [["One", "<One>"]]
    assert space.jobs[1].system == "Be brief."


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ('"""One\n  two\nthree"""\n', "One\n  two\nthree"),
        ('"""\nOne\n"""\n', "One"),
        ('"""One"""\n', "One"),
        ("One\\\ntwo\n", "One\ntwo"),
        ("//usr/bin\n", "/usr/bin"),
        ('"""One\ntwo', "One\ntwo"),
    ],
)
def test_turn_may_have_several_lines(
    space: FakeSpace, pipe_in: Callable[[str], None], typed: str, query: str
) -> None:
    """Triple quotes and a last backslash join lines; a doubled slash is no command."""
    pipe_in(typed)
    assert main(["chat"]) == 0
    assert [job.query for job in space.jobs] == [query]


def test_error_ends_a_chat_that_is_piped_in(
    space: FakeSpace, pipe_in: Callable[[str], None], capsys: Capture
) -> None:
    """Without a person the first failure ends the chat with its exit status."""
    space.answer(Fail("GPU trouble"))
    pipe_in("One\nTwo\n")
    assert main(["chat"]) == 1
    assert "GPU trouble" in capsys.readouterr().err
    assert len(space.jobs) == 1


def test_chat_goes_on_after_an_error(
    space: FakeSpace, type_in: Callable[[str], None], capsys: Capture
) -> None:
    """A person is told, and the failed turn is forgotten."""
    space.answer("Hel", Fail("GPU trouble"), times=1)
    type_in("One\nTwo\n")
    assert main(["chat"]) == 0
    out, err = capsys.readouterr()
    assert out == "Hel\n<Two>\n"
    assert "GPU trouble" in err
    assert space.jobs[1].history == []


def test_interrupt_ends_the_line_not_the_chat(
    space: FakeSpace, type_in: Callable[[str], None]
) -> None:
    """Ctrl-C at the prompt gives up what was typed."""
    type_in('"""Never\n^C\nTwo\n')
    assert main(["chat"]) == 0
    assert [job.query for job in space.jobs] == ["Two"]


def test_interrupt_ends_a_chat_that_is_piped_in(
    space: FakeSpace, pipe_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a person Ctrl-C is for the command."""
    pipe_in("One\nTwo\n")
    space.answer("Hel", Gate())

    class Output(io.StringIO):
        interrupted = False

        def flush(self) -> None:
            if self.getvalue() and not self.interrupted:
                self.interrupted = True
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdout", Output())
    assert main(["chat"]) == 130
    assert len(space.jobs) == 1


def test_undo_forgets_the_last_turn(
    space: FakeSpace, type_in: Callable[[str], None], capsys: Capture
) -> None:
    """``/undo`` takes a question and its answer back, and says which."""
    type_in("One\nTwo\n/undo\nThree\n/undo\n/undo\n/undo\n")
    assert main(["chat"]) == 0
    assert space.jobs[2].history == [["One", "<One>"]]
    err = capsys.readouterr().err
    assert "forgotten: Two" in err
    assert "nothing was asked yet" in err


def test_reset_keeps_the_system_prompt(
    space: FakeSpace, type_in: Callable[[str], None], capsys: Capture
) -> None:
    """``/reset`` forgets the turns, ``/system`` changes and shows the system prompt."""
    type_in("/system\n/system Be brief.\nOne\n/reset\n/system\nTwo\n")
    assert main(["chat"]) == 0
    assert space.jobs[1].history == []
    assert space.jobs[1].system == "Be brief."
    lines = [line.removeprefix("> ") for line in capsys.readouterr().err.splitlines()]
    assert any(line.endswith("(the Space's own)") for line in lines)
    assert any(line.endswith("Be brief.") for line in lines)


def test_chat_is_saved_and_loaded(
    space: FakeSpace, type_in: Callable[[str], None], tmp_path: Path
) -> None:
    """``/save`` writes role dicts that ``/load`` goes on with."""
    file = tmp_path / "my chat.json"
    type_in(f"One\n/save {file}\n/reset\n/load {file}\nTwo\n")
    assert main(["chat"]) == 0
    assert json.loads(file.read_text()) == [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "<One>"},
    ]
    assert space.jobs[1].history == [["One", "<One>"]]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("/load", "the name of a file is missing"),
        ("/save", "the name of a file is missing"),
        ("/load /does/not/exist", "/does/not/exist: No such file or directory."),
        ("/load /dev/null", "is not JSON"),
        ("/bogus", "there is no command /bogus"),
    ],
)
def test_command_that_fails_says_why(
    space: FakeSpace, type_in: Callable[[str], None], capsys: Capture, typed: str, words: str
) -> None:
    """A command's mistake is a line, and the chat goes on."""
    type_in(f"{typed}\nOne\n")
    assert main(["chat"]) == 0
    out, err = capsys.readouterr()
    assert words in err
    assert out == "<One>\n"


def test_help_lists_the_commands(
    space: FakeSpace, type_in: Callable[[str], None], capsys: Capture
) -> None:
    """``/help`` is shown even where it shall be quiet; ``/exit`` leaves."""
    type_in("/help\n/exit\nnever asked\n")
    assert main(["chat", "-q"]) == 0
    err = capsys.readouterr().err
    for name in ("/system", "/undo", "/reset", "/save", "/load", "/exit"):
        assert name in err
    assert space.jobs == []


def test_timings_are_told_on_request(
    space: FakeSpace, pipe_in: Callable[[str], None], capsys: Capture
) -> None:
    """``-v`` tells after each answer how long it took."""
    pipe_in("One\n")
    assert main(["chat", "-v"]) == 0
    assert "first text" in capsys.readouterr().err


def test_chat_needs_standard_input(
    space: FakeSpace, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Where standard input is closed there is nobody to chat with."""
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["chat"]) == 2
    assert "no standard input" in capsys.readouterr().err
