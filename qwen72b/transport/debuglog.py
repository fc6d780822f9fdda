"""
The debug log: what a maintainer needs to replay a failure.

The logger ``qwen72b`` tells at DEBUG, per call: the requests with statuses and
times, what the Space said of itself, each message to and from the queue, each
retry and how it ended. Every text in a message that is nobody's business (the
prompt, the answer, the Space's words) is blanked to as many ``x``, so that the
message keeps its shape and size and can be fed to a ``FakeSpace`` again.
``QWEN72B_LOG_CONTENT=1`` shows the texts as well.

Headers and login forms are not logged at all: they hold the secrets.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from ..privacy.masking import mask
from ..version import __version__
from .scope import CallScope

__all__ = ["log_environment", "shown", "tracer"]

# What may be unprintable: control characters, and all that is not ASCII.
_UNPRINTABLE = "[^ -~]+"

log = logging.getLogger("qwen72b")


class _Masking(logging.Filter):
    """Masks our own secrets in each line, whoever put them there."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a line pass, masked if need be."""
        line = record.getMessage()
        masked = mask(line, own=True)
        if masked != line:
            record.msg, record.args = masked, None
        return True


log.addFilter(_Masking())

# Fields whose texts are the protocol's own words.
_OWN = frozenset(
    [
        "__type__",
        "code",
        "event_id",
        "level",
        "msg",
        "protocol",
        "role",
        "session_hash",
        "stage",
        "type",
        "unit",
        "version",
    ]
)

# The words of an edit: its operation, and the names on its path.
_OPERATIONS = ("append", "replace", "add", "delete")
_STEPS = ("content", "text", "value")

# A longer body is no message; a Space's configuration has up to a megabyte.
_LONGEST_BODY = 4096

# A longer message is not taken apart again: looking on may not cost more than
# what is looked at.
_LONGEST_MESSAGE = 131072


def shown(value: Any) -> str:
    """
    Write a message for the log.

    Args:
        value: The message; JSON as text, or what it was read to.

    Returns:
        JSON text, blanked unless ``QWEN72B_LOG_CONTENT`` asks for the texts.
    """
    content = os.environ.get("QWEN72B_LOG_CONTENT", "") not in ("", "0")
    if isinstance(value, str):
        if content:
            return _escaped(mask(value))
        is_message = value[:100].lstrip().startswith('{"msg"')
        if len(value) > (_LONGEST_MESSAGE if is_message else _LONGEST_BODY):
            return f"{len(value)} characters"
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return f"{len(value)} characters that are not JSON"
    try:
        text = json.dumps(value if content else _blank(value), separators=(",", ":"))
        return mask(text) if content else text
    except RecursionError:
        return "JSON that is nested too deep"


def _escaped(text: str) -> str:
    """Write what no terminal should be sent, and what would end the line, as JSON writes it."""
    if text.isprintable():
        return text
    # Outside strings JSON has these for layout only, inside not at all.
    text = text.translate({9: " ", 10: " ", 13: " "})
    return re.sub(
        _UNPRINTABLE,
        lambda run: "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in run[0]),
        text,
    )


def _blank(value: Any) -> Any:
    if isinstance(value, str):
        return "x" * len(value)
    if isinstance(value, list):
        if len(value) == 3 and value[0] in _OPERATIONS and isinstance(value[1], list):
            # An edit. A list of arguments may look like one, so its path is checked too.
            path = [item if item in _STEPS else _blank(item) for item in value[1]]
            return [value[0], path, _blank(value[2])]
        return [_blank(item) for item in value]
    if isinstance(value, dict):
        return {
            key: item if key in _OWN and isinstance(item, str) else _blank(item)
            for key, item in value.items()
        }
    return value


def tracer(scope: CallScope) -> Callable[[str], None]:
    """
    Make what logs each message of the Space.

    Args:
        scope: The call that it belongs to.

    Returns:
        What is called with each message before it is taken.
    """

    def trace(text: str) -> None:
        log.debug("%s: received %s", scope, shown(text))

    return trace


def log_environment(scope: CallScope, base_url: str) -> None:
    """
    Log what a call is made with.

    Args:
        scope: The call.
        base_url: Where to.
    """
    libraries = ", ".join(
        f"{name} {getattr(sys.modules.get(name), '__version__', '')}"
        for name in ("requests", "urllib3")
    )
    log.debug(
        "%s: to %s with qwen72b %s, Python %s on %s, %s",
        scope,
        base_url,
        __version__,
        ".".join(map(str, sys.version_info[:3])),
        sys.platform,
        libraries,
    )
