"""Faults to be found: each is put into the code while its target runs."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from qwen72b.protocol import diff, job, jsontext, sse
from qwen72b.protocol.shown import Shown
from qwen72b.transport import chunked


@dataclass
class Fault:
    """
    A fault.

    Args:
        name: What is wrong.
        target: What is to find it.
        place: Where it is put.
        attribute: In place of what.
        wrong: Makes the wrong thing of the right one.
    """

    name: str
    target: str
    place: Any
    attribute: str
    wrong: Callable[[Any], Any]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the fault for the length of a ``with`` block."""
        # A built-in function is put before the module's own names. What is neither there
        # any more would be planted in vain.
        place = self.place if hasattr(self.place, self.attribute) else builtins
        right = getattr(place, self.attribute)
        with patch.object(self.place, self.attribute, self.wrong(right), create=True):
            yield


def _loses_a_cut(feed: Any) -> Any:
    """Take a blank line that is cut in two for none."""

    def wrong(self: Any, data: bytes) -> bytes:
        return bytes(feed(self, b"" if data == b"\n" else data))

    return wrong


def _in_tens(read: Any) -> Any:
    def wrong(text: bytes, base: int) -> int:
        return int(read(text, 10 if text.isdigit() else base))

    return wrong


def _from_behind(is_index: Any) -> Any:
    """Take negative numbers, and truth, for indices."""
    return lambda key: isinstance(key, int)


def _old_depth(check: Any) -> Any:
    """Look for brackets as before: quadratic where a string is never closed."""
    token = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|([\[{])|[\]}]')

    def wrong(text: str) -> None:
        if text.count("[") + text.count("{") > 200:
            for _ in token.finditer(text):
                pass

    return wrong


def _forgets(last: Any) -> Any:
    """Forget that text was appended, where another edit follows."""

    def wrong(self: Any) -> str:
        return str(self.answer.text)

    return wrong


def _counts(seconds: Any) -> Any:
    """Count with whatever number came."""

    def wrong(value: Any) -> float | None:
        return None if seconds(value) is None and not isinstance(value, int) else float(value)

    return wrong


FAULTS = [
    Fault("a blank line is lost at a cut", "framing", sse.EventSplitter, "feed", _loses_a_cut),
    Fault("a chunk's size is read in tens", "dechunking", chunked, "int", _in_tens),
    Fault("indices count from behind", "edits", diff, "_is_index", _from_behind),
    Fault("appended text is forgotten", "jobs", Shown, "_last", _forgets),
    Fault(
        "brackets are looked for in quadratic time",
        "costs",
        jsontext,
        "check_structure",
        _old_depth,
    ),
    Fault("any number is counted with", "conversation", job, "_seconds", _counts),
]
