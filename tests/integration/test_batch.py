"""Many questions: the window, the order, failures, refusals, and closing."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
from clusters import cluster
from timing import PATIENCE

from qwen72b import (
    Client,
    ConnectFailed,
    GenerationFailed,
    InvalidMessages,
    InvalidOption,
    InvalidRequest,
    QueueFull,
    Retry,
    StreamInterrupted,
    Timings,
)
from qwen72b.batch import Tally
from qwen72b.testing import Close, Complete, Fail, FakeSpace, Gate, Job, Reset, Respond

# The standard library starts it with the first process, and keeps it.
resource_tracker.ensure_running()

# Waits between tries that do not slow the tests down.
QUICK = Retry(base=0.01, cap=0.02)


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer(echo)
        yield space


@pytest.fixture
def client(space: FakeSpace) -> Iterator[Client]:
    with Client(space.url, retry=QUICK, token=False) as client:
        yield client


def echo(job: Job) -> Iterator[Any]:
    """Answer with the question."""
    yield f"re: {job.query}"


class Held:
    """Answers the question ``0`` and holds all others back, and knows how many it holds."""

    def __init__(self) -> None:
        self._gate = Gate()
        self._held = threading.Semaphore(0)

    def __call__(self, job: Job) -> Iterator[Any]:
        if job.query != "0":
            yield "half"
            self._held.release()
            yield self._gate
        yield "."

    def wait_for(self, count: int) -> None:
        """Wait until so many streams are open and held."""
        for _ in range(count):
            assert self._held.acquire(timeout=PATIENCE)


def batch_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("qwen72b")]


def test_map_answers_in_order(client: Client) -> None:
    """Results come in the order of their items, whatever their form."""
    items = ["one", [{"role": "user", "content": "two"}], {"id": "3rd", "prompt": "three"}]
    results = list(client.map(items))
    assert [result.reply for result in results] == ["re: one", "re: two", "re: three"]
    assert [result.item for result in results] == items
    assert results[2].id == "3rd"
    assert all(result.ok and result.tries == 1 and not result.resumed for result in results)
    assert results[1].reply is not None
    assert results[1].reply.timings is not None
    assert results[1].reply.messages == [
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "re: two"},
    ]


def test_map_unordered_hands_out_what_is_there(space: FakeSpace, client: Client) -> None:
    """Without an order a slow item holds nobody up; with one it is waited for."""
    gate = Gate()

    def script(job: Job) -> Iterator[Any]:
        if job.query == "slow":
            yield gate
        yield job.query

    space.answer(script)
    with client.map(["slow", "a", "b"], ordered=False) as batch:
        assert {next(batch).reply, next(batch).reply} == {"a", "b"}
        gate.open()
        assert next(batch).reply == "slow"


def test_window_bounds_items_under_way(space: FakeSpace, client: Client) -> None:
    """The Space sees as many items at once as max_in_flight allows, and never more."""
    running: list[int] = []
    gate = Gate()

    def script(job: Job) -> Iterator[Any]:
        running.append(sum(other.state == "running" for other in space.jobs))
        yield gate
        yield job.query

    def let_through() -> None:
        space.wait_for_job("running", 3)
        gate.open()

    space.answer(script)
    opening = threading.Thread(target=let_through)
    opening.start()
    with ThreadPoolExecutor(16) as pool:
        results = list(client.map(map(str, range(60)), executor=pool, max_in_flight=3))
    opening.join()
    assert len(results) == 60
    # That there were three, the wait for them has shown.
    assert max(running) <= 3


def test_items_are_drawn_as_needed(client: Client) -> None:
    """An endless input is fine: no more is drawn than the window and its lead need."""
    drawn = 0

    def endless() -> Iterator[str]:
        nonlocal drawn
        while True:
            drawn += 1
            yield f"question {drawn}"

    with client.map(endless(), max_in_flight=2) as batch:
        for _ in range(10):
            next(batch)
    # Behind one that is slow there may be 16 windows.
    assert 10 <= drawn <= 10 + 17 * 2


def test_slow_item_bounds_the_lead_of_others(space: FakeSpace, client: Client) -> None:
    """In order, results that wait for a slow one are bounded in number."""
    gate = Gate()

    def script(job: Job) -> Iterator[Any]:
        if job.query == "0":
            yield gate
        yield job.query

    space.answer(script)
    drawn: list[int] = []

    def items() -> Iterator[str]:
        for number in range(200):
            drawn.append(number)
            yield str(number)

    tallies: list[Tally] = []

    def watch(tally: Tally) -> None:
        tallies.append(tally)
        if tally.done == 31:
            # All that may be ahead of the first: 16 windows of two, and it.
            gate.open()

    results = list(client.map(items(), max_in_flight=2, progress=watch))
    assert [result.reply for result in results] == [str(n) for n in range(200)]
    assert [t.done for t in tallies][-1] == 200


def test_failure_is_a_value(space: FakeSpace, client: Client) -> None:
    """A failed item's error is its result, and the rest is answered."""

    def script(job: Job) -> Iterator[Any]:
        if job.query == "bad":
            yield "half"
            yield Fail("out of memory")
        yield "fine"

    space.answer(script)
    one, two, three = client.map(["a", "bad", "b"])
    assert (one.reply, two.reply, three.reply) == ("fine", None, "fine")
    assert isinstance(two.error, GenerationFailed)
    assert two.error.partial == "half"
    assert two.error.__traceback__ is None
    assert not two.ok


