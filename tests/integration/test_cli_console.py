"""What a person at a terminal sees beside the answer."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest

from qwen72b.cli import main
from qwen72b.testing import Estimation, FakeSpace, Log, Message, Progress, Snapshot, Start

ERASE = "\r\x1b[2K"


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    @property
    def lines(self) -> list[str]:
        """What stood on the status line, one after the other."""
        return self.getvalue().split(ERASE)


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpace]:
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with FakeSpace() as space:
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        yield space


def run(*argv: str) -> tuple[int, Screen]:
    """Run with standard error on a terminal; pytest sets the stream up anew before each test."""
    screen = Screen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        return main(argv), screen


def test_status_line_follows_the_job(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """The queue, the start, the Space's progress and the answer's growth are told in turn."""
    space.answer(
        Estimation(2, 3, 12.3),
        Estimation(0, 1),
        Start(),
        Progress(1, 4, "Loading"),
        Progress(None, None, None, 0.5),
        Progress(None, None, "Warming up"),
        "Hel",
        "lo",
    )
    status, screen = run("--no-stream", "Hi")
    assert status == 0
    # How many pieces one read brings is up to the network.
    assert [line for line in screen.lines if line != "Answering, 3 characters so far..."] == [
        "Connecting...",
        "2 before you in the queue, about 12 s...",
        "Next in the queue...",
        "Waiting for the first word...",
        "Loading: 1 of 4 steps",
        "Working: 50%",
        "Warming up...",
        "Answering, 5 characters so far...",
        "",
    ]
    assert capsys.readouterr().out == "Hello\n"


def test_queue_without_a_place_is_told(space: FakeSpace) -> None:
    """A Space that does not say the place still says that one waits."""
    space.answer(Message("estimation", rank=None, queue_size=1, rank_eta=None), "Hello")
    status, screen = run("Hi")
    assert status == 0
    assert "Waiting in the queue..." in screen.lines


def test_long_status_is_cut(space: FakeSpace) -> None:
    """A status line never wraps, for what wraps cannot be erased."""
    space.answer(Start(), Progress(1, 2, "x" * 200), "Hello")
    status, screen = run("Hi")
    assert status == 0
    assert "x" * 79 in screen.lines


def test_words_of_the_space_take_the_status_line_away(
    space: FakeSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message stands on a line of its own, with its title."""
    space.answer(Start(), Message("log", log="Mind the gap", level="info", title="Note"), "Hello")
    status, screen = run("Hi")
    assert status == 0
    assert "qwen72b: the Space says: Note: Mind the gap\n" in screen.getvalue()
    assert screen.lines[-1] == "qwen72b: the Space says: Note: Mind the gap\n"
    assert capsys.readouterr().out == "Hello\n"


def test_warning_is_told_once(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """Text that was taken back is explained where it had been shown already."""
    space.answer(Log("a"), "Thinking...", Snapshot("Four."))
    screen = run("2 + 2?")[1]
    assert capsys.readouterr().out.endswith("\nFour.\n")
    assert screen.getvalue().count("warning: ") == 1


def test_interrupt_takes_the_status_line_away(
    space: FakeSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while waiting leaves a clean line."""

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("qwen72b.cli.renderers.queue_words", interrupted)
    status, screen = run("Hi")
    assert status == 130
    assert screen.lines == ["Connecting...", ""]


def test_closed_pipe_is_status_141(space: FakeSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that has gone is no error to talk about."""

    class Gone(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError

    for argv in (["Hi"], ["--json", "Hi"], ["status"]):
        monkeypatch.setattr(sys, "stdout", Gone())
        errors = io.StringIO()
        monkeypatch.setattr(sys, "stderr", errors)
        assert main(argv) == 141
        assert errors.getvalue() == ""


def test_full_disk_is_status_1(
    space: FakeSpace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer that cannot be written is an error."""

    class Full(io.StringIO):
        def write(self, text: str, /) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["Hi"]) == 1
    assert capsys.readouterr().err == "qwen72b: standard output: No space left on device.\n"


def test_closed_streams_are_no_bugs(
    space: FakeSpace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell may close either stream; the answer needs one, the exit status none."""
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["Hi"]) == 1
    assert capsys.readouterr().err == "qwen72b: standard output is closed.\n"
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["--bogus"]) == 2


def test_json_error_of_an_interrupt(
    space: FakeSpace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With ``--json`` Ctrl-C and unforeseen errors are objects, too."""
    for error, name in (
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (RuntimeError("x"), "RuntimeError"),
    ):

        def broken(*_: object, error: BaseException = error) -> str:
            raise error

        monkeypatch.setattr("qwen72b.cli.ask.read_question", broken)
        assert main(["--json", "Hi"]) in (1, 130)
        assert f'"error": "{name}"' in capsys.readouterr().out
