"""The reader of imports, and the rules of layers, catch what they must."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from imports import read_package
from layers import Door, Layer, Table

# A house as small as can be: words, a core without I/O, a transport, faces.
TABLE = Table(
    layers={
        "": Layer(others=frozenset({"importlib", "typing"})),
        "errors": Layer(),
        "core": Layer(others=frozenset({"json", "re", "typing", "urllib.parse"})),
        "transport": Layer(others=frozenset({"socket", "ssl", "importlib"})),
        "cli": Layer(others=frozenset({"argparse"})),
    }
)

HOUSE = {
    "__init__": "",
    "errors": "",
    "core/__init__": "",
    "core/job": "import json",
    "core/chat": "",
    "transport/__init__": "",
    "transport/sockets": "import socket, ssl",
    "transport/deep/__init__": "",
    "transport/deep/inner": "",
    "cli/__init__": "",
    "cli/main": "import argparse",
}


Build = Callable[..., list[str]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Write the house with some modules changed, and list its faults."""

    def faults(table: Table = TABLE, **changed: str) -> list[str]:
        modules = HOUSE | changed
        for name, text in modules.items():
            path = tmp_path / "house" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return table.faults(read_package(tmp_path / "house"))

    return faults


@pytest.fixture
def stale(tmp_path: Path, build: Build) -> Build:
    """The same, but list what is in the table for nothing."""

    def names(table: Table, **changed: str) -> list[str]:
        build(table, **changed)
        return table.stale(read_package(tmp_path / "house"))

    return names


def test_house_in_order(build: Build) -> None:
    """A house that keeps to its table has no faults."""
    assert build() == []


