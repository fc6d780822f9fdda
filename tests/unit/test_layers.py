"""
The house: which folder may import which, and what from outside.

Arrows point down: words <- protocol | transport <- batch <- client <- aio <- faces.
What a folder may import is listed, all else is forbidden: to the standard
library and third parties alike. `imports` has the reader, `layers` the rules.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from imports import Package, read_package
from layers import Door, Layer, Table

import qwen72b

HOME = Path(qwen72b.__file__).parent


def names(*lines: str) -> frozenset[str]:
    """Read names that blanks part."""
    return frozenset(" ".join(lines).split())


# What needs no world: no I/O, no clock, no chance, no environment, no threads.
PURE = names(
    "array.array collections datetime.timezone email.utils enum html itertools.accumulate json re unicodedata urllib.parse"
)

# Words: what users see. Each stands on its own or on others of them.
WORDS = {
    "errors": Layer(names("privacy")),
    "escape": Layer(others=names("re")),
    "events": Layer(),
    "fences": Layer(others=names("re")),
    "messages": Layer(names("errors privacy")),
    "privacy": Layer(
        others=names("base64 collections functools html re reprlib urllib.parse weakref")
    ),
    "reply": Layer(names("events")),
    "retry": Layer(names("errors privacy")),
    "timeout": Layer(names("errors privacy"), names("math")),
    "version": Layer(),
}

TABLE = Table(
    layers={
        **WORDS,
        # What is said. Sans-I/O: text in, events out. sseclient does no I/O.
        "protocol": Layer(
            names("errors events messages privacy"),
            PURE,
            alone={"protocol.sse": names("sseclient")},
        ),
        # How bytes go. Nothing of Gradio is known here.
        "transport": Layer(
            names("errors privacy timeout version"),
            names("collections contextlib errno functools http inspect itertools json logging")
            | names("math os queue re requests selectors socket ssl sys threading time types")
            | names("urllib.parse urllib3"),
        ),
        # Below the client: it comes in pickled or passed, never by import.
        "batch": Layer(
            names("errors messages privacy protocol reply retry timeout transport version"),
            names("atexit collections concurrent.futures contextlib errno fcntl functools")
            | names(
                "hashlib json logging math os pickle queue random re select shutil stat sys threading time types uuid"
            )
            | names("struct weakref"),
            alone={
                "batch.orphans": names("multiprocessing"),
                "batch.rayconnection": names("ray socket"),
            },
        ),
        "client": Layer(
            names("errors events messages privacy protocol reply retry timeout transport"),
            names("collections concurrent.futures contextlib copy errno functools json")
            | names(
                "logging os random re requests secrets stat threading time types urllib.parse uuid weakref"
            ),
            # What Client.map takes and gives; it is loaded when it is called.
            types=names("batch"),
        ),
        # No URL, JSON or message name in it.
        "aio": Layer(
            names("batch client errors events messages privacy protocol reply retry timeout")
            | names("transport"),
            names(
                "anyio atexit collections concurrent.futures contextlib.suppress copy functools",
                "math os queue.Full threading types weakref.ref",
            ),
            # A caller's own session.
            types=names("requests"),
        ),
        # Faces
        "progress": Layer(
            names("errors escape events"), names("importlib.import_module tqdm types warnings")
        ),
        "provider": Layer(names("aio client messages privacy protocol timeout")),
        "notebook": Layer(
            names("client errors escape events fences progress reply"),
            names("IPython argparse asyncio collections contextlib")
            | names("importlib.import_module keyword re shlex sys time uuid"),
        ),
        "cli": Layer(
            names("aio batch client errors escape events fences gateway local privacy progress")
            | names("privacy protocol reply timeout version"),
            names("abc anyio argparse certifi collections concurrent.futures contextlib difflib")
            | names("distributed errno importlib io itertools json logging os re readline")
            | names("codecs csv datetime functools markdown_it pathlib signal termios threading")
            | names("types unicodedata")
            | names(
                "requests rich shlex shutil.which socket ssl stat subprocess sys time traceback"
            )
            | names("urllib.parse weakref"),
        ),
        "local": Layer(
            names("errors privacy protocol timeout transport version"),
            names(
                "abc asyncio collections contextlib errno fastapi fcntl gradio hashlib io ipaddress"
            )
            | names("http.client json os shutil time zlib")
            | names("pathlib platformdirs queue re requests secrets signal socket")
            | names("subprocess sys tempfile threading urllib.parse uvicorn xllamacpp")
            | names("zipfile"),
        ),
        "gateway": Layer(
            names("aio errors local protocol provider"),
            names(
                "anyio asyncio collections contextlib hashlib hmac ipaddress itertools json logging"
            )
            | names("math re socket time urllib.parse uuid uvicorn"),
        ),
        # Each for one tool, which finds it by an entry point.
        "integrations": Layer(
            names("aio client errors gateway provider"),
            names("collections contextlib functools json langchain_core llm pydantic"),
        ),
        # The fake: it knows nobody, so that it can test any client.
        "testing": Layer(
            others=names("base64 collections contextlib copy functools html http.client")
            | names("importlib inspect itertools json operator pathlib select socket ssl struct")
            | names("threading time types urllib.parse uuid zlib"),
            alone={"testing.plugin": names("pytest")},
        ),
        # What users import from the package itself: loaded when it is asked for.
        "": Layer(
            names("aio batch client errors events messages provider reply retry timeout version"),
            names("importlib.import_module"),
        ),
        "__main__": Layer(names("cli")),
    },
    # To say what things are.
    everywhere=names("__future__ collections.abc dataclasses typing"),
    # Not installed with us; Python 3.10 has no Self.
    types=names("typing_extensions"),
    doors=[
        Door("__main__", "", "cli"),
        Door("client.client", "Client.map", "batch.batch"),
        Door("client.client", "Client.map", "batch.options"),
        Door("client.stream", "Stream.display", "notebook.display"),
        Door("client.stream", "Stream.result", "progress"),
        Door("aio.stream", "AsyncStream.display", "notebook.display"),
        Door("aio.stream", "AsyncStream.result", "progress"),
    ],
    # The command: what setup.cfg and __main__ call.
    fronts=["cli"],
    computed={
        "": "the homes of its public names",
        "testing": "the homes of its public names",
        "cli.options": "a command's module, by the command's name",
    },
)


@cache
def house() -> Package:
    """Read our package."""
    return read_package(HOME)


def test_house_is_in_order() -> None:
    """Every module keeps to its layer, and no two import each other."""
    faults = TABLE.faults(house())
    assert not faults, "\n" + "\n".join(faults)


def test_table_is_exact() -> None:
    """The table lists what is done, and no more: it would let something in unseen."""
    stale = TABLE.stale(house())
    assert not stale, "\n" + "\n".join(stale)


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("protocol.job", "import ssl", "imports ssl"),
        ("errors", "import os", "imports os"),
        ("transport.sockets", "def look():\n    from ..cli import ask", "imports cli.ask"),
        ("batch.pace", "from ..cli.batch import run", "imports cli.batch"),
        ("batch.pace", "from ..client.client import Client", "imports client.client"),
        ("transport.body", "from ..protocol import sse", "imports protocol.sse"),
        ("aio.stream", "import json", "imports json"),
        (
            "client.settings",
            "from importlib import import_module\nimport_module('qwen72b.cli.ask')",
            "imports cli.ask",
        ),
        ("client.settings", "__import__('subprocess')", "imports subprocess"),
        ("testing.wire", "from ..errors import Qwen72BError", "imports errors"),
        (
            "errors",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .retry import Retry",
            "errors and retry import each other",
        ),
        ("client.attempts", "from ..protocol import ParsedConfig", "an __init__"),
    ],
)
def test_disorder_is_seen(module: str, line: str, fault: str) -> None:
    """A line that does not belong into a module of ours turns the test above red."""
    text = (HOME / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    changed = house().changed(module, f"{text}\n{line}\n")
    assert any(fault in found for found in TABLE.faults(changed))


def test_long_modules_say_why() -> None:
    """A module of more than 300 lines has a second subject, or a reason at its head."""
    for path in HOME.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 300:
            assert "Above 300 lines" in text[: text.index("from __future__")], path
