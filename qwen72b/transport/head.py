"""
The head of an answer, behind whatever was sent ahead of it.
"""

from __future__ import annotations

from http.client import HTTPException, HTTPResponse

__all__ = ["Head"]

# Answers that may come ahead of the one that was asked for. A server sends one
# or two; more than this many is no server's.
_MOST_AHEAD = 100

# The one that is final: "Switching Protocols", which nobody asked for.
_SWITCHING = 101


class Head(HTTPResponse):
    """http.client's response, which skips every 1xx (RFC 9110, section 15.2), not only 100."""

    def begin(self) -> None:
        """Read the head of the final answer."""
        for _ in range(_MOST_AHEAD):
            super().begin()
            if not 100 <= self.status < 200 or self.status == _SWITCHING:
                return
            # It reads no further head while it has one.
            self.headers = self.msg = None  # type: ignore[assignment]  # as before its first one
        raise HTTPException(f"got more than {_MOST_AHEAD} answers ahead of the final one")
