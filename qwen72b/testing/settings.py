"""
Settings of a fake Space: all that a test may change between two requests.

How does it look and speak? The server's side (`app`, `routes`) reads these on
each request and never keeps one.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .dialect import Dialect
from .http11 import Framing
from .layout import Layout

__all__ = ["Settings", "Shape"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """
    How the streams look as HTTP and as server-sent events.

    Attributes:
        framing: How the body's end is told; ``length`` wants a Content-Length in `headers`.
        gzip: Compress the body (real servers do not).
        piece: Bytes per piece at most; None: each event is one piece.
        newline: What ends a line.
        bom: Begin with a byte order mark.
        status: The status code.
        content_type: The content type.
        headers: Further headers.
    """

    framing: Framing = "chunked"
    gzip: bool = False
    piece: int | None = None
    newline: str = "\n"
    bom: bool = False
    status: int = 200
    content_type: str = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True, eq=False, repr=False)
class Settings:
    """
    What a `FakeSpace` is made with; its docstring says what each means.

    Attributes:
        config: What ``/config`` gives.
        secret: What a client that has logged in holds as its cookie.
    """

    dialect: Dialect
    layout: Layout
    shape: Shape
    auth: tuple[str, str] | None
    token: str | None
    token_status: int
    sticky: bool
    max_size: int | None
    clean: bool
    config: dict[str, Any] = field(init=False, default_factory=dict)
    secret: str = field(init=False, default_factory=lambda: uuid.uuid4().hex)
