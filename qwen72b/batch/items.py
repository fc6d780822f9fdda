"""
The items of a batch: what is asked, and under which id.

An item may be a text, a list of messages, or a dict with an ``id``, also in
the shape of OpenAI's batch files (``custom_id`` and ``body``). Items are read
one at a time, as they are needed. Each is known by its id ever after, so an id
that is not given is derived from the question alone: the same input gives the
same ids in every run, wherever a line stands.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidMessages, InvalidRequest
from ..messages import Messages, Prompt, to_prompt
from ..privacy.redaction import shown
from .idindex import IdIndex

__all__ = ["Item", "Task", "read_items"]

# What callers may pass.
Item = Messages | Mapping[str, Any] | InvalidRequest

# Hexadecimal characters of a derived id: 64 bits, so that among a million
# different questions two share one with a chance of 3 in 100 million. They
# would then be told apart by their occurrence number.
_HASH_CHARACTERS = 16

# Two halves of a character, which come back from JSON as that character: no
# longer the id that was given, and perhaps another item's.
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


@dataclass(frozen=True, slots=True)
class Task:
    """
    An item that was read.

    Args:
        position: Its place in the input, from 0.
        id: Its id.
        item: The item itself.
        prompt: What to ask; ``None`` if it cannot be asked.
        error: Why not.
    """

    position: int
    id: str
    item: Any
    prompt: Prompt | None = None
    error: InvalidRequest | None = None


def read_items(items: Iterable[Item], *, system: str | None = None) -> Iterator[Task]:
    """
    Read items one by one.

    Args:
        items: The items.
        system: System text of items that name none of their own.

    Yields:
        A task for each, in order; one that cannot be asked has an ``error``.
    """
    seen = IdIndex()
    # How often a question came that came more than once.
    repeated: dict[str, int] = {}
    for position, item in enumerate(items):
        name = f"item-{position}"
        try:
            given = _given_id(item)
            name = name if given is None else given
            prompt = _read_prompt(item, system)
            if given is None:
                name = _derived_id(prompt)
            if seen.find(name):
                if given is not None:
                    raise InvalidRequest(
                        f"the id {shown(given)} came before.",
                        hint="Give every item an id of its own.",
                    )
                count = repeated[name] = repeated.get(name, 1) + 1
                name = f"{name}-{count}"
            else:
                seen.add(name, position)
        except InvalidRequest as error:
            yield Task(position, name, item, error=error.with_traceback(None))
        else:
            yield Task(position, name, item, prompt)


def _given_id(item: Any) -> str | None:
    if not isinstance(item, Mapping):
        return None
    given = item.get("id", item.get("custom_id"))
    # JSON has numbers for ids too; 1 and "1" are the same one.
    if isinstance(given, str) and _PAIR.search(given):
        raise InvalidRequest(
            "the id has two surrogates where JSON has one character.", hint="Pass that character."
        )
    if given is None or isinstance(given, str):
        return given or None
    if type(given) is int and given.bit_length() < 1000:
        return str(given)
    if type(given) is int:
        raise InvalidRequest(
            "the id is a number of hundreds of digits.", hint="Pass it as text, between quotes."
        )
    raise InvalidRequest(f"the id {shown(given)} is no str or int.")


def _read_prompt(item: Any, system: str | None) -> Prompt:
    if isinstance(item, InvalidRequest):
        # What a reader of a file says of a line that is no item.
        raise item
    if not isinstance(item, Mapping):
        return to_prompt(item, system=system)
    # OpenAI's batch line: what is asked is in ``body``, whose other fields
    # (model, temperature, max_tokens) mean nothing to the Space.
    body = item["body"] if isinstance(item.get("body"), Mapping) else item
    asked = [body[key] for key in ("messages", "prompt") if key in body]
    if len(asked) != 1:
        raise InvalidMessages(
            f"the item has {'both' if asked else 'neither'} messages "
            f"{'and' if asked else 'nor'} prompt.",
            hint='Pass {"id": ..., "messages": [...]} or {"id": ..., "prompt": "..."}.',
        )
    return to_prompt(asked[0], system=body.get("system", system))


def _derived_id(prompt: Prompt) -> str:
    words = json.dumps([prompt.system, prompt.history, prompt.query], ensure_ascii=True)
    return hashlib.sha256(words.encode()).hexdigest()[:_HASH_CHARACTERS]
