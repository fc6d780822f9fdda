"""
One journal of several, such as those of shards.

The files are gone through twice: once to learn which line of each id counts, and
once to copy those lines as they are. So memory is that of the index, 20 to 30
bytes a line, whatever the answers; and the result is written under another name
and gets its own when it is whole and on the disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import InvalidOption
from .idindex import IdIndex
from .locks import lock
from .notwritten import NotWritten
from .records import is_torn, read_outcome

__all__ = ["Merged", "merge_journals"]

# Bytes that are read at once, and those of a line: an answer of 64 MiB, escaped.
_BUFFER = 256 * 1024
_MOST_LINE = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Merged:
    """
    What a merged journal has.

    Args:
        answered: Ids with an answer.
        failed: Ids without one.
    """

    answered: int
    failed: int


def merge_journals(target: str, sources: Sequence[str]) -> Merged:
    """
    Make one journal of several.

    An id has one line in it: the last one with an answer, or, if there is none,
    the last one. The lines are in the order of the files, and within each as
    they are there. A torn last line does not count.

    Args:
        target: The file to make; it must not exist.
        sources: The journals, in either shape.

    Returns:
        How many ids it has.

    Raises:
        InvalidOption: If the target exists, or a source is no journal, is being
            written, or was changed meanwhile.
        NotWritten: If the disk is full, or the like; there is no target then.
        OSError: If a file cannot be read or made.
    """
    _check_free(target)
    part = f"{target}.{os.getpid()}.part"
    with ExitStack() as stack:
        journals = _Journals([_open(name, stack) for name in sources])
        try:
            with open(part, "xb", buffering=_BUFFER) as file:
                merged = journals.copy(file)
                file.flush()
                os.fsync(file.fileno())
            _check_free(target)
            os.rename(part, target)
        except FileExistsError:
            raise
        except BaseException as exc:
            with suppress(OSError):
                os.unlink(part)
            if isinstance(exc, OSError) and exc.filename in (None, part):
                raise NotWritten(exc.errno, exc.strerror, target, resumes=False) from exc
            raise
    return merged


class _Journals:
    """
    Journals as one row of lines, each with its place in it.

    Args:
        files: The journals and their names.
    """

    def __init__(self, files: Sequence[tuple[str, BinaryIO]]) -> None:
        self._files = files
        self._states = [_state(file) for _, file in files]
        self._starts: list[int] = []
        self._index = IdIndex()
        start = 0
        for (size, _), (name, file) in zip(self._states, files, strict=True):
            self._starts.append(start)
            for place, _, (who, answered) in self._lines(name, file, size):
                # An even number is a failure's.
                self._index.add(who, 2 * (start + place) + answered)
            start += size

    def copy(self, target: BinaryIO) -> Merged:
        """
        Write the lines that count.

        Args:
            target: Where to.
        """
        counts = [0, 0]
        for start, (size, _), (name, file) in zip(
            self._starts, self._states, self._files, strict=True
        ):
            for place, line, (who, answered) in self._lines(name, file, size):
                if self._counts(who, 2 * (start + place) + answered):
                    target.write(line if line.endswith(b"\n") else line + b"\n")
                    counts[answered] += 1
        for state, (name, file) in zip(self._states, self._files, strict=True):
            if _state(file) != state:
                # By who does not look at locks: what counts was told by other lines.
                raise InvalidOption(
                    f"{name} was changed while it was merged.", hint="Do that again."
                )
        return Merged(answered=counts[True], failed=counts[False])

    def _counts(self, who: str, number: int) -> bool:
        """Tell whether a line is the one of its id that counts."""
        rank = (number % 2, number)
        return not any(
            (other % 2, other) > rank and self._owner(other // 2) == who
            for other in self._index.find(who)
        )

    def _owner(self, place: int) -> str | None:
        """Read whose line is at a place: another id may have the same hash."""
        which = max(it for it, start in enumerate(self._starts) if start <= place)
        # Another descriptor's place in the file stays where it is.
        with open(self._files[which][0], "rb") as file:
            file.seek(place - self._starts[which])
            outcome = read_outcome(file.readline(_MOST_LINE))
        return None if outcome is None else outcome[0]

    @staticmethod
    def _lines(
        name: str, file: BinaryIO, size: int
    ) -> Iterator[tuple[int, bytes, tuple[str, bool]]]:
        file.seek(0)
        place = number = 0
        # No further: it may grow as fast as it is read.
        while place < size and (line := _next_line(file, name)):
            number += 1
            outcome = read_outcome(line)
            if outcome is not None:
                yield place, line, outcome
            elif line.endswith(b"\n") or not is_torn(line):
                raise InvalidOption(
                    f"line {number} of {name} is no line of a batch's journal.",
                    hint="Name another file, or mend that line.",
                )
            place += len(line)


def _state(file: BinaryIO) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def _next_line(file: BinaryIO, name: str) -> bytes:
    try:
        return file.readline(_MOST_LINE)
    except OSError as exc:
        # It is not the new file that cannot be read.
        raise OSError(exc.errno, exc.strerror, name) from exc


def _open(name: str, stack: ExitStack) -> tuple[str, BinaryIO]:
    file = open(name, "rb", buffering=_BUFFER, opener=_at_once)  # noqa: SIM115  # by the stack
    stack.enter_context(file)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise InvalidOption(f"{name} is no file that can be read twice.")
    try:
        lock(file.fileno(), shared=True)
    except BlockingIOError as exc:
        raise InvalidOption(
            f"a batch is writing to {name}.", hint="Wait for its end, or stop it."
        ) from exc
    return name, file


def _at_once(name: str, flags: int) -> int:
    # A FIFO would wait for who writes to it; Windows has no such flag.
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _check_free(target: str) -> None:
    if os.path.lexists(target):
        raise InvalidOption(
            f"{target} is there already.", hint="Name a file that is not, or move that one away."
        )
