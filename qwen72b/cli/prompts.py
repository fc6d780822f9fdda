"""
The prompts of a batch: what a file holds, in whatever form.

The form is told by options, by the file's name, or by its first line: JSON
Lines, a JSON array, CSV or TSV, or plain text. A file of another form is
refused as a whole, with one message; in one of the right form, a line that is
no prompt is an item that fails.
"""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any, BinaryIO

from ..errors import InvalidOption, InvalidRequest
from .decoding import bom_encoding, decode
from .tables import read_table

__all__ = ["Prompts"]

# A line and its number; bytes where it is no text.
_Line = tuple[int, str | bytes]

# Bytes of a line; a device may have lines without end.
_LONGEST_LINE = 64 * 1024 * 1024

# Stands for a line that was not read to its end.
_TOO_LONG = b"..."

# Bytes by which a file is told that is no text at all.
_HEAD = 4096

_HINT = (
    'Each line is a JSON text or object: "Why?", or {"prompt": "Why?"}. '
    "For plain text give --lines, for CSV --column NAME."
)


class Prompts:
    """
    The prompts of a file as items of a batch; can be iterated once.

    Args:
        file: The file, at its beginning.
        name: What it is called.
        plain: Whether each line is a prompt as it is.
        column: The column of a CSV or TSV file that holds the prompts.
        limit: How many to read at most; ``None`` for all.
        shard: Which part to read, from 0, and of how many.
        system: System text of prompts that name none; ids are derived from it, too.

    Raises:
        InvalidOption: If the file has none of the forms.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        *,
        plain: bool = False,
        column: str | None = None,
        limit: int | None = None,
        shard: tuple[int, int] = (0, 1),
        system: str | None = None,
    ) -> None:
        self._file = file
        self._name = name
        self._plain = plain
        self._column = column
        self._limit = limit
        self._shard = shard
        # How many prompts the whole file has; 0 if that is unknown.
        self._total = 0
        # Not of a device, which may have no end.
        if file.seekable() and _is_regular(file):
            self._total = sum(1 for line in file if line.strip())
            file.seek(0)
        index, count = shard
        items = self._read() if count == 1 else _part(self._read(), index, count, system)
        self._items = islice(items, limit)

    def __iter__(self) -> Iterator[Any]:
        return self._items

    def __len__(self) -> int:
        """Count the prompts, for the time to the end; a hint, 0 where they cannot be counted."""
        index, count = self._shard
        chosen = max(0, -(-(self._total - index) // count))
        return chosen if self._limit is None else min(chosen, self._limit)

    def _read(self) -> Iterator[Any]:
        head = self._peek()
        encoding = bom_encoding(head)
        if encoding == "utf-8" and b"\0" in head:
            # It tells what that may be.
            decode(head, self._name)
        is_table = self._name.lower().endswith((".csv", ".tsv"))
        if self._column is not None or (is_table and not self._plain):
            return self._table(encoding)
        lines = self._lines(encoding)
        if self._plain:
            return (self._plain_item(line, number) for number, line in lines if line.strip())
        return self._json(lines)

    def _peek(self) -> bytes:
        if isinstance(self._file, io.BufferedReader):
            return self._file.peek(_HEAD)[:_HEAD]
        head = self._file.read(_HEAD)
        self._file.seek(0)
        return head

    def _lines(self, encoding: str) -> Iterator[_Line]:
        """Read lines; those that are no text stay bytes, in other encodings the file is refused."""
        if encoding in ("utf-16", "utf-32"):
            yield from enumerate(self._decoded(encoding), 1)
            return
        number = 0
        while line := self._file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                yield number, _TOO_LONG
                return
            try:
                text = line.decode(encoding if number == 1 else "utf-8")
            except UnicodeDecodeError:
                yield number, line
            else:
                yield number, line if b"\0" in line else text

    def _decoded(self, encoding: str, errors: str = "strict") -> Iterator[str]:
        text = io.TextIOWrapper(self._file, encoding, errors, newline="")
        try:
            yield from text
        except UnicodeError as exc:
            raise InvalidOption(f"{self._name} is no {encoding.upper()} text.") from exc
        finally:
            # Else the file would be closed with it; it may have been before.
            with suppress(ValueError):
                text.detach()

    def _plain_item(self, line: str | bytes, number: int) -> Any:
        if isinstance(line, bytes):
            return _bad_line(line, number)
        return {"prompt": line.rstrip("\r\n"), "where": f"line {number}"}

    # JSON

    def _json(self, lines: Iterator[_Line]) -> Iterator[Any]:
        first = next(((number, line) for number, line in lines if line.strip()), None)
        if first is None:
            return iter(())
        number, line = first
        if line is _TOO_LONG:
            raise InvalidOption(f"{self._name}: {_bad_line(_TOO_LONG, number).reason}")
        if isinstance(line, bytes):
            line = decode(line, f"{self._name}, from line {number} on,")
        try:
            value = json.loads(line)
        except json.JSONDecodeError as exc:
            if line.lstrip().startswith("["):
                return self._array(line, lines)
            raise self._wrong(line, number, exc) from exc
        except (ValueError, RecursionError) as exc:
            if line.lstrip().startswith("[") and not isinstance(exc, RecursionError):
                return self._array(line, lines)
            # A line of JSON, which is told as an item.
            value = None
        if isinstance(value, list) and not _is_chat(value):
            return self._array(line, lines)
        return (_json_item(line, number) for number, line in chain([first], lines) if line.strip())

    def _array(self, first: str, lines: Iterable[_Line]) -> Iterator[Any]:
        rest = [line for _, line in lines]
        if any(isinstance(line, bytes) for line in rest):
            raise InvalidOption(f"{self._name} is no UTF-8 text.")
        try:
            values = json.loads("".join([first, *map(str, rest)]))
        except json.JSONDecodeError as exc:
            raise InvalidOption(
                f"{self._name} begins as a JSON array, but is none: {exc}.", hint=_HINT
            ) from exc
        except (ValueError, RecursionError) as exc:
            reason, hint = _unread(exc)
            raise InvalidOption(f"{self._name} is JSON {reason}.", hint=hint) from exc
        self._total = len(values)
        return (_item(value, f"item {number}") for number, value in enumerate(values, 1))

    def _wrong(self, line: str, number: int, error: json.JSONDecodeError) -> InvalidOption:
        if line.lstrip().startswith("{"):
            return InvalidOption(
                f"{self._name} is not JSON Lines: line {number} is no whole object ({error.msg}).",
                hint="Write each object on a line of its own, for example with: jq -c .",
            )
        shown = line.strip()[:40]
        return InvalidOption(
            f"{self._name} is not JSON Lines: line {number} is {shown!r}.", hint=_HINT
        )

    # CSV and TSV

    def _table(self, encoding: str) -> Iterator[Any]:
        encoding = "utf-8-sig" if encoding == "utf-8" else encoding
        rows = read_table(self._decoded(encoding, "surrogateescape"), self._name, self._column)
        # But for the header; a cell may have several lines.
        self._total = max(0, self._total - 1)
        return rows


def _is_chat(values: list[Any]) -> bool:
    """Tell whether a list is one prompt's messages, and not several prompts."""
    return bool(values) and all(isinstance(value, dict) and "role" in value for value in values)


