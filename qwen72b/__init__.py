"""
Chat with Qwen2-72B-Instruct through its Hugging Face Space.

Everything public is re-exported here and loaded on first use (PEP 562), so
that ``import qwen72b`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .aio import AsyncClient
    from .astream import AsyncStream
    from .client import Client
    from .conversation import AsyncConversation, Conversation
    from .errors import (
        AuthenticationError,
        ConnectFailed,
        EndpointNotFound,
        GenerationFailed,
        HTTPStatusError,
        InvalidDiff,
        InvalidMessages,
        InvalidOption,
        InvalidRequest,
        InvalidServerMessage,
        ModelNotFound,
        ProtocolError,
        QueueFull,
        QuotaExceeded,
        Qwen72BError,
        RateLimited,
        RequestTimeout,
        SpaceError,
        SpaceUnavailable,
        StreamInterrupted,
        TransportError,
        UnsupportedProtocol,
    )
    from .events import (
        Delta,
        Event,
        Finished,
        Logged,
        Progress,
        Queued,
        Revised,
        Started,
    )
    from .provider import Qwen_Qwen_2_72B
    from .reply import Reply, Timings
    from .retry import Retry
    from .status import SpaceStatus
    from .stream import Stream
    from .timeout import Timeout

# Where each public name lives.
_HOMES = {
    "aio": "AsyncClient",
    "astream": "AsyncStream",
    "client": "Client",
    "conversation": "AsyncConversation Conversation",
    "errors": "AuthenticationError ConnectFailed EndpointNotFound GenerationFailed HTTPStatusError InvalidDiff InvalidMessages InvalidOption InvalidRequest InvalidServerMessage ModelNotFound ProtocolError QueueFull QuotaExceeded Qwen72BError RateLimited RequestTimeout SpaceError SpaceUnavailable StreamInterrupted TransportError UnsupportedProtocol",
    "events": "Delta Event Finished Logged Progress Queued Revised Started",
    "provider": "Qwen_Qwen_2_72B",
    "reply": "Reply Timings",
    "retry": "Retry",
    "status": "SpaceStatus",
    "stream": "Stream",
    "timeout": "Timeout",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "AsyncClient",
    "AsyncConversation",
    "AsyncStream",
    "AuthenticationError",
    "Client",
    "ConnectFailed",
    "Conversation",
    "Delta",
    "EndpointNotFound",
    "Event",
    "Finished",
    "GenerationFailed",
    "HTTPStatusError",
    "InvalidDiff",
    "InvalidMessages",
    "InvalidOption",
    "InvalidRequest",
    "InvalidServerMessage",
    "Logged",
    "ModelNotFound",
    "Progress",
    "ProtocolError",
    "QueueFull",
    "Queued",
    "QuotaExceeded",
    "Qwen72BError",
    "Qwen_Qwen_2_72B",
    "RateLimited",
    "Reply",
    "RequestTimeout",
    "Retry",
    "Revised",
    "SpaceError",
    "SpaceStatus",
    "SpaceUnavailable",
    "Started",
    "Stream",
    "StreamInterrupted",
    "Timeout",
    "Timings",
    "TransportError",
    "UnsupportedProtocol",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
