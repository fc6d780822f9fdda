"""
A model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, DashScope.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from qwen72b.errors import (
    ConnectFailed,
    GenerationFailed,
    HTTPStatusError,
    InvalidOption,
    InvalidServerMessage,
    Qwen72BError,
    StreamInterrupted,
)
from qwen72b.local.generation import MANY, Backend, Generation, Messages
from qwen72b.privacy.masking import Secrets
from qwen72b.privacy.redaction import hide, hide_url, shown_url
from qwen72b.protocol.jsontext import NotJSON, read_json
from qwen72b.protocol.sse import EventSplitter
from qwen72b.protocol.surrogates import replace_surrogates
from qwen72b.timeout import Timeout
from qwen72b.transport.deadlines import Deadlines
from qwen72b.transport.scope import CallScope

__all__ = ["UpstreamBackend"]

# Seconds to connect, and between two reads: a long prompt on a busy server
# takes its time before the first token. All of the answer's head has as long.
TIMEOUT = (5, 120)
# Qwen's own advice for Qwen2 (its generation_config.json). Some servers answer
# as short as 16 tokens when max_tokens is missing.
SAMPLING = {"temperature": 0.7, "top_p": 0.8, "max_tokens": 2048}
# Also Qwen's advice, but no part of OpenAI's API: strict servers refuse it.
EXTENSION = {"repetition_penalty": 1.05}


# What helps with a status, where that is not ours to do.
_WAYS_OUT = {
    401: "Its key is read from QWEN72B_UPSTREAM_KEY.",
    403: "Its key is read from QWEN72B_UPSTREAM_KEY.",
    404: "Are the URL and the name of the model right?",
}


class UpstreamBackend(Backend):
    """
    Passes messages on to an OpenAI-compatible server.

    The key, if the server wants one, is read from ``QWEN72B_UPSTREAM_KEY`` or
    ``OPENAI_API_KEY``.

    Args:
        url: The server's base URL, with or without ``/v1``.
        model: The server's name of the model.
        label: What it is, for people.
        stand_in: Whether it is another model than Qwen2-72B-Instruct.

    Raises:
        InvalidOption: If the URL is none.
    """

    def __init__(self, url: str, model: str, *, label: str, stand_in: bool) -> None:
        super().__init__(label, stand_in=stand_in, concurrency=MANY)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidOption(
                f"The upstream {shown_url(url)!r} is no URL.",
                hint="For example: http://127.0.0.1:8000/v1",
            )
        base = url.rstrip("/").removesuffix("/chat/completions")
        base += "" if parts.path.strip("/") else "/v1"
        self._url = hide_url(f"{base}/chat/completions")
        # For everybody who asks; there may be a password in it.
        self._name = f"The upstream {shown_url(self._url)}"
        self._model = model
        # A server on this machine is never behind a proxy.
        self._direct = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        self._extension = EXTENSION
        self._known = Secrets([])

    def produce(self, messages: Messages, generation: Generation) -> None:
        """Emit the answer as the server sends it."""
        import requests
        from urllib3.exceptions import HTTPError

        # Until there is a response nothing can be hung up: it is left behind.
        scope = CallScope(Deadlines(Timeout(read=TIMEOUT[1])))
        scope.deadlines.listen()
        generation.on_stop(scope.cancel)
        with requests.Session() as session:
            session.trust_env = not self._direct
            try:
                response = scope.run(
                    lambda: self._post(session, messages), lambda response: response.close()
                )
            except Qwen72BError:
                raise
            except (OSError, HTTPError) as exc:
                if generation.stopped:
                    return
                raise ConnectFailed(
                    f"{self._name} cannot be reached: {_why(exc)}. Is it running there?"
                ) from exc
            with response:
                generation.on_stop(lambda: _hang_up(response))
                try:
                    finished = _emit(_events(response.raw), generation)
                except Qwen72BError:
                    raise
                except (OSError, HTTPError, ValueError) as exc:
                    if generation.stopped:
                        return
                    raise StreamInterrupted(
                        f"The upstream's answer was cut: {_why(exc)}. Ask again."
                    ) from exc
            if not finished and not generation.stopped:
                raise StreamInterrupted("The upstream's answer was cut. Ask again.")

    def _post(self, session: Any, messages: Messages) -> Any:
        from urllib3.exceptions import HTTPError

        key = hide(
            (
                os.environ.get("QWEN72B_UPSTREAM_KEY") or os.environ.get("OPENAI_API_KEY") or ""
            ).strip()
        )
        if not (key.isascii() and key.isprintable()):
            raise InvalidOption(
                "The upstream's key has characters that no header can carry.",
                hint="Correct QWEN72B_UPSTREAM_KEY, or OPENAI_API_KEY.",
            )
        # Masked in what the server says.
        self._known = Secrets([key])

        def authorize(request: Any) -> Any:
            # As an auth callable, because requests lets a .netrc replace a header.
            if key:
                request.headers["Authorization"] = hide(f"Bearer {key}")
            return request

        body = {
            "model": self._model,
            "messages": [dict(message) for message in messages],
            "stream": True,
            **SAMPLING,
            **self._extension,
        }
        # Redirects are not followed: they would carry the prompt elsewhere.
        response = session.post(
            self._url,
            json=body,
            auth=authorize,
            stream=True,
            timeout=TIMEOUT,
            allow_redirects=False,
        )
        if response.status_code == 200:
            return response
        text = ""
        # Its status tells more than how its words were cut.
        with response, contextlib.suppress(OSError, HTTPError):
            text = response.raw.read(2000, decode_content=True).decode("utf-8", "replace")
        if response.status_code in {400, 422} and self._extension:
            self._extension = {}
            return self._post(session, messages)
        way_out = _WAYS_OUT.get(response.status_code, "")
        raise HTTPStatusError(
            f"{self._name} answered {response.status_code}: {_words(text)}. {way_out}".rstrip(),
            status_code=response.status_code,
            headers=response.headers,
            body=text,
        )


def _why(error: BaseException) -> str:
    """Give the system's words for what went wrong, from below what libraries make of them."""
    why = ""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            why = str(link.strerror)
        elif isinstance(link, TimeoutError):
            why = "it did not answer in time"
        link = link.__cause__ or link.__context__
    return why or type(error).__name__


