"""What a batch remembers, whatever ends it."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from clusters import cluster
from timing import PROMPT

from qwen72b import Client, InvalidOption, Retry, StreamInterrupted
from qwen72b.batch import Journal
from qwen72b.testing import Fail, FakeSpace, Gate, Job

KILLED_ITEMS = 1200
KILLED_AT_ONCE = 8


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer(echo)
        yield space


@pytest.fixture
def client(space: FakeSpace) -> Iterator[Client]:
    with Client(space.url, retry=Retry(base=0.01), token=False) as client:
        yield client


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def echo(job: Job) -> Iterator[Any]:
    """Answer with the question."""
    yield f"re: {job.query}"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_finished_items_are_not_asked_again(space: FakeSpace, client: Client, path: Path) -> None:
    """The next run yields what is finished from the journal, and asks the rest."""
    first = list(client.map(["a", "b"], journal=path))
    results = list(client.map(["a", "new", "b"], journal=path))
    assert [(result.reply, result.resumed) for result in results] == [
        ("re: a", True),
        ("re: new", False),
        ("re: b", True),
    ]
    assert len(space.jobs) == 3
    earlier, again = first[0].reply, results[0].reply
    assert earlier is not None and again is not None
    assert again.messages == earlier.messages
    assert earlier.timings is not None and again.timings is not None
    assert again.timings.total == pytest.approx(earlier.timings.total, abs=1e-3)


@pytest.mark.skipif(os.name == "nt", reason="there, a file that is open keeps its name")
@pytest.mark.parametrize("change", ["remove", "move", "replace"])
def test_journal_that_goes_away(
    client: Client, path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    """That results go where no later run finds them is said, once."""
    results = client.map([str(number) for number in range(20)], journal=path)
    next(results)
    if change == "remove":
        path.unlink()
    elif change == "move":
        path.rename(path.with_suffix(".old"))
    else:
        other = path.with_suffix(".new")
        other.write_text("")
        other.replace(path)
    assert len(list(results)) == 19
    assert caplog.text.count("moved, removed or replaced") == 1
    caplog.clear()
    assert list(client.map(["a"], journal=path)) and not caplog.text


def test_failed_items_are_tried_again(space: FakeSpace, client: Client, path: Path) -> None:
    """A failure is written down, and asked again by the next run; the last line counts."""
    space.answer("half", Fail("out of memory"), times=1)
    (failed,) = client.map([{"id": "x", "prompt": "a"}], journal=path)
    assert not failed.ok
    (line,) = lines(path)
    assert (line["id"], line["answer"], line["error"]["type"]) == ("x", None, "GenerationFailed")
    assert line["error"]["partial"] == "half"
    (result,) = client.map([{"id": "x", "prompt": "a"}], journal=path)
    assert (result.reply, result.resumed) == ("re: a", False)
    assert [line["answer"] for line in lines(path)] == [None, "re: a"]


def test_malformed_items_are_not_written(client: Client, path: Path) -> None:
    """What was never asked is not in the journal."""
    list(client.map([[], "a"], journal=path))
    assert len(lines(path)) == 1


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
def test_torn_last_line_is_cut_off(space: FakeSpace, client: Client, path: Path, cut: int) -> None:
    """A line that a kill tore is asked again; those before it are not."""
    list(client.map(["a", "b"], journal=path, max_in_flight=1))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[: first + cut])
    results = list(client.map(["a", "b"], journal=path))
    assert [result.resumed for result in results] == [True, False]
    assert [line["answer"] for line in lines(path)] == ["re: a", "re: b"]


def test_line_that_lacks_only_its_end_is_kept(space: FakeSpace, client: Client, path: Path) -> None:
    """A whole last line without a line feed counts, and gets it."""
    list(client.map(["a"], journal=path))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert [result.resumed for result in client.map(["a", "b"], journal=path)] == [True, False]
    assert len(lines(path)) == 2


def test_zeros_of_a_power_cut_are_cut_off(client: Client, path: Path) -> None:
    """Zeros where the last line was to be are no harm."""
    list(client.map(["a"], journal=path))
    with path.open("ab") as file:
        file.write(b"\0" * 100)
    assert [result.resumed for result in client.map(["a", "b"], journal=path)] == [True, False]
    assert len(lines(path)) == 2


@pytest.mark.parametrize(
    "content",
    [
        "notes of mine",
        "notes of mine\n",
        '{"id": "a", "prompt": "Why?"}',
        '{"id": "a", "answer": 5, "error": null}',
        '{"id": "a", "answer": "b"} {"id": "c", "ans',
        '{"id": "a", "answer": ' + "9" * 5000 + "}",
        '{"id": "a", "answer": ' + "[" * 100_000,
        '{"id": "a", "answer": "b", "error": null}\r{"id": "c", "answer": "d"}\r',
        '{"id": 5, "answer": "b',
        '{"id": "a", "question": "b',
        '{"id": "a"}',
        '{"id": "a"}\n',
        '{"id": 3, "answer": "", "error": 1}\n',
        "[]\n",
    ],
)
def test_other_files_are_not_touched(client: Client, path: Path, content: str) -> None:
    """A file that is no journal is refused, and stays as it is."""
    path.write_bytes(content.encode())
    with pytest.raises(InvalidOption, match="journal"):
        list(client.map(["a"], journal=path))
    assert path.read_bytes() == content.encode()


def test_journal_is_for_one_batch_at_a_time(client: Client, path: Path) -> None:
    """A second batch on the same file is refused while the first runs."""
    with client.map(map(str, range(9)), journal=path) as batch:
        next(batch)
        with pytest.raises(InvalidOption, match="another batch"):
            next(client.map(["a"], journal=path))
    assert [result.ok for result in client.map(["a"], journal=path)] == [True]


def test_journal_that_cannot_be_opened_raises(client: Client, tmp_path: Path) -> None:
    """A missing folder is the system's own error."""
    with pytest.raises(FileNotFoundError):
        next(client.map(["a"], journal=tmp_path / "none" / "a.jsonl"))


