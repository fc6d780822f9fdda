"""
requests' adapter on connections that belong to calls.
"""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager

from .connections import CallConnection, TLSCallConnection
from .idle import IdleConnections

__all__ = ["Adapter"]

# Idle connections kept per host. Many threads may use one client; beyond this
# number each stream would open and drop connections of its own.
_POOL_SIZE = 1024


class _Pool(HTTPConnectionPool):
    ConnectionCls = CallConnection
    QueueCls = IdleConnections  # type: ignore[assignment]  # all that a pool asks of a queue


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = TLSCallConnection
    QueueCls = IdleConnections  # type: ignore[assignment]  # as above


class Adapter(HTTPAdapter):
    """requests' adapter on these connections, direct and through HTTP and SOCKS proxies."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=_POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        known = proxy in self.proxy_manager
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        if not known:
            if proxy.lower().startswith("socks"):
                from .socks import pools

                manager.pool_classes_by_scheme = pools()
            else:
                manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager

    def close(self) -> None:
        """
        Close every idle connection at once; idempotent, and from a signal handler too.

        ``PoolManager.clear`` only forgets its pools, which then keep their
        sockets for as long as any response of theirs is referenced.
        """
        for manager in [self.poolmanager, *self.proxy_manager.values()]:
            for key in manager.pools.keys():  # noqa: SIM118  # no mapping: it cannot be iterated
                pool = manager.pools.get(key)
                if pool is not None:
                    if isinstance(pool.pool, IdleConnections):
                        pool.pool.close()
                    pool.close()
        super().close()
