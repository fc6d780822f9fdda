"""``qwen72b chat``: turns, commands, and what goes wrong in between."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qwen72b.cli import main
from qwen72b.testing import Fail, FakeSpace, Gate

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeSpace]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
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
        ("/load /does/not/exist", "/does/not/exist cannot be read: No such file or directory."),
        ("/load .", ". cannot be read: Is a directory."),
        ("/load /dev/null", "is not JSON"),
        ("/bogus", "there is no command /bogus"),
        ("/save ~no-such-user/chat", "there is no folder ~no-such-user"),
        ("/save! ~no-such-user/chat", "there is no folder ~no-such-user"),
        ("/load ~no-such-user/chat", "there is no folder ~no-such-user"),
        ("/load a\0b", "has no NUL bytes"),
        ("/save a\0b", "has no NUL bytes"),
        ("/undo 2", "/undo takes no words behind it"),
        ("/retry more briefly", "/retry takes no words behind it"),
        ("/reset all", "/reset takes no words behind it"),
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


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "state" / "qwen72b" / "chats").glob("*"))


@pytest.mark.parametrize("word", ["/quit", "/exit", "/quit now", "exit", "quit"])
def test_leaving_keeps_nothing(
    space: FakeSpace, type_in: Callable[[str], None], tmp_path: Path, word: str
) -> None:
    """A chat that is left is written nowhere, unless that was asked for."""
    type_in(f"One\n{word}\nnever asked\n")
    assert main(["chat"]) == 0
    assert len(space.jobs) == 1
    assert kept(tmp_path) == []


def test_bare_word_that_is_piped_in_is_asked(
    space: FakeSpace, pipe_in: Callable[[str], None], capsys: Capture
) -> None:
    """Only somebody who types means to leave with it."""
    pipe_in("exit\n/quit\nnever asked\n")
    assert main(["chat"]) == 0
    assert [job.query for job in space.jobs] == ["exit"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("", "is not JSON"),
        ("{}", "holds no chat: messages must be a list"),
        ('[{"role": "user"}]', "holds no chat: messages[0] has no 'content'"),
        ('[{"role": "bad", "content": ""}]', "holds no chat: messages[0] has the unknown role"),
    ],
)
def test_damaged_chat(
    space: FakeSpace,
    pipe_in: Callable[[str], None],
    tmp_path: Path,
    capsys: Capture,
    content: str | None,
    words: str,
) -> None:
    """A chat that cannot be gone on with is named, once, with status 2, and nothing is asked."""
    file = tmp_path / "chat.json"
    if content is not None:
        file.write_text(content)
    pipe_in("One\n")
    assert main(["chat", "--load", str(file)]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count(str(file)) == err.count("\n") == 1
    if content is not None:
        folder = tmp_path / "state" / "qwen72b" / "chats"
        folder.mkdir(parents=True)
        file.rename(folder / "1.json")
        assert main(["chat", "-c"]) == 2
        assert f"{folder / '1.json'}" in capsys.readouterr().err
    assert space.jobs == []


def test_chat_of_no_name_is_no_new_chat(
    space: FakeSpace, pipe_in: Callable[[str], None], capsys: Capture
) -> None:
    """An empty name, as of a variable that is not set, is a mistake."""
    pipe_in("One\n")
    assert main(["chat", "--load", ""]) == 2
    assert "the name of a file is missing" in capsys.readouterr().err
    assert space.jobs == []


def test_chat_is_kept_and_gone_on_with(
    space: FakeSpace, type_in: Callable[[str], None], tmp_path: Path, capsys: Capture
) -> None:
    """``--save`` keeps the chat after each turn, for its owner alone; ``-c`` goes on, and keeps on."""
    chats = []
    space.answer(lambda job: [chats.append(kept(tmp_path)) or f"<{job.query}>"])
    type_in("One\nTwo\n")
    assert main(["chat", "--save", "-s", "Brief."]) == 0
    assert [len(files) for files in chats] == [0, 1]
    (file,) = kept(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert str(file) in capsys.readouterr().err
    type_in("Three\n")
    assert main(["chat", "-c"]) == 0
    assert space.jobs[2].history == [["One", "<One>"], ["Two", "<Two>"]]
    assert space.jobs[2].system == "Brief."
    assert kept(tmp_path) == [file]
    assert [message["content"] for message in json.loads(file.read_text())][-2:] == [
        "Three",
        "<Three>",
    ]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.symlink_to("gone"), "No such file"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
        (lambda path: path.mkdir(), "no file"),
        (lambda path: os.mkfifo(path), "no file"),
        (lambda path: path.symlink_to(path.parent), "no file"),
        (lambda path: path.symlink_to("/dev/zero"), "no file"),
    ],
    ids=["broken link", "loop", "folder", "pipe", "link to a folder", "device"],
)
def test_what_is_no_chat_is_told_and_left_out(
    make: Callable[[Path], object],
    why: str,
    space: FakeSpace,
    pipe_in: Callable[[str], None],
    capsys: Capture,
    tmp_path: Path,
) -> None:
    """``-c`` takes the newest chat that there is, whatever else is in the folder."""
    pipe_in("One\n")
    assert main(["chat", "--save"]) == 0
    (kept,) = (tmp_path / "state" / "qwen72b" / "chats").glob("*.json")
    newest = kept.with_name("9999-12-31.json")
    make(newest)
    capsys.readouterr()
    pipe_in("Two\n")
    assert main(["chat", "-c"]) == 0
    out, err = capsys.readouterr()
    assert out == "<Two>\n"
    assert f"{newest} is left out" in err and why in err
    assert space.jobs[1].history == [["One", "<One>"]]


def test_nothing_to_go_on_with_is_told(
    space: FakeSpace, type_in: Callable[[str], None], capsys: Capture
) -> None:
    """``-c`` without a chat that was kept is an error, not a new chat."""
    type_in("One\n")
    assert main(["chat", "-c"]) == 2
    assert "chat --save" in capsys.readouterr().err
    assert space.jobs == []


def test_chat_is_loaded_at_its_start(
    space: FakeSpace, pipe_in: Callable[[str], None], tmp_path: Path
) -> None:
    """``--load`` goes on with a file; a system prompt that is given counts."""
    file = tmp_path / "chat.json"
    file.write_text(
        json.dumps([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    )
    pipe_in("One\n")
    assert main(["chat", "--load", str(file), "-s", "Brief."]) == 0
    assert space.jobs[0].history == [["a", "b"]]
    assert space.jobs[0].system == "Brief."


def test_retry_asks_the_last_question_again(
    space: FakeSpace, type_in: Callable[[str], None], capsys: Capture
) -> None:
    """``/retry`` replaces the last answer; where the new one fails, the old one stays."""
    space.answer("first", times=1)
    space.answer("second", times=1)
    space.answer(Fail("GPU trouble"), times=1)
    space.answer(lambda job: [f"<{job.query}>"])
    type_in("/retry\nOne\n/retry\n/retry\nTwo\n")
    assert main(["chat"]) == 0
    out, err = capsys.readouterr()
    assert "nothing was asked yet" in err
    assert out == "first\nsecond\n<Two>\n"
    assert [job.query for job in space.jobs] == ["One", "One", "One", "Two"]
    assert space.jobs[1].history == space.jobs[2].history == []
    assert space.jobs[3].history == [["One", "second"]]


def test_retry_asks_a_question_that_failed(
    space: FakeSpace, type_in: Callable[[str], None], capsys: Capture
) -> None:
    """What was asked without success is asked again, though the chat forgot it."""
    space.answer("a", times=1)
    space.answer(Fail("GPU trouble"), times=1)
    type_in("One\nTwo\n/retry\n")
    assert main(["chat"]) == 0
    assert space.jobs[2].query == "Two"
    assert space.jobs[2].history == [["One", "a"]]
    assert capsys.readouterr().out == "a\n<Two>\n"


def test_failure_of_the_program_keeps_the_chat(
    space: FakeSpace,
    type_in: Callable[[str], None],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Whatever breaks, what was said is kept, and where is told."""

    def broken(self: object, name: str) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("qwen72b.cli.chat._Chat._help", broken)
    type_in("One\n/help\n")
    assert main(["chat"]) == 1
    (file,) = kept(tmp_path)
    err = capsys.readouterr().err
    assert f"the chat is in {file}; chat -c goes on with it." in err
    assert "internal error: RuntimeError: a bug" in err
    assert json.loads(file.read_text())[1]["content"] == "<One>"