def test_openai_lines_are_written_and_read(client: Client, path: Path) -> None:
    """In the shape of OpenAI's output the journal is as good."""
    items = [{"custom_id": "r-1", "body": {"messages": [{"role": "user", "content": "a"}]}}]
    list(client.map(items, journal=Journal(path, openai=True)))
    (line,) = lines(path)
    assert line["custom_id"] == "r-1"
    assert line["error"] is None
    body = line["response"]["body"]
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "re: a"}
    (result,) = client.map(items, journal=path)
    assert (result.reply, result.resumed) == ("re: a", True)


def test_stopping_keeps_what_is_done(space: FakeSpace, client: Client, path: Path) -> None:
    """What was handed out before an early break is in the journal."""
    for number, result in enumerate(client.map(map(str, range(50)), journal=path)):
        if number == 9:
            break
    kept = {line["answer"] for line in lines(path)}
    assert kept >= {f"re: {n}" for n in range(10)}
    results = list(client.map(map(str, range(50)), journal=path))
    assert sum(result.resumed for result in results) == len(kept)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_does_not_keep_the_journal(client: Client, path: Path) -> None:
    """A worker that was forked and outlives its killed driver holds no lock on the file."""
    here, there = os.pipe()
    born, bear = os.pipe()
    with client.map(map(str, range(9)), journal=path) as batch:
        next(batch)
        child = os.fork()
        if child == 0:
            os.write(bear, b"!")
            os.close(there)
            os.read(here, 1)
            os._exit(0)
    try:
        # The fork is over in the child, too.
        os.read(born, 1)
        assert all(result.ok for result in client.map(["a"], journal=path))
    finally:
        for end in (there, here, born, bear):
            os.close(end)
        os.waitpid(child, 0)


def test_full_disk_leaves_whole_lines(space: FakeSpace, path: Path) -> None:
    """What cannot be written whole is taken back, and the error is the system's own."""
    program = (
        "import resource, sys; from qwen72b import Client\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: list(Client(sys.argv[1]).map(map(str, range(50)), journal=sys.argv[2]))\n"
        "except OSError as error: print(error.strerror)"
    )
    # Without writing byte code, or that would be cut as well, for all who import it.
    command = [sys.executable, "-B", "-c", program, space.url, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "File too large\n", done.stderr
    assert 0 < len(lines(path)) < 50
    assert path.read_bytes().endswith(b"\n")


FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO]


