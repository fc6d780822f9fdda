"""
The ASGI app: what is at which path, for whom, and how many at once.

Above 300 lines: one request from its first byte to its last, in one place.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from anyio import CancelScope, get_cancelled_exc_class, move_on_after

from ..errors import InvalidOption, Qwen72BError
from ..local.hosts import checked_names
from ..protocol.model import HUB_NAME
from ..provider import Qwen_Qwen_2_72B
from .answers import Refusal, closing, models, refusal, to_json
from .channel import Channel, Gone, Receive, Scope, Send
from .chat import Answer
from .guard import LOOPBACK_NAMES, Guard
from .requests import ChatRequest, read_chat_request
from .sampling import Sampling

if TYPE_CHECKING:
    from ..aio.client import AsyncClient
    from ..aio.stream import AsyncStream

__all__ = ["Gateway", "app"]

log = logging.getLogger("qwen72b.gateway")

# Bytes of a request: about a million tokens.
MAX_BODY = 4 * 2**20

# Names that are told once are kept; nobody fills the memory with made-up ones.
_MOST_TOLD = 100

_IGNORED = "has no meaning to the Space and is ignored"

# Seconds after which a place may have become free.
_BUSY_WAIT = 1

# Seconds for the last words to a client whose request the server gives up.
_LAST_WORDS = 1.0


def app(
    client: AsyncClient,
    *,
    aliases: Collection[str] = (),
    any_model: bool = False,
    key: str | None = None,
    hosts: Collection[str] | None = LOOPBACK_NAMES,
    cors: Collection[str] = (),
    max_requests: int = 256,
    max_body: int = MAX_BODY,
) -> Gateway:
    """
    Make an ASGI app that serves a Space under OpenAI's API.

    It can be mounted in another app, at any path; it needs no lifespan.

    Args:
        client: The Space's client. It stays open.
        aliases: Further names of the model.
        any_model: Whether requests may name any model.
        key: What clients must send as their API key; ``None`` lets everyone in.
        hosts: Names that the Host header may have, without ports; by default
            those of this machine. ``None`` allows any: only behind something
            that checks it.
        cors: Origins of web pages that may use it.
        max_requests: How many questions are answered at once; more get 429.
        max_body: Bytes that a request may have.

    Returns:
        The app.

    Raises:
        InvalidOption: If an argument has no usable value.

    Example:
        >>> from qwen72b.gateway import app
        >>> api = app(AsyncClient(), key="secret", max_requests=32)
        >>> type(api).__name__
        'Gateway'
    """
    # Slow to import, and there already if this is one.
    from ..aio.client import AsyncClient

    if not isinstance(client, AsyncClient):
        raise InvalidOption(
            f"the gateway asks with an AsyncClient, not with {type(client).__name__}.",
            hint="Pass AsyncClient(...).",
        )
    return Gateway(
        client,
        names=[*_model_names(client.base_url), *checked_names("aliases", aliases)],
        own_name=HUB_NAME if _is_documented(client.base_url) else None,
        any_model=any_model,
        guard=Guard(hosts, key, cors),
        max_requests=_checked_count("max_requests", max_requests),
        max_body=_checked_count("max_body", max_body),
    )


class Gateway:
    """
    The app; made by ``app``.

    Args:
        client: The Space's client.
        names: The model's name, and its aliases.
        own_name: What the model is called on the Hub; it is taken, and not listed.
        any_model: Whether any other name is taken, too.
        guard: Who may come in.
        max_requests: How many questions are answered at once.
        max_body: Bytes that a request may have.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        names: list[str],
        own_name: str | None,
        any_model: bool,
        guard: Guard,
        max_requests: int,
        max_body: int,
    ) -> None:
        self._client = client
        self._names = list(dict.fromkeys(names))
        # Nobody has two models of one spelling.
        self._taken = {name.lower() for name in names}
        if own_name is not None:
            self._taken.add(own_name.lower())
        self._any_model = any_model
        self._guard = guard
        self._max_requests = max_requests
        self._max_body = max_body
        self._running = 0
        self._told: set[str] = set()
        self._sampling = Sampling(client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] == "lifespan":
            await _follow_lifespan(receive, send)
        elif scope["type"] == "http":
            channel = Channel(scope, receive, send)
            begun = monotonic()
            try:
                await self._answer(channel)
            except Gone:
                log.info("%s: the client hung up", _shown(channel))
            except get_cancelled_exc_class():
                # How a server ends what runs when it stops itself.
                with CancelScope(shield=True), move_on_after(_LAST_WORDS):
                    await _give_up(channel)
                raise
            else:
                if log.isEnabledFor(logging.INFO):
                    took = monotonic() - begun
                    log.info("%s: %d in %.2f s", _shown(channel), channel.status, took)
        else:
            await send({"type": "websocket.close"})

    async def _answer(self, channel: Channel) -> None:
        try:
            await self._handle(channel)
        except Refusal as exc:
            problem = exc
        except Qwen72BError as exc:
            log.info("%s: %s", _shown(channel), type(exc).__name__)
            problem = refusal(exc)
        except Gone:
            raise
        except Exception as exc:  # noqa: BLE001 - no client shall be left without an answer
            # Not its words: they may hold a prompt.
            log.error("internal error: %s; please report it", _place_of(exc))
            problem = Refusal(
                500, "internal error of the gateway.", kind="server_error", code="internal"
            )
        else:
            return
        if channel.status:
            await channel.write(problem.to_event(), more=False)
        else:
            await channel.drain(self._max_body)
            await channel.refuse(problem)

    async def _handle(self, channel: Channel) -> None:
        channel.extra = self._guard.check_origin(channel)
        if channel.method == "OPTIONS" and channel.header("access-control-request-method"):
            await channel.respond(204, b"", self._guard.preflight(channel))
            return
        if channel.path == "/health":
            _allow(channel, "GET", "HEAD")
            health = {"status": "ok", "requests": self._running}
            await channel.respond(200, to_json(health))
            return
        self._guard.check_key(channel)
        if channel.path == "/v1/chat/completions":
            _allow(channel, "POST")
            await self._chat(channel)
        elif channel.path == "/v1/models":
            _allow(channel, "GET", "HEAD")
            listed = {"object": "list", "data": models(self._names)}
            await channel.respond(200, to_json(listed))
        elif channel.path.startswith("/v1/models/"):
            _allow(channel, "GET", "HEAD")
            name = channel.path.removeprefix("/v1/models/")
            self._check_model(name)
            await channel.respond(200, to_json(models([name])[0]))
        else:
            raise Refusal(
                404,
                "there is nothing here; the gateway has /v1/chat/completions, /v1/models "
                "and /health.",
                code="not_found",
            )

    async def _chat(self, channel: Channel) -> None:
        if self._running >= self._max_requests:
            raise Refusal(
                429,
                f"the gateway is at {self._max_requests} requests already.",
                kind="rate_limit_error",
                code="too_many_requests",
                retry_after=_BUSY_WAIT,
            )
        if channel.header("content-encoding").lower() not in ("", "identity"):
            raise Refusal(
                415,
                "the body is compressed, which is not read here; send it as it is.",
                code="unsupported_encoding",
            )
        self._running += 1
        try:
            asked = read_chat_request(await channel.read_body(self._max_body))
            self._check_model(asked.model)
            await self._run(asked, channel)
        finally:
            self._running -= 1

    async def _run(self, asked: ChatRequest, channel: Channel) -> None:
        def answer() -> Answer:
            return Answer(lambda: self._open(asked), asked, channel, self._names[0])

        try:
            await answer().run()
        except InvalidOption:
            # An input that is there no longer: the Space has changed, and was not asked.
            if channel.status or not asked.sampling:
                raise
            self._sampling.forget()
            await answer().run()

    async def _open(self, asked: ChatRequest) -> AsyncStream:
        """Open the stream, with the inputs that sampling goes to."""
        self._tell(_IGNORED, asked.ignored)
        found = await self._sampling.inputs() if asked.sampling else None
        inputs: dict[str, float] = {}
        for name, wanted in asked.sampling.items():
            if found is None:
                break
            if name not in found.labels:
                self._tell(_IGNORED, [name])
                continue
            label, value = found.place(name, wanted)
            inputs[label] = value
            if value != wanted:
                self._tell("is kept within the bounds of the Space's input", [name])
        return self._client.stream(asked.messages, inputs=inputs or None)

    def _check_model(self, name: str | None) -> None:
        if name is not None and name.lower() not in self._taken and not self._any_model:
            choices = ", ".join(self._names)
            raise Refusal(
                404,
                f"there is no such model here; the gateway has {choices}.",
                code="model_not_found",
                param="model",
            )

    def _tell(self, words: str, names: Iterable[str]) -> None:
        """Say once what becomes of something that was asked for."""
        for name in names:
            # A name comes from the client, and may be anything.
            if len(name) > 64 or not name.isidentifier() or len(self._told) >= _MOST_TOLD:
                continue
            told = f"{name} {words}"
            if told not in self._told:
                self._told.add(told)
                log.warning("%s", told)


