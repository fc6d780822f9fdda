"""
Connections that keep to a call's deadlines and can be hung up from outside.

urllib3's timeouts are per ``recv`` and per address, and do not cover the name
lookup. These connections are bounded in every step, and tell the call how to
shut their socket down.
"""

from __future__ import annotations

import socket
import sys
from functools import partial
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from .scope import Call, current_call, shut_down
from .sockets import BoundedSocket, CallSocket, TLSSocket

__all__ = ["CallConnection", "TLSCallConnection"]


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
            self.ssl_context.sslsocket_class = TLSSocket
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


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False