def fill(monkeypatch: pytest.MonkeyPatch, number: int, lines: int) -> None:
    """Let a disk take so many lines and half of another, and then say so."""
    written: list[bytes] = []
    write = os.write

    def limited(file: int, data: Any) -> int:
        if not bytes(data).startswith(b'{"id"'):
            if len(written) > lines:
                raise OSError(number, os.strerror(number))
            return write(file, data)
        written.append(bytes(data))
        if len(written) > lines + 1:
            raise OSError(number, os.strerror(number))
        return write(file, data if len(written) <= lines else bytes(data)[:20])

    monkeypatch.setattr(os, "write", limited)


@pytest.mark.parametrize("number", FULL)
def test_disk_that_takes_no_more(
    space: FakeSpace, client: Client, path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The error names the file, what was lost and what to do; lines are whole; no more is asked."""
    with monkeypatch.context() as patch:
        fill(patch, number, 5)
        batch = client.map(map(str, range(1000)), journal=path)
        with pytest.raises(OSError, match="could not be written.* then run it again") as caught:
            list(batch)
    error = caught.value
    assert (error.errno, error.filename) == (number, str(path))
    assert error.strerror == os.strerror(number)
    assert str(path) in str(error)
    assert len(lines(path)) == 5 and path.read_bytes().endswith(b"\n")
    # Those that were under way then, and one for each that was written.
    asked = len(space.jobs)
    assert asked <= 5 + 2 * 8
    results = list(client.map(map(str, range(20)), journal=path))
    assert sum(result.resumed for result in results) == 5
    assert all(result.ok for result in results)


def test_answers_that_a_full_disk_lost_are_counted(
    client: Client, path: Path, space: FakeSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered and not written is told by its number."""
    gate = Gate()
    space.answer(gate, "late")
    space.answer("first", times=1)
    fill(monkeypatch, errno.ENOSPC, 0)
    executor = ThreadPoolExecutor(4)
    try:
        batch = client.map(map(str, range(4)), journal=path, executor=executor)
        with pytest.raises(OSError, match="1 answer came and could not be written"):
            next(batch)
    finally:
        gate.open()
        executor.shutdown()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_disk_that_says_late_that_it_is_full(
    client: Client, path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """An error of fsync ends the batch, too; that there is no fsync does not."""

    def refuse(number: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", lambda file: refuse(number))
    with pytest.raises(OSError, match="run it again") as caught:
        list(client.map(["a"], journal=path))
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    monkeypatch.setattr(os, "fsync", lambda file: refuse(errno.EINVAL))
    assert [result.resumed for result in client.map(["a", "b"], journal=path)] == [True, False]


def test_full_disk_when_a_journal_is_repaired(
    client: Client, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is named where there is no room for the end of its last line, and stays."""
    list(client.map(["a"], journal=path))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    before = path.read_bytes()
    fill(monkeypatch, errno.ENOSPC, -1)
    with pytest.raises(OSError, match="run it again") as caught:
        list(client.map(["b"], journal=path))
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before


def test_error_of_a_full_disk_is_pickled(
    client: Client, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that it says."""
    fill(monkeypatch, errno.ENOSPC, 0)
    with pytest.raises(OSError, match="space") as caught:
        list(client.map(["a"], journal=path))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


# Asks all items and dies when told, as a process does that is killed.
DRIVER = textwrap.dedent(
    """
    import contextlib, sys
    from qwen72b import Client, Retry
    url, path, count, most, dask = sys.argv[1:]
    def main():
        with contextlib.ExitStack() as stack:
            executor = None
            if dask:
                from distributed import Client as Cluster
                cluster = stack.enter_context(Cluster(dask))
                executor = cluster.get_executor(pure=False)
            client = stack.enter_context(Client(url, token=False))
            items = ({"id": f"i{n}", "prompt": f"q{n}"} for n in range(int(count)))
            for result in client.map(
                items, executor=executor, max_in_flight=int(most), journal=path, ordered=False
            ):
                print(result.id, flush=True)
    main()
    """
)


class Peak:
    """How many jobs a Space worked on at once, at most."""

    def __init__(self, space: FakeSpace) -> None:
        self._seen = [0]
        self._space = space

    def __call__(self, job: Job) -> Iterator[Any]:
        self._seen.append(sum(other.state == "running" for other in self._space.jobs[-200:]))
        yield f"re: {job.query}"

    @property
    def most(self) -> int:
        return max(self._seen)


def run_and_kill(space: FakeSpace, path: Path, kills: list[int], dask: str = "") -> list[set[str]]:
    """Run the driver, kill it after so many results, again and again; then to the end."""
    reported = []
    for kill_after in [*kills, None]:
        command = [sys.executable, "-c", DRIVER, space.url, str(path)]
        command += [str(KILLED_ITEMS), str(KILLED_AT_ONCE), dask]
        driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        seen = set()
        assert driver.stdout is not None
        for line in driver.stdout:
            seen.add(line.strip())
            if kill_after is not None and len(seen) == kill_after:
                driver.send_signal(signal.SIGKILL)
                break
        driver.stdout.close()
        assert driver.wait() == (0 if kill_after is None else -signal.SIGKILL)
        reported.append(seen)
    return reported


def check_killed(space: FakeSpace, path: Path, peak: Peak, reported: list[set[str]]) -> None:
    """Nothing is lost, and only what was in flight was asked twice."""
    finished = lines(path)
    names = [line["id"] for line in finished if line["answer"] is not None]
    assert len(names) == len(set(names)) == KILLED_ITEMS
    assert all(line["answer"] == f"re: q{line['id'][1:]}" for line in finished)
    assert set().union(*reported) <= set(names)
    assert len(reported[-1]) == KILLED_ITEMS
    asked = Counter(job.query for job in space.jobs)
    twice = sum(count - 1 for count in asked.values())
    assert twice <= 2 * KILLED_AT_ONCE
    assert 2 <= peak.most <= KILLED_AT_ONCE


def test_killed_twice_loses_nothing(space: FakeSpace, path: Path) -> None:
    """Killed twice and run again, 1,200 items end with 1,200 answers."""
    peak = Peak(space)
    space.answer(peak)
    reported = run_and_kill(space, path, [200, 900])
    check_killed(space, path, peak, reported)


def test_killed_twice_on_dask_loses_nothing(space: FakeSpace, path: Path, tmp_path: Path) -> None:
    """The same with a cluster of two worker processes, which outlives the driver."""
    pytest.importorskip("distributed", reason="needs the extra dask")
    peak = Peak(space)
    space.answer(peak)
    with cluster(tmp_path) as address:
        reported = run_and_kill(space, path, [200, 900], address)
    check_killed(space, path, peak, reported)
    # Each worker process made one client, and kept it.
    configs = [request for request in space.requests if request.phase == "config"]
    assert len(configs) <= 2 * 3


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of a journal that remembers nothing."""
    return [message for message in caplog.messages if "no file that a later run" in message]


@pytest.mark.parametrize("form", ["fifo", "descriptor", "number"])
def test_results_go_into_a_pipe(
    space: FakeSpace, client: Client, path: Path, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A pipe gets the outcomes; nothing is read from it, which is said once."""
    if form == "fifo":
        os.mkfifo(path)
        out = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        end, journal = None, Journal(path)
        os.set_blocking(out, True)
    else:
        out, end = os.pipe()
        journal = Journal(end if form == "number" else f"/dev/fd/{end}")
    try:
        for _ in range(2):
            results = list(client.map(["a", "b"], journal=journal, max_in_flight=1))
            assert [result.reply for result in results] == ["re: a", "re: b"]
            assert not any(result.resumed for result in results)
        written = os.read(out, 65536).splitlines()
    finally:
        os.close(out)
        if end is not None:
            os.close(end)
    assert [json.loads(line)["answer"] for line in written] == ["re: a", "re: b"] * 2
    assert len(space.jobs) == 4
    assert len(said(caplog)) == 2


def test_results_go_to_a_terminal_escaped(client: Client, space: FakeSpace) -> None:
    """What a terminal would obey is written as JSON's escapes, there and in files."""
    ours, theirs = os.openpty()
    space.answer("a\u202eb\x9b2J\u2028é")
    try:
        list(client.map(["q"], journal=os.ttyname(theirs)))
        line = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert line.strip().isprintable()
    assert json.loads(line)["answer"] == "a\u202eb\x9b2J\u2028é"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_device_that_takes_nothing(space: FakeSpace, client: Client) -> None:
    """A full device fails with the first answer, by its name."""
    with pytest.raises(OSError, match="/dev/full") as caught:
        list(client.map(map(str, range(100)), journal="/dev/full", max_in_flight=1))
    assert caught.value.strerror == "No space left on device"
    assert len(space.jobs) <= 2
    assert len(list(client.map(["a"], journal="/dev/null"))) == 1


@pytest.mark.parametrize("device", ["/dev/random", "/dev/urandom", "/dev/zero"])
def test_device_that_is_never_ready(client: Client, device: str) -> None:
    """A device takes what is written, whatever it says of being ready for it."""
    if not os.path.exists(device):
        pytest.skip(f"needs {device}")
    assert len(list(client.map(["a", "b"], journal=device))) == 2


@pytest.mark.parametrize("seconds", ["1e999", "NaN", "-1", "true", '"1"', "9" * 4000, "1e300"])
def test_times_that_are_none(client: Client, path: Path, seconds: str) -> None:
    """A line's times that nothing takes are left out; its answer counts."""
    path.write_text(
        f'{{"id": "a", "answer": "b", "error": null, "seconds": {{"total": {seconds}}}}}\n'
        f'{{"id": "c", "answer": "d", "error": null, "seconds": {{"total": 1, "queue": {seconds}}}}}\n'
    )
    items = [{"id": "a", "prompt": "x"}, {"id": "c", "prompt": "y"}]
    first, second = client.map(items, journal=path)
    assert (first.reply, second.reply) == ("b", "d")
    assert second.reply is not None and second.reply.timings is not None
    assert second.reply.timings.queue is None


def test_fifo_that_nobody_reads(client: Client, space: FakeSpace, path: Path) -> None:
    """It is refused at once, and not waited for."""
    os.mkfifo(path)
    with pytest.raises(InvalidOption, match="nobody reads"):
        list(client.map(["a"], journal=path))
    assert not space.jobs


def test_pipe_that_is_full_and_closed(client: Client, space: FakeSpace) -> None:
    """A batch that waits for a pipe's reader is ended by closing it, and by the reader's leaving."""
    out, end = os.pipe()
    os.set_blocking(end, False)
    try:
        while os.write(end, b"x" * 4096):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(end, True)
    batch = client.map(["a", "b"], journal=f"/dev/fd/{end}")
    caught: list[BaseException] = []

    def read() -> None:
        try:
            list(batch)
        except StreamInterrupted as error:
            caught.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    space.wait_for_job()
    batch.close()
    reader.join(PROMPT)
    assert len(caught) == 1
    os.close(out)
    try:
        with pytest.raises(BrokenPipeError):
            list(client.map(["a"], journal=f"/dev/fd/{end}"))
    finally:
        os.close(end)


NAMES = [
    "a\ud800",
    "a?",
    "a\udfff",
    "a\ufffd",
    "a\U00010000",
    "a\u2028",
    "a\x85",
    "a\x00",
    "\udc00\ud800",
]


@pytest.mark.parametrize("openai", [False, True])
def test_ids_are_kept_to_the_last_surrogate(
    space: FakeSpace, client: Client, path: Path, openai: bool
) -> None:
    """No id is taken for another, and each comes back as it was."""
    items = [{"id": name, "prompt": ascii(name)} for name in NAMES]
    list(client.map(items[:1], journal=Journal(path, openai=openai)))
    results = list(client.map(items[1:], journal=Journal(path, openai=openai)))
    assert not any(result.resumed for result in results)
    results = list(client.map(items, journal=path))
    assert [(result.id, result.resumed) for result in results] == [(name, True) for name in NAMES]
    assert [result.reply for result in results] == [f"re: {name!a}" for name in NAMES]
    assert len(lines(path)) == len(NAMES)


def test_id_of_two_halves_of_a_character(client: Client, path: Path) -> None:
    """JSON cannot tell it from the character, so it is refused."""
    items = [{"id": "\ud83d" + "\ude00", "prompt": "a"}, {"id": "\U0001f600", "prompt": "b"}]
    results = list(client.map(items, journal=path))
    assert [result.ok for result in results] == [False, True]
    assert "surrogates" in str(results[0].error)


def test_journal_object_is_for_one_batch_at_a_time(
    space: FakeSpace, client: Client, path: Path
) -> None:
    """A second batch with the same object is refused, and the first goes on unharmed."""
    journal = Journal(path)
    with client.map(map(str, range(9)), journal=journal, max_in_flight=1) as batch:
        next(batch)
        second = client.map(["a"], journal=journal)
        with pytest.raises(InvalidOption, match="another batch"):
            next(second)
        second.close()
        assert sum(result.ok for result in batch) == 8
    assert len(lines(path)) == 9
    assert [result.ok for result in client.map(["a"], journal=journal)] == [True]
