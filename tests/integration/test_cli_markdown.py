"""``qwen72b --markdown``: the answer drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from terminals import terminal

from qwen72b.cli import main
from qwen72b.testing import Fail, FakeSpace, Gate, Snapshot

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpace]:
    monkeypatch.setattr(sys, "stdin", None)
    with FakeSpace() as space:
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        yield space


def test_missing_rich_is_told_before_anything_is_asked(
    space: FakeSpace, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without rich the way to install it is told."""
    monkeypatch.setitem(sys.modules, "rich", None)
    assert main(["--markdown", "Hi"]) == 2
    assert 'pip install "qwen72b[rich]"' in capsys.readouterr().err
    assert space.requests == []


def test_answer_is_drawn(space: FakeSpace, capsys: Capture) -> None:
    """Markdown is laid out, and text that was taken back is not shown."""
    pytest.importorskip("rich")
    space.answer("Thinking...", Snapshot("- one\n- **two**\n"))
    assert main(["--markdown", "Hi"]) == 0
    out, err = capsys.readouterr()
    assert [line.strip() for line in out.splitlines() if line.strip()] == ["• one", "• two"]
    assert err == ""


def test_answer_that_fails_is_drawn_as_far_as_it_came(space: FakeSpace, capsys: Capture) -> None:
    """What came is shown before the error."""
    pytest.importorskip("rich")
    space.answer("*Hel*", Fail())
    assert main(["--markdown", "Hi"]) == 1
    assert capsys.readouterr().out.strip() == "Hel"


def test_answer_grows_on_a_terminal(space: FakeSpace) -> None:
    """On a terminal it is drawn while it comes; control characters are shown, not obeyed."""
    pytest.importorskip("rich")
    gate = Gate()
    space.answer("**Hel**\x1b[2J", gate, " lo")
    with terminal("--markdown", "Hi", env={"COLUMNS": "40", "LINES": "10"}) as screen:
        screen.read_until("Hel")
        screen.read_until("\\x1b[2J")
        gate.open()
        status, rest = screen.finish()
    assert status == 0
    assert "\\x1b[2J lo" in rest


def test_long_answer_is_whole_at_its_end(space: FakeSpace) -> None:
    """An answer longer than the terminal is drawn in part while it grows, in full at last."""
    pytest.importorskip("rich")
    gate = Gate()
    lines = [f"line {number}\n\n" for number in range(20)]
    space.answer("".join(lines), gate, "end")
    with terminal("--markdown", "Hi", env={"COLUMNS": "40", "LINES": "8"}) as screen:
        growing = screen.read_until("line 19")
        gate.open()
        status, rest = screen.finish()
    assert status == 0
    assert "line 2 " not in growing
    for number in range(20):
        assert f"line {number}" in rest
