"""The pytest plugin gives a fresh FakeSpace, and costs nothing where it is not used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from timing import PATIENCE

import qwen72b.testing

PROJECT = """
import threading
import urllib.request
import pytest

seen = []

@pytest.mark.parametrize("number", [1, 2])
def test_space(fake_space, number):
    urllib.request.urlopen(fake_space.url + "/config", timeout=30).close()
    assert fake_space.connections == 1
    seen.append(fake_space.url)

@pytest.mark.parametrize("fake_space", ["6.0.2"], indirect=True)
def test_version(fake_space):
    assert fake_space.config["version"] == "6.0.2"

def test_fresh():
    assert len(seen) == len(set(seen)) == 2
"""


def test_fixture_gives_a_fresh_space(tmp_path: Path) -> None:
    """Each test has a Space of its own, of the version that it wants, and it is gone after it."""
    (tmp_path / "test_project.py").write_text(PROJECT)
    # By its module, so that this holds for a checkout that is not installed, too.
    plugins = ["-p", "no:cacheprovider", "-p", "no:qwen72b", "-p", "qwen72b.testing.plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *plugins, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_plugin_loads_nothing_of_the_fake() -> None:
    """Loading the plugin loads neither the fake nor the client behind the package."""
    code = (
        "import sys, qwen72b.testing.plugin as p; "
        "print(sorted(m for m in sys.modules if m.startswith('qwen72b')), 'requests' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=True,
    )
    names = "['qwen72b', 'qwen72b.testing', 'qwen72b.testing.plugin', 'qwen72b.version']"
    assert done.stdout.strip() == f"{names} False"


def test_all_public_names_are_there() -> None:
    """Every name in `__all__` can be had, and `dir` lists it; others are AttributeErrors."""
    for name in qwen72b.testing.__all__:
        assert getattr(qwen72b.testing, name) is not None
    assert set(qwen72b.testing.__all__) <= set(dir(qwen72b.testing))
    assert not hasattr(qwen72b.testing, "nothing")
    assert sorted(qwen72b.testing._HOME) == sorted(qwen72b.testing.__all__)
