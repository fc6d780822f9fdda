"""Many questions from an event loop: the same batch, kept off it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from timing import PATIENCE

from qwen72b import AsyncClient, Client, StreamInterrupted
from qwen72b.testing import FakeSpace, Gate, Job

pytestmark = pytest.mark.anyio


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    def echo(job: Job) -> Iterator[Any]:
        yield f"re: {job.query}"

    with FakeSpace() as space:
        space.answer(echo)
        yield space


def batch_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("qwen72b")]


async def test_map_answers_in_order(space: FakeSpace) -> None:
    """Results come in order, and the tally counts them."""
    async with AsyncClient(space.url) as client:
        batch = client.map(["a", "b", "c"])
        assert [result.reply async for result in batch] == ["re: a", "re: b", "re: c"]
        assert batch.tally.answered == 3
    assert batch_threads() == []


async def test_items_may_come_asynchronously(space: FakeSpace) -> None:
    """An async iterable of items is drawn on the event loop."""
    home = threading.get_ident()

    async def items() -> AsyncIterator[str]:
        for number in range(20):
            await anyio.lowlevel.checkpoint()
            assert threading.get_ident() == home
            yield str(number)

    async with AsyncClient(space.url) as client:
        replies = [result.reply async for result in client.map(items(), max_in_flight=3)]
    assert replies == [f"re: {n}" for n in range(20)]


async def test_journal_is_that_of_the_blocking_client(space: FakeSpace, tmp_path: Path) -> None:
    """What an async batch has done, a blocking one need not do again."""
    path = tmp_path / "answers.jsonl"
    async with AsyncClient(space.url) as client:
        async for _ in client.map(["a", "b"], journal=path):
            pass
    with Client(space.url) as blocking:
        results = list(blocking.map(["b", "c"], journal=path))
    assert [result.resumed for result in results] == [True, False]
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 3


async def test_cancelling_hangs_up(space: FakeSpace) -> None:
    """A cancelled task stops its batch, and the Space's jobs with it."""
    gate = Gate()
    held = threading.Semaphore(0)

    def script(job: Job) -> Iterator[Any]:
        yield "half"
        held.release()
        yield gate

    def wait_for_three() -> None:
        for _ in range(3):
            assert held.acquire(timeout=PATIENCE)

    space.answer(script)
    async with AsyncClient(space.url) as client, anyio.create_task_group() as group:

        async def consume() -> None:
            async for _ in client.map(map(str, range(50)), max_in_flight=3):
                pass

        group.start_soon(consume)
        await anyio.to_thread.run_sync(wait_for_three)
        group.cancel_scope.cancel()
    # The thread that was driving ends by itself; the suite waits for it.
    space.wait_for_disconnect(3)
    assert len(space.jobs) == 3


async def test_closing_early_leaves_nothing(space: FakeSpace) -> None:
    """After aclose no thread of the batch is left, nor does it go on."""
    async with AsyncClient(space.url) as client:
        async with client.map(map(str, range(500)), max_in_flight=3) as batch:
            assert (await batch.__anext__()).reply == "re: 0"
        assert batch_threads() == []
    assert len(space.jobs) < 50


async def test_leaving_the_loop_hangs_up(space: FakeSpace) -> None:
    """An early break ends the batch, although it still has a name."""
    async with AsyncClient(space.url) as client:
        batch = client.map(map(str, range(500)), max_in_flight=3)
        async for result in batch:
            assert result.reply == "re: 0"
            break
        assert batch_threads() == []
        with pytest.raises(StreamInterrupted):
            await batch.__anext__()
    assert len(space.jobs) < 50


async def test_pipe_that_is_full_does_not_outlive_its_task(space: FakeSpace) -> None:
    """A task that waits for a pipe's reader is cancelled like any other."""
    out, end = os.pipe()
    os.set_blocking(end, False)
    try:
        while os.write(end, b"x" * 4096):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(end, True)
    try:
        async with AsyncClient(space.url) as client:
            with anyio.move_on_after(0.2):
                async for _ in client.map(["a", "b"], journal=f"/dev/fd/{end}"):
                    pytest.fail("nobody reads")
    finally:
        os.close(out)
        os.close(end)