@pytest.mark.parametrize(
    ("module", "text", "line"),
    [
        ("core/job", "import ssl", "imports ssl"),
        ("core/job", "import json, os.path", "imports os.path"),
        ("core/job", "from subprocess import run", "imports subprocess.run"),
        ("core/job", "import urllib.request", "imports urllib.request"),
        ("core/job", "from urllib import request", "imports urllib.request"),
        ("core/job", "class Job:\n    import threading", "imports threading"),
        ("core/job", "try:\n    import ssl\nexcept ImportError:\n    pass", "imports ssl"),
        ("core/job", "def do():\n    import ssl", "imports ssl"),
        ("core/job", "async def do():\n    import ssl", "imports ssl"),
        ("core/job", "do = lambda: __import__('ssl')", "imports ssl"),
        ("core/job", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ssl", "ssl"),
        ("core/__init__", "import ssl", "imports ssl"),
        ("transport/deep/inner", "import subprocess", "imports subprocess"),
        ("errors", "import json", "imports json"),
        # Upward, by any spelling.
        ("transport/sockets", "from ..cli import main", "imports cli.main"),
        ("transport/sockets", "from ..cli.main import run", "imports cli.main"),
        ("transport/sockets", "from house.cli.main import run", "imports cli.main"),
        ("transport/sockets", "import house.cli.main", "imports cli.main"),
        ("transport/sockets", "def do():\n    from ..cli import main", "imports cli.main"),
        ("transport/deep/inner", "from ...cli.main import run", "imports cli.main"),
        ("transport/deep/__init__", "from ...cli.main import run", "imports cli.main"),
        ("core/job", "from ..transport import sockets", "imports transport.sockets"),
        ("transport/sockets", "from ..core.job import Job", "imports core.job"),
        ("errors", "from .core import job", "imports core.job"),
        # By name.
        (
            "transport/sockets",
            "import importlib\nimportlib.import_module('house.cli.main')",
            "imports cli.main",
        ),
        (
            "transport/sockets",
            "from importlib import import_module\nimport_module('..cli.main', __package__)",
            "imports cli.main",
        ),
        (
            "transport/sockets",
            "from importlib import import_module as load\ndef do():\n    load('subprocess')",
            "imports subprocess",
        ),
        ("core/job", "__import__('ssl')", "imports ssl"),
        ("core/job", "import builtins\nbuiltins.__import__('house.cli.main')", "imports cli.main"),
        ("core/job", "__import__(name='ssl')", "imports ssl"),
        ("core/job", "from importlib import import_module", "imports importlib.import_module"),
        # Computed.
        (
            "core/job",
            "def do(name):\n    return __import__(name)",
            "imports a name that it computes",
        ),
        (
            "transport/sockets",
            "import importlib\nfor name in 'ab':\n    importlib.import_module(f'.{name}', __package__)",
            "imports a name that it computes",
        ),
        (
            "transport/sockets",
            "import importlib\nload = importlib.import_module",
            "imports a name that it computes",
        ),
    ],
)
def test_forbidden_import(build: Build, module: str, text: str, line: str) -> None:
    """What a layer may not import is found wherever and however it is imported."""
    who = module.replace("/", ".").removesuffix(".__init__")
    faults = build(**{module: text})
    assert any(fault.startswith(who) and line in fault for fault in faults), faults


@pytest.mark.parametrize(
    "text",
    [
        "from .chat import Chat",
        "from . import chat",
        "from ..errors import Error",
        "import house.errors",
        "from urllib.parse import quote",
        "from urllib import parse",
        "import re as words",
        "from typing import *",
        "name = 'import ssl'",
    ],
)
def test_allowed_import(build: Build, text: str) -> None:
    """What a layer may import raises no fault."""
    table = Table(
        {**TABLE.layers, "core": Layer(frozenset({"errors"}), TABLE.layers["core"].others)}
    )
    assert build(table, **{"core/job": text}) == []


def test_init_is_not_imported(build: Build) -> None:
    """A module imports what it means, not an __init__ that passes it on."""
    for module, text in (
        ("cli/main", "from .. import Error"),
        ("cli/main", "from . import run"),
        ("core/job", "from ..core import Job"),
        ("core/job", "def do():\n    from .. import Client"),
    ):
        assert any("an __init__" in fault for fault in build(**{module: text})), text


def test_init_defines_nothing(build: Build) -> None:
    """An __init__ re-exports; it may load late by the hooks of a module."""
    assert build(**{"core/__init__": "from .job import Job\ndef __getattr__(name): ...\n"}) == []
    changed = {"core/__init__": "class Job: ...\ndef run(): ...\n"}
    (fault,) = build(**changed)
    assert "Job, run" in fault
    assert build(replace(TABLE, fronts=["core"]), **changed) == []


def test_module_without_a_place(build: Build) -> None:
    """A new module or folder is put in a layer."""
    assert build(attic="", **{"cellar/__init__": ""}) == [
        "attic stands in no layer",
        "cellar stands in no layer",
    ]


LATE = "def do():\n    from .{} import x"
TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .{} import x"


@pytest.mark.parametrize("form", ["from .{} import x", LATE, TYPES], ids=["early", "late", "types"])
def test_circle(build: Build, form: str) -> None:
    """Modules that import each other are a circle, though one of the two only does it late."""
    faults = build(
        **{
            "core/job": "from .chat import x",
            "core/chat": form.format("deeper"),
            "core/deeper": form.format("job"),
        }
    )
    assert "core.chat and core.deeper and core.job import each other" in faults


def test_types_alone(build: Build) -> None:
    """What is let in for type checkers is not let in to run."""
    core = Layer(others=TABLE.layers["core"].others, types=frozenset({"ssl"}))
    table = Table({**TABLE.layers, "core": core}, types=frozenset({"socket"}))
    line = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ssl, socket"
    assert build(table, **{"core/job": line}) == []
    assert len(build(table, **{"core/job": "import ssl, socket"})) == 2


def test_negated_type_checking(tmp_path: Path) -> None:
    """What stands under ``if not TYPE_CHECKING`` runs; its else does not."""
    text = "if not typing.TYPE_CHECKING:\n    from . import a\nelse:\n    from . import b"
    for name, content in (("__init__", ""), ("a", ""), ("b", ""), ("c", text)):
        (tmp_path / f"{name}.py").write_text(content, encoding="utf-8")
    package = read_package(tmp_path)
    assert package.graph(late=False, typing=False)["c"] == {"a"}
    assert package.graph(late=False, typing=True)["c"] == {"a", "b"}


class TestDoors:
    """A way upward is open where the table names it, and nowhere else."""

    TABLE = Table(TABLE.layers, doors=[Door("transport.sockets", "Socket.show", "cli.main")])
    TYPED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..cli.main import run\n"
    METHOD = "class Socket:\n    def {}(self):\n        from ..cli.main import run\n"

    @pytest.fixture
    def table(self) -> Table:
        """The table with a door; types are wanted for it."""
        transport = Layer(others=TABLE.layers["transport"].others | {"typing"})
        return Table({**TABLE.layers, "transport": transport}, doors=self.TABLE.doors)

    def test_open(self, build: Build, table: Table) -> None:
        """The function that is named may, and its module may name the types."""
        text = self.TYPED + self.METHOD.format("show")
        assert build(table, **{"transport/sockets": text}) == []

    def test_another_function(self, build: Build, table: Table) -> None:
        """Another one may not."""
        text = self.METHOD.format("show") + self.METHOD.format("hide")
        (fault,) = build(table, **{"transport/sockets": text})
        assert "imports cli.main" in fault


EXACT = Table(
    {
        "": Layer(),
        "errors": Layer(),
        "core": Layer(others=frozenset({"json"})),
        "transport": Layer(others=frozenset({"socket", "ssl"})),
        "cli": Layer(others=frozenset({"argparse"})),
    }
)


def test_table_without_a_word_too_much(stale: Build) -> None:
    """A table that lists what is done and no more is not stale."""
    assert stale(EXACT) == []


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"cli": Layer(frozenset({"core"}), frozenset({"argparse"}))}, "lets cli import core"),
        ({"cli": Layer(others=frozenset({"argparse", "os"}))}, "lets cli import os"),
        (
            {"core": Layer(others=frozenset({"json"}), types=frozenset({"cli"}))},
            "lets core import cli",
        ),
        (
            {"core": Layer(others=frozenset({"json"}), alone={"core.job": frozenset({"html"})})},
            "lets core import html",
        ),
    ],
)
def test_stale_layer(stale: Build, table: dict[str, Layer], said: str) -> None:
    """What the table allows and nobody does would let something in unseen."""
    (found,) = stale(Table({**EXACT.layers, **table}))
    assert said in found


