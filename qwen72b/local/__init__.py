"""
The local Space: a real Gradio app with the public Space's interface.

It serves the same page and the same queue protocol on 127.0.0.1, answered by
a small model on this machine, by any GGUF file, by any OpenAI-compatible
server or by an echo. This is the only package that imports gradio, and it
does so when a Space is started, not before::

    with running(backend("smollm2")) as base_url:
        Client(base_url).ask("Why is the sky blue?")

``app`` is the page, ``server`` runs it, ``generation`` is what a backend is,
``models``, ``llama`` and ``upstream`` are the backends (``completions`` reads
what an upstream says), ``model_file`` fetches the small model, and ``notice``
is what a client is told of an answer that failed.
"""

from __future__ import annotations

from qwen72b.local.generation import Backend
from qwen72b.local.models import backend
from qwen72b.local.server import running, serve

__all__ = ["Backend", "backend", "running", "serve"]