def _bad_line(line: bytes, number: int) -> InvalidRequest:
    if line is _TOO_LONG:
        longest = _LONGEST_LINE >> 20
        return InvalidRequest(
            f"line {number} is longer than {longest} MiB; what follows is not read."
        )
    if b"\0" in line:
        return InvalidRequest(f"line {number} is no text: it holds NUL bytes.")
    return InvalidRequest(f"line {number} is no UTF-8 text.")


def _is_regular(file: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except OSError:
        # Made of memory.
        return True


def _unread(error: Exception) -> tuple[str, str]:
    """Say what of JSON Python does not read, and what to do; a long number would cost hours."""
    if isinstance(error, RecursionError):
        return "with too many brackets in each other", ""
    most = sys.get_int_max_str_digits()
    return f"with a number of more than {most} digits", "Where it is an id, make it text."


def _part(items: Iterator[Any], index: int, count: int, system: str | None) -> Iterator[Any]:
    """
    Give one shard's prompts, with the ids that they have in the whole.

    A question that comes again has another id, wherever it stands: else two shards
    would give one to both, and their answers could not go into one file.
    """
    from ..batch.items import read_items

    for task in read_items(items, system=system):
        if task.position % count == index:
            yield task.item if task.error is not None else {**task.item, "id": task.id}


def _json_item(line: str | bytes, number: int) -> Any:
    if isinstance(line, bytes):
        return _bad_line(line, number)
    try:
        value = json.loads(line)
    except json.JSONDecodeError as exc:
        return InvalidRequest(f"line {number} is not JSON: {exc.msg} at column {exc.colno}.")
    except (ValueError, RecursionError) as exc:
        reason, hint = _unread(exc)
        return InvalidRequest(f"line {number} is JSON {reason}.", hint=hint)
    return _item(value, f"line {number}")


def _item(value: Any, where: str) -> Any:
    if isinstance(value, str):
        value = {"prompt": value}
    elif isinstance(value, list):
        value = {"messages": value}
    elif not isinstance(value, dict):
        return InvalidRequest(f"{where} is neither a text, a list nor an object.")
    return {**value, "where": where}
