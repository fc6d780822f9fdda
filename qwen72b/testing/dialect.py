"""
Dialects of Gradio's versions: a table, and the messages.

Strategy: one `Dialect` per stretch of versions that was measured on real
servers, each trait a field of its own, so that a test can take a version and
change the one thing that it is about (``dataclasses.replace``). Everything
that differs on the wire between Gradio 4.0 and 6.31 stands here; what never
differs stands where it is used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from .edits import Numbering

__all__ = ["ChatFormat", "Dialect", "Protocol", "find_dialect"]

# Made once: json.dumps would make one for each call.
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

Protocol = Literal["ws", "sse", "sse_v1", "sse_v2", "sse_v2.1", "sse_v3"]
ChatFormat = Literal["pairs", "messages", "parts"]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """
    What one version of Gradio puts on the wire.

    Attributes:
        version: As ``/config`` shows it.
        protocol: As ``/config`` names it. ``"ws"`` is Gradio 3, whose
            ``/config`` names none and whose WebSocket is not served here.
        prefix: What stands before ``/queue/...``: ``""`` or ``"/gradio_api"``.
        chat: The chatbot's value: ``[user, bot]`` pairs, role dicts with text
            (``messages``) or role dicts with a list of parts (``parts``).
        typed_chatbot: The chatbot's props say ``tuples`` or ``messages``.
        numbered: Dependencies carry their ``id``.
        ascii: JSON with spaces and ASCII escapes, before orjson came in.
        null_ids: Messages of no job carry ``"event_id": null``.
        none_errors: A hidden exception is the text ``"None"``, and not null.
        quoted_errors: The text of a ``gr.Error`` is its Python ``repr``.
        error_extras: Errors carry ``duration`` and ``visible``.
        titles: Errors and completions carry a ``title``.
        deletes: How deletes below one list are numbered.
    """

    version: str
    protocol: Protocol
    prefix: str = ""
    chat: ChatFormat = "pairs"
    typed_chatbot: bool = False
    numbered: bool = True
    ascii: bool = False
    null_ids: bool = False
    none_errors: bool = False
    quoted_errors: bool = True
    error_extras: bool = False
    titles: bool = False
    deletes: Numbering = "original"

    @property
    def stream_first(self) -> bool:
        """Whether the stream opens before the data are sent (Gradio 4.0)."""
        return self.protocol == "sse"

    @property
    def diffs(self) -> bool:
        """Whether snapshots after the first come as edits."""
        return self.protocol in ("sse_v2", "sse_v2.1", "sse_v3")

    @property
    def join_path(self) -> str:
        """Where a job's data are posted."""
        return self.prefix + ("/queue/data" if self.stream_first else "/queue/join")

    @property
    def stream_path(self) -> str:
        """Where the stream of events is got."""
        return self.prefix + ("/queue/join" if self.stream_first else "/queue/data")

    def encode(self, message: Any) -> bytes:
        """Write JSON as this version does; what UTF-8 cannot say is escaped."""
        if not self.ascii:
            try:
                return _COMPACT.encode(message).encode()
            except UnicodeEncodeError:
                # A lone surrogate: orjson refuses it, a fake must be able to send it.
                pass
        return json.dumps(message).encode()

    def turns(self, history: Any, query: Any, text: str | None) -> list[Any]:
        """
        Write the chatbot's value: the turns so far and the present one.

        Args:
            history: What the client sent as the chatbot's value.
            query: What the client asked.
            text: The answer so far; None is a turn without one.
        """
        turns = list(history or [])
        if self.chat == "pairs":
            return [*turns, [query, text]]
        said = [*turns, self._message("user", query)]
        return said if text is None else [*said, self._message("assistant", text)]

    def text_path(self, turns: list[Any]) -> list[Any]:
        """Say where in the chatbot's value the last answer's text is."""
        last = len(turns) - 1
        where: dict[ChatFormat, list[Any]] = {
            "pairs": [last, 1],
            "messages": [last, "content"],
            "parts": [last, "content", 0, "text"],
        }
        return where[self.chat]

    def accepts(self, history: Any) -> bool:
        """Whether the chatbot's preprocessing takes this value; the wrong form is an error."""
        if history is None:
            return True
        if not isinstance(history, list):
            return False
        if self.chat == "pairs":
            return all(isinstance(turn, list) and len(turn) == 2 for turn in history)
        body = str if self.chat == "messages" else list
        return all(
            isinstance(turn, dict) and "role" in turn and isinstance(turn.get("content"), body)
            for turn in history
        )

    def error(
        self, text: str | None, *, title: str | None, quotes: bool | None, duration: float | None
    ) -> dict[str, Any]:
        """Write the ``output`` of a failed job; no text is a hidden exception."""
        if text is None:
            return {"error": str(None) if self.none_errors else None}
        shown = repr(text) if (self.quoted_errors if quotes is None else quotes) else text
        output: dict[str, Any] = {"error": shown}
        if self.error_extras:
            output |= {"duration": duration, "visible": True}
        if self.titles:
            output["title"] = "Error" if title is None else title
        return output

    def _message(self, role: str, text: Any) -> dict[str, Any]:
        content: Any = [{"text": text, "type": "text"}] if self.chat == "parts" else text
        return {"role": role, "metadata": None, "content": content, "options": None}


_V3 = Dialect(version="3.50.2", protocol="ws", numbered=False)
_V4_0 = Dialect(version="4.0.2", protocol="sse", numbered=False, ascii=True, none_errors=True)
_V4_12 = replace(_V4_0, version="4.12.0", protocol="sse_v1")
_V4_19 = replace(_V4_0, version="4.19.2", protocol="sse_v2")
_V4_22 = replace(_V4_0, version="4.22.0", protocol="sse_v3")
_V4_36 = Dialect(version="4.36.1", protocol="sse_v3")
_V4_44 = replace(_V4_36, version="4.44.1", typed_chatbot=True, null_ids=True, error_extras=True)
_V5_0 = replace(_V4_44, version="5.0.2", prefix="/gradio_api")
_V5_25 = replace(_V5_0, version="5.25.2", quoted_errors=False, titles=True)
_V5_50 = replace(_V5_25, version="5.50.0", deletes="sequential")
_V6 = replace(_V5_50, version="6.0.2", typed_chatbot=False, chat="parts")

# Oldest first: a version speaks as the last one here that is not newer than it.
_MEASURED = (_V3, _V4_0, _V4_12, _V4_19, _V4_22, _V4_36, _V4_44, _V5_0, _V5_25, _V5_50, _V6)


def find_dialect(version: str) -> Dialect:
    """
    Find how a version of Gradio speaks.

    Args:
        version: Such as ``"4.36.1"``, ``"5.25"`` or ``"6"``.

    Returns:
        The traits of the newest measured version that is not newer.

    Example:
        >>> find_dialect("5.25.2").protocol
        'sse_v3'
    """
    wanted = _number(version)
    # "6" alone means any 6, so it must not sort before 6.0.2.
    known = [dialect for dialect in _MEASURED if _number(dialect.version)[: len(wanted)] <= wanted]
    if not known:
        raise ValueError(f"no measured version of Gradio is as old as {version!r}")
    return replace(known[-1], version=version)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
