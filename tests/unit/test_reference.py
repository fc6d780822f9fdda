"""The guide's reference is what is public: neither more nor less."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
from functools import cache
from typing import Any, NamedTuple

import pytest
from docutils import nodes
from docutils.core import publish_doctree

import qwen72b
from qwen72b.cli.help import read_topic


class Entry(NamedTuple):
    """What the reference says of one name."""

    members: dict[str, list[str] | None]
    """Each member; of one that can be called, the names of its parameters."""


@cache
def read_reference() -> tuple[dict[str, Entry], list[str]]:
    """Read the sections of public names, and the names of other modules."""
    settings = {"halt_level": 1, "syntax_highlight": "none", "_disable_config": True}
    document = publish_doctree(read_topic("reference"), settings_overrides=settings)
    entries: dict[str, Entry] = {}
    others: list[str] = []
    for group in document.findall(nodes.section):
        if group["names"] == ["other modules"]:
            # The first literal of a line, and names of modules after it.
            others += re.findall(r"\bqwen72b(?:\.\w+)+", group.astext())
        for section in group.children:
            if isinstance(section, nodes.section):
                members = [_read_member(item) for item in section.findall(nodes.list_item)]
                assert len(dict(members)) == len(members), section[0].astext()
                entries[section[0].astext()] = Entry(dict(members))
    return entries, others


def _read_member(item: nodes.list_item) -> tuple[str, list[str] | None]:
    literal = next(iter(item.findall(nodes.literal))).astext()
    found = re.fullmatch(r"(\w+)(?:\((.*)\))?", " ".join(literal.split()))
    assert found, literal
    parameters = None if found[2] is None else [word for word in found[2].split(", ") if word]
    return found[1], parameters


ENTRIES, OTHERS = read_reference()
CLASSES = [name for name in ENTRIES if inspect.isclass(getattr(qwen72b, name, None))]


def public_names(kind: type) -> set[str]:
    """Find what a class and its objects have, less what builtin bases give."""
    given = {name for base in kind.__mro__ if _is_builtin(base) for name in dir(base)}
    assigned = {name for base in kind.__mro__ if not _is_builtin(base) for name in _assigned(base)}
    return {name for name in {*dir(kind), *assigned} - given if not name.startswith("_")}


def _is_builtin(kind: type) -> bool:
    return not kind.__module__.startswith("qwen72b")


def _assigned(kind: type) -> set[str]:
    """Find the attributes that the methods of a class assign, and those that it declares."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    names = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    declared = {
        node.target.id
        for node in tree.body[0].body  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return names | declared


def parameters(value: Any) -> list[str]:
    """Name the parameters of what can be called, as the reference writes them."""
    words = []
    for parameter in inspect.signature(value).parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        words.append(stars + parameter.name)
    return words


def test_reference_lists_the_package() -> None:
    """Whoever lists the package, before or after using it, sees what the reference has."""
    assert set(ENTRIES) == set(qwen72b.__all__)
    code = (
        "import qwen72b; show = lambda names: print(*[n for n in names if n[0] != '_']); "
        "show(dir(qwen72b)); [getattr(qwen72b, name) for name in qwen72b.__all__]; "
        "show(dir(qwen72b))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for listed in done.stdout.splitlines():
        assert set(listed.split()) == set(ENTRIES)


def test_vars_of_the_package() -> None:
    """What lies in the package beside its public names is modules of its own."""
    code = (
        "import qwen72b; [getattr(qwen72b, name) for name in qwen72b.__all__]; "
        "print(*[n for n in vars(qwen72b) if n[0] != '_'"
        " and f'qwen72b.{n}' not in __import__('sys').modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == set(ENTRIES)


@pytest.mark.parametrize("name", CLASSES)
def test_reference_lists_a_class(name: str) -> None:
    """A class and its objects have what the reference says of them and of their bases."""
    kind = getattr(qwen72b, name)
    bases = [base.__name__ for base in kind.__mro__ if base.__name__ in ENTRIES]
    documented = {member for base in bases for member in ENTRIES[base].members}
    assert documented - set(bases) == public_names(kind)


@pytest.mark.parametrize("name", CLASSES)
def test_reference_knows_parameters(name: str) -> None:
    """What can be called takes the arguments that the reference gives it."""
    kind = getattr(qwen72b, name)
    for member, words in ENTRIES[name].members.items():
        value = kind if member == name else inspect.getattr_static(kind, member, None)
        if isinstance(value, (classmethod, staticmethod)):
            value = value.__func__
        callable_here = member == name or inspect.isfunction(value)
        assert callable_here == (words is not None), member
        if words is not None:
            assert words == parameters(value), member


@pytest.mark.parametrize("path", OTHERS)
def test_reference_of_other_modules(path: str) -> None:
    """What it names of other modules is there."""
    module, _, name = path.rpartition(".")
    if module == "qwen72b":
        importlib.import_module(path)
        return
    if module == "qwen72b.local":
        pytest.importorskip("platformdirs")
    if module.startswith("qwen72b.integrations"):
        pytest.importorskip("langchain_core")
    assert name in importlib.import_module(module).__all__