async def _give_up(channel: Channel) -> None:
    """
    Tell a client that the server stops.

    A stream that is merely cut is taken for a success by many, and a request
    without an answer for an internal error.
    """
    problem = closing()
    with suppress(Gone):
        if not channel.status:
            await channel.refuse(problem)
        elif channel.streams:
            # The server then cuts it, for those who do not read errors.
            await channel.write(problem.to_event())


async def _follow_lifespan(receive: Receive, send: Send) -> None:
    while True:
        phase = (await receive())["type"]
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return


def _model_names(base_url: str) -> list[str]:
    """
    Name the model of a Space.

    A Space on the Hub is called as in its address. Elsewhere, where the address
    says nothing, its model goes by the names that the provider has: programs that
    ask for those find it.
    """
    if _is_documented(base_url):
        return [Qwen_Qwen_2_72B.default_model, *Qwen_Qwen_2_72B.model_aliases]
    return [_host_of(base_url).partition(".")[0]]


def _is_documented(base_url: str) -> bool:
    """Tell whether the Space may be the documented one, or a copy of it."""
    name, _, domain = _host_of(base_url).partition(".")
    return domain != "hf.space" or name == Qwen_Qwen_2_72B.default_model


def _host_of(base_url: str) -> str:
    return urlsplit(base_url).hostname or ""


def _checked_count(name: str, value: int) -> int:
    if type(value) is not int or value < 1:
        raise InvalidOption(f"{name}={value!r} is not a count of at least 1.")
    return value


def _allow(channel: Channel, *methods: str) -> None:
    if channel.method not in methods:
        raise Refusal(
            405,
            f"{channel.path} takes {' and '.join(methods)}.",
            code="method_not_allowed",
            headers=[(b"allow", ", ".join(methods).encode())],
        )


def _shown(channel: Channel) -> str:
    """Name a request in the log, without anything that a client wrote."""
    known = ("/health", "/v1/models", "/v1/chat/completions")
    path = next((path for path in known if channel.path.startswith(path)), "elsewhere")
    method = channel.method if channel.method in ("GET", "HEAD", "OPTIONS", "POST") else "?"
    return f"{method} {path}"


def _place_of(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{where}"
