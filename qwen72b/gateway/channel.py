"""
One HTTP request on ASGI: its body in, its answer out.

A ``StreamingResponse`` over a generator would be iterated in another task than the
one that asks the Space: early errors became 500 and a hang-up before the first
text was not seen. So the app owns its request from the first byte to the last,
and this is all that it needs of a framework.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from anyio import fail_after, move_on_after

from .answers import Headers, Refusal, to_json

__all__ = ["Channel", "Gone", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Seconds for a request's whole body.
BODY_TIME = 60.0

# Seconds to read on before a refusal: a server that closes a connection with bytes
# unread resets it, and the client never sees the answer.
DRAIN_TIME = 2.0


class Gone(Exception):
    """The client hung up."""


class Channel:
    """
    A request and the way to answer it.

    Args:
        scope: ASGI's description of the request.
        receive: ASGI's way to more of it.
        send: ASGI's way to the client.

    Attributes:
        method: The HTTP method.
        path: The path below the point where the app is mounted.
        headers: The request's headers, the last of each name.
        extra: Headers that every response gets.
        status: The status that was sent; 0 before.
        streams: Whether the response has begun and not ended.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        root = scope.get("root_path", "").rstrip("/")
        path: str = scope["path"]
        self.path = path.removeprefix(root) if path.startswith(f"{root}/") else path
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.extra: Headers = []
        self.status = 0
        self.streams = False
        self._receive = receive
        self._send = send
        self._body_read = False
        self._asked_for_body = False

    def header(self, name: str) -> str:
        """
        Give a header of the request.

        Args:
            name: Its name in lower case.

        Returns:
            Its value; empty without one.
        """
        return self.headers.get(name.encode(), b"").decode("latin-1").strip()

    async def read_body(self, most: int) -> bytes:
        """
        Read the request's body.

        Args:
            most: Bytes that are taken at most.

        Returns:
            The body.

        Raises:
            Refusal: If it is larger, or does not come.
            Gone: If the client hung up.
        """
        length = self.header("content-length")
        if length.isdecimal() and int(length[:20]) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        size = 0
        try:
            with fail_after(BODY_TIME):
                while not self._body_read:
                    parts.append(await self._next_part())
                    size += len(parts[-1])
                    if size > most:
                        raise _too_large(most)
        except TimeoutError:
            raise Refusal(
                408, f"the body did not come within {BODY_TIME:g} s.", code="timeout"
            ) from None
        return b"".join(parts)

    async def drain(self, most: int) -> None:
        """
        Read on for a moment and forget what comes, so that the client sees the answer.

        Args:
            most: Bytes to read at most.

        Raises:
            Gone: If the client hung up.
        """
        if self.header("expect") and not self._asked_for_body:
            # It waits to be asked for the body, and is not.
            return
        with move_on_after(DRAIN_TIME):
            while not self._body_read and most > 0:
                most -= len(await self._next_part())

    async def wait_for_hangup(self) -> None:
        """Return once the client has hung up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def respond(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """
        Answer with a body that is there.

        Args:
            status: The HTTP status.
            body: JSON; may be empty.
            headers: Further headers.
        """
        length = (b"content-length", b"%d" % len(body))
        kind = [(b"content-type", b"application/json")] if body else []
        await self.begin(status, [*kind, length, *(headers or ())])
        await self.write(b"" if self.method == "HEAD" else body, more=False)

    async def refuse(self, refusal: Refusal) -> None:
        """
        Answer with an error.

        Args:
            refusal: The error.
        """
        headers = refusal.headers
        if not self._body_read and self.method == "POST":
            # What is left of the body would be taken for the next request.
            headers = [*headers, (b"connection", b"close")]
        await self.respond(refusal.status, to_json(refusal.body), headers)

    async def begin(self, status: int, headers: Headers) -> None:
        """
        Send the response's head.

        Args:
            status: The HTTP status.
            headers: The headers.
        """
        self.status, self.streams = status, True
        head = [*headers, *self.extra]
        try:
            await self._send({"type": "http.response.start", "status": status, "headers": head})
        except OSError as exc:
            # How a server may say that the client has gone (ASGI 2.4).
            raise Gone from exc

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """
        Send a part of the body; wait while the client does not read.

        Args:
            data: The part.
            more: Whether there is more to come.
        """
        self.streams = more
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except OSError as exc:
            raise Gone from exc

    async def _next_part(self) -> bytes:
        self._asked_for_body = True
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Gone
        self._body_read = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the body is larger than {most} bytes.", code="request_too_large")
