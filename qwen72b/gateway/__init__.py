"""
The OpenAI-compatible door: a Space under the API that every tool speaks.

``qwen72b gateway`` serves it; as a library it is an ASGI app to mount, or a server in
a thread::

    app.mount("/llm", qwen72b.gateway.app(AsyncClient()))

    with qwen72b.gateway.running(AsyncClient()) as url:
        openai.OpenAI(base_url=f"{url}/v1", api_key="unused")

It is a face on ``AsyncClient`` and has no protocol of its own. ``asgi`` routes,
``guard`` says who may come in, ``requests`` reads what is asked, ``chat`` answers it,
``answers`` has the words, ``channel`` is one request on ASGI, and ``server``, the only
part that needs the extra ``gateway``, is uvicorn around it.
"""

from __future__ import annotations

from .asgi import Gateway, app
from .server import running

__all__ = ["Gateway", "app", "running"]
