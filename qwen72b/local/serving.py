"""
A server in a thread: where it listens, when it takes requests, and how it ends.

For the local Space and for the gateway, which are uvicorn on a socket of our own:
a taken port is told before anything slow, and a free one is ours from then on.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from qwen72b.errors import InvalidOption, SpaceUnavailable

__all__ = ["ServerThread", "base_url_of", "listen", "wait_for_signal"]


_ADDRESSES = "Give an address of this machine: 127.0.0.1, or 0.0.0.0 for all of them."


def listen(host: str, port: int, what: str) -> socket.socket:
    """
    Bind an address.

    Args:
        host: The address.
        port: The port; 0 takes a free one.
        what: What shall listen there, as in "The ... cannot listen".

    Returns:
        The socket, listening.

    Raises:
        InvalidOption: If the address is taken or useless.
    """
    hint = "Choose another port, or 0 for a free one."
    if not isinstance(host, str):
        raise InvalidOption(f"The {what} cannot listen on {host!r}: it is no str.", hint=_ADDRESSES)
    if type(port) is not int or not 0 <= port < 2**16:
        raise InvalidOption(f"The {what} cannot listen on {host}: {port!r} is no port.", hint=hint)
    shown = host or "''"
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The system takes an empty name for every address of the machine.
        listener = socket.create_server((host or " ", port), family=family)
    except (OSError, UnicodeError) as exc:
        if getattr(exc, "errno", None) in (errno.EADDRINUSE, errno.EACCES):
            shown = f"{shown}, port {port}"
        else:
            hint = _ADDRESSES
        # To the system's words Python adds once more where.
        why = (getattr(exc, "strerror", None) or "it is no address").partition(" (while ")[0]
        raise InvalidOption(f"The {what} cannot listen on {shown}: {why}.", hint=hint) from exc
    # Connections inherit it. asyncio sets it too, but on sockets whose protocol is
    # named only, which this one's is not: small pieces would wait up to 40 ms for
    # the receiver's acknowledgement of the one before.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def base_url_of(host: str, listener: socket.socket) -> str:
    """
    Name the URL under which a listening socket is reached from this machine.

    Args:
        host: The address that was asked for.
        listener: The socket.
    """
    # A browser cannot go to "all addresses"; the loopback is one of them.
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{listener.getsockname()[1]}"


def wait_for_signal(ready: Callable[[], None]) -> None:
    """
    Wait for Ctrl-C, SIGTERM or the end of the terminal; call it in the main thread.

    Args:
        ready: Called once a signal ends the wait.
    """
    stop = threading.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    # Windows has none, and who has started this with nohup does not want it.
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(hangup)
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        ready()
        stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class ServerThread:
    """
    uvicorn and its thread.

    Everything of the app's happens in that thread, and inside its event loop:
    its import and its making too.

    Args:
        make_app: Makes the ASGI app, which takes part in the lifespan.
        listener: Where to listen.
        name: What it is, as in "The ... did not start".
        settings: Further settings of uvicorn's.
    """

    def __init__(
        self,
        make_app: Callable[[], Any],
        listener: socket.socket,
        *,
        name: str,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._make_app = make_app
        self._listener = listener
        self._name = name
        self._settings = settings or {}
        self._settled = threading.Event()
        self._started = False
        self._stopped = False
        self._failure: Exception | None = None
        self._server: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        thread_name = f"qwen72b-{name.rpartition(' ')[2].lower()}"
        self._thread = threading.Thread(target=self._run, name=thread_name, daemon=True)

    def start(self, meanwhile: Callable[[], None] | None = None) -> None:
        """
        Return once requests are taken.

        Args:
            meanwhile: Called while the server starts.

        Raises:
            Exception: What making the app, or ``meanwhile``, raised.
            SpaceUnavailable: If the server does not start.
        """
        self._thread.start()
        if meanwhile is not None:
            meanwhile()
        self._settled.wait()
        if self._failure is not None:
            raise self._failure
        if not self._started:
            raise SpaceUnavailable(f"The {self._name} did not start.")

    def stop(self) -> None:
        """
        Return once the thread has ended.

        A Ctrl-C may come while the app is still being imported, which nothing can
        end: then the thread is left behind, and ends without having served.
        """
        self._stopped = True
        if not self._settled.is_set() and self._server is None:
            return
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join()
        # anyio tells its worker threads to end and does not wait for them.
        for thread in threading.enumerate():
            if self._loop is not None and getattr(thread, "loop", None) is self._loop:
                thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as exc:  # noqa: BLE001 - raised by start()
            self._failure = exc
        finally:
            self._settled.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        made = self._make_app()
        import uvicorn

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "lifespan":
                await made(scope, receive, send)
                return

            async def passed_on(message: Any) -> None:
                await send(message)
                if message["type"] == "lifespan.startup.complete":
                    self._started = True
                    self._settled.set()

            await made(scope, receive, passed_on)

        config = uvicorn.Config(
            app,
            lifespan="on",
            ws="none",
            # Its own set-up would change the logging of the whole process.
            log_config=None,
            log_level="critical",
            # Open streams are cut, not waited for.
            timeout_graceful_shutdown=0,
            **self._settings,
        )
        self._server = uvicorn.Server(config)
        # Looked at last, for ``stop`` sets it first.
        if self._stopped:
            return
        await self._server.serve(sockets=[self._listener])
