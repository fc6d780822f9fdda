"""
Connections that keep to a call's deadlines and can be hung up from outside.

urllib3's timeouts are per ``recv`` and per address, and do not cover the name
lookup. These connections are bounded in every step, and tell the call how to
shut their socket down.

They hang on one private part of urllib3: ``HTTPConnection._new_conn``, which
makes the socket. Should it go, urllib3 makes its own sockets, which know no
call; then a thread guards each of them, as it guards those of a caller's own
session (``CallScope.watch``): slower, and the deadlines hold all the same.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.response import HTTPResponse
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from .head import Head
from .interrupts import from_signal_handler
from .race import race
from .scope import CallScope, active, shut_down
from .sockets import BoundedSocket, TLSSocket

__all__ = ["CallConnection", "TLSCallConnection"]

log = logging.getLogger("qwen72b")

# Bytes of a body that is copied to go with its head.
_SMALL_BYTES = 65536


class CallConnection(HTTPConnection):
    """A connection that belongs to the call of the thread that uses it."""

    response_class = Head
    # Whether nothing was asked over it yet.
    _fresh = False
    # Makes the present request once more; ``None`` if it may not be.
    _repeat: Callable[[OSError], None] | None = None
    # Sets the tunnel through a proxy up again.
    _dig: Callable[[], None] | None = None

    def _new_conn(self) -> socket.socket:
        scope: CallScope | None = getattr(active, "scope", None)
        if scope is None:
            return super()._new_conn()
        return self.open_socket(scope)

    def open_socket(self, scope: CallScope) -> socket.socket:
        """Look the name up and connect to one of its addresses, within the call's deadlines."""
        found = self._look_up(scope)
        try:
            sock = race(found, scope, self._prepare)
            try:
                scope.hang_up_with(partial(shut_down, self.probe(sock)))
                sock.belong_to(scope)
            except BaseException:
                sock.close()
                raise
        except TimeoutError as exc:
            raise ConnectTimeoutError(f"Connecting to {self.host} timed out") from exc
        except OSError as exc:
            raise NewConnectionError(self, f"Failed to establish a new connection: {exc}") from exc
        return sock

    def _prepare(self, sock: socket.socket) -> None:
        for option in self.socket_options or ():
            sock.setsockopt(*option)
        if self.source_address:
            sock.bind(self.source_address)

    def probe(self, sock: socket.socket) -> socket.socket:
        """Return what can be shut down until the connection is made."""
        return sock

    def _look_up(self, scope: CallScope) -> list[Any]:
        # With the dot at its end that ends the search, which ``host`` does not have.
        host, port = getattr(self, "_dns_host", self.host), self.port
        if ":" in host:
            # An address with a zone comes as it is written in a URL (RFC 6874).
            host = host.replace("%25", "%")
        try:
            if _is_address(host):
                return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
            return scope.run(lambda: socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except socket.gaierror as exc:
            # Without a descriptor to ask with, the system says that there is no such name.
            socket.socket().close()
            raise NameResolutionError(self.host, self, exc) from exc
        except UnicodeError as exc:
            raise NameResolutionError(
                self.host, self, socket.gaierror(f"label empty or too long: {exc}")
            ) from exc

    def connect(self) -> None:
        scope: CallScope | None = getattr(active, "scope", None)
        if scope is None:
            super().connect()
            return
        self._fresh = True
        scope.deadlines.start("connect")
        try:
            if _makes_our_sockets():
                super().connect()
            else:
                # It knows no deadline, and can only be left behind.
                scope.run(super().connect, discard=lambda _: self.close())
        finally:
            scope.hang_up_with(None)
        scope.deadlines.stop("connect")
        self._belong_to(scope)

    def set_tunnel(self, *args: Any, **kwargs: Any) -> None:
        # Closing forgets it.
        self._dig = partial(super().set_tunnel, *args, **kwargs)
        self._dig()

    def request(self, *args: Any, **kwargs: Any) -> None:
        scope: CallScope | None = getattr(active, "scope", None)
        if scope is None:
            super().request(*args, **kwargs)
            return
        sock = self.sock
        if sock is None:
            # http.client would connect with the head, and so the token, in
            # its local variables, which some tracebacks show.
            self.connect()
        elif not self._fresh:
            if isinstance(sock, BoundedSocket):
                # urllib3 sets its timeout, which is the call's limit.
                sock.streams = sock.drained = sock.heard = False
                sock.scope = scope
                scope.hang_up_with(partial(shut_down, sock))
            else:
                self._belong_to(scope)
            self._repeat = lambda exc: self._ask_again(scope, exc, *args, **kwargs)
        self._fresh = False
        body = kwargs.get("body")
        if not isinstance(body, bytes) or not 0 < len(body) <= _SMALL_BYTES:
            pieces: list[bytes] | None = None
        else:
            # Head and body apart would each wake the other side, and go as a
            # segment of its own.
            pieces = []
            self.send = pieces.append  # type: ignore[method-assign,assignment]  # until both are in
        try:
            super().request(*args, **kwargs)
            if pieces is not None:
                del self.send
                self.send(b"".join(pieces))
        except ssl.SSLEOFError:
            # As urllib3 does with a broken pipe: what was answered tells.
            if self._repeat is None:
                raise
        finally:
            vars(self).pop("send", None)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
        repeat, self._repeat = self._repeat, None
        sock = self.sock
        try:
            return super().getresponse()
        except OSError as exc:
            if repeat is None or not isinstance(sock, BoundedSocket) or sock.heard:
                raise
            if from_signal_handler(exc):
                raise
            # The connection was used before, and no byte of an answer has come:
            # it was closed while it was idle (RFC 9112, section 9.3.1).
            repeat(exc)
        return super().getresponse()

    def _ask_again(self, scope: CallScope, error: OSError, *args: Any, **kwargs: Any) -> None:
        """Make a request once more, on a new connection."""
        scope.limit()
        log.debug("%s: a kept connection was dead (%s); asks on a new one", scope, error)
        self.close()
        if self._dig is not None:
            self._dig()
        self.connect()
        self.request(*args, **kwargs)

    def _belong_to(self, scope: CallScope) -> None:
        sock = self.sock
        hang_up = partial(shut_down, sock) if isinstance(sock, socket.socket) else None
        if isinstance(sock, BoundedSocket):
            sock.streams = sock.drained = sock.heard = sock.opening = False
            sock.belong_to(scope)
            scope.hang_up_with(hang_up)
            return
        sock.settimeout(scope.limit())
        # TLS within TLS (an https proxy) is no socket, and reads through the
        # inner one, which has its call already.
        if hang_up is not None:
            _warn_once()
            scope.watch(hang_up)


class TLSCallConnection(CallConnection, HTTPSConnection):
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


# Whether it was said that urllib3 makes its own sockets.
_warned = False


def _makes_our_sockets() -> bool:
    """Tell whether urllib3 asks ``_new_conn`` of ours for its sockets."""
    return (
        not _warned and hasattr(HTTPConnection, "_new_conn") and "_new_conn" in vars(CallConnection)
    )


def _warn_once() -> None:
    global _warned
    if not _warned:
        _warned = True
        log.warning(
            "urllib3 makes its sockets in a way that is not known here; a thread guards "
            "each connection, which is slower."
        )
