"""
Chat with Qwen2-72B-Instruct through its Hugging Face Space.

Everything public is re-exported here and loaded on first use (PEP 562), so
that ``import qwen72b`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives; read by __getattr__ and by the export test.
_HOMES = {
    "qwen72b.client": ("Client", "SpaceStatus"),
    "qwen72b.clocks": ("Timeout",),
    "qwen72b.errors": (
        "AuthenticationError",
        "ConnectFailed",
        "EndpointNotFound",
        "GenerationFailed",
        "HTTPStatusError",
        "InvalidDiff",
        "InvalidMessages",
        "InvalidOption",
        "InvalidRequest",
        "InvalidServerMessage",
        "ModelNotFound",
        "ProtocolError",
        "QueueFull",
        "QuotaExceeded",
        "Qwen72BError",
        "RateLimited",
        "RequestTimeout",
        "SpaceError",
        "SpaceUnavailable",
        "StreamInterrupted",
        "TransportError",
        "UnsupportedProtocol",
    ),
    "qwen72b.events": (
        "Delta",
        "Event",
        "Finished",
        "Logged",
        "Progress",
        "Queued",
        "Revised",
        "Started",
    ),
    "qwen72b.reply": ("Reply", "Timings"),
    "qwen72b.retry": ("Retry",),
    "qwen72b.stream": ("Stream",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    try:
        home = _HOME_OF[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
