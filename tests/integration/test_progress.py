"""A bar shows how far an answer is, and is gone when it is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import anyio
import pytest
from tqdm.auto import tqdm

from qwen72b import (
    AsyncClient,
    Client,
    Delta,
    Event,
    Finished,
    GenerationFailed,
    InvalidOption,
    Progress,
    Queued,
    Revised,
    Started,
)
from qwen72b.progress import ProgressBar
from qwen72b.testing import Estimation, Fail, FakeSpace


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace("5.25.2") as space:
        space.answer(Estimation(rank=2, size=3, eta=9.0), "Hel", "lo")
        yield space


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast steps come, tqdm draws each."""
    monkeypatch.setattr("tqdm.std.time", iter(range(1000)).__next__)


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([Queued(rank=3, size=4, eta=12.4)], ["3 before you in the queue, about 12 s", "0/3"]),
        ([Queued(rank=3), Queued(rank=1)], ["1 before you in the queue", "67%", "2/3"]),
        ([Queued(rank=0)], ["Next in the queue"]),
        ([Queued(rank=None, eta=5.0)], ["Waiting in the queue, about 5 s"]),
        ([Queued(rank=1), Started(eta=2.0)], ["started, about 2 s"]),
        ([Progress(index=2, length=8, description="Loading")], ["Loading", "25%", "2/8"]),
        ([Progress(description="\x1b[2J\nup")], ["\\x1b[2J up"]),
        ([Progress(index=2, unit="files")], ["working", "2 files"]),
        ([Progress(fraction=0.4, description="Loading")], ["Loading", "40%", "40/100"]),
        ([Delta("Hel"), Delta("lo")], ["answering", "5 characters"]),
        ([Delta("Hello"), Revised("y", 3)], ["answering", "4 characters"]),
        ([Progress(index=7, length=8), Delta("Hel")], ["answering", "3 characters"]),
    ],
)
def test_events_are_shown(
    every_step: None, capsys: pytest.CaptureFixture[str], events: list[Event], shown: list[str]
) -> None:
    """The bar tells the place in the queue, the Space's progress, and the text that came."""
    with ProgressBar() as bar:
        for event in events:
            bar.take(event)
        drawn = capsys.readouterr().err.rpartition("\r")[2]
    for part in shown:
        assert part in drawn


def test_bar_goes_away(capsys: pytest.CaptureFixture[str]) -> None:
    """At the end of the answer its line is blank again, and stays so."""
    bar = ProgressBar()
    for event in (Delta("Hello"), Finished("Hello")):
        bar.take(event)
    bar.close()
    *_, blank, end = capsys.readouterr().err.split("\r")
    assert not blank.strip()
    assert end == ""


def test_result_shows_a_bar(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """On request the result is waited for with a bar on stderr."""
    with Client(space.url) as client:
        assert client.stream("Hi").result(progress=True) == "Hello"
        assert "2 before you in the queue, about 9 s" in capsys.readouterr().err
        assert client.stream("Hi").result() == "Hello"
        assert capsys.readouterr() == ("", "")


def test_async_result_shows_a_bar(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """The async twin shows the same."""

    async def ask() -> None:
        async with AsyncClient(space.url) as client:
            assert await client.stream("Hi").result(progress=True) == "Hello"

    anyio.run(ask)
    assert "2 before you in the queue, about 9 s" in capsys.readouterr().err


def test_bar_goes_away_when_the_answer_fails(
    space: FakeSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed answer raises its error and leaves no bar behind."""
    space.answer("Hel", Fail("out of memory"))
    with Client(space.url) as client, pytest.raises(GenerationFailed):
        client.stream("Hi").result(progress=True)
    assert capsys.readouterr().err.endswith("\r")


def test_callers_bars_keep_their_monitor() -> None:
    """Tqdm's settings are the caller's: only our bar goes without tqdm's thread."""
    with ProgressBar():
        assert tqdm.monitor_interval > 0
        assert tqdm.monitor is None


def test_bar_without_tqdm_is_refused(space: FakeSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tqdm is missing, a bar is refused before any I/O."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with Client(space.url) as client, pytest.raises(InvalidOption, match="tqdm"):
        client.stream("Hi").result(progress=True)
    assert space.requests == []
