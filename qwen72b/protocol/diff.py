"""
The edits that change a value.

From Gradio 4.19 on a running job sends, for each output, the edits that lead
from its last value to its present one (gradio ``utils.py``, ``diff``)::

    ["append", path, text]    extend the string at path
    ["replace", path, value]  set what is at path
    ["add", path, value]      a new element at the end of a list, or a new key
    ["delete", path, null]    remove an element or a key

A path is a list of indices and keys; the empty one is the whole output.

Edits cost as much as they change, whatever they are: a container is copied
once at most, the pieces that a text grows by are joined once, and what is left
(an element in the middle of a long list, which no Gradio sends) is bounded by
an ``Allowance``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InvalidDiff
from .jsontext import MAX_DEPTH

__all__ = ["Allowance", "apply_edits", "is_same_path"]

_ACTIONS = frozenset({"append", "replace", "add", "delete"})

# Edits between two looks at the clock; some 100 microseconds.
_CHECKED = 100

# Bytes that may be moved for nothing, and for each byte that came. A move
# costs 0.1 nanoseconds a byte, reading what came some 20.
_FREE = 8 * 1024 * 1024
_PER_BYTE = 16

# What an edit of a few words takes on the wire.
_EDIT_BYTES = 64


class Allowance:
    """
    How much may be moved for what came.

    An honest Space's edits stand at the end of what they change, or bring as
    much text as they replace. A few bytes that have megabytes moved again and
    again would cost more than their size, so they are an error.
    """

    #: Bytes or characters that came since something was last moved.
    came = 0
    _left = _FREE

    def spend(self, size: int) -> None:
        """
        Take note of what is to be moved.

        Args:
            size: Its bytes or characters.

        Raises:
            InvalidDiff: If it is too much.
        """
        if self.came:
            self._left = min(self._left, _FREE) + _PER_BYTE * self.came
            self.came = 0
        self._left -= size
        if self._left < 0:
            raise InvalidDiff("The edits move far more of the value than they change.")


def apply_edits(
    value: Any,
    edits: Any,
    *,
    in_place: bool = False,
    allowance: Allowance | None = None,
    check: Callable[[], object] | None = None,
) -> Any:
    """
    Apply one output's edits in order.

    Deletes need care. Gradio compares lists position by position, so deletes
    in a list always cut its tail, but up to 5.25 they are numbered by the old
    indices (0, 1) and from 5.50 on as if applied in turn (0, 0). A run of
    deletes that fits the tail is therefore one cut at the smallest index.

    Args:
        value: The output's last value.
        edits: A list of ``[action, path, value]``.
        in_place: Whether ``value`` and the values in ``edits`` may be changed,
            which saves copying what the edits touch. After an error ``value``
            is then of no use. Otherwise they are left untouched.
        allowance: What bounds the work of several calls; one for these edits
            alone if not given.
        check: Called every some edits; may raise to stop.

    Returns:
        The output's present value; it shares unchanged parts with ``value``.

    Raises:
        InvalidDiff: If an edit is malformed or does not fit.
    """
    if not isinstance(edits, list):
        raise InvalidDiff(f"Edits must be a list, not {type(edits).__name__}.")
    if allowance is None:
        allowance = Allowance()
        allowance.came = _EDIT_BYTES * len(edits)
    editing = _Editing(value, allowance, in_place=in_place)
    position = 0
    while position < len(edits):
        begun = position
        action, path, operand = _read_edit(edits[position])
        position += 1
        if action == "delete":
            lasts = [_last(path)]
            while position < len(edits) and _is_delete_beside(edits[position], path):
                lasts.append(edits[position][1][-1])
                position += 1
            editing.delete(path, lasts)
        else:
            editing.edit(path, action, operand)
        if check is not None and position // _CHECKED != begun // _CHECKED:
            check()
    return editing.end()


def is_same_path(path: Any, other: list[Any]) -> bool:
    """
    Tell whether an edit's path is one that is known; to Python 0, ``0.0`` and ``False`` are one.

    Args:
        path: The edit's.
        other: The known one.
    """
    if path != other:
        return False
    # Not by comparing two lists of types, which took a tenth of a delta's time.
    for key in path:
        if type(key) is not int and type(key) is not str:
            return False
    return True


def _read_edit(edit: Any) -> tuple[str, list[Any], Any]:
    if not isinstance(edit, list) or len(edit) not in (2, 3):
        raise InvalidDiff("An edit must be [action, path, value].")
    action, path = edit[0], edit[1]
    if not isinstance(action, str) or action not in _ACTIONS:
        raise InvalidDiff(f"Unknown edit action {_shown(action)}.")
    if not isinstance(path, list):
        raise InvalidDiff(f"An edit's path must be a list, not {type(path).__name__}.")
    if len(path) > MAX_DEPTH:
        raise InvalidDiff(f"An edit's path has {len(path)} steps, where nothing is as deep.")
    if len(edit) == 2 and action != "delete":
        raise InvalidDiff(f"The edit {action!r} has no value.")
    return action, path, edit[2] if len(edit) == 3 else None


def _last(path: list[Any]) -> Any:
    if not path:
        raise InvalidDiff("A delete needs a path.")
    return path[-1]


def _is_delete_beside(edit: Any, path: list[Any]) -> bool:
    """Tell whether an edit deletes from the same container as ``path`` does."""
    action, other, _ = _read_edit(edit)
    return action == "delete" and len(other) == len(path) and is_same_path(other[:-1], path[:-1])


class _Editing:
    """A value in the course of its edits."""

    def __init__(self, value: Any, allowance: Allowance, *, in_place: bool) -> None:
        # The value as the one element of a list, so that the empty path is
        # none of its own kind.
        self._holder = [value]
        self._allowance = allowance
        # The copies, by their ids; ``None`` if nothing is copied.
        self._own: dict[int, Any] | None = None if in_place else {id(self._holder): self._holder}
        # The pieces of texts that grow: by the id of their container, it and
        # the pieces by their place in it.
        self._growing: dict[int, tuple[Any, dict[Any, list[str]]]] = {}

    def edit(self, path: list[Any], action: str, operand: Any) -> None:
        """Make one edit other than a delete."""
        container, key = self._find(path)
        if action == "append":
            self._append(container, key, operand)
            return
        if action == "replace" and path:
            _child(container, key)
        if action == "add" and path and isinstance(container, list):
            if not _is_index(key) or key > len(container):
                raise InvalidDiff(f"An edit adds at {_shown(key)} to a list of {len(container)}.")
            self._settle(container, key)
            self._allowance.spend(8 * (len(container) - key))
            container.insert(key, operand)
            return
        if isinstance(container, dict) and not isinstance(key, str):
            raise InvalidDiff(f"An edit adds the key {_shown(key)} to an object.")
        if growing := self._growing.get(id(container)):
            growing[1].pop(key, None)
        container[key] = operand

    def delete(self, path: list[Any], lasts: list[Any]) -> None:
        """Delete from one container: what ``path`` leads to, and others beside it."""
        container, _ = self._find(path)
        if isinstance(container, list) and all(map(_is_index, lasts)):
            start = min(lasts)
            self._settle(container, start)
            if start + len(lasts) == len(container):
                del container[start:]
                return
            if lasts.count(start) == len(lasts) and start + len(lasts) <= len(container):
                # All of them in one piece.
                self._allowance.spend(8 * (len(container) - start))
                del container[start : start + len(lasts)]
                return
        for key in lasts:
            _child(container, key)
            if isinstance(container, list):
                self._allowance.spend(8 * (len(container) - key))
            elif growing := self._growing.get(id(container)):
                growing[1].pop(key, None)
            del container[key]

    def end(self) -> Any:
        """Return the value."""
        for container, texts in self._growing.values():
            for key, pieces in texts.items():
                self._join(container, key, pieces)
        return self._holder[0]

    def _find(self, path: list[Any]) -> tuple[Any, Any]:
        """Return what holds the end of a path, ready to be changed, and the place in it."""
        container: Any = self._holder
        key: Any = 0
        for step in path:
            child = _child(container, key)
            if not isinstance(child, (list, dict)):
                raise InvalidDiff(f"An edit's path enters a {type(child).__name__}.")
            if self._own is not None and id(child) not in self._own:
                child = child.copy()
                self._own[id(child)] = child
                container[key] = child
            container, key = child, step
        return container, key

    def _append(self, container: Any, key: Any, text: Any) -> None:
        present = _child(container, key)
        if not isinstance(present, str) or not isinstance(text, str):
            raise InvalidDiff(
                f"An edit appends {type(text).__name__} to {type(present).__name__}; "
                "both must be text."
            )
        texts = self._growing.setdefault(id(container), (container, {}))[1]
        texts.setdefault(key, [present]).append(text)

    def _settle(self, items: list[Any], start: int) -> None:
        """Join the texts of a list from an index on, before they are moved."""
        growing = self._growing.get(id(items)) if start < len(items) else None
        if growing is not None:
            self._allowance.spend(64 * len(growing[1]))
            for key in [key for key in growing[1] if key >= start]:
                self._join(items, key, growing[1].pop(key))

    def _join(self, container: Any, key: Any, pieces: list[str]) -> None:
        self._allowance.spend(sum(map(len, pieces)))
        container[key] = "".join(pieces)


def _child(value: Any, key: Any) -> Any:
    if isinstance(value, list):
        if not _is_index(key) or key >= len(value):
            raise InvalidDiff(f"An edit's path has {_shown(key)} in a list of {len(value)}.")
        return value[key]
    if not isinstance(key, str) or key not in value:
        raise InvalidDiff(f"An edit's path has {_shown(key)}, which the object lacks.")
    return value[key]


def _is_index(key: Any) -> bool:
    return type(key) is int and key >= 0


def _shown(key: Any) -> str:
    """Show a key that does not fit; one that is no key is named by its kind."""
    if isinstance(key, str):
        return repr(key[:40])
    return repr(key)[:40] if isinstance(key, (int, float)) else f"a {type(key).__name__}"
