"""The examples in the docstrings of public things: each has one, and it does what it shows."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import importlib.util
import inspect
import json
import re
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from recordings import KEPT, find_recordings

import qwen72b
from qwen72b import testing
from qwen72b.cli.help import read_topic
from qwen72b.testing import Edits, Fail, FakeSpace, Job, Log, Pause, Reset, Respond, page

# What of the test kit is used by itself; the other steps are lines of a script.
_KIT = ("FakeProxy", "FakeSocksProxy", "FakeSpace", "Gate", "Respond")

# What an example needs beside the package; ``tox -e recipes`` has it.
_NEEDS = {"qwen72b.local": "gradio", "qwen72b.integrations": "langchain_core"}

# Told below; and tried in tests/ray, since Ray leaves files open.
_ELSEWHERE = ("qwen72b.testing.FakeSpace", "qwen72b.batch.RayExecutor")

_ANSWERS = {
    "What is the capital of France?": ["Paris."],
    "And of Italy?": ["Rome."],
    "Why is the sky blue?": ["Because", " of", " the air."],
    "Write a poem.": ["Roses are red,", Fail("GPU out of memory")],
}


def _answer(job: Job) -> Iterable[Any]:
    return _ANSWERS.get(job.query, ["Hello!"])


def _join(**response: Any) -> Callable[[FakeSpace], None]:
    return lambda space: space.fault("join", Respond(**response))


def _poem(*steps: Any) -> Callable[[FakeSpace], None]:
    return lambda space: space.answer("Roses are red,", *steps)


# What is wrong with the Space that an example meets.
_SCENES: dict[str, Callable[[FakeSpace], None]] = {
    "AuthenticationError": lambda space: space.fault("config", Respond(status=401)),
    "HTTPStatusError": _join(status=418, body="I am a teapot."),
    "InvalidDiff": _poem(Edits([[], [["append", [9, 9], "!"]], []])),
    "InvalidServerMessage": _join(body="Hello!"),
    "Logged": lambda space: space.answer(Log("Your text is short.", "warning"), "Hello!"),
    "ProtocolError": _join(body="Hello!"),
    "QueueFull": _join(status=503, body={"detail": "Queue is full."}),
    "QuotaExceeded": lambda space: space.answer(
        Fail("You have exceeded your GPU quota (60s requested vs. 0s left). Try again in 1:00:00")
    ),
    "RateLimited": _join(status=429, headers={"Retry-After": "30"}),
    "RequestTimeout": lambda space: space.answer(Pause(60.0)),
    "SpaceError": lambda space: space.answer(Fail("GPU out of memory")),
    "SpaceUnavailable": lambda space: space.fault("config", page("Paused"), times=None),
    "StreamInterrupted": _poem(Reset()),
    "UnsupportedProtocol": lambda space: space.config.update(version="3.50.2", protocol="ws"),
}


def _public() -> Iterator[tuple[str, Any]]:
    """Name what users call, and give it: classes, their methods, functions."""
    named = re.findall(
        r"``(qwen72b(?:\.\w+)+)``", read_topic("reference").partition("Other mod")[2]
    )
    functions = [name for name in testing.__all__ if name[0].islower()]
    paths = [f"qwen72b.{name}" for name in qwen72b.__all__]
    paths += [path for path in named if path not in _ELSEWHERE]
    paths += [f"qwen72b.testing.{name}" for name in [*_KIT, *functions]]
    for path in paths:
        module, _, name = path.rpartition(".")
        if any(module.startswith(part) and not _is_there(tool) for part, tool in _NEEDS.items()):
            continue
        value = getattr(importlib.import_module(module), name)
        if inspect.isclass(value):
            yield path.removeprefix("qwen72b."), value
            for member, found in inspect.getmembers(value, inspect.isroutine):
                if not member.startswith("_") and _is_ours(found):
                    yield f"{path.removeprefix('qwen72b.')}.{member}", found
        elif inspect.isroutine(value):
            yield path.removeprefix("qwen72b."), value


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _is_ours(found: Any) -> bool:
    # A step's own ``run`` is called by the fake, and no user does.
    module = getattr(found, "__module__", None) or ""
    return module.startswith("qwen72b") and found.__name__ not in ("run", "tell")


PUBLIC = dict(_public())


def _write_recording(folder: Path) -> None:
    for recording in find_recordings(KEPT / "6.0.2"):
        if recording.name.endswith("/single"):
            (folder / "single").mkdir(parents=True)
            recording.write(folder / "single")


def _names() -> dict[str, Any]:
    """What an example may use without importing it."""
    modules = {module.__name__: module for module in (asyncio, contextlib, json, urllib)}
    kit = {name: getattr(testing, name) for name in testing.__all__ if name not in qwen72b.__all__}
    return {**modules, **kit, **{name: getattr(qwen72b, name) for name in qwen72b.__all__}}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_thing_has_an_example(name: str) -> None:
    """Whoever asks for help on something public sees how it is used."""
    assert "\n\nExample:\n    >>> " in inspect.cleandoc(PUBLIC[name].__doc__ or "")


@pytest.mark.parametrize("name", PUBLIC)
def test_example_does_what_it_shows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An example runs as it stands, with the public names imported, and prints what it says."""
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    if name.endswith("from_transcript"):
        _write_recording(tmp_path / "recordings")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    with FakeSpace() as space:
        space.answer(_answer)
        _SCENES.get(name, lambda space: None)(space)
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        for example in doctest.DocTestFinder(recurse=False).find(
            PUBLIC[name], name, globs=_names()
        ):
            runner.run(example, out=said.append)
    capsys.readouterr()
    assert runner.summarize(verbose=False) == (0, runner.tries), "".join(said)
    assert runner.tries
