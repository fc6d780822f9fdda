"""The public names."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import qwen72b

# Extras, whose modules import what may be missing here.
EXTRAS = (
    "qwen72b.integrations.",
    "qwen72b.local",
    "qwen72b.transport.socks",
    "qwen72b.testing.plugin",
    "qwen72b.__main__",
)
MODULES = [
    info.name
    for info in pkgutil.walk_packages(qwen72b.__path__, "qwen72b.")
    if not info.name.startswith(EXTRAS)
]


@pytest.mark.parametrize("name", qwen72b.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What the package lists it has, from the module that lists it too."""
    value = getattr(qwen72b, name)
    home = importlib.import_module(f"qwen72b.{qwen72b._HOME_OF[name]}")
    assert name in home.__all__
    assert getattr(home, name) is value
    assert name in dir(qwen72b)


def test_lists_agree() -> None:
    """The names that are loaded late are those that are listed."""
    assert sorted(qwen72b._HOME_OF) == sorted(qwen72b.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_lists_its_names(name: str) -> None:
    """Each module has an __all__ whose names exist."""
    module = importlib.import_module(name)
    assert all(hasattr(module, public) for public in module.__all__)


def test_unknown_names_are_attribute_errors() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="no_such"):
        qwen72b.no_such  # noqa: B018  # reading it is the test


def test_import_loads_nothing_heavy() -> None:
    """requests, anyio and all of the package's own modules wait for their first use."""
    code = (
        "import sys; before = set(sys.modules); import qwen72b; "
        "print(*sorted({n.partition('.')[0] for n in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"requests", "urllib3", "anyio", "sseclient", "json"} == set()
