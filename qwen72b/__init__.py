"""
Chat with Qwen2-72B-Instruct through its Hugging Face Space.

Everything public is re-exported here and loaded on first use (PEP 562), so
that ``import qwen72b`` costs next to nothing.
"""

# Under other names: what is public here is listed below, and nothing else.
import typing as _typing
from importlib import import_module as _import_module

from .version import __version__ as __version__

if _typing.TYPE_CHECKING:
    from .aio.batch import AsyncBatch
    from .aio.client import AsyncClient
    from .aio.conversation import AsyncConversation
    from .aio.stream import AsyncStream
    from .batch.batch import Batch
    from .batch.items import Item
    from .batch.journal import Journal
    from .batch.progress import Tally
    from .batch.result import Answered, Failed, Result
    from .client.client import Client
    from .client.conversation import Conversation
    from .client.description import Description
    from .client.status import SpaceStatus
    from .client.stream import Stream
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
        Attachment,
        Delta,
        Event,
        Finished,
        Logged,
        Progress,
        Queued,
        Revised,
        Started,
        Thought,
    )
    from .messages import Messages
    from .provider import Qwen_Qwen_2_72B
    from .reply import Reply, Timings
    from .retry import Retry
    from .timeout import Timeout, TimeoutLike

# Where each public name lives.
_HOMES = {
    "aio.batch": "AsyncBatch",
    "aio.client": "AsyncClient",
    "aio.conversation": "AsyncConversation",
    "aio.stream": "AsyncStream",
    "batch.batch": "Batch",
    "batch.items": "Item",
    "batch.journal": "Journal",
    "batch.progress": "Tally",
    "batch.result": "Answered Failed Result",
    "client.client": "Client",
    "client.conversation": "Conversation",
    "client.description": "Description",
    "client.status": "SpaceStatus",
    "client.stream": "Stream",
    "errors": "AuthenticationError ConnectFailed EndpointNotFound GenerationFailed HTTPStatusError InvalidDiff InvalidMessages InvalidOption InvalidRequest InvalidServerMessage ModelNotFound ProtocolError QueueFull QuotaExceeded Qwen72BError RateLimited RequestTimeout SpaceError SpaceUnavailable StreamInterrupted TransportError UnsupportedProtocol",
    "events": "Attachment Delta Event Finished Logged Progress Queued Revised Started Thought",
    "messages": "Messages",
    "provider": "Qwen_Qwen_2_72B",
    "reply": "Reply Timings",
    "retry": "Retry",
    "timeout": "Timeout TimeoutLike",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Answered",
    "AsyncBatch",
    "AsyncClient",
    "AsyncConversation",
    "AsyncStream",
    "Attachment",
    "AuthenticationError",
    "Batch",
    "Client",
    "ConnectFailed",
    "Conversation",
    "Delta",
    "Description",
    "EndpointNotFound",
    "Event",
    "Failed",
    "Finished",
    "GenerationFailed",
    "HTTPStatusError",
    "InvalidDiff",
    "InvalidMessages",
    "InvalidOption",
    "InvalidRequest",
    "InvalidServerMessage",
    "Item",
    "Journal",
    "Logged",
    "Messages",
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
    "Result",
    "Retry",
    "Revised",
    "SpaceError",
    "SpaceStatus",
    "SpaceUnavailable",
    "Started",
    "Stream",
    "StreamInterrupted",
    "Tally",
    "Thought",
    "Timeout",
    "TimeoutLike",
    "Timings",
    "TransportError",
    "UnsupportedProtocol",
]


def __getattr__(name: str) -> _typing.Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = _import_module(f".{home}", __name__)
    except AttributeError as exc:
        # ``from qwen72b import ...`` hides an AttributeError of ours behind an
        # ImportError without its cause.
        raise ImportError(f"{__name__}.{home} cannot be loaded: {exc}") from exc
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(["__version__", *__all__])
