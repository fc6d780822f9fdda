"""
The async side, on asyncio and trio: beside the blocking one, on the same answers.
"""

from __future__ import annotations

from .client import AsyncClient
from .stream import AsyncStream

__all__ = ["AsyncClient", "AsyncStream"]
