"""Journals of shards become one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen72b import Client
from qwen72b.batch import Journal
from qwen72b.batch.idindex import IdIndex
from qwen72b.cli import main
from qwen72b.testing import FakeSpace, Gate, Job


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own(name: str, answer: str | None, **more: Any) -> str:
    error = None if answer is not None else {"type": "QueueFull", "message": "full", "partial": ""}
    return json.dumps({"id": name, "answer": answer, "error": error, "tries": 1, **more}) + "\n"


def openai(name: str, answer: str | None) -> str:
    choices = [{"index": 0, "message": {"role": "assistant", "content": answer}}]
    response = {"status_code": 200, "body": {"choices": choices}} if answer is not None else None
    line = {"id": f"b_{name}", "custom_id": name, "response": response, "error": None}
    return json.dumps(line) + "\n"


def write(name: str, *lines: str) -> str:
    Path(name).write_text("".join(lines), encoding="utf-8")
    return name


def merge(*names: str) -> int:
    return main(["batch", "merge", *names])


def test_lines_that_count_are_kept_as_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line an id: an answer before failures, the last of each kind; in the order of the files."""
    strange = own("\ud800\u2028é", "x").encode("utf-8", "surrogatepass").decode()
    one = [own("a", None), own("b", "old"), own("c", "c1"), own("a", "a1"), strange]
    two = [openai("d", "d1"), own("c", None), openai("b", "new"), own("e", None), openai("e", None)]
    assert merge("out", write("one", *one), write("two", *two)) == 0
    kept = [own("c", "c1"), own("a", "a1"), strange, openai("d", "d1"), openai("b", "new")]
    assert Path("out").read_text(encoding="utf-8") == "".join([*kept, openai("e", None)])
    assert "6 prompts: 5 answered, 1 failed; out" in capsys.readouterr().err
    assert sorted(os.listdir()) == ["one", "out", "two"]


def test_torn_line_does_not_count(folder: Path) -> None:
    """What a kill left of a last line is left out, and the file as it is; a whole one counts."""
    torn = write("torn", own("a", "x"), own("b", "y")[:30])
    before = Path(torn).read_bytes()
    whole = write("whole", own("c", "z").rstrip("\n"))
    zeros = write("zeros", own("d", "z"), "\0" * 50)
    assert merge("out", torn, whole, zeros, write("empty")) == 0
    assert Path("out").read_text() == own("a", "x") + own("c", "z") + own("d", "z")
    assert Path(torn).read_bytes() == before


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("notes\n", "line 1 of bad"),
        (own("a", "x") + own("b", "y") + '{"id": "c"}\n' + own("d", "z"), "line 3 of bad"),
        (own("a", "x") + "the end", "line 2 of bad"),
    ],
)
def test_what_is_no_journal_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], content: str, where: str
) -> None:
    """The file and the line are named, and nothing is made."""
    assert merge("out", write("good", own("a", "x")), write("bad", content)) == 2
    assert f"{where} is no line of a batch's journal" in capsys.readouterr().err
    assert sorted(os.listdir()) == ["bad", "good"]


@pytest.mark.parametrize("target", ["good", "out", "folder", "link"])
def test_nothing_is_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    """What has the name of the new file stays, one of the journals too."""
    write("good", own("a", "x"))
    write("out", "notes")
    os.mkdir("folder")
    os.symlink("nowhere", "link")
    assert merge(target, "good") == 2
    assert f"{target} is there already" in capsys.readouterr().err
    assert (Path("good").read_text(), Path("out").read_text()) == (own("a", "x"), "notes")
    assert sorted(os.listdir()) == ["folder", "good", "link", "out"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["out"], "the following arguments are required: IN"),
        (["out", "missing"], "missing cannot be read: there is no such file"),
        (["no/out", "good"], "no/out cannot be written: there is no folder no"),
        (["out", "fifo"], "fifo is no file that can be read twice"),
        (["-", "good"], "merge needs files"),
        (["out", "good", "--lines"], "unrecognized arguments: --lines"),
    ],
)
def test_useless_names(
    folder: Path, capsys: pytest.CaptureFixture[str], names: list[str], words: str
) -> None:
    """They are told in a line, and nothing is made."""
    write("good", own("a", "x"))
    os.mkfifo("fifo")
    assert merge(*names) == 2
    assert words in capsys.readouterr().err
    assert sorted(os.listdir()) == ["fifo", "good"]


