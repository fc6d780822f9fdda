"""
The items that are done, also after a kill.

A file of JSON Lines that is only ever appended to, one ``write`` for each
outcome. What was written outlives the process, however it ends; the disk is
told to keep it (``fsync``) once a second and at the end, not for each line,
which would cost more than the bookkeeping of the item. So a power cut may lose
the last second, whose items are then asked again.

A line that was torn by a kill is cut off when the file is next opened. A file
that is not ours is never touched.

What is no regular file (a pipe, a terminal, a device) gets the outcomes, too,
but remembers nothing, and reading from it might never end: it is only written
to, and never waited for once the batch is closed.

Above 300 lines: opening, repairing and writing keep one another's promises.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from weakref import WeakSet

from ..errors import InvalidOption, Qwen72BError, StreamInterrupted
from ..privacy.redaction import shown
from ..transport.interrupts import from_signal_handler
from .idindex import IdIndex
from .locks import lock
from .notwritten import FULL, NotWritten
from .records import (
    Record,
    answered_id,
    is_torn,
    read_record,
    write_record,
)
from .result import Result

__all__ = ["Journal", "JournalFile"]

log = logging.getLogger("qwen72b")

_SYNC_SECONDS = 1.0

# Seconds between two looks at whether anybody still waits, while a pipe is full.
_LOOK_SECONDS = 0.1

# Bytes of a line: an answer of 64 MiB, escaped.
_MOST_LINE = 512 * 1024 * 1024

# Bytes that are read at once.
_BUFFER = 64 * 1024

# Numbers of descriptors are what fits into an int of C.
_MOST_FILES = 2**31

# What ``fsync`` says of a file system that has nothing to keep.
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

_open_files: WeakSet[JournalFile] = WeakSet()


@dataclass(frozen=True, slots=True)
class Journal:
    """
    A file for the outcomes of a batch.

    Nothing is opened before the batch begins. One batch at a time may use it.

    Args:
        path: The file; made if there is none. A number is that of an open
            descriptor, such as 1 for standard output, which is only written to.
        openai: Whether to write in the shape of OpenAI's batch output; lines
            of either shape are read.

    Example:
        >>> journal = Journal("out.jsonl", openai=True)
        >>> [result] = Client().map(["What is the capital of France?"], journal=journal)
        >>> [result] = Client().map(["What is the capital of France?"], journal=journal)
        >>> result.resumed
        True
    """

    path: str | os.PathLike[str] | int
    openai: bool = field(default=False, kw_only=True)
    # Held for as long as a batch has it.
    _use: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not _is_path(self.path):
            raise InvalidOption(
                f"the journal {shown(self.path)} is no path.",
                hint="Pass that of a file, or the number of an open descriptor.",
            )


class JournalFile:
    """
    The file while a batch uses it.

    Args:
        journal: What the user said of it.
    """

    def __init__(self, journal: Journal) -> None:
        self.path = journal.path if isinstance(journal.path, int) else os.fspath(journal.path)
        #: Whether the file remembers what was written to it; known once it is open.
        self.resumes = True
        self._openai = journal.openai
        self._use = journal._use
        self._uses = False
        self._file = -1
        self._stopped: Callable[[], bool] = _never
        self._size = 0
        self._synced = 0.0
        # Whether it was said that another file, or none, has its name by now.
        self._gone = False
        # Where the answer of a finished id stands.
        self._places = IdIndex()

    def open(self, stopped: Callable[[], bool] | None = None) -> None:
        """
        Open the file, repair it, and learn what is done.

        Args:
            stopped: Tells whether the batch was closed, which ends waiting for
                the reader of a pipe.

        Raises:
            InvalidOption: If another batch uses the file or this object, it is
                no journal, or it is a FIFO that nobody reads.
            OSError: If it cannot be opened, or repaired.
        """
        if not self._use.acquire(blocking=False):
            raise self._in_use()
        self._uses = True
        try:
            self._stopped = stopped or _never
            self._places = IdIndex()
            self._file = self._open()
            _open_files.add(self)
            self.resumes = not isinstance(self.path, int) and _is_regular(self._file)
            if self.resumes:
                self._lock()
                self._read()
            else:
                log.warning(
                    "Results are written to %s; it is no file that a later run could go on from.",
                    self._name,
                )
        except BaseException as exc:
            self.leave()
            # A kind of OSError, too.
            ours = isinstance(exc, Qwen72BError) or from_signal_handler(exc)
            if isinstance(exc, OSError) and not ours and exc.errno in FULL:
                raise NotWritten(exc.errno, exc.strerror, self.path) from exc
            raise

    def find(self, name: str) -> Record | None:
        """
        Look for the answer of an earlier run.

        Args:
            name: The item's id.

        Returns:
            The answer's line; ``None`` if the item is not finished.
        """
        for place in self._places.find(name):
            with open(os.dup(self._file), "rb") as file:
                file.seek(place)
                record = read_record(file.readline())
            # Another id may have the same hash.
            if record is not None and record.id == name:
                return record
        return None

    def write(self, result: Result) -> None:
        """
        Append an outcome.

        Args:
            result: What became of the item.

        Raises:
            NotWritten: If the file cannot take it; what was written of it is taken back.
            OSError: If what is no file cannot take it.
        """
        line = write_record(result, openai=self._openai)
        if not self.resumes:
            self._send(line)
            return
        try:
            _write_whole(self._file, line)
        except OSError as exc:
            # Where not even that can be done, the next run does it.
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            if from_signal_handler(exc):
                raise
            raise NotWritten(exc.errno, exc.strerror, self.path) from exc
        self._size += len(line)
        if monotonic() - self._synced > _SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """
        Close the file; idempotent.

        Raises:
            NotWritten: If the disk did not keep what it took.
        """
        try:
            if self._file >= 0 and self.resumes:
                self._sync()
        finally:
            self.leave()

    def leave(self) -> None:
        """Let go of the file without a word, as after a fork; idempotent."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)
        self._stopped = _never
        if self._uses:
            self._uses = False
            self._use.release()

    @property
    def _name(self) -> str:
        return "standard output" if self.path == 1 else str(self.path)

    def _in_use(self) -> InvalidOption:
        return InvalidOption(
            f"another batch is writing to {self._name}.", hint="Wait for its end, or stop it."
        )

    def _open(self) -> int:
        if isinstance(self.path, int):
            return os.dup(self.path)
        try:
            kept = stat.S_IFMT(os.stat(self.path).st_mode) in (stat.S_IFREG, stat.S_IFDIR)
        except FileNotFoundError:
            kept = True
        if kept:
            # Without waiting, in case it is a FIFO by now.
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
            return os.open(self.path, flags, 0o666)
        try:
            return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as exc:
            if exc.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(self.path).st_mode):
                raise
            raise InvalidOption(
                f"nobody reads from {self.path}.", hint="Start what reads it first."
            ) from exc

    def _send(self, line: bytes) -> None:
        """Write to what may be full, as long as anybody waits for it."""
        if not _has_reader(self._file):
            # A device is never full; some (/dev/random) never say that they are ready.
            try:
                _write_whole(self._file, line)
            except OSError as exc:
                raise OSError(exc.errno, exc.strerror, self._name) from exc
            return
        poll = select.poll()
        poll.register(self._file, select.POLLOUT)
        rest = memoryview(line)
        try:
            while rest:
                while not poll.poll(0 if self._stopped() else _LOOK_SECONDS * 1000):
                    if self._stopped():
                        raise StreamInterrupted("the batch was closed before its end.")
                # What fits for certain, since the descriptor may be one that waits.
                rest = rest[os.write(self._file, rest[: select.PIPE_BUF]) :]
        except BlockingIOError:
            # Another writer was quicker.
            self._send(bytes(rest))
        except StreamInterrupted:
            # A kind of OSError too.
            raise
        except OSError as exc:
            if from_signal_handler(exc):
                raise
            raise OSError(exc.errno, exc.strerror, self._name) from exc

    def _lock(self) -> None:
        try:
            if not lock(self._file):
                log.warning(
                    "%s cannot be locked here; two runs at once would spoil each other's answers.",
                    self._name,
                )
        except BlockingIOError as exc:
            raise self._in_use() from exc

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as exc:
            if exc.errno not in _NO_SYNC:
                # Some file systems say only here that they are full.
                raise NotWritten(exc.errno, exc.strerror, self.path) from exc
        self._synced = monotonic()
        if not self._gone and not self._is_there():
            self._gone = True
            log.warning(
                "%s was moved, removed or replaced while results are written to it: "
                "a later run will not find them there.",
                self._name,
            )

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except OSError:
            return False

    def _read(self) -> None:
        place = number = 0
        add = self._places.add
        with open(os.dup(self._file), "rb", buffering=_BUFFER) as file:
            while line := file.readline(_MOST_LINE):
                number += 1
                name = answered_id(line)
                if name is None:
                    name = self._check(line, number, place)
                if name is not None:
                    add(name, place)
                place += len(line)
        self._size = os.fstat(self._file).st_size

    def _check(self, line: bytes, number: int, place: int) -> str | None:
        """Tell the id of any line that has an answer; repair or refuse the file."""
        record = read_record(line)
        if not line.endswith(b"\n"):
            self._mend(line, place, whole=record is not None)
        elif record is None:
            raise InvalidOption(
                f"line {number} of {self.path} is no line of a batch's journal.",
                hint="Name another file, or mend that line.",
            )
        return None if record is None or record.answer is None else record.id

    def _mend(self, tail: bytes, place: int, *, whole: bool) -> None:
        """Cut a torn last line off; one that only lacks its end is given it."""
        if whole:
            os.write(self._file, b"\n")
        elif is_torn(tail):
            os.ftruncate(self._file, place)
        else:
            raise InvalidOption(
                f"the end of {self.path} is no line of a batch's journal.",
                hint="Name another file.",
            )


def _is_path(path: object) -> bool:
    if isinstance(path, int):
        return not isinstance(path, bool) and 0 <= path < _MOST_FILES
    if not isinstance(path, (str, bytes, os.PathLike)):
        return False
    try:
        name = os.fsencode(path)
    except (TypeError, ValueError):
        # An ``__fspath__`` that gives something else; a lone surrogate.
        return False
    return b"\0" not in name


def _never() -> bool:
    return False


def _is_regular(file: int) -> bool:
    return stat.S_ISREG(os.fstat(file).st_mode)


def _has_reader(file: int) -> bool:
    """Tell whether what is written is read by somebody, who may be slow."""
    mode = os.fstat(file).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(file)


def _write_whole(file: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(file, rest) :]


def _leave_all() -> None:
    """After a fork: a child that outlives its killed parent must not keep the lock."""
    for file in list(_open_files):
        file.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
