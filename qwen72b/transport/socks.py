"""
The same connections through a SOCKS proxy (extra ``[socks]``: PySocks).

PySocks negotiates with the proxy in Python, with a timeout per receive, so it
runs in a thread that the call can leave behind.
"""

from __future__ import annotations

import socket

from urllib3.contrib.socks import (
    SOCKSConnection,
    SOCKSHTTPConnectionPool,
    SOCKSHTTPSConnection,
    SOCKSHTTPSConnectionPool,
)

from .connections import CallConnection, TLSCallConnection
from .idle import IdleConnections
from .scope import CallScope
from .sockets import BoundedSocket

__all__ = ["pools"]


class _SOCKS(CallConnection, SOCKSConnection):
    def open_socket(self, scope: CallScope) -> socket.socket:
        opened = scope.run(lambda: SOCKSConnection._new_conn(self), discard=socket.socket.close)
        sock = BoundedSocket(opened.family, opened.type, opened.proto, fileno=opened.detach())
        sock.belong_to(scope)
        return sock


class _TLSSOCKS(TLSCallConnection, _SOCKS, SOCKSHTTPSConnection):
    pass


class _SOCKSPool(SOCKSHTTPConnectionPool):
    ConnectionCls = _SOCKS
    QueueCls = IdleConnections  # type: ignore[assignment]  # all that a pool asks of a queue


class _TLSSOCKSPool(SOCKSHTTPSConnectionPool):
    ConnectionCls = _TLSSOCKS
    QueueCls = IdleConnections  # type: ignore[assignment]  # as above


def pools() -> dict[str, type[SOCKSHTTPConnectionPool | SOCKSHTTPSConnectionPool]]:
    """Return the pool class of each scheme."""
    return {"http": _SOCKSPool, "https": _TLSSOCKSPool}
