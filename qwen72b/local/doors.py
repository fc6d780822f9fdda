"""
The doors of the local Space: who may come in, for what, and with how much.

A port on loopback is open to every web page that the user looks at. A page
reaches it under a name of its own that points to 127.0.0.1 (DNS rebinding),
which the Host header gives away, or sends a question across origins, which the
Origin header gives away. And Gradio offers much that a chat does not need, such
as keeping any file that is sent to it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from qwen72b.local.hosts import LOOPBACK_NAMES, is_loopback, split_host

__all__ = ["Doors"]

# Bytes of a request's body: a chat as long as any model reads, several times.
_MOST_BYTES = 4 * 1024 * 1024

# What the page and its clients get, by its path or the beginning of it.
_READ = frozenset(
    [
        "/",
        "/config",
        "/config/",
        "/favicon.ico",
        "/manifest.json",
        "/pwa_icon",
        "/robots.txt",
        "/theme.css",
        "/gradio_api/app_id",
        "/gradio_api/app_id/",
        "/gradio_api/info",
        "/gradio_api/info/",
        "/gradio_api/queue/data",
        "/gradio_api/queue/status",
        "/gradio_api/startup-events",
        "/gradio_api/theme.css",
    ]
)
# Scripts, fonts and pictures of Gradio's own, and the sign that a page is open.
_READ_BELOW = ("/assets/", "/static/", "/svelte/", "/pwa_icon/", "/gradio_api/heartbeat/")

_WRITE = frozenset(
    [
        "/gradio_api/queue/join",
        "/gradio_api/cancel",
        "/gradio_api/reset",
        "/gradio_api/reset/",
    ]
)


class Doors:
    """
    An ASGI app before another one, which lets through what belongs to the chat.

    Args:
        app: The app behind.
        address: Where it listens, as the socket says.
        host: Where it was asked to listen.
        allowed: Names under which it is reached besides, at any port; checked.
    """

    def __init__(
        self, app: Any, *, address: tuple[Any, ...], host: str, allowed: Collection[str]
    ) -> None:
        self._app = app
        self._port: int = address[1]
        self._others = frozenset(allowed)
        # Elsewhere nobody knows all names, so any will do unless some are given.
        own = {*LOOPBACK_NAMES, str(address[0]), host.lower()}
        self._own = own if is_loopback(str(address[0])) or self._others else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            inside = _Measured(receive, send)
            await self._app(scope, inside.receive, inside.send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _answer(send, *refusal)

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value.decode("latin-1"))
        hosts, origins = headers.get(b"host", []), headers.get(b"origin", [])
        if len(hosts) != 1 or not self._knows(hosts[0]):
            return 403, "the Host header is none of the local Space's; --allow-host allows more."
        if origins and not (len(origins) == 1 and self._is_own(origins[0], hosts[0])):
            return 403, "pages of other origins may not use the local Space."
        path, method = scope["path"], scope.get("method")
        if method in ("GET", "HEAD"):
            if path not in _READ and not path.startswith(_READ_BELOW):
                return 404, "the local Space has no such thing."
        elif method != "POST" or path not in _WRITE:
            return 404, "the local Space has no such thing."
        lengths = headers.get(b"content-length", ["0"])
        if any(not length.isdecimal() or int(length[:20]) > _MOST_BYTES for length in lengths):
            return 413, f"a request may have {_MOST_BYTES} bytes."
        return None

    def _knows(self, header: str) -> bool:
        name, port = split_host(header)
        if not name:
            return False
        if name in self._others or self._own is None:
            return True
        return name in self._own and (80 if port is None else port) == self._port

    def _is_own(self, origin: str, host: str) -> bool:
        """Tell whether a page is the local Space's, also behind a proxy that renames it."""
        there = origin.lower().partition("://")[2]
        return bool(there) and (there == host.lower() or split_host(there)[0] in self._others)


class _Measured:
    """A request whose body is counted, as it may have no length that is told."""

    def __init__(self, receive: Any, send: Any) -> None:
        self._receive, self._send = receive, send
        self._came = 0
        self._answered = False

    async def receive(self) -> Any:
        message = await self._receive()
        self._came += len(message.get("body", b""))
        if self._came > _MOST_BYTES and not self._answered:
            self._answered = True
            await _answer(self._send, 413, f"a request may have {_MOST_BYTES} bytes.")
        # Whoever reads it is told that the client has left, and ends.
        return {"type": "http.disconnect"} if self._answered else message

    async def send(self, message: Any) -> None:
        if not self._answered:
            await self._send(message)


async def _answer(send: Any, status: int, words: str) -> None:
    body = json.dumps({"detail": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    # What follows of the request is not read.
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
