"""
uvicorn around the app: where it listens, and under which names.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Collection, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ..errors import InvalidOption
from ..local.hosts import checked_names
from ..local.serving import ServerThread, base_url_of, listen
from .asgi import MAX_BODY, Gateway, app
from .channel import Receive, Scope, Send
from .guard import LOOPBACK_NAMES
from .hangups import noticing
from .heads import HeadTimes
from .writes import Writes

if TYPE_CHECKING:
    from ..aio.client import AsyncClient

__all__ = ["host_names", "running", "served"]


@contextlib.contextmanager
def running(
    client: AsyncClient,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    allow_hosts: Collection[str] = (),
    key: str | None = None,
    aliases: Collection[str] = (),
    any_model: bool = False,
    cors: Collection[str] = (),
    max_requests: int = 256,
    max_body: int = MAX_BODY,
) -> Iterator[str]:
    """
    Serve a Space in a thread for the length of a ``with`` block.

    Args:
        client: The Space's client. It stays open.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        allow_hosts: Names that the Host header may have besides those of this
            machine, or, elsewhere than on loopback, besides the address.
        key: As in ``app``; a must elsewhere than on loopback.
        aliases: As in ``app``.
        any_model: As in ``app``.
        cors: As in ``app``.
        max_requests: As in ``app``.
        max_body: As in ``app``.

    Yields:
        The gateway's URL, once it takes requests; OpenAI's base URL is this
        and ``/v1``.

    Raises:
        InvalidOption: If an argument has no usable value, the address is
            taken, or the extra ``gateway`` is not installed.

    Example:
        >>> from qwen72b.gateway import running
        >>> with running(AsyncClient()) as url:
        ...     print(urllib.request.urlopen(f"{url}/v1/models").status)
        200
    """
    with listen(host, port, "gateway") as listener:
        gateway = app(
            client,
            aliases=aliases,
            any_model=any_model,
            key=key,
            hosts=host_names(host, listener, allow_hosts, key),
            cors=cors,
            max_requests=max_requests,
            max_body=max_body,
        )
        with served(gateway, listener):
            yield base_url_of(host, listener)


@contextlib.contextmanager
def served(gateway: Gateway, listener: socket.socket) -> Iterator[None]:
    """
    Serve the app in a thread for the length of a ``with`` block.

    Args:
        gateway: The app.
        listener: Where it listens.

    Yields:
        Once it takes requests.

    Raises:
        InvalidOption: If the extra ``gateway`` is not installed.
    """
    try:
        # Not httptools, which takes heads of any size.
        from uvicorn.protocols.http.h11_impl import H11Protocol
    except ImportError as exc:
        raise InvalidOption(
            "The gateway is not installed.", hint="Run: pip install uvicorn"
        ) from exc
    heads, writes = HeadTimes(), Writes()
    settings = {
        "http": heads.limiting(noticing(writes.gathering(H11Protocol))),
        # Whose request it is matters to nobody, and a header can be made up.
        "proxy_headers": False,
        "server_header": False,
        # It would name paths.
        "access_log": False,
    }
    server = ServerThread(
        lambda: _telling(gateway, heads, writes), listener, name="gateway", settings=settings
    )
    try:
        server.start()
        yield
    finally:
        server.stop()


def host_names(
    host: str, listener: socket.socket, allowed: Collection[str], key: str | None
) -> list[str]:
    """
    Say what the Host header may name.

    Args:
        host: The address to listen on, as it was given.
        listener: What listens there.
        allowed: Further names.
        key: What clients must know.

    Returns:
        The names.

    Raises:
        InvalidOption: If the door would be open to everybody, or to nobody.
    """
    allowed = checked_names("allow_hosts", allowed)
    address = ip_address(listener.getsockname()[0].partition("%")[0])
    if address.is_loopback:
        return [*LOOPBACK_NAMES, str(address), *allowed]
    if key is None:
        raise InvalidOption(
            f"{host} can be reached from elsewhere, and there is no key.",
            hint="Give key=, or listen on 127.0.0.1.",
        )
    if not address.is_unspecified:
        return [str(address), host, *allowed]
    if not allowed:
        raise InvalidOption(
            f"{host} is every address of this machine.",
            hint="Name the host that clients use with allow_hosts=.",
        )
    return allowed


def _telling(gateway: Gateway, heads: HeadTimes, writes: Writes) -> Any:
    """Have the app tell for which connections a request has come, and what it sends at once."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            with heads.answering(scope["client"]):
                await gateway(scope, receive, writes.gathered(scope["client"], send))
        else:
            await gateway(scope, receive, send)

    return app
