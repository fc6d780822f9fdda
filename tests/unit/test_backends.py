"""The parts of the local Space that need neither Gradio nor a model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qwen72b.errors import InvalidOption
from qwen72b.local import backend, running


def test_import_is_light() -> None:
    """Importing the package imports neither Gradio nor a model."""
    script = (
        "import sys, qwen72b.local; print({'gradio', 'xllamacpp', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert done.stdout == "set()\n"


def test_gradio_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, starting a Space says how to install it."""
    monkeypatch.setitem(sys.modules, "gradio", None)
    with (
        pytest.raises(InvalidOption, match="pip install gradio platformdirs xllamacpp"),
        running(backend("echo")),
    ):
        pass


def test_llama_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the extra, loading a model says how to install it."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(InvalidOption, match="pip install gradio platformdirs xllamacpp"):
        backend("gguf", gguf=path)


def test_port_is_taken() -> None:
    """A port that cannot be had is told before anything is loaded."""
    with (
        pytest.raises(InvalidOption, match="cannot listen"),
        running(backend("echo"), host="192.0.2.1"),
    ):
        pass


@pytest.mark.parametrize("name", ["echo", None])
def test_name_is_no_backend(name: Any) -> None:
    """A backend is made before it runs."""
    with pytest.raises(InvalidOption, match="is no backend. Make one"), running(name):
        pass


@pytest.mark.parametrize(
    "concurrency", [0, -1, 10_001, 10**30, True, 1.0, "4", [4], float("nan")], ids=repr
)
def test_concurrency_is_no_count(concurrency: Any) -> None:
    """How many answers are made at a time is a count, and one that threads allow."""
    with (
        pytest.raises(InvalidOption, match=r"is not a count from 1 to 10,000"),
        running(backend("echo"), concurrency=concurrency),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "gguf"}, "--gguf"),
        ({"kind": "gguf", "gguf": "/no/such/file"}, "cannot be read"),
        ({"kind": "gguf", "gguf": __file__}, "is no GGUF model"),
        ({"kind": "upstream", "model": "m"}, "--upstream"),
        ({"kind": "upstream", "upstream": "http://127.0.0.1:9"}, "--model"),
        ({"kind": "upstream", "upstream": "127.0.0.1:9", "model": "m"}, "is no URL"),
        ({"kind": "gpt"}, "Choose smollm2, echo, gguf or upstream"),
    ],
)
def test_bad_arguments(arguments: dict[str, str], words: str) -> None:
    """A backend that cannot be is an InvalidOption that says what to give."""
    with pytest.raises(InvalidOption, match=words):
        backend(**arguments)


@pytest.mark.parametrize(
    ("model", "stand_in"), [("Qwen/Qwen2-72B-Instruct", False), ("qwen2:7b", True)]
)
def test_label_of_an_upstream(model: str, stand_in: bool) -> None:
    """The label names model and server, and says so when it is another model."""
    made = backend("upstream", upstream="http://127.0.0.1:9", model=model)
    assert made.stand_in is stand_in
    assert made.label.startswith(f"{model} at http://127.0.0.1:9")
    assert ("standing in for Qwen2-72B-Instruct" in made.label) is stand_in


def test_echo() -> None:
    """The echo repeats the last message, word by word, exactly."""
    text = "  One two\n\n    three. "
    pieces = list(backend("echo").stream([{"role": "user", "content": text}]))
    assert pieces == ["  One", " two", "\n\n    three.", " "]


def test_closed_backend() -> None:
    """Closing a backend ends an answer with an error, not as if it were whole."""
    echo = backend("echo")
    pieces = echo.stream([{"role": "user", "content": "word " * 100_000}])
    assert next(pieces) == "word"
    echo.close()
    with pytest.raises(Exception, match="was stopped"):
        list(pieces)
    with pytest.raises(Exception, match="was stopped"):
        next(echo.stream([{"role": "user", "content": "Hello"}]))
