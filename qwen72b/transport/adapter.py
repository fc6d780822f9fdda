"""
requests' adapter on connections that belong to calls.
"""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.exceptions import HTTPError

from .connections import CallConnection, TLSCallConnection
from .idle import IdleConnections
from .prepared import Filled

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


class _LightResponse(requests.Response):
    """A response without what is not asked for here: its cookies, history and encoding."""

    def __init__(self, request: requests.PreparedRequest, raw: Any) -> None:
        # Not super's, half of whose time goes into a cookie jar.
        self.__dict__.update(_BLANK)
        self.status_code = raw.status
        self.headers = raw.headers
        self.raw = raw
        self.reason = raw.reason
        self.url = request.url or ""
        self.request = request


_BLANK = dict(vars(requests.Response()))


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

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> Any:
        """Find the pool of connections, once for each way that requests leave."""
        if not isinstance(request, Filled):
            return super().get_connection_with_tls_context(request, *args, **kwargs)
        way = request.way
        if way.pool is None:
            way.pool = super().get_connection_with_tls_context(request, *args, **kwargs)
        return way.pool

    build_response = staticmethod(_LightResponse)  # type: ignore[assignment]  # spares a call

    def send(
        self, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> requests.Response:
        """
        Send a request, the second time without what requests looks at for each.

        Its files of certificates, its URL and its timeouts were found to be good. What
        urllib3 raises is not wrapped then.
        """
        if not isinstance(request, Filled) or request.way.pool is None or options["proxies"]:
            return super().send(request, *args, **options)
        connect, read = options["timeout"]
        try:
            raw = request.way.pool.urlopen(
                method=request.method,
                url=request.target,
                body=request.body,
                headers=request.headers,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                retries=self.max_retries,
                timeout=Timeout(connect=connect, read=read),
            )
        except HTTPError:
            # A file may have gone since, which says so with its name.
            self.cert_verify(  # type: ignore[no-untyped-call]  # no stubs
                request.way.pool, request.url, options["verify"], options["cert"]
            )
            raise
        return _LightResponse(request, raw)

    def close(self) -> None:
        """
        Close every idle connection at once; idempotent, and from a signal handler too.

        ``PoolManager.clear`` only forgets its pools, which then keep their
        sockets for as long as any response of theirs is referenced.
        """
        for manager in [self.poolmanager, *self.proxy_manager.values()]:
            # Without them, ``super().close()`` has to do.
            pools = getattr(manager, "pools", None)
            if pools is None:
                continue
            for key in pools.keys():  # noqa: SIM118  # no mapping: it cannot be iterated
                pool = pools.get(key)
                if pool is not None:
                    if isinstance(pool.pool, IdleConnections):
                        pool.pool.close()
                    pool.close()
        super().close()
