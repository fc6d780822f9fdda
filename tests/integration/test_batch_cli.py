"""``qwen72b batch``: a file of prompts becomes a file of answers."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clusters import cluster
from timing import PATIENCE

from qwen72b.cli import main
from qwen72b.testing import Fail, FakeSpace, Gate, Job, Respond


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    def echo(job: Job) -> Iterator[Any]:
        yield f"re: {job.query}"

    with FakeSpace() as space:
        space.answer(echo)
        yield space


class Files:
    """A file of prompts and one of answers."""

    def __init__(self, folder: Path, space: FakeSpace) -> None:
        self.prompts = folder / "prompts.jsonl"
        self.answers = folder / "answers.jsonl"
        self.command = ["batch", str(self.prompts), "-o", str(self.answers), "--url", space.url]

    def write(self, *prompts: object) -> None:
        self.prompts.write_text("".join(json.dumps(p) + "\n" for p in prompts), encoding="utf-8")

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.answers.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def files(tmp_path: Path, space: FakeSpace) -> Files:
    return Files(tmp_path, space)


def test_batch_answers_a_file(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line is answered, stdout stays empty, the summary is on stderr, status 0."""
    files.write("a", [{"role": "user", "content": "b"}], {"id": "c", "prompt": "see"})
    assert main(files.command) == 0
    assert sorted(line["answer"] for line in files.read()) == ["re: a", "re: b", "re: see"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "3 prompts: 3 answered, 0 failed" in err


def test_batch_goes_on_where_it_stopped(
    files: Files, space: FakeSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command again asks only what has no answer yet."""
    files.write("a", "b", "c")
    assert main([*files.command, "--limit", "2"]) == 0
    assert len(space.jobs) == 2
    assert main(files.command) == 0
    assert len(space.jobs) == 3
    assert "3 answered (2 of them before)" in capsys.readouterr().err


def test_bad_lines_are_told_by_number(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines that are no prompts fail with their number; the rest runs; status 1."""
    files.prompts.write_bytes(b'"a"\n{oops\n\n42\n{"id": "x"}\n"\xff"\n"b"\n')
    assert main(files.command) == 1
    assert sorted(line["answer"] for line in files.read()) == ["re: a", "re: b"]
    err = capsys.readouterr().err
    assert "prompts.jsonl: line 2 is not JSON" in err
    assert "line 4 is neither" in err
    assert "line 5: x: " in err
    assert "line 6 is no UTF-8" in err
    assert "6 prompts: 2 answered, 4 failed" in err


def test_failures_are_told_and_tried_again(
    files: Files, space: FakeSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failed prompt is told, status 1; the next run asks it again, status 0."""
    space.answer(Fail("out of memory"), times=1)
    files.write({"id": "x", "prompt": "a"})
    assert main(files.command) == 1
    assert "line 1: x: " in capsys.readouterr().err
    assert main(files.command) == 0
    assert [line["answer"] for line in files.read()] == [None, "re: a"]


def test_openai_in_and_out(files: Files) -> None:
    """An OpenAI batch file gives, on request, OpenAI's output."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    files.write({"custom_id": "r1", "method": "POST", "url": "/v1/chat/completions", "body": body})
    assert main([*files.command, "--openai"]) == 0
    (line,) = files.read()
    assert line["custom_id"] == "r1"
    assert line["response"]["body"]["choices"][0]["message"]["content"] == "re: hi"


def test_system_is_for_all(files: Files, space: FakeSpace) -> None:
    """The system prompt goes with every line that has none."""
    files.write("a")
    assert main([*files.command, "-s", "Be brief."]) == 0
    assert space.jobs[0].system == "Be brief."


@pytest.mark.parametrize(
    "words",
    [["--workers", "0"], ["--rate", "-1"], ["--limit", "x"], ["--space", "a/b"]],
)
def test_bad_usage_is_status_2(files: Files, words: list[str]) -> None:
    """Options without sense are refused before anything is asked or made."""
    files.write("a")
    assert main([*files.command, *words]) == 2
    assert not files.answers.exists()


def test_missing_file_is_status_2(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of prompts that is not there is named."""
    assert main(files.command) == 2
    assert "prompts.jsonl cannot be read" in capsys.readouterr().err


def test_answers_never_go_into_other_files(files: Files) -> None:
    """A file that holds something else is refused and stays as it is, the prompts' own too."""
    files.write("a")
    files.answers.write_text("notes\n", encoding="utf-8")
    assert main(files.command) == 2
    assert files.answers.read_text(encoding="utf-8") == "notes\n"
    before = files.prompts.read_bytes()
    files.command[3] = str(files.prompts)
    assert main(files.command) == 2
    assert files.prompts.read_bytes() == before


def test_ctrl_c_keeps_what_is_done(files: Files, space: FakeSpace) -> None:
    """Ctrl-C ends the command with 130, at once; what is answered is kept."""
    gate = Gate()

    def script(job: Job) -> Iterator[Any]:
        if job.query != "a":
            yield gate
        yield "fine"

    space.answer(script)
    files.write("a", "b", "c")
    command = [sys.executable, "-m", "qwen72b", *files.command, "--workers", "1"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "HF_TOKEN": "hf_secret"}
    )
    gate.wait_reached(PATIENCE)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "goes on" in err
    assert "Traceback" not in err
    assert "hf_secret" not in err
    assert [line["answer"] for line in files.read()] == ["fine"]
    space.wait_for_disconnect()


def test_prompts_may_be_piped(files: Files) -> None:
    """A dash reads the prompts from standard input."""
    files.command[1] = "-"
    command = [sys.executable, "-m", "qwen72b", *files.command]
    done = subprocess.run(command, input='"a"\n"b"\n', capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(line["answer"] for line in files.read()) == ["re: a", "re: b"]


def test_dask_cluster_answers(
    files: Files, space: FakeSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster's workers ask with the driver's token, which is in no log of theirs."""
    pytest.importorskip("distributed", reason="needs the extra dask")
    monkeypatch.setenv("HF_TOKEN", "hf_verysecret")
    # It goes to the Hub's own host, which this test is.
    monkeypatch.setenv("HF_ENDPOINT", space.url)
    space.answer(Fail("out of memory"), times=1)
    files.write(*(f"q{number}" for number in range(40)))
    with cluster(tmp_path) as address:
        # In a process of its own: Dask's client leaves threads behind.
        command = [sys.executable, "-m", "qwen72b", *files.command, "--dask", address]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "40 prompts: 39 answered, 1 failed" in done.stderr
    tokens = {request.headers.get("x-hf-authorization") for request in space.requests}
    assert tokens == {"Bearer hf_verysecret"}
    logs = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*.log"))
    assert "Starting" in logs or "start" in logs.lower()
    assert "hf_verysecret" not in logs + done.stderr


@pytest.mark.parametrize("kind", [ValueError, OSError])
@pytest.mark.parametrize("address", ["tls://u:SECRET12@127.0.0.1:1", "127.0.0.1:1?token=SECRET12"])
def test_secrets_in_the_address_of_a_scheduler(
    kind: type[Exception],
    address: str,
    files: Files,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What may be a password in the address of a scheduler is not shown, nor what Dask repeats."""

    def refuse(address: str) -> None:
        raise kind(f"cannot reach {address}: {address.rpartition(':')[2]!r}")

    files.write("a")
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=refuse))
    assert main([*files.command, "--dask", address]) != 0
    said = capsys.readouterr().err
    assert "scheduler" in said
    assert "SECRET12" not in said


def test_missing_dask_is_told(
    files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Dask, what to install is said."""
    files.write("a")
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main([*files.command, "--dask", "tcp://127.0.0.1:1"]) == 2
    assert "pip install distributed" in capsys.readouterr().err


class Cluster:
    """A Dask cluster, as far as the command knows it, whose workers are threads."""

    def __init__(self, address: str) -> None:
        if address.endswith(":1"):
            raise OSError("timed out")
        self._pool = ThreadPoolExecutor(2)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def get_executor(self, *, pure: bool) -> Executor:
        return self._pool


@pytest.mark.parametrize(
    ("address", "words", "hint"),
    [
        ("tcp://127.0.0.1:1", "no Dask scheduler at tcp://127.0.0.1:1", "Is its address right?"),
        ("tcp://127.0.0.1:2", "did not accept a connection", "workers can reach with --url"),
    ],
)
def test_local_space_is_none_for_dask(
    address: str,
    words: str,
    hint: str,
    files: Files,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where a scheduler or its workers reach nobody, a Space of this machine would be no way out."""
    files.write("a")
    # It is asked several times, with pauses; twenty of them would take minutes.
    monkeypatch.setattr("qwen72b.batch.brake.HOPELESS", 1)
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Cluster))
    files.command[-1] = "http://127.0.0.1:1"
    assert main([*files.command, "--dask", address]) == 6
    err = capsys.readouterr().err
    assert words in err and hint in err and "--local" not in err


def shell(files: Files, rest: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the batch in a shell, its answers going where ``rest`` says."""
    words = [sys.executable, "-m", "qwen72b", *files.command[:2], *files.command[4:]]
    line = shlex.join(words) + " " + rest
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
        **options,
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "rest",
    [
        "-o - | cat",
        "-o /dev/stdout | cat",
        "-o >(cat)",
        "-o /dev/fd/9 9> >(cat)",
        "-o - > out; cat out",
    ],
)
def test_answers_go_into_a_pipe(files: Files, rest: str, tmp_path: Path) -> None:
    """Standard output and every pipe get the answers; that they remember nothing is said once."""
    files.write("a", "b")
    done = shell(files, f"{rest}; wait", cwd=tmp_path)
    assert sorted(json.loads(line)["answer"] for line in done.stdout.splitlines()) == [
        "re: a",
        "re: b",
    ]
    assert done.stderr.count("no file that a later run") == 1
    assert "2 prompts: 2 answered" in done.stderr
    assert not files.answers.exists() and not (tmp_path / "-").exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_answers_go_to_a_file_by_the_name_of_a_device(files: Files, tmp_path: Path) -> None:
    """What standard output is decides, not its name: a regular file is gone on from."""
    files.write("a", "b")
    for _ in range(2):
        done = shell(files, "-o /dev/stdout >> out", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "2 of them before" in done.stderr
    assert len((tmp_path / "out").read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_device_that_takes_no_answers(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """A full device is named, in one line."""
    files.write(*map(str, range(50)))
    files.command[3] = "/dev/full"
    assert main([*files.command, "-q"]) == 1
    assert capsys.readouterr().err == "qwen72b: /dev/full: No space left on device.\n"


def test_full_disk_is_told(files: Files) -> None:
    """The file, what was lost and what helps are one line; when there is room, it goes on."""
    pytest.importorskip("resource")
    files.write(*map(str, range(50)))
    program = (
        "import resource, sys; from qwen72b.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    # Without writing byte code, or that would be cut as well, for all who import it.
    command = [sys.executable, "-B", "-c", program, *files.command, "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"qwen72b: {files.answers}: File too large. ")
    assert "could not be written. Allow it larger files" in done.stderr
    assert 0 < len(files.read()) < 50
    assert main(files.command) == 0
    assert len(files.read()) == 50


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_prompts_without_end(
    files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that never ends is told, and not gathered; nor are bytes that are no text."""
    monkeypatch.setattr("qwen72b.cli.prompts._LONGEST_LINE", 1 << 20)
    files.write("x" * (2 << 20))
    assert main(files.command) == 2
    assert "line 1 is longer than 1 MiB" in capsys.readouterr().err
    files.command[1] = "/dev/zero"
    assert main(files.command) == 2
    assert "/dev/zero is no text" in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["1", "8", "200"])
@pytest.mark.parametrize("refused", ["by the app", "by the Space"])
def test_hopeless_batch_stops(
    files: Files, space: FakeSpace, capsys: pytest.CaptureFixture[str], workers: str, refused: str
) -> None:
    """Where all are refused for one reason, 20 are asked, however many may be at once."""
    numbers = count()
    if refused == "by the Space":
        space.fault("join", Respond(status=401), times=None)
    space.answer(lambda job: [Fail(f"401 Unauthorized (request {next(numbers)})")])
    files.write(*map(str, range(400)))
    command = [*files.command, "--workers", workers]
    assert main(command) == (3 if refused == "by the Space" else 1)
    joins = [request for request in space.requests if request.phase == "join"]
    assert len(joins) == len(files.read()) == 20
    err = capsys.readouterr().err
    assert "stopped: the first 20 prompts all failed, and alike." in err
    assert err.count("The same command goes on.") == 1


@pytest.mark.parametrize("workers", [1, 8, 64])
def test_batch_stops_when_its_key_is_revoked(
    files: Files, space: FakeSpace, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    """Where all are refused from some answer on, it is not asked to the last line."""

    def script(job: Job) -> Iterator[Any]:
        yield (
            "fine" if int(str(job.query)) < 100 else Fail("The upstream answered 401: no such key.")
        )

    space.answer(script)
    files.write(*map(str, range(400)))
    assert main([*files.command, "--workers", str(workers)]) == 1
    failed = [line for line in files.read() if line["answer"] is None]
    # The last answers may come between the first failures, and then it takes 20 more.
    assert 20 <= len(failed) < 300
    err = capsys.readouterr().err
    assert "stopped: 20 prompts in a row failed, and alike." in err
    assert "no such key" in err.partition("stopped:")[2]
    # The next run goes on, with the failed ones first.
    space.answer("fine")
    assert main(files.command) == 0
    assert {line["id"] for line in files.read() if line["answer"]} == {
        line["id"] for line in files.read()
    }
    assert "400 answered (100 of them before)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "failures", "words"),
    [
        (["--stop-on-error"], 1, "stopped at the first failure."),
        (["--max-failures", "1"], 1, "stopped at the first failure."),
        (["--max-failures", "7"], 7, "stopped at 7 failures."),
        (["--max-failures", "30"], 30, "stopped at 30 failures."),
        (["--max-failures", "41"], 40, "40 prompts: 0 answered, 40 failed"),
    ],
)
def test_batch_stops_at_a_number_of_failures(
    files: Files,
    space: FakeSpace,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    failures: int,
    words: str,
) -> None:
    """As many as are allowed are asked in vain, whatever the default would be."""
    space.answer(Fail("401 Unauthorized"))
    files.write(*map(str, range(40)))
    assert main([*files.command, "--workers", "200", *options]) == 1
    assert len(space.jobs) == len(files.read()) == failures
    err = capsys.readouterr().err
    assert words in err
    assert err.count("The same command goes on.") == (failures < 40)


def test_ways_to_stop_exclude_each_other(files: Files) -> None:
    """Two limits at once are wrong usage."""
    files.write("a")
    assert main([*files.command, "--stop-on-error", "--max-failures", "3"]) == 2


def test_batch_with_hope_goes_on(files: Files, space: FakeSpace) -> None:
    """One answer, or failures of two kinds, and every prompt is asked."""
    space.answer(lambda job: [Fail("out of memory")] if job.query != "5" else ["fine"])
    files.write(*map(str, range(40)))
    assert main([*files.command, "--workers", "1"]) == 1
    assert len(space.jobs) == 40
    space.answer(lambda job: [Fail("one" if int(str(job.query)) % 2 else "two")])
    assert main([*files.command, "--workers", "1"]) == 1
    assert len(space.jobs) == 79
    space.answer(Fail("The upstream answered 400: the context length is 10 tokens."))
    assert main(files.command) == 1
    assert len(space.jobs) == 118


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing/out.jsonl", "there is no folder "),
        ("prompts.jsonl/out.jsonl", "there is no folder "),
        ("folder", "it is a folder"),
        ("folder/", "it is a folder"),
    ],
)
def test_output_that_cannot_be_written(
    files: Files, space: FakeSpace, capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    """A useless name of the output is wrong usage, and nothing is asked."""
    files.write("a")
    folder = files.prompts.parent
    (folder / "folder").mkdir()
    output = os.path.join(folder, name)
    assert main(["batch", str(files.prompts), "-o", output, "--url", space.url]) == 2
    assert f"{output} cannot be written: {why}" in capsys.readouterr().err
    assert space.jobs == []


def test_closed_standard_input_is_told(files: Files, space: FakeSpace) -> None:
    """A shell may close what the prompts would come from."""
    command = [sys.executable, "-m", "qwen72b", "batch", "-", "-o", str(files.answers)]
    done = subprocess.run(
        ["/bin/sh", "-c", f"{shlex.join([*command, '--url', space.url])} <&-"],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "qwen72b: standard input is closed.\n")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--workers", "many"),
        ("--workers", "9" * 22),
        ("--limit", "1e3"),
        ("--rate", "fast"),
        ("--rate", "nan"),
        ("--shard", "1/" + "9" * 20),
    ],
)
def test_useless_number(
    files: Files, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    """A number that is none is told in words of the command line, not of the program's."""
    files.write("Hi")
    assert main([*files.command, option, value]) == 2
    err = capsys.readouterr().err
    assert f"argument {option}: {value!r} is no" in err
