"""
Edits that Gradio sends: how one output becomes the next.

Strategy: values are compared position by position and never shifted, as
Gradio's ``utils.py`` does, so a list that lost its first element shows as
replacements and a cut of its tail. Written from the measured behaviour of
Gradio 4.19 to 6.31 and on purpose without a look at our own reader of edits:
a mistake made in one of them must not be made in the other.
"""

from __future__ import annotations

from typing import Any, Literal

__all__ = ["Edit", "Numbering", "make_diff"]

Edit = list[Any]
"""``[action, path, value]``, JSON-ready."""

Numbering = Literal["original", "sequential"]


def make_diff(old: Any, new: Any, *, deletes: Numbering = "original") -> list[Edit]:
    """
    Make the edits that turn one JSON value into another, as Gradio does.

    Args:
        old: The value that the client has.
        new: The value that it shall have. Neither is changed.
        deletes: How the elements cut off a list are numbered: by their place
            in the old list (``original``, Gradio 4.19 to 5.25) or by their
            place once the deletes before them are done (``sequential``, 5.50
            and later).

    Returns:
        ``[action, path, value]`` lists; empty if the values are equal.

    Example:
        >>> make_diff(["Hel"], ["Hello"])
        [['append', [0], 'lo']]
    """
    edits: list[Edit] = []
    _compare(old, new, [], deletes, edits)
    return edits


def _compare(old: Any, new: Any, path: list[Any], deletes: Numbering, edits: list[Edit]) -> None:
    # Gradio compares with ==, for which 1, 1.0 and True are one value.
    if old == new:
        return
    if type(old) is not type(new):
        edits.append(["replace", path, new])
    elif isinstance(old, str) and new.startswith(old):
        edits.append(["append", path, new[len(old) :]])
    elif isinstance(old, list):
        common = min(len(old), len(new))
        for index in range(common):
            _compare(old[index], new[index], [*path, index], deletes, edits)
        for index in range(common, len(old)):
            place = index if deletes == "original" else common
            edits.append(["delete", [*path, place], None])
        for index in range(common, len(new)):
            edits.append(["add", [*path, index], new[index]])
    elif isinstance(old, dict):
        for key in old:
            if key in new:
                _compare(old[key], new[key], [*path, key], deletes, edits)
            else:
                edits.append(["delete", [*path, key], None])
        for key in new:
            if key not in old:
                edits.append(["add", [*path, key], new[key]])
    else:
        edits.append(["replace", path, new])