def test_journal_that_is_written_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch that runs has its journal for itself."""
    gate = Gate()
    with FakeSpace() as space, Client(space.url, token=False) as client:
        space.answer("fine", times=1)
        space.answer(gate, "fine")
        with client.map(["a", "b"], journal="j", max_in_flight=1) as batch:
            next(batch)
            assert merge("out", "j") == 2
            assert "a batch is writing to j" in capsys.readouterr().err
            gate.open()
    assert merge("out", "j") == 0


def test_full_disk_leaves_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be written is not there, under any name."""
    resource = pytest.importorskip("resource")
    write("good", *(own(str(number), "x" * 100) for number in range(1000)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        assert merge("out", "good") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "out: File too large. Allow it larger files" in capsys.readouterr().err
    assert os.listdir() == ["good"]


def test_ids_of_one_hash_are_told_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash that two ids share costs neither its line."""
    monkeypatch.setattr("qwen72b.batch.idindex.hash", lambda name: 5, raising=False)
    lines = [own("a", "1"), own("b", "2"), own("a", "3"), own("c", None), own("b", None)]
    assert merge("out", write("one", *lines)) == 0
    assert Path("out").read_text() == lines[1] + lines[2] + lines[3]


@pytest.mark.parametrize("change", [own("z", "1"), ""], ids=["longer", "shorter"])
def test_journal_that_changes_meanwhile_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    """What somebody else does to it, who looks at no lock, loses no line without a word."""
    find = IdIndex.find

    def meanwhile(index: IdIndex, name: str) -> list[int]:
        with open("one", "a" if change else "w", encoding="utf-8") as file:
            file.write(change)
        return find(index, name)

    monkeypatch.setattr(IdIndex, "find", meanwhile)
    assert merge("out", write("one", own("a", "1"), own("b", "2"))) == 2
    assert "one was changed while it was merged" in capsys.readouterr().err
    assert os.listdir() == ["one"]


def test_file_of_prompts_called_merge(folder: Path) -> None:
    """Where only options follow, it is a file; with ./ it always is."""
    write("merge", '"a"\n')
    with FakeSpace() as space:
        space.answer("fine", times=None)
        for name, out in (("merge", "one"), ("./merge", "two")):
            assert main(["batch", name, "-o", out, "--url", space.url]) == 0
            assert json.loads(Path(out).read_text())["answer"] == "fine"
    assert main(["-q", "batch", "merge", "-v", "three", "one", "two"]) == 0
    assert len(Path("three").read_text().splitlines()) == 1


def test_shards_are_one_run(folder: Path) -> None:
    """Shards of questions that come again have the ids of the whole: merged, none is missing."""
    questions = ["a", "a", "b", "b", "a", "c", "a", "b"]
    write("prompts", *(json.dumps(question) + "\n" for question in questions))

    def echo(job: Job) -> Iterator[str]:
        yield f"re: {job.query}"

    with FakeSpace() as space:
        space.answer(echo)
        command = ["batch", "prompts", "--url", space.url, "-s", "Be brief."]
        for shard in ("1", "2", "3"):
            assert main([*command, "-o", shard, "--shard", f"{shard}/3"]) == 0
        assert merge("all", "1", "2", "3") == 0
        assert len(space.jobs) == len(questions)
        assert main([*command, "-o", "all"]) == 0
        assert len(space.jobs) == len(questions)
        with Client(space.url, token=False) as client:
            journal = Journal("all", openai=True)
            results = list(client.map(questions, journal=journal, system="Be brief."))
        assert [result.reply for result in results] == [f"re: {it}" for it in questions]
        assert len(space.jobs) == len(questions)
