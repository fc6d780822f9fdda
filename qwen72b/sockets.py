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
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from .call import Call, current_call, shut_down

__all__ = ["Adapter", "BoundedSocket", "CallConnection", "CallSocket", "TLSCallConnection"]

T = TypeVar("T")

# Idle connections kept per host. Many threads may use one client; beyond this
# number each stream would open and drop connections of its own.
_POOL_SIZE = 1024

# Seconds that the main thread waits before it looks for a signal, such as Ctrl-C,
# that came just before the system call and so did not end it.
_GLANCE = 0.1

# Seconds by which a socket's timeout may differ from the call's limit.
_SLACK = 0.1


class BoundedSocket(socket.socket):
    """A socket whose every receive is bounded by its call."""

    call: Call | None = None
    # While True the socket carries a body that is taken with ``receive``; what
    # buffers it gives nothing more to whoever looks into them.
    streams = False
    # Whether a short receive has taken all that had come; TLS may hold bytes that
    # the system no longer shows.
    takes_all = False
    # All that had come was taken; set to False by whoever waits for more.
    drained = False

    def belong_to(self, call: Call) -> None:
        """Keep to a call's limits from now on."""
        self.call = call
        self.settimeout(call.limit())

    def settimeout(self, value: float | None) -> None:
        # Deadlines come nearer with every look at them. A little late will do,
        # and spares a system call; early would be an error.
        before = self.gettimeout()
        if value and before and 0 <= before - value <= _SLACK:
            return
        super().settimeout(value)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        if self.streams:
            raise BlockingIOError(errno.EAGAIN, "the body is received directly")
        return self.patiently(super().recv_into, *args, **kwargs)

    def receive(self, most: int, *, wait: bool) -> bytes | None:
        """
        Take what has come.

        Args:
            most: Bytes.
            wait: Whether to wait for some, as long as the call may.

        Returns:
            Bytes; empty at the end, ``None`` if none have come.

        Raises:
            OSError: If the connection failed, or the call ended or is late.
        """
        if wait:
            data = self.patiently(self.recv, most)
        else:
            self.limit()
            if self.drained:
                return None
            try:
                data = self.receive_now(most)
            except (BlockingIOError, ssl.SSLWantReadError):
                self.drained = True
                return None
            except ssl.SSLWantWriteError:
                # TLS has something to say before it goes on (RFC 8446, 4.6.3).
                return None
        self.drained = self.takes_all and len(data) < most
        return data

    def receive_now(self, most: int) -> bytes:
        """Receive without waiting; raises if nothing has come."""
        self.settimeout(0.0)
        return self.recv(most)

    def patiently(self, step: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Do a step that may wait, for as long as the call may."""
        while True:
            limit = self.limit()
            if threading.get_ident() == threading.main_thread().ident:
                limit = min(limit or _GLANCE, _GLANCE)
            self.bound(limit)
            try:
                return step(*args, **kwargs)
            except (TimeoutError, BlockingIOError):
                # The socket's timeout; whether it is the call's, the limit tells.
                continue

    def bound(self, seconds: float | None) -> None:
        """Set the longest wait."""
        self.settimeout(seconds)

    def limit(self) -> float | None:
        """Tell how long the call may wait; raises if it ended or is late."""
        return None if self.call is None else self.call.limit()


class CallSocket(BoundedSocket):
    """
    A plain socket that waits with the kernel's timeouts instead of Python's.

    With Python's each step is two system calls, and five where the timeout
    changes; each lets go of the interpreter's lock, for which many streams in
    threads then queue (1,000 of them took 1.4 times as long, and 200 joins at
    once 1.2 times).
    """

    takes_all = True

    # The kernel's timeouts in seconds; 0 is none.
    _bound = 0.0

    def belong_to(self, call: Call) -> None:
        if self.call is None:
            self.settimeout(None)
        self.call = call

    def settimeout(self, value: float | None) -> None:
        # Once it is connected, its call's limits are the only ones.
        if self.call is None:
            super().settimeout(value)

    def sendall(self, data: Any, flags: int = 0) -> None:
        view = memoryview(data).cast("B")
        while view:
            view = view[self.patiently(self.send, view, flags) :]

    def receive_now(self, most: int) -> bytes:
        return self.recv(most, socket.MSG_DONTWAIT)

    def bound(self, seconds: float | None) -> None:
        # Deadlines move all the time; a tenth of a second late will do, and
        # early costs another look.
        bound = seconds or 0.0
        if bound and self._bound and abs(bound - self._bound) <= _SLACK or bound == self._bound:
            return
        whole = int(bound)
        timeval = struct.pack("@ll", whole, int((bound - whole) * 1e6))
        for option in socket.SO_RCVTIMEO, socket.SO_SNDTIMEO:
            self.setsockopt(socket.SOL_SOCKET, option, timeval)
        self._bound = bound


class _TLSSocket(BoundedSocket, ssl.SSLSocket):
    pass


class CallConnection(HTTPConnection):
    """A connection that belongs to the call of the thread that uses it."""

    # Windows tells its kernel's timeouts in another way.
    socket_class: type[BoundedSocket] = BoundedSocket if sys.platform == "win32" else CallSocket

    def _new_conn(self) -> socket.socket:
        call = current_call()
        if call is None:
            return super()._new_conn()
        return self.open_socket(call)

    def open_socket(self, call: Call) -> socket.socket:
        """Look the name up and try its addresses in turn, all within the call's deadlines."""
        failure: OSError | None = None
        for family, kind, protocol, _, address in self._look_up(call):
            sock = self.socket_class(family, kind, protocol)
            call.hang_up_with(partial(shut_down, self.probe(sock)))
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                if self.source_address:
                    sock.bind(self.source_address)
                sock.settimeout(call.limit())
                sock.connect(address)
                sock.belong_to(call)
            except OSError as exc:
                sock.close()
                failure = exc
                if call.aborted or isinstance(exc, TimeoutError):
                    break
                continue
            except BaseException:
                sock.close()
                raise
            return sock
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(f"Connecting to {self.host} timed out") from failure
        raise NewConnectionError(
            self, f"Failed to establish a new connection: {failure}"
        ) from failure

    def probe(self, sock: socket.socket) -> socket.socket:
        """Return what can be shut down until the connection is made."""
        return sock

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
        call.clock.start("connect")
        try:
            super().connect()
        finally:
            call.hang_up_with(None)
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
            sock.streams = sock.drained = False
            sock.belong_to(call)
        else:
            sock.settimeout(call.limit())
        if isinstance(sock, socket.socket):
            call.hang_up_with(partial(shut_down, sock))


class TLSCallConnection(CallConnection, HTTPSConnection):
    # TLS is laid over it by Python, which knows its own timeouts only.
    socket_class = BoundedSocket

    def connect(self) -> None:
        if self.ssl_context is None:
            # As urllib3 makes it; only the class of its sockets differs.
            self.ssl_context = create_urllib3_context(cert_reqs=resolve_cert_reqs(self.cert_reqs))
            self.ssl_context.sslsocket_class = _TLSSocket
        self._probes: list[socket.socket] = []
        try:
            super().connect()
        finally:
            for probe in self._probes:
                probe.close()

    def probe(self, sock: socket.socket) -> socket.socket:
        # TLS takes the file descriptor out of the socket object during the
        # handshake; a duplicate can be shut down all along.
        duplicate = sock.dup()
        self._probes.append(duplicate)
        return duplicate


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
