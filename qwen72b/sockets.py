"""
Connections that keep to a call's deadlines and can be hung up from outside.

urllib3's timeouts are per ``recv`` and per address, and do not cover the name
lookup. These connections ask the call before every blocking step how long it
may take, so that no trickle of bytes outlasts a deadline; and they tell the
call how to shut their socket down.
"""

from __future__ import annotations

import errno
import socket
import ssl
import struct
from functools import partial
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from .call import Call, current_call, shut_down

__all__ = ["Adapter", "BoundedSocket", "CallConnection", "CallSocket", "TLSCallConnection"]

# Idle connections kept per host. Many threads may use one client; beyond this
# number each stream would open and drop connections of its own.
_POOL_SIZE = 1024

# Python's own buffers of 8 kB hold 25 deltas; a burst then costs the async side
# a hop for each 25.
_BUFFER_BYTES = 32768

# Seconds by which the kernel's timeout may differ from the call's limit.
_SLACK = 0.1


class BoundedSocket:
    """A socket whose every receive is bounded by its call."""

    call: Call | None = None
    # While False a receive takes what is there instead of waiting for more.
    waits = True
    # While True the socket carries a stream: only receives, and many of them.
    streams = False

    def makefile(self, mode: str = "r", buffering: int | None = None, **kwargs: Any) -> Any:
        size = _BUFFER_BYTES if buffering is None else buffering
        return super().makefile(mode, size, **kwargs)  # type: ignore[misc]  # a mixin

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if not self.waits:
            self.settimeout(0)  # type: ignore[attr-defined]  # a mixin
        elif self.call is not None:
            self.settimeout(self.call.limit())  # type: ignore[attr-defined]  # a mixin
        try:
            received: int = super().recv_into(*args, **kwargs)  # type: ignore[misc]  # a mixin
        except ssl.SSLWantReadError as exc:
            # What a plain socket says, and what socket.SocketIO knows.
            raise BlockingIOError(errno.EAGAIN, "nothing has come") from exc
        return received


class CallSocket(BoundedSocket, socket.socket):
    """
    A plain socket of a call.

    With a timeout of Python's each receive is two system calls, with changes of
    the timeout around it five; each lets go of the interpreter's lock, for which
    many streams in threads then queue (1,000 of them took 1.4 times as long).
    In a stream the timeout is the kernel's instead, and one call is enough.
    """

    # The kernel's timeout in seconds; 0 is none.
    _bound = 0.0
    # The last receive took all that had come.
    _drained = False

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if not self.streams or self.call is None:
            return super().recv_into(*args, **kwargs)
        if self.gettimeout() is not None:
            self.settimeout(None)
        if not self.waits:
            if self._drained:
                raise BlockingIOError(errno.EAGAIN, "nothing has come")
            return self._receive(args[0], socket.MSG_DONTWAIT)
        while True:
            self._set_bound(self.call.limit())
            try:
                return self._receive(args[0], 0)
            except BlockingIOError:
                # The kernel's timeout; whether it is the call's, limit() tells.
                continue

    def _receive(self, buffer: memoryview, flags: int) -> int:
        received = socket.socket.recv_into(self, buffer, 0, flags)
        self._drained = received < len(buffer)
        return received

    def _set_bound(self, limit: float | None) -> None:
        # Deadlines move all the time; a tenth of a second late will do, and
        # early costs another look.
        bound = limit or 0.0
        if bound and self._bound and abs(bound - self._bound) <= _SLACK or bound == self._bound:
            return
        seconds = int(bound)
        timeval = struct.pack("@ll", seconds, int((bound - seconds) * 1e6))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        self._bound = bound


class _TLSSocket(BoundedSocket, ssl.SSLSocket):
    pass


class CallConnection(HTTPConnection):
    """A connection that belongs to the call of the thread that uses it."""

    def _new_conn(self) -> socket.socket:
        call = current_call()
        if call is None:
            return super()._new_conn()
        return self.open_socket(call)

    def open_socket(self, call: Call) -> socket.socket:
        """Look the name up and try its addresses in turn, all within the call's deadlines."""
        failure: OSError | None = None
        for family, kind, protocol, _, address in self._look_up(call):
            sock = CallSocket(family, kind, protocol)
            # TLS takes the file descriptor out of this socket object during
            # the handshake; a duplicate can be shut down all along.
            probe = sock.dup()
            self._probes.append(probe)
            call.hang_up_with(partial(shut_down, probe))
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                if self.source_address:
                    sock.bind(self.source_address)
                sock.settimeout(call.limit())
                sock.connect(address)
                sock.settimeout(call.limit())
            except OSError as exc:
                sock.close()
                failure = exc
                if call.aborted or isinstance(exc, TimeoutError):
                    break
                continue
            except BaseException:
                sock.close()
                raise
            sock.call = call
            return sock
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(f"Connecting to {self.host} timed out") from failure
        raise NewConnectionError(
            self, f"Failed to establish a new connection: {failure}"
        ) from failure

    def _look_up(self, call: Call) -> list[Any]:
        host, port = self._dns_host, self.port
        try:
            if _is_address(host):
                return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
            return call.run(lambda: socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except socket.gaierror as exc:
            raise NameResolutionError(self.host, self, exc) from exc
        except UnicodeError as exc:
            raise NameResolutionError(
                self.host, self, socket.gaierror(f"label empty or too long: {exc}")
            ) from exc

    def connect(self) -> None:
        call = current_call()
        if call is None:
            super().connect()
            return
        self._probes: list[socket.socket] = []
        call.clock.start("connect")
        try:
            super().connect()
        finally:
            call.hang_up_with(None)
            for probe in self._probes:
                probe.close()
        call.clock.stop("connect")
        self._belong_to(call)

    def request(self, *args: Any, **kwargs: Any) -> None:
        call = current_call()
        if call is not None:
            if self.sock is None:
                # http.client would connect with the head, and so the token, in
                # its local variables, which some tracebacks show.
                self.connect()
            else:
                self._belong_to(call)
        super().request(*args, **kwargs)

    def _belong_to(self, call: Call) -> None:
        sock = self.sock
        # TLS within TLS (an https proxy) reads through the inner socket, which
        # has its call already.
        if isinstance(sock, BoundedSocket):
            sock.call = call
            sock.streams = False
        sock.settimeout(call.limit())
        if isinstance(sock, socket.socket):
            call.hang_up_with(partial(shut_down, sock))


class TLSCallConnection(CallConnection, HTTPSConnection):
    def connect(self) -> None:
        if self.ssl_context is None:
            # As urllib3 makes it; only the class of its sockets differs.
            self.ssl_context = create_urllib3_context(cert_reqs=resolve_cert_reqs(self.cert_reqs))
            self.ssl_context.sslsocket_class = _TLSSocket
        super().connect()


class _Pool(HTTPConnectionPool):
    ConnectionCls = CallConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = TLSCallConnection


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


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
        Close every idle connection at once.

        ``PoolManager.clear`` only forgets its pools, which then keep their
        sockets for as long as any response of theirs is referenced.
        """
        for manager in [self.poolmanager, *self.proxy_manager.values()]:
            for key in manager.pools.keys():  # noqa: SIM118  # no mapping: it cannot be iterated
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()
