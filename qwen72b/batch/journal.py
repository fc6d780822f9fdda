"""
The items that are done, also after a kill.

A file of JSON Lines that is only ever appended to, one ``write`` for each
outcome. What was written outlives the process, however it ends; the disk is
told to keep it (``fsync``) once a second and at the end, not for each line,
which would cost more than the bookkeeping of the item. So a power cut may lose
the last second, whose items are then asked again.

A line that was torn by a kill is cut off when the file is next opened. A file
that is not ours is never touched.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, field
from time import monotonic
from weakref import WeakSet

from ..errors import InvalidOption
from .records import OPENING, Record, read_record, write_record
from .result import Result

__all__ = ["Journal", "JournalFile"]

_SYNC_SECONDS = 1.0

_open_files: WeakSet[JournalFile] = WeakSet()


@dataclass(frozen=True, slots=True)
class Journal:
    """
    A file for the outcomes of a batch.

    Nothing is opened before the batch begins. One batch at a time may use it.

    Args:
        path: The file; made if there is none.
        openai: Whether to write in the shape of OpenAI's batch output; lines
            of either shape are read.
    """

    path: str | os.PathLike[str]
    openai: bool = field(default=False, kw_only=True)


class JournalFile:
    """
    The file while a batch uses it.

    Args:
        journal: What the user said of it.
    """

    def __init__(self, journal: Journal) -> None:
        self.path = os.fspath(journal.path)
        self._openai = journal.openai
        self._file = -1
        self._size = 0
        self._synced = 0.0
        # Where the answer of a finished id stands, by the id's hash: 100 bytes
        # each, whatever the length of the answers.
        self._places: dict[int, int] = {}

    def open(self) -> None:
        """
        Open the file, repair it, and learn what is done.

        Raises:
            InvalidOption: If another batch uses the file, or it is no journal.
            OSError: If it cannot be opened.
        """
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        _open_files.add(self)
        try:
            self._lock()
            self._read()
        except BaseException:
            self.close()
            raise

    def find(self, name: str) -> Record | None:
        """
        Look for the answer of an earlier run.

        Args:
            name: The item's id.

        Returns:
            The answer's line; ``None`` if the item is not finished.
        """
        place = self._places.get(hash(name))
        if place is None:
            return None
        with open(os.dup(self._file), "rb") as file:
            file.seek(place)
            record = read_record(file.readline())
        # Another id may have the same hash.
        return record if record is not None and record.id == name else None

    def write(self, result: Result) -> None:
        """
        Append an outcome.

        Args:
            result: What became of the item.

        Raises:
            OSError: If it cannot be written; what was written of it is taken back.
        """
        line = write_record(result, openai=self._openai)
        try:
            rest = line
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)
        if monotonic() - self._synced > _SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._file >= 0:
            try:
                self._sync()
            finally:
                self.leave()

    def leave(self) -> None:
        """Let go of the file without a word, as after a fork; idempotent."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise InvalidOption(
                f"another batch is writing to {self.path}.", hint="Wait for its end, or stop it."
            ) from exc

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError:
            # A pipe, a device: nothing to keep.
            pass
        self._synced = monotonic()

    def _read(self) -> None:
        place = 0
        self._places.clear()
        with open(os.dup(self._file), "rb") as file:
            for number, line in enumerate(file, 1):
                record = read_record(line)
                if not line.endswith(b"\n"):
                    self._mend(line, place, whole=record is not None)
                if record is not None:
                    if record.answer is not None:
                        self._places[hash(record.id)] = place
                elif line.endswith(b"\n"):
                    raise InvalidOption(
                        f"line {number} of {self.path} is no line of a batch's journal.",
                        hint="Name another file, or mend that line.",
                    )
                place += len(line)
        self._size = os.fstat(self._file).st_size

    def _mend(self, tail: bytes, place: int, *, whole: bool) -> None:
        """Cut a torn last line off; one that only lacks its end is given it."""
        if whole:
            os.write(self._file, b"\n")
        # A power cut may leave zeros where the line was to be.
        elif tail.startswith(OPENING) or OPENING.startswith(tail) or not tail.strip(b"\0"):
            os.ftruncate(self._file, place)
        else:
            raise InvalidOption(
                f"the end of {self.path} is no line of a batch's journal.",
                hint="Name another file.",
            )


def _leave_all() -> None:
    """After a fork: a child that outlives its killed parent must not keep the lock."""
    for file in list(_open_files):
        file.leave()


os.register_at_fork(after_in_child=_leave_all)
