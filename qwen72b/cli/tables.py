"""
The prompts of a table: CSV or TSV, with a header.

The column ``prompt`` is asked, or the one that is named; ``id``, ``custom_id``
and ``system`` count where they are there. Spreadsheets write ``Prompt`` and
``ID``: case and blanks around a name do not matter.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from ..errors import InvalidOption, InvalidRequest

__all__ = ["read_table"]


def read_table(lines: Iterator[str], name: str, column: str | None) -> Iterator[Any]:
    """
    Read a table's header now, and its rows as they are needed.

    Args:
        lines: Its lines; bytes that are no text as PEP 383 has them.
        name: What the file is called.
        column: The column that holds the prompts; ``None`` to find it.

    Returns:
        An item of a batch for each row.

    Raises:
        InvalidOption: If the header does not tell what is asked, or, later, if
            it is no table.
    """
    # A NUL byte is none of a text either, and ends csv's reading before Python 3.11.
    lines = (line.replace("\0", "\udc80") for line in lines)
    header = next(lines, "")
    # A semicolon is what spreadsheets write where the comma is decimal.
    delimiter = max("\t,;" if not name.lower().endswith(".tsv") else "\t", key=header.count)
    # Prompts are longer than the 128 kB that are meant to catch mistakes.
    csv.field_size_limit(2**31 - 1)
    reader = csv.DictReader(chain([header], lines), delimiter=delimiter, strict=True)
    names = [cell.strip() for cell in reader.fieldnames or ()]
    twice = sorted({cell for cell in names if names.count(cell) > 1})
    if twice:
        raise InvalidOption(f"{name} has the column {twice[0]!r} twice.")
    reader.fieldnames = names
    asked = _find_prompts(names, name, column)
    others = {key: _find(names, name, key) for key in ("id", "custom_id", "system")}
    return _rows(reader, name, asked, {key: cell for key, cell in others.items() if cell})


def _find_prompts(names: Sequence[str], name: str, column: str | None) -> str:
    found = _find(names, name, "prompt" if column is None else column)
    if found is not None:
        return found
    if column is not None:
        raise InvalidOption(f"{name} has no column {column!r}.", hint=f"It has {', '.join(names)}.")
    if len(names) == 1:
        return names[0]
    raise InvalidOption(
        f"{name} does not tell which column holds the prompts.",
        hint=f"Say it with --column; there are {', '.join(names)}." if names else "",
    )


def _find(names: Sequence[str], name: str, wanted: str) -> str | None:
    """Find a column, by its exact name before others."""
    wanted = wanted.strip()
    if wanted in names:
        return wanted
    found = [cell for cell in names if cell.casefold() == wanted.casefold()]
    if len(found) > 1:
        raise InvalidOption(f"{name} has the columns {' and '.join(map(repr, found))}.")
    return found[0] if found else None


def _rows(
    reader: csv.DictReader[str], name: str, asked: str, others: dict[str, str]
) -> Iterator[Any]:
    try:
        for row in reader:
            where = f"line {reader.line_num}"
            item = {key: row[cell] for key, cell in others.items() if row.get(cell)}
            prompt = row[asked]
            # Where cells without a name go.
            if row.get(None):
                yield InvalidRequest(
                    f"{where} has more cells than the header has names.",
                    hint="A prompt with commas in it stands between quotes.",
                )
            elif not prompt:
                yield InvalidRequest(f"{where} has no {asked}.")
            elif not all(map(_is_text, [prompt, *item.values()])):
                yield InvalidRequest(f"{where} is no UTF-8 text.")
            else:
                yield {**item, "prompt": prompt, "where": where}
    except csv.Error as exc:
        raise InvalidOption(f"{name} is no CSV file: {exc} in line {reader.line_num}.") from exc


def _is_text(text: str) -> bool:
    """Tell whether every byte of a text could be read (PEP 383)."""
    return not any("\udc80" <= character <= "\udcff" for character in text)
