"""The command inspect, and what status says of a plan."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from terminals import command as command_line
from timing import PATIENCE

from qwen72b.cli import main
from qwen72b.cli.options import parse
from qwen72b.testing import FakeSpace

PAGES = json.loads((Path(__file__).parent.parent / "data" / "pages" / "6.31.0.json").read_text())
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nothing_piped_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)


def run_piped(argv: list[str], given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_line(*argv),
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def page(name: str) -> Any:
    return PAGES[name]


def test_inspect_tells_the_plan(capsys: Capture) -> None:
    """Line by line: what is called, and what goes where."""
    with FakeSpace.from_config(page("interface_settings_outside")) as space:
        assert main(["inspect", space.url]) == 0
        assert space.jobs == []
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())

    assert lines[space.url].startswith("Gradio 6.31.0")
    assert lines["history"] == "state, as parts"
    assert lines["system"] == "'Persona'"
    assert lines["requests"] == "8 at most"
    assert lines["input"] == "'Model' = 'x'"


def test_inspect_as_json(capsys: Capture) -> None:
    """One object with the same."""
    with FakeSpace.from_config(page("kept_in_state")) as space:
        assert main(["inspect", "--json", "--url", space.url]) == 0
    found = json.loads(capsys.readouterr().out)

    assert found["folded"] == ["system", "history"]
    assert (found["question"], found["steps"], found["requests"]) == ("Message", ["/chat"], 2)


def test_inspect_of_a_doubt(capsys: Capture) -> None:
    """The error names the candidates, in JSON as well; --endpoint ends it."""
    with FakeSpace.from_config(page("two_tabs")) as space:
        assert main(["inspect", "--json", space.url]) == 1
        told = capsys.readouterr()
        assert json.loads(told.out)["candidates"] == ["/red", "/blue"]
        assert "'/red'" in told.err
        assert main(["inspect", space.url, "--endpoint", "blue"]) == 0


def test_endpoint_is_named_to_every_command(capsys: Capture) -> None:
    """What inspect lists is what a question can be put to."""
    with FakeSpace.from_config(page("two_tabs"), {"blue": [["", [["q", "blue!"]]]]}) as space:
        assert main(["--url", space.url, "--endpoint", "/blue", "q"]) == 0
        assert capsys.readouterr().out == "blue!\n"
        assert main(["status", "--url", space.url, "--endpoint", "1"]) == 0
    assert "endpoint /blue" in capsys.readouterr().out


def test_space_is_named_once(capsys: Capture) -> None:
    """As an argument, or by an option."""
    assert main(["inspect", "http://127.0.0.1:9", "--url", "http://127.0.0.1:9"]) == 2
    assert "twice" in capsys.readouterr().err


def test_status_has_the_plan_in_a_line(capsys: Capture) -> None:
    """Only if more is wanted."""
    with FakeSpace.from_config(page("kept_in_state")) as space:
        assert main(["status", "--url", space.url]) == 0
        assert "takes" not in capsys.readouterr().out
        assert main(["status", "-v", "--url", space.url]) == 0
    line = "a question takes 1 step to /chat, at most 2 requests; folds the system and the history"
    assert line in capsys.readouterr().out


def test_words_of_a_space_do_nothing_to_the_terminal(capsys: Capture) -> None:
    """Labels are escaped."""
    config = json.loads(json.dumps(page("counting")))
    for component in config["components"]:
        component["props"]["label"] = "\x1b[2J\u202e"
    with FakeSpace.from_config(config) as space:
        assert main(["inspect", space.url]) == 0
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())


SETTINGS = ["--input", "max new tokens=5", "--input", "Model=a", "--input", "Sample=false"]


@pytest.mark.parametrize("command", [["q"], ["chat"], ["batch", "-", "-o", "-", "--lines"]])
def test_inputs_are_named_to_every_command(command: list[str], capsys: Capture) -> None:
    """Numbers and truths are such, and the rest is text."""
    with FakeSpace.from_config(page("interface_with_settings"), {"generate": [["yes"]]}) as space:
        done = run_piped(
            [*command, "--url", space.url, *SETTINGS], "" if command == ["q"] else "q\n"
        )
        assert (done.returncode, "yes" in done.stdout) == (0, True), done.stderr
        (job,) = space.jobs
        assert job.data[0] == "q"
        assert job.data[-3:] == [5, "a", False]
        assert main(["inspect", space.url, *SETTINGS]) == 0
    assert "'Max new tokens' = 5" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["q"], ["chat"], ["batch", "-", "-o", "-", "--lines"]])
def test_unknown_input_names_the_others(command: list[str]) -> None:
    """A label that is none is told with those that are, once, and nothing is asked."""
    with FakeSpace.from_config(page("interface_with_settings")) as space:
        done = run_piped([*command, "--url", space.url, "--input", "Heat=1"], "one\ntwo\n")
        assert space.jobs == []
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("Its inputs are: 'Max new tokens', 'Model', 'Sample'.") == 1


@pytest.mark.parametrize("word", ["Heat", "=1", " =1", ""])
def test_input_that_is_no_pair(word: str, capsys: Capture) -> None:
    """What has no label or no value is refused, with an example."""
    assert main(["q", "--input", word]) == 2
    assert "is not as Temperature=0.2 is" in capsys.readouterr().err


@pytest.mark.parametrize(
    "value", ["0.5", "1.10", "null", '"5"', "", "a=b", "\u00fcber", "1" * 5000]
)
def test_values_of_inputs(value: str) -> None:
    """What was typed stays as it is, until the Space's page says what it means."""
    _, args = parse(["q", "--input", f" Max tokens ={value}"])
    assert args.inputs == [("Max tokens", value)]


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (["Sample=No", "Max new tokens=+5."], (5.0, False)),
        (["Sample=ON", "Max new tokens=.5"], (0.5, True)),
    ],
)
def test_kind_of_an_input_reads_its_value(words: list[str], sent: tuple[object, ...]) -> None:
    """A number is one as people write it, and a tick is a truth."""
    options = [part for word in words for part in ("--input", word)]
    with FakeSpace.from_config(page("interface_with_settings"), {"generate": [["yes"]]}) as space:
        assert main(["q", "--url", space.url, *options]) == 0
        data = space.jobs[0].data
    assert (data[-3], data[-1]) == sent
    assert type(data[-1]) is bool