@pytest.mark.parametrize(
    ("exception", "said"),
    [
        ({"doors": [Door("core.job", "Job.show", "cli.main")]}, "nothing goes through"),
        ({"fronts": ["cli"]}, "the __init__ of cli"),
        ({"computed": {"core.job": "commands"}}, "core.job imports no name that it computes"),
    ],
)
def test_stale_exception(stale: Build, exception: dict[str, Any], said: str) -> None:
    """An exception that nobody needs is one too many."""
    (found,) = stale(replace(EXACT, **exception))
    assert said in found


def test_computed_name_that_is_listed(build: Build) -> None:
    """Whoever computes what it imports stands in the table."""
    table = Table(TABLE.layers, computed={"transport.sockets": "its own modules"})
    text = "import importlib\nimportlib.import_module(f'.{__name__}', __package__)"
    assert build(table, **{"transport/sockets": text}) == []


def test_single_module_may_do_more(build: Build) -> None:
    """What one module of a folder may, its neighbours may not."""
    core = Layer(others=frozenset({"json"}), alone={"core.chat": frozenset({"html"})})
    table = Table({**TABLE.layers, "core": core})
    assert build(table, **{"core/chat": "import html"}) == []
    (fault,) = build(table, **{"core/job": "import html"})
    assert "core.job:1 imports html" in fault