def test_file_is_not_replaced_by_mistake(
    space: FakeSpace,
    type_in: Callable[[str], None],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """``/save`` knows ``~``, spares what it did not write, and says how to replace it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").write_text("precious")
    type_in("One\n/save ~/mine\n/save ~/new\nTwo\n/save ~/new\n")
    assert main(["chat"]) == 0
    assert (tmp_path / "mine").read_text() == "precious"
    assert len(json.loads((tmp_path / "new").read_text())) == 4
    assert "/save! ~/mine replaces it" in capsys.readouterr().err
    type_in("One\n/save! ~/mine\n")
    assert main(["chat"]) == 0
    assert len(json.loads((tmp_path / "mine").read_text())) == 2


def test_bad_byte_costs_a_line(
    space: FakeSpace, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Piped in, a line that is no text is told by its number, and the status is 2."""
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(b"One\nT\xffwo\nThree\n"), "utf-8")
    )
    assert main(["chat"]) == 2
    out, err = capsys.readouterr()
    assert out == "<One>\n<Three>\n"
    assert "line 2 is no UTF-8 text" in err


def test_answers_are_drawn(
    space: FakeSpace, pipe_in: Callable[[str], None], capsys: Capture
) -> None:
    """``--markdown`` draws each answer."""
    pytest.importorskip("rich")
    space.answer("- *one*")
    pipe_in("One\nTwo\n")
    assert main(["chat", "--markdown"]) == 0
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["• one", "• one"]