def test_stop_on_error_ends_with_the_error(space: FakeSpace, client: Client) -> None:
    """On request the first failure is handed out and then raised."""

    def script(job: Job) -> Iterator[Any]:
        yield Fail("no") if job.query == "3" else "yes"

    space.answer(script)
    batch = client.map(map(str, range(1000)), max_in_flight=2, stop_on_error=True)
    assert [next(batch).ok for _ in range(4)] == [True, True, True, False]
    with pytest.raises(GenerationFailed):
        list(batch)
    assert len(space.jobs) < 10
    assert batch_threads() == []


def test_max_failures_end_with_the_error(space: FakeSpace, client: Client) -> None:
    """On request so many failures are handed out, and the last that counts is raised."""
    space.answer(Fail("no"))
    batch = client.map(map(str, range(1000)), max_in_flight=64, max_failures=5)
    assert [next(batch).ok for _ in range(5)] == [False] * 5
    with pytest.raises(GenerationFailed):
        next(batch)
    assert len(space.jobs) == 5
    assert len(list(client.map(map(str, range(30))))) == 30


def test_hopeless_batch_ends_with_the_error(space: FakeSpace, client: Client) -> None:
    """On request a row of failures for one lasting reason ends a batch; what waits is handed out."""
    gate = Gate()

    def script(job: Job) -> Iterator[Any]:
        if job.query == "1":
            yield gate
        yield "fine" if job.query in ("0", "1") else Fail("401 Unauthorized")

    space.answer(script)
    results = []
    batch = client.map(map(str, range(1000)), stop_on_error="lasting")
    with pytest.raises(GenerationFailed, match="401"):
        for result in batch:
            results.append(result)
            gate.open()
    numbers = [int(str(result.item)) for result in results]
    assert numbers == sorted(numbers)
    assert sum(result.ok for result in results) == 2
    assert 22 <= len(results) == len(space.jobs) < 60


@pytest.mark.parametrize(
    ("item", "error"),
    [
        (42, InvalidMessages),
        ([], InvalidMessages),
        ({"id": "x"}, InvalidMessages),
        ({"id": "x", "prompt": "a", "messages": []}, InvalidMessages),
        ({"id": ["x"], "prompt": "a"}, InvalidRequest),
        (InvalidRequest("line 7 is not JSON."), InvalidRequest),
    ],
)
def test_malformed_item_fails_alone(client: Client, item: Any, error: type[Exception]) -> None:
    """An item that cannot be asked fails without being sent; the rest is answered."""
    good, bad, fine = client.map(["a", item, "b"])
    assert good.ok and fine.ok
    assert isinstance(bad.error, error)
    assert bad.tries == 0


