"""
A model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, DashScope.

All answers share one session, whose connections are kept. A server that refuses
for now, is away or cuts its answer is told as that, and waited for by nobody
here: whoever asks knows best when to come back (``notice``).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from http.client import BadStatusLine, UnknownProtocol
from time import time
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from qwen72b.errors import (
    ConnectFailed,
    InvalidOption,
    InvalidServerMessage,
    Qwen72BError,
    RequestTimeout,
    StreamInterrupted,
)
from qwen72b.local.completions import read_piece, refused
from qwen72b.local.generation import MANY, Backend, Generation, Messages
from qwen72b.privacy.masking import Secrets
from qwen72b.privacy.redaction import hide, hide_url, shown_url
from qwen72b.protocol.failure import Refusal
from qwen72b.protocol.sse import EventSplitter
from qwen72b.timeout import Timeout
from qwen72b.transport.body import Body
from qwen72b.transport.deadlines import Deadlines
from qwen72b.transport.scope import CallScope, Hangup
from qwen72b.transport.sessions import OwnSession
from qwen72b.transport.translate import IO_ERRORS, plain_cause, translate
from qwen72b.version import __version__

__all__ = ["UpstreamBackend"]

# Seconds to connect, and between two reads: a long prompt on a busy server
# takes its time before the first token. All of the answer's head has as long.
TIMEOUT = Timeout(connect=5, read=120)

# Seconds for the words of a refusal, whose status tells already what matters, and
# bytes of them; and, after an answer, seconds for the end of its body, which lets
# the connection be used again.
_WORDS, _MOST_WORDS = 2.0, 2000
_DRAIN = 0.25

# Qwen's own advice for Qwen2 (its generation_config.json). Some servers answer
# as short as 16 tokens when max_tokens is missing.
SAMPLING = {"temperature": 0.7, "top_p": 0.8, "max_tokens": 2048}
# Also Qwen's advice, but no part of OpenAI's API: strict servers refuse it.
EXTENSION = {"repetition_penalty": 1.05}

_HEADERS = {"Content-Type": "application/json", "User-Agent": f"qwen72b/{__version__}"}


class _Key(AuthBase):
    """The server's key, in a header that no ``.netrc`` replaces."""

    def __init__(self) -> None:
        self._key = ""
        self._known = Secrets([])

    def look_up(self) -> None:
        """
        Read the key from the environment.

        Raises:
            InvalidOption: If no header can carry it.
        """
        names = ("QWEN72B_UPSTREAM_KEY", "OPENAI_API_KEY")
        key = hide(next((key for name in names if (key := os.environ.get(name))), "").strip())
        if key == self._key:
            return
        if not (key.isascii() and key.isprintable()):
            raise InvalidOption(
                "The upstream's key has characters that no header can carry.",
                hint="Correct QWEN72B_UPSTREAM_KEY, or OPENAI_API_KEY.",
            )
        # Masked in what the server says.
        self._key, self._known = key, Secrets([key])

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = hide(f"Bearer {self._key}")
        return request


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

    # Gradio looks 20 times a second for what it has to send, and each piece costs it
    # milliseconds of CPU.
    pace = 0.05

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
        self._extension = EXTENSION
        self._key = _Key()
        # A server on this machine is never behind a proxy.
        direct = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        options: dict[str, Any] = {"verify": None, "cert": None, "proxies": {}}
        self._session = OwnSession(self._key, options, trust_env=not direct)

    def produce(self, messages: Messages, generation: Generation) -> None:
        """Emit the answer as the server sends it."""
        scope = CallScope(Deadlines(TIMEOUT))
        generation.on_stop(scope.cancel)
        response = None
        try:
            response = self._ask(scope, messages)
            self._pass_on(response, scope, generation)
        except Hangup:
            # Whoever stopped it knows.
            return
        except IO_ERRORS as exc:
            if generation.stopped:
                return
            error = translate(exc, scope, "answering", self._url)
            raise self._explained(error, exc, begun=response is not None) from plain_cause(exc)

    def release(self) -> None:
        """Close the connections."""
        self._session.close()

    def _ask(self, scope: CallScope, messages: Messages) -> requests.Response:
        """Make the request; return the response that has an answer."""
        self._key.look_up()
        asked = {
            "model": self._model,
            "messages": [dict(message) for message in messages],
            "stream": True,
            **SAMPLING,
        }
        while True:
            extension = self._extension
            scope.deadlines.listen()
            # Redirects are not followed: they would carry the prompt elsewhere.
            response = self._session.send(
                scope,
                "POST",
                self._url,
                params=None,
                data=json.dumps({**asked, **extension}).encode(),
                headers=_HEADERS,
            )
            if scope.cancelled:
                # http.client takes a head that was shut down under it for whole.
                response.close()
                scope.limit()
            if response.status_code == 200:
                return response
            words = _read_words(response, scope)
            if response.status_code not in (400, 422) or not extension:
                refusal = Refusal(response.status_code, "", response.headers, words, time())
                raise refused(refusal, self._name)
            self._extension = {}

    def _pass_on(
        self, response: requests.Response, scope: CallScope, generation: Generation
    ) -> None:
        """Emit the text of each event as it comes, until the answer is complete."""
        body, splitter = Body(response, scope), EventSplitter()
        complete = finished = heard = False
        try:
            while data := body.read():
                scope.deadlines.listen()
                text = ""
                try:
                    for event in splitter.split(data):
                        heard = True
                        if event == "[DONE]":
                            complete = True
                            break
                        piece = read_piece(event)
                        text += piece.text
                        finished = finished or piece.finished
                finally:
                    # What came together is a piece, also before an error.
                    wanted = not text or generation.emit(text)
                if complete:
                    _drain(body, scope)
                if complete or not wanted:
                    return
        finally:
            body.close()
        if finished or generation.stopped:
            return
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not heard and kind not in ("", "text/event-stream"):
            raise InvalidServerMessage(
                f"{self._name} answered with {kind[:40]!r} and not with a stream of events."
            )
        raise StreamInterrupted("The upstream's answer was cut.", hint="Ask again.")

    def _explained(self, error: Qwen72BError, cause: BaseException, *, begun: bool) -> Qwen72BError:
        """Say in the terms of this server what went wrong on the network."""
        why = _why(cause)
        if isinstance(error, ConnectFailed):
            return ConnectFailed(
                f"{self._name} cannot be reached: {why}. Is it running there?", stage=error.stage
            )
        if isinstance(error, RequestTimeout):
            if error.phase == "connect":
                # Nothing was sent: it is as if it had been refused.
                return ConnectFailed(f"{self._name} cannot be reached: no answer. Is it running?")
            return RequestTimeout(f"{self._name} was silent for {TIMEOUT.read:g} s.", phase="read")
        if isinstance(error, StreamInterrupted):
            if any(type(link) in (BadStatusLine, UnknownProtocol) for link in _links(cause)):
                return InvalidServerMessage(f"{self._name} answered with what is no HTTP/1.1.")
            if begun:
                return StreamInterrupted(
                    f"The upstream's answer was cut: {why}.", hint="Ask again."
                )
            return StreamInterrupted(f"{self._name} hung up: {why}.", hint="Ask again.")
        # Its hint is about a Space.
        error.hint = ""
        return error


