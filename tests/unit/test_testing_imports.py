"""The fake shares no code with the client: it stands on the standard library alone."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import qwen72b.testing

MODULES = sorted(Path(qwen72b.testing.__file__).parent.glob("*.py"))


def imported(tree: ast.Module) -> set[str]:
    """Names of what a module imports when it runs; `.` is the fake's own package."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level or (node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_module_imports_only_the_standard_library_and_its_neighbours(module: Path) -> None:
    """Neither the client nor a third party is imported (but pytest, in the plugin, and types)."""
    allowed = {".", "typing_extensions", *sys.stdlib_module_names}
    if module.stem == "plugin":
        allowed.add("pytest")
    assert imported(ast.parse(module.read_text("utf-8"))) <= allowed
