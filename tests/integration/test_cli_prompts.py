"""``qwen72b batch``: the forms of its input."""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qwen72b.cli import main
from qwen72b.testing import FakeSpace

Run = Callable[..., int]


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer(lambda job: [f"re: {job.query}"])
        yield space


@pytest.fixture
def run(space: FakeSpace, tmp_path: Path) -> Run:
    """Write the input, and run."""

    def run(content: bytes | str, *options: str, name: str = "prompts.jsonl") -> int:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        answers = str(tmp_path / "answers")
        return main(["batch", str(tmp_path / name), "-o", answers, "--url", space.url, *options])

    return run


def asked(space: FakeSpace) -> list[str]:
    return sorted(str(job.query) for job in space.jobs)


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.jsonl", '"one"\n{"prompt": "two, 2"}\n[{"role": "user", "content": "three"}]\n', []),
        ("a.jsonl", '\ufeff"one"\r\n\r\n"two, 2"\r\n"three"', []),
        ("a.json", '["one", {"prompt": "two, 2"}, [{"role": "user", "content": "three"}]]', []),
        ("a.json", '[\n  "one",\n  "two, 2",\n  {"messages": [{"role": "user", "content": "three"}]}\n]\n', []),
        ("a.json", '\n[{"prompt": "one"}, {"prompt": "two, 2"}, {"prompt": "three"}]', []),
        ("a.txt", "one\ntwo, 2\n\nthree", ["--lines"]),
        ("a.csv", "one\r\ntwo, 2\r\nthree\r\n", ["--lines"]),
        ("a.csv", 'prompt,note\none,1\n"two, 2",2\nthree,3\n', []),
        ("a.csv", '\ufeffquestion\none\n"two, 2"\nthree\n', []),
        ("a.csv", 'note;ask\r\n1;one\r\n2;"two, 2"\r\n3;three\r\n', ["--column", "ask"]),
        ("a.tsv", "note\tprompt\n1\tone\n2\ttwo, 2\n3\tthree\n", []),
        ("a.data", "note\task\n1\tone\n2\ttwo, 2\n3\tthree\n", ["--column", "ask"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_forms_are_read(
    space: FakeSpace, run: Run, name: str, content: str, options: list[str], encoding: str
) -> None:
    """JSON Lines, a JSON array, plain lines, CSV and TSV are read, in UTF-8 or with a mark."""
    if encoding != "utf-8":
        content = content.removeprefix("\ufeff")
    assert run(content.encode(encoding), *options, name=name) == 0
    assert asked(space) == ["one", "three", "two, 2"]


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("Why is the sky blue?\nAnd at dusk?\n", [], "--lines"),
        ("id,prompt\n1,one\n", [], "--column"),
        ('{\n  "prompt": "one"\n}\n', [], "a line of its own"),
        ('["one",\n "two"\n', [], "begins as a JSON array"),
        ('["one"]\n["two"]\n', [], "begins as a JSON array"),
        (b'"caf\xe9"\n"two"\n', [], "no UTF-8 text"),
        (b'["one",\n"caf\xe9"]', [], "no UTF-8 text"),
        (codecs.BOM_UTF16_LE + b'"\x00\x00\xd8"\x00', [], "no UTF-16 text"),
        ("one\ntwo\n".encode("utf-16-le"), ["--lines"], "UTF-16"),
        ("prompt\none\n".encode("utf-16-be"), ["--column", "prompt"], "UTF-16"),
        ('"one"\n'.encode("utf-32-le"), [], "NUL bytes"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", ["--lines"], "NUL bytes"),
        ("a,b\n1,2\n", ["--column", "prompt"], "It has a, b."),
        ("prompt,prompt\na,b\n", ["--column", "prompt"], "has the column 'prompt' twice"),
        ('prompt\n"one\n', ["--column", "prompt"], "no CSV file"),
    ],
)
def test_wrong_form_is_told_once(
    space: FakeSpace,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    content: str | bytes,
    options: list[str],
    words: str,
) -> None:
    """A file of another form is refused as a whole, before anything is asked, with status 2."""
    assert run(content, *options) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert space.jobs == []


def test_column_that_is_not_told_is_asked_for(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A table whose header does not say prompt needs --column; the columns are listed."""
    assert run("a,b\n1,2\n", name="a.csv") == 2
    assert "Say it with --column; there are a, b." in capsys.readouterr().err


def test_columns_beside_the_prompt(space: FakeSpace, run: Run, tmp_path: Path) -> None:
    """The columns id and system count; a cell may have several lines."""
    content = 'id,system,prompt\nx,Be brief.,"one\ntwo"\ny,,three\n'
    assert run(content, name="a.csv") == 0
    lines = map(json.loads, (tmp_path / "answers").read_text().splitlines())
    assert {line["id"]: line["answer"] for line in lines} == {"x": "re: one\ntwo", "y": "re: three"}
    systems = {job.query: job.system for job in space.jobs}
    assert systems["one\ntwo"] == "Be brief."


def test_row_that_is_no_prompt_fails_alone(
    space: FakeSpace, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty cell, a short row and a bad byte cost their rows; status 1."""
    assert run(b"note,prompt\n1,one\n2,\n3\n4,caf\xe9\n5,two\n", name="a.csv") == 1
    err = capsys.readouterr().err
    assert asked(space) == ["one", "two"]
    for words in ("line 3 has no prompt", "line 4 has no prompt", "line 5 is no UTF-8 text"):
        assert words in err


@pytest.mark.parametrize(
    ("line", "options"),
    [("one\0", ["--lines"]), ('"one\0"', []), ("one\0", ["--column", "prompt"])],
)
def test_nul_bytes_further_on(
    space: FakeSpace,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    line: str,
    options: list[str],
) -> None:
    """A NUL byte costs its line, as any byte does that is none of a text."""
    word = '"x"' if not options else "prompt"
    lines = [*[word] * 2000, line, word]
    assert run("\n".join(lines), *options) == 1
    assert "line 2001 is no " in capsys.readouterr().err
    assert all("\0" not in prompt for prompt in asked(space))


@pytest.mark.parametrize("content", ["", "\n\n", "[]"])
def test_nothing_is_no_mistake(
    space: FakeSpace, run: Run, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    """An input without prompts is answered in full."""
    assert run(content) == 0
    assert "0 prompts" in capsys.readouterr().err


def test_shards_are_the_whole(space: FakeSpace, run: Run) -> None:
    """Each prompt is in one of N shards."""
    content = "".join(f'"{number}"\n' for number in range(7))
    for index, numbers in ((1, "036"), (2, "14"), (3, "25")):
        before = len(space.jobs)
        assert run(content, "--shard", f"{index}/3") == 0
        assert sorted(str(job.query) for job in space.jobs[before:]) == list(numbers)


@pytest.mark.parametrize("shard", ["0/3", "4/3", "x", "1/0", "1", "1/2/3"])
def test_shard_is_one_of_so_many(run: Run, capsys: pytest.CaptureFixture[str], shard: str) -> None:
    """A shard that there is not is bad usage."""
    assert run('"one"', "--shard", shard) == 2
    assert "1/4" in capsys.readouterr().err


def test_forms_are_told_of_a_pipe(
    space: FakeSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input has the same forms."""
    command = ["batch", "-", "-o", str(tmp_path / "answers"), "--url", space.url]
    for content, options in (
        (b'["one"]', []),
        (b"two", ["--lines"]),
        (b"q\nthree", ["--column", "q"]),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
        assert main([*command, *options]) == 0
    assert asked(space) == ["one", "three", "two"]


@pytest.mark.parametrize(
    "header", ["ID,Prompt,System", " id , PROMPT , system ", "Custom_ID,prompt,SYSTEM"]
)
def test_case_of_columns_does_not_matter(space: FakeSpace, run: Run, header: str) -> None:
    """Spreadsheets begin names with capitals, and people put blanks around them."""
    assert run(f"{header}\n7,Hi,Be brief.\n", name="a.csv") == 0
    assert (space.jobs[0].query, space.jobs[0].system) == ("Hi", "Be brief.")


def test_exact_column_comes_first(
    space: FakeSpace, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two columns that differ in case, the one that is named is meant; else neither."""
    table = "Ask,ASK\none,two\n"
    assert run(table, "--column", "ASK", name="a.csv") == 0
    assert asked(space) == ["two"]
    assert run(table, "--column", "ask", name="a.csv") == 2
    assert "the columns 'Ask' and 'ASK'" in capsys.readouterr().err


@pytest.mark.parametrize("digits", [500, 5000])
@pytest.mark.parametrize("first", ["", '"Hi"\n'])
def test_number_of_many_digits(
    run: Run, capsys: pytest.CaptureFixture[str], digits: int, first: str
) -> None:
    """A line whose id is a number beyond all measure is told, and what to do."""
    assert run(f'{first}{{"id": {"1" * digits}, "prompt": "Hi"}}\n') == 1
    told = capsys.readouterr().err
    assert "digits" in told
    assert "text" in told
    assert len(told) < 400


def test_array_with_a_number_of_many_digits(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """An array is read as a whole, or not at all."""
    assert run(f'["Hi", {{"id": {"1" * 5000}, "prompt": "Ho"}}]') == 2
    assert "digits. Where it is an id, make it text." in capsys.readouterr().err
