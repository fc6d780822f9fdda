"""``qwen72b --markdown``: the answer drawn."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from terminals import PATIENCE, start, terminal

from qwen72b.cli import main
from qwen72b.cli.live import LiveLines
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
    assert "pip install rich" in capsys.readouterr().err
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
    with terminal("--markdown", "Hi", size=(10, 40)) as screen:
        screen.read_until("Hel")
        screen.read_until("\\x1b[2J")
        gate.open()
        status, rest = screen.finish()
    assert status == 0
    assert "\\x1b[2J lo" in rest


BLOCKS = (
    "# Title\n\nA **bold** paragraph that no line of forty columns can hold.\n\n"
    "```\n" + "".join(f"row{number}.\n" for number in range(30)) + "```\n\n"
    "- [a link](http://x.example/)\n- <think>tags</think>\n\n"
    "| a | b |\n|---|---|\n| cell | 2 |\n\nlast\nwords"
)
# The empty row below code: the last thing that is written when code is drawn.
PADDING = f"{' ' * 39}\x1b[0m"
WORDS = ("Title", "bold", "x.example", "<think>", "cell", "last")


def _pieces(text: str) -> list[str]:
    return [text[place : place + 7] for place in range(0, len(text), 7)]


@pytest.mark.parametrize(
    ("height", "stop", "later"),
    [
        (1, "can hold.", (24, 40)),
        (1, "can hold.", None),
        (2, "can hold.", (2, 25)),
        (2, "can hold.", (24, 60)),
        (8, "row12.\n", (8, 25)),
        (8, "row12.\n", None),
        (24, "row12.\n", (30, 60)),
        (60, "row12.\n", (60, 25)),
    ],
)
def test_each_block_is_written_once(
    space: FakeSpace, height: int, stop: str, later: tuple[int, int] | None
) -> None:
    """Whatever the terminal's size, and after it changed, nothing stands twice in the scrollback."""
    pytest.importorskip("rich")
    pyte = pytest.importorskip("pyte")
    screen = pyte.HistoryScreen(40, height, history=1000)
    feed = pyte.Stream(screen).feed
    gate = Gate()
    first, _, second = BLOCKS.partition(stop)
    space.answer(*_pieces(first), stop, gate, *_pieces(second))
    with terminal("--markdown", "Hi", size=(height, 40)) as running:
        running.read_until(stop.strip())
        if stop.startswith("row"):
            # What is written for 40 columns would wrap in fewer, on any terminal.
            running.read_until(PADDING)
        feed(running.written)
        seen = len(running.written)
        if later is not None:
            running.resize(*later)
            screen.resize(*later)
        gate.open()
        assert running.finish()[0] == 0
        feed(running.written[seen:])
    width = screen.columns
    above = ["".join(line[place].data for place in range(width)) for line in screen.history.top]
    shown = "\n".join([*above, *screen.display])
    for number in range(30):
        assert shown.count(f"row{number}.") == 1
    for word in WORDS:
        assert shown.count(word) == 1


def test_lines_of_a_narrower_terminal_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a terminal wraps its lines anew, what grew is erased up to its first row."""
    monkeypatch.setenv("VTE_VERSION", "7200")
    lines = LiveLines()
    assert lines.draw(["x" * 39, "\x1b[1m\u6587\x1b[0m", ""], 40, 24).count("\n") == 2
    assert lines.erase(20) == "\r\x1b[3A\x1b[J"
    assert lines.erase(20) == ""


def test_text_that_was_taken_back_starts_over(space: FakeSpace) -> None:
    """What is finished stays where it is; the Space's text is drawn below it, whole."""
    pytest.importorskip("rich")
    gate = Gate()
    space.answer("One.\n\nTwo.\n\nThree", gate, Snapshot("Uno.\n\nTwo."))
    with terminal("--markdown", "Hi", size=(24, 40)) as screen:
        screen.read_until("Three")
        gate.open()
        status, rest = screen.finish()
    assert status == 0
    assert "starts over" in rest
    assert rest.index("starts over") < rest.index("Uno.") < rest.index("Two.")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_an_encoding_lacks_is_escaped(space: FakeSpace, encoding: str) -> None:
    """Nothing of the answer is lost where it cannot be encoded."""
    pytest.importorskip("rich")
    space.answer("# \u00e4\n\n- \u6587\n\n---\n\n> q\n\n| a |\n|---|\n| \u2192 |\n")
    with start(
        "--markdown", "Hi", env={**os.environ, "PYTHONIOENCODING": encoding}, text=False
    ) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, b"")
    for character in "\u00e4\u6587\u2192":
        assert character.encode(encoding, "backslashreplace") in out


def test_terminal_without_control_sequences_gets_none(space: FakeSpace) -> None:
    """A dumb terminal shows the answer at its end."""
    pytest.importorskip("rich")
    space.answer("*Hel*", "lo")
    with terminal("--markdown", "Hi", env={"TERM": "dumb"}) as screen:
        status, seen = screen.finish()
    assert status == 0
    assert "\x1b" not in seen
    assert seen.strip() == "Hello"


_COLUMNS = [f"col{number}" for number in range(20)]
_ROW = f"| {' | '.join(_COLUMNS)} |\n"


@pytest.mark.parametrize("columns", [2, 10, 20, 40, 80])
@pytest.mark.parametrize(
    "text",
    [
        "| name | url |\n|---|---|\n| alpha | https://example.org/" + "path/" * 20 + "end |\n",
        _ROW + "|---" * 20 + "|\n" + _ROW,
        "\n".join(f"{'  ' * depth}- level{depth}" for depth in range(12)),
        "> " * 12 + "deep\n",
        "1. one\n   - two\n     > three\n     > ```\n     > four\n     > ```\n",
        "![A picture](http://img.example/picture.png)\n",
        "| a |\n|---|\n| ![i](http://img.example/x.png) [l](http://link.example) |\n",
        "before\n\n" + "> " * 12 + "deep\n\nafter\n",
        "```python\nprint('" + "x" * 100 + "')\n```\n",
        "\u5929\u7a7a" * 30,
    ],
    ids=["url", "columns", "list", "quote", "mixed", "image", "images", "blocks", "code", "wide"],
)
def test_nothing_is_cut_off(
    space: FakeSpace, capsys: Capture, monkeypatch: pytest.MonkeyPatch, columns: int, text: str
) -> None:
    """However little room there is: every letter of the answer is shown."""
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", str(columns))
    space.answer(text)
    assert main(["--markdown", "Hi"]) == 0
    out = Counter(capsys.readouterr().out)
    # The name of a code's language is what colours it.
    wanted = Counter(text.removeprefix("```python"))
    assert {letter for letter in wanted - out if letter.isalnum()} == set()


def test_what_has_no_room_is_written_as_it_came(
    space: FakeSpace, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of many columns stays the model's text, and what stands around it is drawn."""
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "60")
    space.answer(f"**before**\n\n{_ROW}{'|---' * 20}|\n{_ROW}\n*after*\n")
    assert main(["--markdown", "Hi"]) == 0
    first, *table, last = [line for line in capsys.readouterr().out.splitlines() if line]
    assert (first.strip(), last.strip()) == ("before", "after")
    assert "".join(table).startswith("| col0 | col1 |")
