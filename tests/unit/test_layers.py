"""Imports point down: faces, shells, core, ground."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import qwen72b

HOME = Path(qwen72b.__file__).parent

GROUND = {"errors", "events"}
CORE = {"messages", "history", "diff", "growing", "chunks", "jsontext", "config", "protocol"}
SHELLS = {
    "call",
    "debuglog",
    "clocks",
    "retry",
    "sockets",
    "connections",
    "socks",
    "body",
    "chunked",
    "framing",
    "transport",
    "failures",
    "files",
    "hub",
    "reply",
    "routes",
    "settings",
    "stream",
    "talk",
    "turns",
    "client",
    "threads",
    "astream",
    "aio",
}

# The core takes text and gives events: no I/O, clock, randomness or logging.
FORBIDDEN = {
    "anyio",
    "asyncio",
    "http",
    "logging",
    "os",
    "random",
    "requests",
    "secrets",
    "socket",
    "sseclient",
    "threading",
    "time",
    "urllib",
    "urllib3",
    "uuid",
}


def imports(module: str) -> tuple[set[str], set[str]]:
    """Return the sibling modules and the other top-level modules that a module imports."""
    siblings, others = set(), set()
    tree = ast.parse((HOME / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            others |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            named = {node.module} if node.module else {alias.name for alias in node.names}
            siblings |= {name.partition(".")[0] for name in named if name}
        elif isinstance(node, ast.ImportFrom):
            others.add((node.module or "").partition(".")[0])
    return siblings - {"__version__"}, others


def test_every_module_has_its_place() -> None:
    """A new module is put in a layer, here; what is in none is a face."""
    modules = {path.stem for path in HOME.glob("*.py")}
    assert modules >= GROUND | CORE | SHELLS


@pytest.mark.parametrize("module", sorted(GROUND))
def test_ground_imports_nothing_of_ours(module: str) -> None:
    """Errors and events stand on their own."""
    siblings, others = imports(module)
    assert siblings == set()
    assert not others & FORBIDDEN


@pytest.mark.parametrize("module", sorted(CORE))
def test_core_does_no_io(module: str) -> None:
    """The core imports the core, the ground, and nothing that reaches outside."""
    siblings, others = imports(module)
    assert siblings <= CORE | GROUND
    assert not others & FORBIDDEN


@pytest.mark.parametrize("module", sorted(SHELLS))
def test_shells_know_no_face(module: str) -> None:
    """What a shell loads from a face, it loads late, inside the method that offers it."""
    tree = ast.parse((HOME / f"{module}.py").read_text(encoding="utf-8"))
    early = {
        (node.module or "").partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level and node.module
    }
    assert early <= SHELLS | CORE | GROUND


def test_async_side_knows_no_wire() -> None:
    """The async side has no URL, JSON or message name in it."""
    for module in ("aio", "astream", "threads"):
        tree = ast.parse((HOME / f"{module}.py").read_text(encoding="utf-8"))
        names = {
            (node.module or "").partition(".")[0]
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
        } | {
            alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
        }
        assert not names & {"json", "requests", "urllib3", "sseclient", "socket"}
