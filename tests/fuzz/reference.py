"""The rules again, as slow and plain as they are written: what the targets compare with."""

from __future__ import annotations

import copy
from typing import Any

ACTIONS = ("append", "replace", "add", "delete")


class Refused(Exception):
    """An edit does not fit."""


def events(stream: bytes) -> list[str]:
    """The data of the events of a stream (WHATWG, 9.2.6), the cut-off last one left out."""
    text = stream.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    # What follows the last line end is no line.
    lines.pop()
    found: list[str] = []
    data: list[str] | None = None
    for line in lines:
        if not line:
            if data is not None:
                found.append("\n".join(data))
            data = None
            continue
        name, _, value = line.partition(":")
        if name == "data":
            data = [*(data or []), value.removeprefix(" ")]
    return found


def depth(text: str) -> int:
    """How deep brackets nest outside strings, as far as strings can be told."""
    deepest = now = 0
    inside = escaped = False
    for letter in text:
        if inside:
            inside = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            inside = True
        elif letter in "[{":
            now += 1
            deepest = max(deepest, now)
        elif letter in "]}":
            now -= 1
    return deepest


def apply(value: Any, edits: list[Any]) -> Any:
    """Apply edits; ``"refused"`` if one does not fit."""
    try:
        at = 0
        while at < len(edits):
            action, path, operand = check(edits[at])
            at += 1
            if action != "delete":
                value = edit(value, path, action, operand)
                continue
            if not path:
                raise Refused
            run = [path]
            while at < len(edits):
                other = check(edits[at])
                if other[0] != "delete" or len(other[1]) != len(path) or other[1][:-1] != path[:-1]:
                    break
                run.append(other[1])
                at += 1
            value = delete(value, run)
    except Refused:
        return "refused"
    return value


def check(edit: list[Any]) -> tuple[str, list[Any], Any]:
    """Take an edit apart."""
    if edit[0] not in ACTIONS:
        raise Refused
    return edit[0], edit[1], edit[2]


def edit(value: Any, path: list[Any], action: str, operand: Any) -> Any:
    """Make one edit other than a delete."""
    if not path:
        if action != "append":
            return operand
        if not isinstance(value, str) or not isinstance(operand, str):
            raise Refused
        return value + operand
    value = copy.copy(value)
    key = path[0]
    if len(path) == 1 and action == "add":
        if isinstance(value, list) and type(key) is int and 0 <= key <= len(value):
            value.insert(key, operand)
        elif isinstance(value, dict) and isinstance(key, str):
            value[key] = operand
        else:
            raise Refused
        return value
    value[key] = edit(child(value, key), path[1:], action, operand)
    return value


def delete(value: Any, run: list[list[Any]]) -> Any:
    """Delete beside each other: a cut of the tail, or one after the other."""
    if len(run[0]) > 1:
        value = copy.copy(value)
        key = run[0][0]
        value[key] = delete(child(value, key), [path[1:] for path in run])
        return value
    keys = [path[0] for path in run]
    if isinstance(value, list) and all(type(key) is int and key >= 0 for key in keys):
        start = min(keys)
        if start + len(keys) == len(value):
            return value[:start]
    value = copy.copy(value)
    for key in keys:
        child(value, key)
        del value[key]
    return value


def child(value: Any, key: Any) -> Any:
    """What stands at a key."""
    if isinstance(value, list) and type(key) is int and 0 <= key < len(value):
        return value[key]
    if isinstance(value, dict) and isinstance(key, str) and key in value:
        return value[key]
    raise Refused


def put(value: Any, path: list[int], new: Any) -> None:
    """Set what a path of numbers leads to, as far as there is something."""
    while path:
        keys: list[Any] = (
            list(value)
            if isinstance(value, dict)
            else list(range(len(value)))
            if isinstance(value, list)
            else []
        )
        if not keys:
            return
        key = keys[path[0] % len(keys)]
        if len(path) == 1:
            value[key] = new
            return
        value, path = value[key], path[1:]