@pytest.mark.parametrize("word", ["Sample=maybe", "Sample=", "Max new tokens=a lot"])
def test_value_of_another_kind_is_refused(word: str, capsys: Capture) -> None:
    """The error says what the input takes; nothing is asked."""
    with FakeSpace.from_config(page("interface_with_settings")) as space:
        assert main(["q", "--url", space.url, "--input", word]) == 2
        assert space.jobs == []
    assert "does not take this value. It takes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two_tabs", "as in --endpoint /red."),
        ("two_texts", "as in --input Wo=...; what is left"),
        ("picture", "Point --url or --space at a Space to chat with."),
    ],
)
@pytest.mark.parametrize("command", [["q"], ["inspect"]])
def test_hints_name_options(command: list[str], name: str, words: str, capsys: Capture) -> None:
    """The shell is told what can be typed there, not what Python's arguments are called."""
    with FakeSpace.from_config(page(name)) as space:
        assert main([*command, "--url", space.url]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("foo", "the address 'foo' is not a URL."),
        ("https://huggingface.co/spaces/a/b", "Pass --space a/b instead."),
        ("a/b", "Pass --space a/b instead."),
        ("http://127.0.0.1/?q", "the address 'http://127.0.0.1...' has a query"),
        ("http://u:p@127.0.0.1/", "Only Python has a login"),
    ],
)
def test_wrong_address_is_told_in_words_of_the_shell(url: str, words: str, capsys: Capture) -> None:
    """No word of Python's: whoever typed an option does not know base_url."""
    assert main(["q", "--url", url]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "base_url" not in err
