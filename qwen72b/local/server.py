"""
Runs the page: a Gradio app on a uvicorn of our own.

``Blocks.launch`` is not used: to see whether it runs it calls itself, through
``HTTP_PROXY`` if that is set, and fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from qwen72b.errors import InvalidOption, SpaceUnavailable
from qwen72b.local.generation import Backend

__all__ = ["running", "serve"]

# Gradio's pages ask for fonts at Google and a script at Cloudflare (seen in
# 5.50); this keeps the browser on this machine. Inline scripts are Gradio's way.
CONTENT_POLICY = (
    b"content-security-policy",
    b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'",
)


@contextlib.contextmanager
def running(backend: Backend, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """
    Run the local Space in a thread for the length of a ``with`` block.

    Args:
        backend: What answers; it is closed with the Space.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.

    Yields:
        The Space's base URL, once it takes requests.

    Raises:
        InvalidOption: If the address is taken or useless, or the extra
            ``local`` is not installed.
        SpaceUnavailable: If Gradio does not start.
    """
    with contextlib.closing(backend), _listen(host, port) as listener:
        space = _Space(backend, listener)
        try:
            space.start()
            yield _base_url(host, listener)
        finally:
            # First the answers, else Gradio waits for their threads.
            backend.close()
            space.stop()


def serve(backend: Backend, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """
    Run the local Space until Ctrl-C or SIGTERM; call it in the main thread.

    Args:
        backend: What answers; it is closed with the Space.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        ready: Called with the base URL once the Space takes requests.

    Raises:
        InvalidOption: If the address is taken or useless, or the extra
            ``local`` is not installed.
        SpaceUnavailable: If Gradio does not start.
    """
    stop = threading.Event()
    with running(backend, host=host, port=port) as base_url:
        previous = {
            number: signal.signal(number, lambda *_: stop.set())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            ready(base_url)
            stop.wait()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything slow: a taken port is told at once, a free one is ours."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as exc:
        raise InvalidOption(
            f"The local Space cannot listen on {host}, port {port}: {exc}.",
            hint="Choose another port, or 0 for a free one.",
        ) from exc


def _base_url(host: str, listener: socket.socket) -> str:
    # A browser cannot go to "all addresses"; the loopback is one of them.
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{listener.getsockname()[1]}"


class _Space:
    """
    The server and its thread.

    Everything of Gradio's happens in that thread, the import too, and inside
    its event loop: Gradio makes locks while it builds a page, and without a
    running loop it makes a new one for each, which it never closes.
    """

    def __init__(self, backend: Backend, listener: socket.socket) -> None:
        self._backend = backend
        self._listener = listener
        self._settled = threading.Event()
        self._started = False
        self._failure: Exception | None = None
        self._server: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="qwen72b-space", daemon=True)

    def start(self) -> None:
        """Return once requests are taken."""
        self._thread.start()
        self._settled.wait()
        if self._failure is not None:
            raise self._failure
        if not self._started:
            raise SpaceUnavailable("The local Space did not start.")

    def stop(self) -> None:
        """Return once the thread has ended."""
        # A Ctrl-C may come while Gradio is still being imported.
        self._settled.wait()
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
        # Both are read when gradio is imported.
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_OFFLINE"] = "1"
        try:
            import gradio
            import uvicorn
            from fastapi import FastAPI

            from qwen72b.local.app import build
        except ImportError as exc:
            raise InvalidOption(
                "The local Space is not installed.", hint='Run: pip install "qwen72b[local]"'
            ) from exc
        blocks = build(self._backend)
        # Gradio 5.50 prints "new /" here, and stdout is the answer's.
        with contextlib.redirect_stdout(io.StringIO()):
            page = gradio.mount_gradio_app(
                FastAPI(), blocks, path="/", show_error=False, ssr_mode=False
            )

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def passed_on(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], CONTENT_POLICY]
                await send(message)
                if message["type"] == "lifespan.startup.complete":
                    self._started = True
                    self._settled.set()

            await page(scope, receive, passed_on)

        config = uvicorn.Config(
            app,
            lifespan="on",
            ws="none",
            # Its own set-up would change the logging of the whole process.
            log_config=None,
            log_level="critical",
            # Open streams are cut, not waited for.
            timeout_graceful_shutdown=0,
        )
        self._server = uvicorn.Server(config)
        await self._server.serve(sockets=[self._listener])
