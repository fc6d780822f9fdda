"""
Record of one job that a client has joined.

What became of a job? The fields are written by the server's side (`routes`,
`record`) and read by the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .http11 import Request
from .layout import Role

__all__ = ["Job"]


@dataclass(eq=False)
class Job:
    """
    A job that a client has joined, and what became of it.

    Attributes:
        session_hash: The client's.
        event_id: The server's.
        fn_index: The function that was called.
        request: The request that carried the data, once it has come.
        data: The function's arguments as they were sent.
        query: What was asked.
        history: The chatbot's value as it was sent.
        system: The system text.
        state: ``waiting`` for a stream, ``running``, ``finished`` (a completion
            was sent), ``cancelled`` (the client hung up before) or ``broken``
            (the script, or the end of the Space, ended the stream without one).
        cancelled_at: When the client hung up, on `time.monotonic`'s clock.
        connection: The stream's connection, by number.
        outputs: What part each of the function's results plays.
        replica: The cookie of the client that joined it, with sticky sessions.
    """

    session_hash: str
    event_id: str
    fn_index: int
    outputs: Sequence[Role | None] = ()
    request: Request | None = None
    data: list[Any] = field(default_factory=list)
    query: Any = None
    history: Any = None
    system: Any = None
    state: Literal["waiting", "running", "finished", "cancelled", "broken"] = "waiting"
    cancelled_at: float | None = None
    connection: int | None = None
    replica: str | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the client hung up before the end."""
        return self.state == "cancelled"

    def take(self, request: Request, roles: Sequence[Role | None]) -> None:
        """Read the data of a join."""
        data = request.json().get("data")
        self.data = data if isinstance(data, list) else []
        for role, value in zip(roles, self.data, strict=False):
            if role == "query":
                self.query = value
            elif role == "chat":
                self.history = value
            elif role == "system":
                self.system = value
        self.request = request
