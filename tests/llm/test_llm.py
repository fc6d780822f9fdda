"""The plugin for llm: its command line and its API, before a fake Space."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llm
import pytest
from click.testing import CliRunner, Result
from llm.cli import cli

from qwen72b import GenerationFailed
from qwen72b.testing import Fail, FakeSpace, Layout, Snapshot, Stall, words

LINES = "It is blue. It is not green."


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """llm keeps its database open."""


@pytest.fixture(autouse=True)
def space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clean_environment: None
) -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer(*words(LINES))
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
        yield space


def run(*argv: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, argv, input=given, catch_exceptions=False)


def test_model_is_found() -> None:
    """The entry point registers the model with its alias, and its options are told."""
    listed = run("models", "--options").output
    assert "Qwen72B: qwen2-72b (aliases: qwen-2-72b)" in listed
    assert "owner/name" in listed


@pytest.mark.parametrize("name", ["qwen2-72b", "qwen-2-72b"])
def test_question_and_system_text(space: FakeSpace, name: str) -> None:
    """The answer is all that is on standard output; the Space gets the system text."""
    done = run("-m", name, "-s", "Be brief.", "Why?")
    assert (done.exit_code, done.output) == (0, LINES + "\n")
    assert (space.jobs[-1].query, space.jobs[-1].system) == ("Why?", "Be brief.")


def test_conversation_goes_on(space: FakeSpace) -> None:
    """``-c`` goes on with real history, and the system text is there once."""
    run("-m", "qwen2-72b", "-s", "Be brief.", "One?")
    run("-c", "Two?")
    run("-c", "Three?")
    job = space.jobs[-1]
    assert job.query == "Three?"
    assert job.history == [["One?", LINES], ["Two?", LINES]]
    assert job.system == "Be brief."


def test_chat(space: FakeSpace) -> None:
    """``chat`` keeps the turns."""
    done = run("chat", "-m", "qwen2-72b", given="One?\nTwo?\nexit\n")
    assert done.output.count(LINES) == 2
    assert space.jobs[-1].history == [["One?", LINES]]


def test_log() -> None:
    """What was asked and answered is in the log."""
    run("-m", "qwen2-72b", "Why?")
    [logged] = json.loads(run("logs", "--json").output)
    assert (logged["model"], logged["prompt"], logged["response"]) == ("qwen2-72b", "Why?", LINES)


def test_options(space: FakeSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another Space is an option, and what is no option is refused."""
    monkeypatch.setenv("QWEN72B_BASE_URL", "http://127.0.0.1:9")
    argv = ("-m", "qwen2-72b", "Why?", "-o", "url", space.url, "-o", "timeout", "20")
    assert run(*argv).output == LINES + "\n"
    assert run("-m", "qwen2-72b", "Why?", "-o", "temperature", "1").exit_code != 0


def test_inputs_of_the_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other inputs are given by their labels, as JSON; what is none is refused."""
    with FakeSpace(layout=Layout(inputs=("query", "chat", "system", "extra"))) as space:
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        argv = ("-m", "qwen2-72b", "Why?", "-o", "inputs")
        assert run(*argv, '{"Temperature": 0.25}').exit_code == 0
        assert run(*argv, "hot").exit_code != 0
        assert [job.data[-1] for job in space.jobs] == [0.25]


def test_whole_answer_is_exact(space: FakeSpace) -> None:
    """Unstreamed, text that was taken back is not there."""
    space.answer(Snapshot("It is red."), Snapshot("No: blue."))
    assert run("-m", "qwen2-72b", "--no-stream", "Why?").output == "No: blue.\n"


def test_failure(space: FakeSpace) -> None:
    """An error is told in its own words, and is our exception in the API."""
    space.answer("It is", Fail("CUDA out of memory"))
    done = CliRunner().invoke(cli, ["-m", "qwen2-72b", "Why?"])
    assert done.exit_code != 0
    assert "CUDA out of memory" in done.output
    with pytest.raises(GenerationFailed):
        llm.get_model("qwen2-72b").prompt("Why?").text()


@pytest.mark.parametrize("way", [[], ["--async"], ["--no-stream"]])
def test_hint_names_what_works_here(way: list[str]) -> None:
    """A hint speaks of llm's options, not of arguments of Python's."""
    argv = ["-m", "qwen2-72b", "-o", "url", "http://127.0.0.1:1", "Why?", *way]
    done = CliRunner().invoke(cli, argv)
    assert done.exit_code != 0
    assert "-o url or QWEN72B_BASE_URL names another" in done.output


def test_endpoint(space: FakeSpace) -> None:
    """Of several chats in a Space one can be named."""
    argv = ["-m", "qwen2-72b", "-o", "endpoint"]
    run(*argv, "/model_chat", "Why?")
    done = CliRunner().invoke(cli, [*argv, "/nope", "Why?"])
    assert "'/nope'" in done.output
    assert len(space.jobs) == 1


def test_leaving_hangs_up(space: FakeSpace) -> None:
    """Leaving the pieces of an answer ends the Space's job."""
    space.answer("It is", Stall())
    pieces: Any = iter(llm.get_model("qwen2-72b").prompt("Why?"))
    next(pieces)
    pieces.close()
    space.wait_for_disconnect()


@pytest.mark.parametrize("stream", [True, False])
def test_async(space: FakeSpace, stream: bool) -> None:
    """The async model has the same answer, and the same history."""

    async def ask() -> list[str]:
        chat = llm.get_async_model("qwen2-72b").conversation()
        return [await chat.prompt(text, stream=stream).text() for text in ("One?", "Two?")]

    assert asyncio.run(ask()) == [LINES, LINES]
    assert space.jobs[-1].history == [["One?", LINES]]
