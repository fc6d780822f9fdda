"""
Which model answers: the choice of a backend.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TextIO

from qwen72b.errors import InvalidOption
from qwen72b.local.generation import MANY, Backend, Generation, Messages
from qwen72b.privacy.redaction import shown_url

__all__ = ["EchoBackend", "backend"]

Kind = Literal["smollm2", "echo", "gguf", "upstream"]

# Seconds between two words of the echo: the pace of a fast model.
ECHO_PACE = 0.02

STANDING_IN = ", standing in for Qwen2-72B-Instruct"


class EchoBackend(Backend):
    """Repeats the last message word by word; for tests and demonstrations."""

    def __init__(self) -> None:
        super().__init__("An echo" + STANDING_IN, stand_in=True, concurrency=MANY)

    def produce(self, messages: Messages, generation: Generation) -> None:
        """Emit each word with the white space before it."""
        for word in re.findall(r"\s*\S+|\s+$", messages[-1]["content"]):
            if not generation.emit(word) or not generation.pause(ECHO_PACE):
                return


def backend(
    kind: Kind = "smollm2",
    *,
    gguf: str | Path | None = None,
    upstream: str | None = None,
    model: str | None = None,
    progress: TextIO | None = None,
) -> Backend:
    """
    Make the model that answers.

    Args:
        kind: ``"smollm2"``, the small model that is fetched once and kept in
            the user's cache; ``"gguf"``, a chat model in a file; ``"upstream"``,
            a model behind an OpenAI-compatible server; ``"echo"``.
        gguf: The file, for ``"gguf"``.
        upstream: The server's base URL, for ``"upstream"``.
        model: The server's name of the model, for ``"upstream"``.
        progress: Where to show the progress of the fetch, such as
            ``sys.stderr``; ``None`` for nowhere.

    Returns:
        A backend; ``running`` and ``serve`` close it. A model in a file is
        loaded meanwhile, and ``running`` and ``serve`` tell of a failure.

    Raises:
        InvalidOption: If an argument is missing or useless, or the extra
            ``local`` is not installed.
        SpaceUnavailable: If the small model cannot be fetched.

    Example:
        >>> from qwen72b.local import backend, running
        >>> with running(backend("echo")) as base_url:
        ...     print(Client(base_url).ask("Hi"))
        Hi
    """
    if kind == "echo":
        return EchoBackend()
    if kind == "upstream":
        if not upstream or not model:
            raise InvalidOption(
                "An upstream needs the URL of a server and the name of a model.",
                hint="For example: --upstream http://127.0.0.1:8000 --model Qwen/Qwen2-72B-Instruct",
            )
        from qwen72b.local.upstream import UpstreamBackend

        name = f"{model} at {shown_url(upstream)}"
        stand_in = _stands_in(model)
        return UpstreamBackend(
            upstream, model, label=name + STANDING_IN * stand_in, stand_in=stand_in
        )
    from qwen72b.local.llama import LlamaBackend
    from qwen72b.local.model_file import small_model

    if kind == "gguf":
        if gguf is None or gguf == "":
            raise InvalidOption("A GGUF backend needs a file.", hint="Name it with --gguf FILE.")
        path = Path(gguf)
        stand_in = _stands_in(path.stem)
        return LlamaBackend(path, label=path.stem + STANDING_IN * stand_in, stand_in=stand_in)
    if kind == "smollm2":
        path = small_model(progress)
        return LlamaBackend(path, label="SmolLM2-135M-Instruct" + STANDING_IN, stand_in=True)
    raise InvalidOption(
        f"There is no backend {kind!r}.", hint="Choose smollm2, echo, gguf or upstream."
    )


def _stands_in(name: str) -> bool:
    """Tell by its name whether a model is another one than Qwen2-72B-Instruct."""
    return "qwen2-72b" not in name.lower()