def _read_words(response: requests.Response, scope: CallScope) -> str:
    """Read what a refusal says, as far as it comes soon."""
    scope.deadlines.rest()
    scope.deadlines.start("words", _WORDS)
    said = b""
    body = Body(response, scope)
    # Its status tells more than how its words were cut, or compressed.
    with contextlib.suppress(InvalidServerMessage, *IO_ERRORS):
        while len(said) < _MOST_WORDS and (data := body.read()):
            said += data
    body.close()
    scope.deadlines.stop("words")
    if scope.cancelled:
        scope.limit()
    return said[:_MOST_WORDS].decode("utf-8", "replace")


def _drain(body: Body, scope: CallScope) -> None:
    """Read to the end of the body, if it comes soon."""
    scope.deadlines.rest()
    scope.deadlines.start("drain", _DRAIN)
    with contextlib.suppress(Qwen72BError, *IO_ERRORS):
        while body.read():
            pass


def _links(error: BaseException) -> Iterator[BaseException]:
    """Walk from an exception down to what libraries made it of."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _why(error: BaseException) -> str:
    """Give the system's words for what went wrong, from below what libraries make of them."""
    why = ""
    for link in _links(error):
        if isinstance(link, OSError) and link.strerror:
            why = str(link.strerror)
    return why or "the connection was lost"