def test_repeated_id_fails(client: Client) -> None:
    """A given id may be given once; the same text twice has two derived ids."""
    results = list(client.map([{"id": 1, "prompt": "a"}, {"id": "1", "prompt": "b"}, "c", "c"]))
    assert [result.ok for result in results] == [True, False, True, True]
    assert results[3].id == f"{results[2].id}-2"


def test_derived_ids_depend_on_the_question_alone(client: Client) -> None:
    """The same question has the same id in every run and place; another system text another."""
    first = [result.id for result in client.map(["a", "b"])]
    again = [result.id for result in client.map(["b", [{"role": "user", "content": "a"}]])]
    assert first == again[::-1]
    assert [result.id for result in client.map(["a"], system="Be brief.")] != first[:1]


def test_openai_lines_are_items(space: FakeSpace, client: Client) -> None:
    """A line of an OpenAI batch file is asked as it stands."""
    body = {
        "model": "gpt-4o",
        "max_tokens": 5,
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}],
    }
    line = {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (result,) = client.map([line])
    assert (result.id, result.reply) == ("r-1", "re: Q")
    assert space.jobs[0].system == "S"


def test_system_is_for_items_without_one(space: FakeSpace, client: Client) -> None:
    """An item's own system text wins over that of the batch."""
    list(client.map([{"prompt": "a"}, {"prompt": "b", "system": "own"}], system="all"))
    assert {job.query: job.system for job in space.jobs} == {"a": "all", "b": "own"}


def test_refusals_slow_the_window_down(space: FakeSpace, client: Client) -> None:
    """A full queue costs tries and width, and no item."""
    space.max_size = 2
    tallies: list[Tally] = []
    results = list(client.map(map(str, range(40)), progress=tallies.append))
    assert all(result.ok for result in results)
    assert any(result.tries > 1 for result in results)
    assert min(tally.window for tally in tallies) < 8
    slow = next(tally for tally in tallies if tally.window < 8)
    assert "slowed to" in str(slow)
    assert slow.reason
    assert tallies[-1].refused == sum(result.tries - 1 for result in results)


def test_retry_after_pauses_all(space: FakeSpace, client: Client) -> None:
    """One refusal with Retry-After holds back the items that were not refused too."""
    space.fault("join", Respond(status=429, headers={"Retry-After": "0.3"}))
    paused: list[float] = []
    results = list(
        client.map(["a", "b", "c"], max_in_flight=1, progress=lambda t: paused.append(t.paused))
    )
    assert [result.tries for result in results] == [2, 1, 1]
    assert 0 < max(paused) <= 0.3
    # All of them came after the pause, none in it.
    assert [request.phase for request in space.requests[:3]] == ["config", "join", "join"]


def test_item_that_is_always_refused_fails(space: FakeSpace, client: Client) -> None:
    """An item is sent to a busy Space eight times, then it fails."""
    space.fault("join", Respond(status=503, body="Queue is full."), times=None)
    (result,) = client.map(["a"])
    assert isinstance(result.error, QueueFull)
    assert result.tries == 8


def app_error(title: str, duration: float | None) -> Complete:
    """Let the app say by a title of its error what is up, as from Gradio 5.25 on."""
    return Complete({"error": "Soon.", "title": title, "duration": duration}, success=False)


@pytest.mark.parametrize(
    "steps",
    [
        [app_error("Busy", 0.1)],
        [app_error("Unavailable for now", None)],
        ["Half", app_error("Interrupted", None)],
        ["Half", Close()],
        ["Half", Reset()],
    ],
    ids=str,
)
def test_what_passes_goes_again(space: FakeSpace, client: Client, steps: list[Any]) -> None:
    """An app that refuses for now, and an answer that is cut, cost tries and no item."""
    space.answer(*steps, times=5)
    results = list(client.map(map(str, range(20))))
    assert [result.reply for result in results] == [f"re: {number}" for number in range(20)]
    assert sum(result.tries for result in results) == 25


def test_cuts_before_any_text_cost_no_item(space: FakeSpace, client: Client) -> None:
    """The item goes again, as after a cut in the middle of its text."""
    space.answer(Close(), times=8)
    results = list(client.map(map(str, range(10)), max_in_flight=2))
    assert [result.reply for result in results] == [f"re: {number}" for number in range(10)]
    assert sum(result.tries for result in results) > 10


def test_item_that_is_always_cut_fails(space: FakeSpace, client: Client) -> None:
    """It is sent eight times, also while others are answered."""
    space.answer(lambda job: ["Half", Close()] if job.query == "a" else [job.query])
    results = list(client.map(["a", *map(str, range(20))], max_in_flight=2))
    assert [result.ok for result in results] == [False, *[True] * 20]
    assert type(results[0].error) is StreamInterrupted
    assert results[0].tries == 8


def test_space_that_is_started_again(space: FakeSpace, client: Client) -> None:
    """One that has answered and takes no connections for a while costs no item."""

    def look(tally: Tally) -> None:
        if tally.refused >= 5:
            space.refuse(False)

    results = client.map(map(str, range(6)), max_in_flight=1, progress=look)
    replies = [next(results).reply]
    space.refuse()
    # Else the connection that is kept would do.
    space.fault("join", Close())
    replies += [result.reply for result in results]
    assert replies == [f"re: {number}" for number in range(6)]
    assert results.tally.refused >= 5


def test_space_that_was_never_there() -> None:
    """It is waited for in the first tries, and not by each item anew."""
    with Client("http://127.0.0.1:9", retry=QUICK, token=False) as client:
        batch = client.map(map(str, range(1000)), stop_on_error="lasting")
        tries = []
        with pytest.raises(ConnectFailed):
            for result in batch:
                tries.append(result.tries)  # until it raises
    assert len(tries) == 20
    assert sum(tries) < 50


def test_patience_of_none_is_kept(space: FakeSpace) -> None:
    """A client that never tries again does not in a batch."""
    space.fault("join", Respond(status=429), times=None)
    with Client(space.url, retry=Retry(attempts=1), token=False) as client:
        (result,) = client.map(["a"])
    assert result.tries == 1


def test_rate_is_told_the_executor_in_time(client: Client) -> None:
    """With a rate all items are answered."""
    with client.map(map(str, range(10)), rate=200) as batch:
        assert len(list(batch)) == 10
        assert batch.tally.elapsed >= 0.9 * 9 / 200 - 0.1


def test_progress_counts(client: Client) -> None:
    """The tally grows by one with each outcome, and ends full."""
    tallies: list[Tally] = []
    list(client.map(["a", "b", 3], progress=tallies.append))  # type: ignore[list-item]
    last = tallies[-1]
    assert [tally.done for tally in tallies] == [1, 2, 3]
    assert (last.total, last.answered, last.failed, last.in_flight) == (3, 2, 1, 0)
    assert last.eta == 0


def test_progress_line_is_for_logs_too(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """A short batch writes nothing to a stderr that is no terminal."""
    list(client.map(["a"], progress=True))
    assert capsys.readouterr().err == ""


def test_progress_line_moves_on_a_terminal(
    space: FakeSpace, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal one line is drawn over and over, and stays at the end."""

    refused = Gate()

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            if "slowed" in text:
                refused.open()
            return super().write(text)

    space.answer(refused, "fine")
    space.fault("join", Respond(status=429, headers={"Retry-After": "1.2"}))
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    list(client.map(["a", "b"], progress=True, max_in_flight=2))
    drawn = terminal.getvalue()
    assert drawn.startswith("\r0/2 (0%)")
    assert "slowed to 1 of 2 at once, waiting 1 s: HTTP 429" in drawn
    assert "2/2 (100%)" in drawn.rpartition("\r")[2]
    assert drawn.endswith("\x1b[K\n")
    assert drawn.count("\n") == 1


def test_leaving_the_loop_hangs_up(space: FakeSpace, client: Client) -> None:
    """An early break ends the jobs in the Space and the batch's threads."""
    held = Held()
    space.answer(held)
    for result in client.map(map(str, range(50)), max_in_flight=4):
        assert result.reply == "."
        held.wait_for(4)
        break
    assert batch_threads() == []
    space.wait_for_disconnect(4)
    assert len(space.jobs) == 5


def test_error_in_the_loop_hangs_up(client: Client) -> None:
    """An exception of the caller's own leaves no thread, even while it is looked at."""
    with pytest.raises(KeyboardInterrupt):
        for _ in client.map(map(str, range(50))):
            raise KeyboardInterrupt
    assert batch_threads() == []


def test_dropping_the_batch_hangs_up(space: FakeSpace, client: Client) -> None:
    """The last reference gone, the jobs and threads are gone."""
    held = Held()
    space.answer(held)
    batch = client.map(map(str, range(50)), max_in_flight=3)
    assert next(batch).reply == "."
    held.wait_for(3)
    del batch
    assert batch_threads() == []
    space.wait_for_disconnect(3)


def test_close_wakes_a_waiting_reader(space: FakeSpace, client: Client) -> None:
    """Closed from another thread, a batch ends with an error, and does so ever after."""
    held = Held()
    space.answer(held)
    batch = client.map(["a", "b", "c"], max_in_flight=2)

    def close() -> None:
        held.wait_for(2)
        batch.close()

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(StreamInterrupted, match="closed"):
        next(batch)
    closing.join()
    with pytest.raises(StreamInterrupted, match="closed"):
        next(batch)
    batch.close()
    space.wait_for_disconnect(2)
    assert batch_threads() == []


@pytest.mark.parametrize("items", ["0a1", "0a1b"])
def test_close_while_results_are_taken_in(space: FakeSpace, client: Client, items: str) -> None:
    """A batch that is closed by what is told of its progress neither hangs nor just ends."""
    futures: list[Future[Any]] = []

    class Watched(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            futures.append(super().submit(*args, **kwargs))
            return futures[-1]

    def wait(future: Future[Any]) -> None:
        # Behind the callback by which the batch learns of it.
        ended = threading.Event()
        future.add_done_callback(lambda _: ended.set())
        assert ended.wait(PATIENCE)

    def close(tally: Tally) -> None:
        if tally.done == 2:
            batch.close()
            for future in futures:
                wait(future)

    def script(job: Job) -> Iterator[Any]:
        if job.query != "0":
            yield last if job.query == "1" else never
        yield "."

    last, never = Gate(), Gate()
    space.answer(script)
    with Watched(3) as pool:
        batch = client.map(list(items), max_in_flight=3, executor=pool, progress=close)
        assert next(batch).reply == "."
        last.open()
        wait(futures[2])
        with pytest.raises(StreamInterrupted, match="closed"):
            next(batch)


def test_interpreter_ends_with_a_batch_left_open(space: FakeSpace) -> None:
    """A program that ends in the middle of a batch does not wait for answers."""
    held = Held()
    space.answer(held)
    program = (
        "import sys; from qwen72b import Client\n"
        "batch = Client(sys.argv[1]).map(map(str, range(50)), max_in_flight=2)\n"
        "print(next(batch).reply, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, space.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    held.wait_for(2)
    out, _ = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == (".\n", 0)
    space.wait_for_disconnect(2)


def test_closed_client_ends_the_batch(space: FakeSpace, client: Client) -> None:
    """A client that is closed meanwhile ends it, instead of failing every item."""
    with pytest.raises(InvalidRequest, match="closed"):
        for result in client.map(map(str, range(1000))):
            if result.reply == "re: 3":
                client.close()
    # Some 16 windows may be ahead of who takes the results.
    assert len(space.jobs) < 500


def test_callers_executor_stays_open(client: Client) -> None:
    """An executor that was passed is the caller's to shut down."""
    with ThreadPoolExecutor(2) as pool:
        assert len(list(client.map(["a", "b"], executor=pool))) == 2
        for _ in client.map(map(str, range(20)), executor=pool):
            break
        assert pool.submit(int, "3").result() == 3


def test_processes_answer(space: FakeSpace) -> None:
    """Worker processes make one client each, and answer as threads do."""
    context = multiprocessing.get_context("spawn")
    with (
        Client(space.url, token="hf_worker") as client,
        ProcessPoolExecutor(2, mp_context=context) as pool,
    ):
        results = list(client.map(map(str, range(40)), executor=pool, max_in_flight=4))
    assert [result.reply for result in results] == [f"re: {n}" for n in range(40)]
    configs = [request for request in space.requests if request.phase == "config"]
    assert 1 <= len(configs) <= 2
    assert {r.headers["x-hf-authorization"] for r in space.requests} == {"Bearer hf_worker"}


def test_what_is_shipped_is_small_and_silent(space: FakeSpace) -> None:
    """A task's arguments are a few hundred bytes, and their repr shows no token."""
    shipped: list[tuple[Any, ...]] = []

    class Spy(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            shipped.append(args)
            return super().submit(fn, *args, **kwargs)

    with Client(space.url, token="hf_verysecret") as client, Spy(1) as pool:
        list(client.map(["a", "b"], executor=pool))
    assert len(pickle.dumps(shipped[0])) < 1500
    assert "hf_verysecret" not in repr(shipped)
    # Dask knows tasks by their arguments.
    assert shipped[0] != shipped[1]


def test_killed_worker_is_a_failure(space: FakeSpace) -> None:
    """What a killed process was at fails, what was done is kept, and the end is typed."""
    gate = Gate()

    def script(job: Job) -> Iterator[Any]:
        if job.query != "0":
            yield gate
        yield f"re: {job.query}"

    space.answer(script)
    context = multiprocessing.get_context("spawn")
    results = []
    with Client(space.url) as client, ProcessPoolExecutor(2, mp_context=context) as pool:
        batch = client.map(map(str, range(9)), executor=pool, max_in_flight=2, ordered=False)
        with pytest.raises(StreamInterrupted, match="takes no more items") as caught:
            for result in batch:
                results.append(result)  # until it raises
                gate.wait_reached(20)
                for process in list(pool._processes.values()):
                    process.kill()
    gate.open()
    assert isinstance(caught.value.__cause__, BrokenExecutor)
    assert [result.reply for result in results if result.ok] == ["re: 0"]
    failed = [result for result in results if not result.ok]
    assert 1 <= len(failed) <= 3
    for result in failed:
        assert type(result.error) is StreamInterrupted
        assert isinstance(result.error.__cause__, BrokenExecutor)
        pickle.dumps(result.error)
    assert "BrokenProcessPool" in str(failed[0].error)


class Workers(Executor):
    """
    Two workers of threads: some items end the one that has them, with all that it has.

    It goes on with another, as clusters do.
    """

    def __init__(self, deadly: Callable[[tuple[int, int]], bool]) -> None:
        self._deadly = deadly
        self._pool = ThreadPoolExecutor(8)
        self._lock = threading.Lock()
        self._running: tuple[set[Future[Any]], ...] = (set(), set())
        self.keys: list[tuple[int, int]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            self.keys.append(args[1])
            worker = min(self._running, key=len)
            worker.add(future)
        self._pool.submit(self._run, worker, future, fn, args)
        return future

    def _run(self, worker: set[Future[Any]], future: Future[Any], fn: Any, args: Any) -> None:
        outcome = None if self._deadly(args[1]) else fn(*args)
        with self._lock:
            ended, rest = (set(worker), set()) if outcome is None else ({future}, worker - {future})
            lost = {one for one in ended if not one.done()}
            worker &= rest
        for one in lost:
            if outcome is None:
                one.set_exception(BrokenExecutor("its worker was lost"))
            else:
                one.set_result(outcome)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown()


def test_items_of_a_lost_worker_go_again(client: Client, tmp_path: Path) -> None:
    """What was in flight at a worker that is lost is asked again, and answered once."""
    path = tmp_path / "answers.jsonl"
    with Workers(lambda key: key == (9, 1)) as workers:
        results = list(client.map(map(str, range(40)), executor=workers, journal=path))
    assert [result.reply for result in results] == [f"re: {number}" for number in range(40)]
    assert results[9].tries == 2
    assert len(path.read_text("utf-8").splitlines()) == 40


@pytest.mark.parametrize("window", [1, 8])
def test_item_that_ends_its_workers_fails_alone(client: Client, window: int) -> None:
    """It is sent a few times, and neither it nor what is beside it ends the batch."""
    with Workers(lambda key: key[0] == 9) as workers:
        results = list(client.map(map(str, range(40)), executor=workers, max_in_flight=window))
    (failed,) = [result for result in results if not result.ok]
    assert failed.id == results[9].id
    assert type(failed.error) is StreamInterrupted
    assert "its worker was lost" in str(failed.error) and "what ends the workers" in str(
        failed.error
    )
    assert 3 <= failed.tries <= 8
    assert [key for key in workers.keys if key[0] == 9] == [(9, n + 1) for n in range(failed.tries)]


def test_executor_that_was_shut_down(client: Client, tmp_path: Path) -> None:
    """The batch ends with an error that says so, and the next one goes on."""
    path = tmp_path / "answers.jsonl"
    results = []
    with ThreadPoolExecutor(1) as pool:
        batch = client.map(map(str, range(9)), executor=pool, max_in_flight=1, journal=path)
        with pytest.raises(StreamInterrupted, match="takes no more items") as caught:
            for result in batch:
                results.append(result.ok)  # until it raises
                pool.shutdown()
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert True in results and results[-1] is False
    again = list(client.map(map(str, range(9)), journal=path))
    assert sum(result.resumed for result in again) == results.count(True)
    assert all(result.ok for result in again)


def test_space_that_is_started_again_in_its_first_answer(space: FakeSpace, client: Client) -> None:
    """One that has only begun to answer was reached, too, and is waited for."""

    def end(job: Job) -> Iterator[Any]:
        space.refuse()
        yield "Half"
        yield Close()

    def look(tally: Tally) -> None:
        if tally.refused >= 5:
            space.refuse(False)

    space.answer(end, times=1)
    results = list(client.map(map(str, range(3)), max_in_flight=1, progress=look))
    assert [result.reply for result in results] == [f"re: {number}" for number in range(3)]


def test_what_a_callers_worker_raises_passes(client: Client) -> None:
    """An exception of the caller's own executor is what the item's error is made of."""

    class Odd(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(MemoryError("of the caller's"))
            return future

    with Odd(1) as pool:
        (result,) = client.map(["a"], executor=pool)
    assert type(result.error) is StreamInterrupted
    assert type(result.error.__cause__) is MemoryError
    assert "of the caller's" in str(result.error)


class Mute(Exception):
    """An exception that has no words."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def done(outcome: object) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
    return future


class Giving(Executor):
    """An executor that gives what a function makes."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self._make()


@pytest.mark.parametrize(
    "outcome",
    [None, "text", ("a", "b"), ("a", None), ("a",), 5, Mute()],
    ids=["none", "text", "no-timings", "half", "short", "number", "mute"],
)
def test_executor_that_gives_no_outcome(client: Client, outcome: object) -> None:
    """Each item fails, with an error that says whose fault it is."""
    results = list(client.map(["a", "b"], executor=Giving(lambda: done(outcome))))
    assert [type(result.error) for result in results] == [StreamInterrupted] * 2
    assert all("the executor failed" in str(result.error) for result in results)


def test_executor_that_gives_no_futures_of_its_own(client: Client) -> None:
    """What is no future, or another item's, ends the batch: no item is lost without a word."""
    same = done(("an answer", Timings(0, 0, 0)))
    kinds: list[Callable[[], Any]] = [lambda: None, lambda: same, lambda: raised(Mute())]
    for make in kinds:
        with pytest.raises(StreamInterrupted, match="takes no more items"):
            list(client.map(["a", "b", "c"], executor=Giving(make)))


def raised(error: Exception) -> Any:
    raise error


def test_killed_scheduler_is_a_failure(space: FakeSpace, tmp_path: Path) -> None:
    """A cluster that goes away in the middle ends the batch with an error of ours."""
    pytest.importorskip("distributed", reason="needs the extra dask")
    gate = Gate()
    space.answer(gate, "late", times=None)
    with cluster(tmp_path) as address:
        command = [sys.executable, "-c", ORPHAN, space.url, address]
        driver = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"},
        )
        gate.wait_reached(30)
    gate.open()
    out, err = driver.communicate(timeout=2 * PATIENCE)
    assert out.splitlines()[-1] == "StreamInterrupted the executor takes no more items", err[-3000:]
    assert {line.split()[0] for line in out.splitlines()} == {"StreamInterrupted"}


# Prints what becomes of the items of a cluster.
ORPHAN = """
import sys
from distributed import Client as Cluster
from qwen72b import Client
url, address = sys.argv[1:]
with Cluster(address) as cluster, Client(url, token=False) as client:
    try:
        for result in client.map(
            map(str, range(10_000)), executor=cluster.get_executor(pure=False), max_in_flight=4
        ):
            print(type(result.error).__name__, flush=True)
    except Exception as error:
        print(type(error).__name__, error.reason.rstrip(".").partition(":")[0], flush=True)
"""


def test_dropped_future_is_a_failure(client: Client) -> None:
    """An executor that cancels a task by itself fails that item alone."""

    class Lossy(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if args[1] == (1, 1):
                future: Future[Any] = Future()
                future.cancel()
                future.set_running_or_notify_cancel()
                return future
            return super().submit(fn, *args, **kwargs)

    with Lossy(2) as pool:
        results = list(client.map(["a", "b", "c"], executor=pool))
    assert [result.ok for result in results] == [True, False, True]


@pytest.mark.parametrize(
    "options",
    [
        {"max_in_flight": 0},
        {"rate": -1},
        {"executor": 3},
        {"timeout": -1},
    ],
)
def test_options_are_checked_at_once(client: Client, options: dict[str, Any]) -> None:
    """An option without a usable value is refused when ``map`` is called."""
    with pytest.raises(InvalidOption):
        client.map(["a"], **options)


def test_items_must_be_many(client: Client) -> None:
    """One text is not a list of texts."""
    with pytest.raises(InvalidOption, match="ask"):
        client.map("why?")


def test_closed_client_is_refused(space: FakeSpace) -> None:
    """A closed client maps nothing."""
    client = Client(space.url)
    client.close()
    with pytest.raises(InvalidRequest):
        client.map(["a"])


@pytest.mark.parametrize("where", ["items", "progress"])
def test_batch_that_is_read_by_its_own_callback(client: Client, where: str) -> None:
    """It would wait for itself for ever; a typed error says so and ends it."""

    def items() -> Iterator[str]:
        yield "a"
        if where == "items":
            next(batch)
        yield "b"

    def progress(_: Tally) -> None:
        if where == "progress":
            next(batch)

    with client.map(items(), progress=progress) as batch:
        with pytest.raises(InvalidRequest, match="waits for this very code"):
            list(batch)
        assert "closed" in repr(batch)


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_end_of_something_else_is_no_end_of_the_batch(
    client: Client, kind: type[Exception]
) -> None:
    """A ``StopIteration`` out of ``progress`` is told, and not taken for the end."""

    def progress(_: Tally) -> None:
        raise kind

    with pytest.raises(RuntimeError, match=f"progress raised {kind.__name__}"):
        list(client.map(["a", "b", "c"], progress=progress))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_batch_in_a_forked_child(client: Client) -> None:
    """It is the parent's: the child gets an error at once, and takes nothing from it."""
    with client.map(map(str, range(9)), max_in_flight=3) as batch:
        next(batch)
        child = os.fork()
        if child == 0:
            try:
                next(batch)
            except StreamInterrupted as error:
                os._exit(7 if "forked" in str(error) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert [result.reply for result in batch] == [f"re: {number}" for number in range(1, 9)]
