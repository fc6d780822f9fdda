"""
The dialects of Gradio's queue, by the name that ``/config`` announces.

What else ``/config`` says is read by ``page``.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from ..errors import UnsupportedProtocol
from ..privacy.masking import mask

__all__ = ["QueueProtocol", "read_protocol"]


class QueueProtocol(Enum):
    """
    The dialects of Gradio's queue, by the name that ``/config`` announces.

    * ``sse`` (4.0): the stream opens first, the data follow on ``send_data``.
    * ``sse_v1`` (4.12): join by POST; each message is a whole snapshot.
    * ``sse_v2``, ``sse_v2.1`` (4.19): the first message is whole, later ones are edits.
    * ``sse_v3`` (4.22 and later): and a ``close_stream`` message at the end.
    """

    SSE = "sse"
    SSE_V1 = "sse_v1"
    SSE_V2 = "sse_v2"
    SSE_V2_1 = "sse_v2.1"
    SSE_V3 = "sse_v3"

    def __init__(self, name: str) -> None:
        #: Whether the stream opens before the data are sent.
        self.stream_first = name == "sse"
        #: Whether messages after the first are edits, not snapshots.
        self.edits = name not in ("sse", "sse_v1")


def read_protocol(name: Any, version: str) -> QueueProtocol:
    """
    Tell the dialect that a Space announces.

    Args:
        name: What ``/config`` has for ``protocol``.
        version: Gradio's version; empty if unknown.

    Returns:
        The dialect; for one that is newer than this package the newest known,
        since each so far only added to the one before.

    Raises:
        UnsupportedProtocol: If it is not made of server-sent events (Gradio 3).
    """
    for protocol in QueueProtocol:
        if protocol.value == name:
            return protocol
    if isinstance(name, str) and name.startswith("sse"):
        return QueueProtocol.SSE_V3
    raise UnsupportedProtocol(
        f"the Space runs Gradio {mask(version)[:40] or 'in an unknown version'}, whose queue speaks "
        f"{'WebSocket' if name in (None, 'ws') else mask(repr(name))[:40]}.",
        hint="Gradio 4, 5 and 6 are supported; Gradio 3 is not.",
    )
