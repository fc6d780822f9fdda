"""
A GGUF model on this machine, run by llama.cpp inside this process.
"""

from __future__ import annotations

import os
import secrets
import threading
from pathlib import Path
from typing import Any

from qwen72b.errors import GenerationFailed, InvalidMessages, InvalidOption
from qwen72b.local.generation import Backend, Generation, Messages

__all__ = ["LlamaBackend"]

# Tokens that prompt and answer share. A CPU reads some 150 tokens of prompt a
# second, so that this bounds the wait for the first word to half a minute.
CONTEXT = 4096
# Tokens of an answer at most; the small model seldom knows when to stop.
MAX_TOKENS = 1024
# Tokens kept free for the answer while there are old turns to forget.
ANSWER_ROOM = 512
# Tokens of prompt read between two looks at whether the client is still there:
# about half a second.
BATCH = 64


class LlamaBackend(Backend):
    """
    A chat model in a GGUF file; the chat template comes from the file.

    It is loaded in a thread: ``settle`` waits for it.

    Args:
        path: The GGUF file.
        label: What it is, for people.
        stand_in: Whether it is another model than Qwen2-72B-Instruct.

    Raises:
        InvalidOption: If the file is missing or does not begin like a model, or
            the extra ``local`` is not installed.
    """

    def __init__(self, path: Path, *, label: str, stand_in: bool) -> None:
        super().__init__(label, stand_in=stand_in, concurrency=1)
        try:
            with path.open("rb") as file:
                magic = file.read(4)
        except OSError as exc:
            raise InvalidOption(f"The model file {path} cannot be read: {exc.strerror}.") from exc
        if magic != b"GGUF":
            raise InvalidOption(f"The file {path} is no GGUF model.")
        try:
            import xllamacpp
        except ImportError as exc:
            raise InvalidOption(
                "The local Space is not installed.",
                hint="Run: pip install gradio platformdirs xllamacpp",
            ) from exc
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = CONTEXT
        params.n_batch = params.n_ubatch = BATCH
        params.n_parallel = 1
        # Half of the cores: with a thread on each, llama.cpp collapses as soon
        # as another process is busy, because its threads wait for each other.
        threads = max(1, (os.cpu_count() or 1) // 2)
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        # The prompts of old conversations, kept in memory: 8 GiB by default.
        params.cache_ram_mib = 0
        params.verbosity = 0
        # llama.cpp opens an HTTP port on the loopback that we do not use, for
        # every user and web page of this machine: lock it.
        params.api_keys = [secrets.token_hex(16)]
        self._server: Any = None
        self._failure: InvalidOption | None = None
        self._released = False

        def load() -> None:
            try:
                server = xllamacpp.Server(params)
            except RuntimeError as exc:
                self._failure = InvalidOption(f"llama.cpp cannot load the model {path}: {exc}.")
                self._failure.__cause__ = exc
                return
            with self._lock:
                if not self._released:
                    self._server = server

        # Meanwhile gradio is imported, which takes longer. Nothing can end a load, and
        # llama.cpp aborts where the process ends in the middle of one: no daemon.
        self._loading = threading.Thread(target=load, name="qwen72b-load")
        self._loading.start()

    def settle(self) -> None:
        """Wait until the model is loaded."""
        self._loading.join()
        if self._failure is not None:
            raise self._failure

    def produce(self, messages: Messages, generation: Generation) -> None:
        """Answer, forgetting the oldest turns if the conversation is too long."""
        self.settle()
        turns = [dict(message) for message in messages]
        while True:
            oldest = 1 if turns[0]["role"] == "system" else 0
            forgettable = len(turns) > oldest + 1
            size = self._answer(turns, generation, CONTEXT - ANSWER_ROOM if forgettable else None)
            if not size:
                return
            if not forgettable:
                raise InvalidMessages(
                    f"The message is too long: with its {size} tokens it does not fit into "
                    f"the {CONTEXT} that this model reads at a time."
                )
            del turns[oldest : oldest + 2]

    def _answer(
        self, turns: list[dict[str, str]], generation: Generation, limit: int | None
    ) -> int:
        """Emit the answer; return 0, or the tokens of a prompt that is too long."""
        size = 0
        failure: str | None = None

        def take(chunk: dict[str, Any]) -> bool:
            # llama.cpp's server sends what its HTTP clients would get; a true
            # result stops it. An exception raised in here would be swallowed.
            nonlocal size, failure
            if error := chunk.get("error"):
                if error.get("type") == "exceed_context_size_error":
                    size = error.get("n_prompt_tokens") or CONTEXT
                else:
                    failure = str(error.get("message"))
                return True
            total = (chunk.get("prompt_progress") or {}).get("total", 0)
            if limit is not None and total > limit:
                size = total
                return True
            for choice in chunk.get("choices") or ():
                if text := choice["delta"].get("content"):
                    generation.emit(text)
            return generation.stopped

        request = {
            "messages": turns,
            "stream": True,
            "max_tokens": MAX_TOKENS,
            # The same answer each time: tests and demonstrations rely on it.
            "temperature": 0,
            # Always taking the likeliest word leads small models in circles;
            # seen with the small model: 1.0 loops in one of three answers.
            "repeat_penalty": 1.1,
            # Chunks while the prompt is read, so that it can be stopped there.
            "return_progress": True,
        }
        self._server.handle_chat_completions(request, take)
        if failure is not None:
            raise GenerationFailed(f"The model failed: {failure}")
        return size

    def release(self) -> None:
        """Free the model's memory, threads and port."""
        with self._lock:
            self._released = True
            self._server = None
