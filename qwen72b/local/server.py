"""
Runs the page: a Gradio app on a uvicorn of our own.

``Blocks.launch`` is not used: to see whether it runs it calls itself, through
``HTTP_PROXY`` if that is set, and fails.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Collection, Iterator
from typing import Any

from qwen72b.errors import InvalidOption
from qwen72b.local.doors import Doors
from qwen72b.local.generation import Backend
from qwen72b.local.hosts import checked_host, checked_names
from qwen72b.local.serving import ServerThread, base_url_of, listen, wait_for_signal
from qwen72b.privacy.redaction import shown

__all__ = ["check_concurrency", "running", "serve"]

# Answers at a time that may be asked for: each has a thread of Gradio's.
_MOST_ANSWERS = 10_000

# Gradio's pages ask for fonts at Google and a script at Cloudflare (seen in
# 5.50); this keeps the browser on this machine. Inline scripts are Gradio's way.
CONTENT_POLICY = (
    b"content-security-policy",
    b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'",
)


@contextlib.contextmanager
def running(
    backend: Backend,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    allow_hosts: Collection[str] = (),
    concurrency: int | None = None,
) -> Iterator[str]:
    """
    Run the local Space in a thread for the length of a ``with`` block.

    Args:
        backend: What answers; it is closed with the Space.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        allow_hosts: Names under which it is reached besides those of this
            machine, as behind a reverse proxy. On loopback no other name is
            answered, or any web page could ask it.
        concurrency: Answers at a time; more wait in the Space's queue. ``None``
            for as many as the backend says that it can make.

    Yields:
        The Space's base URL, once it takes requests.

    Raises:
        InvalidOption: If the address is taken or useless, ``concurrency`` is no
            count, the model cannot be loaded, or the extra ``local`` is not
            installed.
        SpaceUnavailable: If Gradio does not start.

    Example:
        >>> from qwen72b.local import backend, running
        >>> with running(backend("echo")) as base_url:
        ...     print(Client(base_url).ask("Hi"))
        Hi
    """
    if not isinstance(backend, Backend):
        raise InvalidOption(f"{backend!r} is no backend.", hint='Make one: backend("smollm2").')
    check_concurrency(concurrency)
    answers = backend.concurrency if concurrency is None else concurrency
    allowed = frozenset(map(checked_host, checked_names("allow_hosts", allow_hosts)))
    with contextlib.closing(backend), listen(host, port, "local Space") as listener:
        space = ServerThread(
            lambda: Doors(
                _make_page(backend, answers),
                address=listener.getsockname(),
                host=host,
                allowed=allowed,
            ),
            listener,
            name="local Space",
        )
        try:
            # A model that cannot be loaded is told at once.
            space.start(backend.settle)
            yield base_url_of(host, listener)
        finally:
            # First the answers, else Gradio waits for their threads.
            backend.close()
            space.stop()


def serve(
    backend: Backend,
    *,
    host: str,
    port: int,
    ready: Callable[[str], None],
    allow_hosts: Collection[str] = (),
    concurrency: int | None = None,
) -> None:
    """
    Run the local Space until Ctrl-C or SIGTERM; call it in the main thread.

    Args:
        backend: What answers; it is closed with the Space.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        ready: Called with the base URL once the Space takes requests.
        allow_hosts: As in ``running``.
        concurrency: As in ``running``.

    Raises:
        InvalidOption: As ``running``.
        SpaceUnavailable: If Gradio does not start.
    """
    with running(
        backend, host=host, port=port, allow_hosts=allow_hosts, concurrency=concurrency
    ) as base_url:
        wait_for_signal(lambda: ready(base_url))


def check_concurrency(concurrency: int | None) -> None:
    """
    Refuse what is no number of answers at a time.

    Args:
        concurrency: The number; ``None`` leaves it to the backend.

    Raises:
        InvalidOption: If it is none.
    """
    if concurrency is None:
        return
    if type(concurrency) is not int or not 1 <= concurrency <= _MOST_ANSWERS:
        raise InvalidOption(
            f"concurrency={shown(concurrency)} is not a count from 1 to {_MOST_ANSWERS:,}."
        )


def _make_page(backend: Backend, concurrency: int) -> Any:
    """
    Make the page as an ASGI app, inside the event loop that runs it.

    Gradio makes locks while it builds a page, and without a running loop it
    makes a new one for each, which it never closes.
    """
    # Both are read when gradio is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Read when a page is made. A table of how long all answers took, for a page
    # that is closed here, would be drawn up after each of them.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
    try:
        import gradio
        import uvicorn  # noqa: F401 - missing, it is told the same way
        from fastapi import FastAPI

        from qwen72b.local.app import GRADIO_MAJOR, STYLE, build
    except ImportError as exc:
        raise InvalidOption(
            "The local Space is not installed.",
            hint="Run: pip install gradio platformdirs xllamacpp",
        ) from exc
    blocks = build(backend, concurrency)
    # Gradio 5.50 prints "new /" here, and stdout is the answer's.
    with contextlib.redirect_stdout(io.StringIO()):
        page = gradio.mount_gradio_app(
            FastAPI(),
            blocks,
            path="/",
            show_error=False,
            ssr_mode=False,
            **(STYLE if GRADIO_MAJOR >= 6 else {}),
        )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def passed_on(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], CONTENT_POLICY]
            await send(message)

        await page(scope, receive, passed_on)

    return app
