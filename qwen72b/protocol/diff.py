"""
How do edits change a value?

From Gradio 4.19 on a running job sends, for each output, the edits that lead
from its last value to its present one (gradio ``utils.py``, ``diff``)::

    ["append", path, text]    extend the string at path
    ["replace", path, value]  set what is at path
    ["add", path, value]      a new element at the end of a list, or a new key
    ["delete", path, null]    remove an element or a key

A path is a list of indices and keys; the empty one is the whole output.
"""

from __future__ import annotations

from typing import Any

from ..errors import InvalidDiff

__all__ = ["apply_edits"]

_ACTIONS = frozenset({"append", "replace", "add", "delete"})


def apply_edits(value: Any, edits: Any) -> Any:
    """
    Apply one output's edits in order.

    Deletes need care. Gradio compares lists position by position, so deletes
    in a list always cut its tail, but up to 5.25 they are numbered by the old
    indices (0, 1) and from 5.50 on as if applied in turn (0, 0). A run of
    deletes that fits the tail is therefore one cut at the smallest index.

    Args:
        value: The output's last value; left untouched.
        edits: A list of ``[action, path, value]``.

    Returns:
        The output's present value; it shares unchanged parts with ``value``.

    Raises:
        InvalidDiff: If an edit is malformed or does not fit.
    """
    if not isinstance(edits, list):
        raise InvalidDiff(f"Edits must be a list, not {type(edits).__name__}.")
    position = 0
    while position < len(edits):
        action, path, operand = _read_edit(edits[position])
        position += 1
        if action != "delete":
            value = _edit(value, path, action, operand)
            continue
        run = [path]
        while position < len(edits) and _is_delete_beside(edits[position], path):
            run.append(edits[position][1])
            position += 1
        value = _delete_run(value, run)
    return value


def _read_edit(edit: Any) -> tuple[str, list[Any], Any]:
    if not isinstance(edit, list) or len(edit) not in (2, 3):
        raise InvalidDiff("An edit must be [action, path, value].")
    action, path = edit[0], edit[1]
    if not isinstance(action, str) or action not in _ACTIONS:
        raise InvalidDiff(f"Unknown edit action {str(action)[:40]!r}.")
    if not isinstance(path, list):
        raise InvalidDiff(f"An edit's path must be a list, not {type(path).__name__}.")
    if len(edit) == 2 and action != "delete":
        raise InvalidDiff(f"The edit {action!r} has no value.")
    return action, path, edit[2] if len(edit) == 3 else None


def _is_delete_beside(edit: Any, path: list[Any]) -> bool:
    """Tell whether an edit deletes from the same container as ``path`` does."""
    action, other, _ = _read_edit(edit)
    return action == "delete" and len(other) == len(path) and other[:-1] == path[:-1]


def _edit(value: Any, keys: list[Any], action: str, operand: Any) -> Any:
    """Return a copy of ``value`` with one edit made; only containers on the path are copied."""
    containers: list[Any] = []
    for key in keys[:-1]:
        containers.append(value)
        value = _child(value, key)
    changed = _edit_here(value, keys, action, operand)
    for container, key in zip(reversed(containers), reversed(keys[:-1]), strict=True):
        copied = container.copy()
        copied[key] = changed
        changed = copied
    return changed


def _edit_here(value: Any, keys: list[Any], action: str, operand: Any) -> Any:
    if not keys:
        if action == "append":
            return _extended(value, operand)
        return operand
    key = keys[-1]
    if action == "append":
        operand = _extended(_child(value, key), operand)
    elif action == "replace" or action == "delete":
        _child(value, key)
    if not isinstance(value, (list, dict)):
        raise InvalidDiff(f"An edit's path enters a {type(value).__name__}.")
    copied = value.copy()
    if action == "delete":
        del copied[key]
    elif action == "add" and isinstance(copied, list):
        if not _is_index(key) or key > len(copied):
            raise InvalidDiff(f"An edit adds at {_shown(key)} to a list of {len(copied)}.")
        copied.insert(key, operand)
    elif action == "add" and not isinstance(key, str):
        raise InvalidDiff(f"An edit adds the key {_shown(key)} to an object.")
    else:
        copied[key] = operand
    return copied


def _delete_run(value: Any, run: list[list[Any]]) -> Any:
    parent = value
    if not run[0]:
        raise InvalidDiff("A delete needs a path.")
    for key in run[0][:-1]:
        parent = _child(parent, key)
    lasts = [path[-1] for path in run]
    if isinstance(parent, list) and all(_is_index(last) for last in lasts):
        start = min(lasts)
        if start + len(run) == len(parent):
            if run[0][:-1]:
                return _edit(value, run[0][:-1], "replace", parent[:start])
            return parent[:start]
    for path in run:
        value = _edit(value, path, "delete", None)
    return value


def _child(value: Any, key: Any) -> Any:
    if isinstance(value, list):
        if not _is_index(key) or key >= len(value):
            raise InvalidDiff(f"An edit's path has {_shown(key)} in a list of {len(value)}.")
        return value[key]
    if isinstance(value, dict):
        if not isinstance(key, str) or key not in value:
            raise InvalidDiff(f"An edit's path has {_shown(key)}, which the object lacks.")
        return value[key]
    raise InvalidDiff(f"An edit's path enters a {type(value).__name__}.")


def _is_index(key: Any) -> bool:
    return type(key) is int and key >= 0


def _extended(value: Any, text: Any) -> str:
    if not isinstance(value, str) or not isinstance(text, str):
        raise InvalidDiff(
            f"An edit appends {type(text).__name__} to {type(value).__name__}; both must be text."
        )
    return value + text


def _shown(key: Any) -> str:
    return repr(key)[:40]
