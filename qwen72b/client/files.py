"""
How is a file of the user's written, so that a failure costs nothing?

Beside it, and then renamed: whoever looks finds the old content or the new one,
whatever happens in between. Where that is refused (a file that is mounted by
itself into a container, a folder that nobody may write to) it is written in
place, which is said.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
from contextlib import suppress

from ..errors import InvalidOption
from ..privacy.redaction import shown

__all__ = ["read_file", "replace_file"]

log = logging.getLogger("qwen72b")

# What refuses a new file in a folder, or its new name, but not the file itself.
_REFUSALS = (errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS)

# Files of which it was said that they are written in place.
_told: set[str] = set()


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """
    Write a file anew; its mode, and the link that it is reached by, are kept.

    Args:
        path: The file; made if there is none.
        data: What it is to hold.

    Raises:
        InvalidOption: If it is no path.
        OSError: If it cannot be written; a regular file then has its old content.
    """
    _check_path(path)
    try:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            status = None
        if status is not None and not stat.S_ISREG(status.st_mode):
            # A pipe or a device keeps no content that could be lost.
            _write_to(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY), data)
            return
        # A symbolic link stays one.
        target = os.path.realpath(path)
        if status is not None and not os.access(target, os.W_OK):
            # A new name would get around what protects the file.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        try:
            _write_beside(target, data, status)
        except OSError as exc:
            if exc.errno not in _REFUSALS or status is None:
                raise
            if target not in _told:
                _told.add(target)
                log.warning(
                    "%s is written in place (%s), so a failure in the middle could harm it.",
                    target,
                    exc.strerror,
                )
            _write_in_place(target, data)
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, os.fspath(path)) from exc


def read_file(path: str | os.PathLike[str], most: int) -> bytes | None:
    """
    Read a file that may be anything.

    Args:
        path: The file.
        most: Bytes to read at most.

    Returns:
        Its content; ``None`` if there is more.

    Raises:
        InvalidOption: If it is no path.
        OSError: If it cannot be read.
    """
    _check_path(path)
    with open(path, "rb", opener=_open_now) as file:
        data = file.read(most + 1)
    return data if len(data) <= most else None


def _check_path(path: object) -> None:
    try:
        name = os.fsencode(path) if isinstance(path, (str, os.PathLike)) else b"\0"
    except (TypeError, ValueError):
        # An ``__fspath__`` that gives something else; a lone surrogate.
        name = b"\0"
    if b"\0" in name:
        raise InvalidOption(f"{shown(path)} is no path.")


def _open_now(path: str, flags: int) -> int:
    """Open a file without waiting: for a pipe that nobody writes to, that would be for ever."""
    if os.name == "nt":
        return os.open(path, flags)
    file = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    os.set_blocking(file, True)
    return file


def _write_beside(target: str, data: bytes, status: os.stat_result | None) -> None:
    folder = os.path.dirname(target)
    # Not made of the target's name, which may be as long as names may be.
    beside = os.path.join(folder, f".qwen72b-{secrets.token_hex(8)}")
    # With the mode that any new file gets.
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        if status is not None:
            with suppress(OSError):
                os.chown(file, status.st_uid, status.st_gid)
            os.chmod(file, stat.S_IMODE(status.st_mode))
        _write_to(file, data, sync=True)
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        raise
    # The new name, too, is to outlive a power cut.
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _write_in_place(target: str, data: bytes) -> None:
    file = os.open(target, os.O_WRONLY)
    # A full disk is to show before anything is written.
    if hasattr(os, "posix_fallocate") and data:
        try:
            os.posix_fallocate(file, 0, len(data))
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                os.close(file)
                raise
    _write_to(file, data, sync=True, end=True)


def _write_to(file: int, data: bytes, *, sync: bool = False, end: bool = False) -> None:
    """Write to a descriptor, and close it."""
    try:
        os.set_blocking(file, True)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        if end:
            os.ftruncate(file, len(data))
        if sync:
            os.fsync(file)
    finally:
        os.close(file)