def _words(body: str) -> str:
    """Give what a server's error says, in a line: its message, if it is JSON that has one."""
    said: object = body
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(body)
    for name in ("error", "message", "detail"):
        if isinstance(said, dict) and said.get(name):
            said = said[name]
    words = said if isinstance(said, str) else body
    return " ".join(words.split())[:300].rstrip(". ") or "without a word"


def _hang_up(response: Any) -> None:
    """Wake the thread that reads the response; its close() would wait for it."""
    # urllib3 says with these that there is nothing to shut down any more.
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        response.raw.shutdown()


def _events(raw: Any) -> Iterator[str]:
    """Yield the data of each event at once: ``iter_content`` waits for whole blocks."""
    splitter = EventSplitter()
    while chunk := raw.read1(65536, decode_content=True):
        yield from splitter.split(chunk)


def _emit(events: Iterable[str], generation: Generation) -> bool:
    """Emit the text of each chunk; return whether the answer came to its end."""
    finished = False
    for data in events:
        if data == "[DONE]":
            return True
        try:
            chunk = read_json(data)
        except NotJSON as exc:
            raise InvalidServerMessage("The upstream sent an event that is no JSON.") from exc
        if not isinstance(chunk, dict):
            continue
        if error := chunk.get("error"):
            raise GenerationFailed(f"The upstream failed: {_words(json.dumps(error))}.")
        # A chunk that only counts tokens has no choices.
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            delta = choice.get("delta")
            text = delta.get("content") if isinstance(delta, dict) else None
            if isinstance(text, str) and text and not generation.emit(replace_surrogates(text)):
                return False
            finished = finished or choice.get("finish_reason") is not None
    return finished
