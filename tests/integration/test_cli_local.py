"""``--local`` and ``serve``: which model is chosen, and what is said about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import qwen72b.local.models
import qwen72b.local.server
from qwen72b.cli import main
from qwen72b.testing import FakeSpace

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Have a FakeSpace run in place of Gradio; give what was chosen to answer."""
    choices: list[Any] = []
    make = qwen72b.local.models.backend

    def backend(kind: Any = "smollm2", **options: Any) -> Any:
        choices.append((kind, options))
        return make("echo")

    @contextmanager
    def running(backend: Any, **_: Any) -> Iterator[str]:
        with closing(backend), FakeSpace() as space:
            space.answer(lambda job: [f"<{job.query}>"])
            yield space.url

    def serve(
        backend: Any, *, host: str, port: int, ready: Callable[[str], None], **_: Any
    ) -> None:
        with closing(backend):
            ready(f"http://{host}:{port}")

    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(qwen72b.local.models, "backend", backend)
    monkeypatch.setattr(qwen72b.local.server, "running", running)
    monkeypatch.setattr(qwen72b.local.server, "serve", serve)
    yield choices


def test_local_answers_with_the_small_model(chosen: list[Any], capsys: Capture) -> None:
    """``--local`` takes the small model, shows its fetch, and says whom it stands in for."""
    assert main(["--local", "Hi"]) == 0
    out, err = capsys.readouterr()
    assert out == "<Hi>\n"
    assert err == "qwen72b: An echo, standing in for Qwen2-72B-Instruct.\n"
    [(kind, options)] = chosen
    assert kind == "smollm2"
    assert options["progress"] is not None


def test_quiet_local_says_nothing(chosen: list[Any], capsys: Capture) -> None:
    """``-q`` drops the progress of the fetch and the words about the model."""
    assert main(["-q", "--local", "Hi"]) == 0
    assert capsys.readouterr() == ("<Hi>\n", "")
    assert chosen == [("smollm2", {"progress": None})]


@pytest.mark.parametrize(
    ("argv", "choice"),
    [
        (["--gguf", "a.gguf"], ("gguf", {"gguf": "a.gguf"})),
        (
            ["--upstream", "http://a", "--model", "b"],
            ("upstream", {"upstream": "http://a", "model": "b"}),
        ),
        (["-q", "--backend", "echo"], ("echo", {"progress": None})),
    ],
)
def test_model_is_chosen_by_options(
    chosen: list[Any], argv: list[str], choice: tuple[str, Any]
) -> None:
    """Each choice of a model means a local Space, for a question and for ``serve``."""
    assert main([*argv, "Hi"]) == 0
    assert main(["serve", *argv]) == 0
    assert chosen == [choice, choice]


@pytest.mark.parametrize("proxy", ["HTTP_PROXY", "http_proxy", "all_proxy"])
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize("hosts", ["example.org", "*", " * ", ""])
def test_proxy_is_passed_by(
    chosen: list[Any], monkeypatch: pytest.MonkeyPatch, proxy: str, name: str, hosts: str
) -> None:
    """A proxy of the environment is not asked for this machine, and the environment restored."""
    monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    monkeypatch.setenv(name, hosts)
    before = dict(os.environ)
    assert main(["--local", "Hi"]) == 0
    assert dict(os.environ) == before


def test_bad_timeout_is_told_before_a_model_is_fetched(chosen: list[Any], capsys: Capture) -> None:
    """What cannot work is refused before the slow part."""
    assert main(["--local", "--timeout", "-1", "Hi"]) == 2
    assert "timeout" in capsys.readouterr().err
    assert chosen == []


def test_missing_extra_is_told(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra ``local`` the way to install it is told."""
    monkeypatch.setattr(sys, "stdin", None)
    for module in ("gradio", "xllamacpp", "platformdirs"):
        monkeypatch.setitem(sys.modules, module, None)
    assert main(["--backend", "echo", "Hi"]) == 2
    err = capsys.readouterr().err
    assert "pip install gradio platformdirs xllamacpp" in err


def test_served_address_is_on_stdout(chosen: list[Any], capsys: Capture) -> None:
    """``serve`` prints its address, and words for people on standard error."""
    assert main(["serve", "--host", "127.0.0.2", "--port", "8000"]) == 0
    out, err = capsys.readouterr()
    assert out == "http://127.0.0.2:8000\n"
    assert "standing in for" in err
    assert "Ctrl-C stops it" in err


def test_served_names_are_passed_on(
    chosen: list[Any], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--allow-host`` may be repeated."""
    passed: dict[str, Any] = {}
    monkeypatch.setattr(
        qwen72b.local.server, "serve", lambda backend, **options: passed.update(options)
    )
    assert main(["serve", "--allow-host", "a.example", "--allow-host", "b.example"]) == 0
    assert passed["allow_hosts"] == ["a.example", "b.example"]


@pytest.mark.parametrize(("argv", "number"), [([], None), (["--concurrency", "7"], 7)])
def test_served_concurrency_is_passed_on(
    chosen: list[Any], monkeypatch: pytest.MonkeyPatch, argv: list[str], number: int | None
) -> None:
    """``--concurrency`` goes to any backend; without it, that knows best."""
    passed: dict[str, Any] = {}
    monkeypatch.setattr(
        qwen72b.local.server, "serve", lambda backend, **options: passed.update(options)
    )
    assert main(["serve", "--backend", "echo", *argv]) == 0
    assert passed["concurrency"] == number


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5", "", "10001", "9" * 30, "\u0665"])
def test_served_concurrency_is_no_count(chosen: list[Any], capsys: Capture, number: str) -> None:
    """What is no count is told before a model is made."""
    assert main(["serve", f"--concurrency={number}"]) == 2
    assert "concurrency" in capsys.readouterr().err
    assert chosen == []


def test_trouble_with_the_model_is_told(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that is no model is refused with its name."""
    monkeypatch.setattr(sys, "stdin", None)
    name = tmp_path / "x.gguf"
    name.write_text("nonsense")
    assert main(["--gguf", str(name), "Hi"]) == 2
    assert "is no GGUF model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--gguf=", "needs a file"),
        ("--local --gguf=", "needs a file"),
        ("--upstream=", "needs the URL of a server"),
        ("--model=", "--model names a model of an --upstream"),
        ("--url= --local", "two different Spaces"),
        ("--space= --backend echo", "two different Spaces"),
        ("--gguf= --upstream http://a", "choose two different models"),
    ],
)
def test_option_without_a_value(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, argv: str, words: str
) -> None:
    """An option that a variable left empty is a mistake, and no question to another Space."""
    monkeypatch.setattr(sys, "stdin", None)
    with FakeSpace() as space:
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        assert main([*argv.split(), "Hi"]) == 2
        assert space.requests == []
    assert words in capsys.readouterr().err


def test_endpoint_of_the_local_space(chosen: list[Any], capsys: Capture) -> None:
    """A function that the local Space has not is told there, too."""
    assert main(["--local", "--endpoint", "/nope", "Hi"]) != 0
    assert "'/nope'" in capsys.readouterr().err
