"""
The class-level face: the documented interface of this Space's provider.

A class with attributes and class methods, as provider registries want it. It
folds a chat into one prompt with an empty history, and goes through the same
client as everything else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, ClassVar, NoReturn, SupportsIndex

from .aio.client import AsyncClient
from .aio.stream import AsyncStream
from .client.answer import Answer
from .client.client import Client
from .client.core import ClientCore
from .client.exchange import new_session_hash
from .client.stream import Stream
from .messages import Messages, Prompt, format_prompt, read_messages, system_text
from .privacy.redaction import hide, hide_url
from .protocol.hub import PUBLIC_SPACE, space_url
from .protocol.model import MODEL, MODEL_ALIASES, check_model
from .protocol.plan import DOCUMENTED
from .timeout import TimeoutLike

__all__ = ["ChunkGenerator", "Qwen_Qwen_2_72B"]


class ChunkGenerator(AsyncIterator[str]):
    """
    An answer as both of its callers want it: ``async for`` over it, or ``await`` it first.

    It has the methods of an async generator. It has none of those of a plain
    one (``send``, ``throw``, ``close``), or it would be taken for a coroutine.

    Args:
        client: The client of this one answer, closed with it.
        stream: The answer.
    """

    def __init__(self, client: AsyncClient, stream: AsyncStream) -> None:
        self._client = client
        self._stream = stream
        self._closed = False

    def __aiter__(self) -> ChunkGenerator:
        return self

    async def __anext__(self) -> str:
        if self._closed:
            raise StopAsyncIteration
        try:
            return await self._stream.__anext__()
        except BaseException:
            await self.aclose()
            raise

    def __await__(self) -> Generator[Any, None, ChunkGenerator]:
        return self
        yield  # what makes this a generator, which is what await wants

    async def asend(self, value: None) -> str:
        """
        Go on, as an async generator does.

        Args:
            value: ``None``; an answer takes no words back.

        Returns:
            The next piece of text.
        """
        return await self.__anext__()

    async def athrow(self, error: BaseException) -> str:
        """
        Stop with an exception, as an async generator does.

        Args:
            error: The exception.
        """
        await self.aclose()
        raise error

    async def aclose(self) -> None:
        """Hang up."""
        self._closed = True
        await self._client.close()

    def __del__(self) -> None:
        self._stream._answer.close()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        # A copy would hang up on the original when it goes.
        self._stream.__reduce_ex__(protocol)


class Qwen_Qwen_2_72B:
    """
    The Space as a provider class; nothing is instantiated.

    Point it elsewhere by ``base_url=``, by ``QWEN72B_BASE_URL``, or by ``url``
    on a subclass.

    Example:
        >>> class MySpace(Qwen_Qwen_2_72B):
        ...     url = "https://owner-name.hf.space"
        >>> MySpace.get_dict()["name"]
        'MySpace'
    """

    label = "Qwen Qwen-2.72B"
    url = space_url(PUBLIC_SPACE)
    api_endpoint = f"{url}/queue/join?"
    working = True
    needs_auth = False
    supports_stream = True
    supports_system_message = True
    supports_message_history = False
    use_stream_timeout = False
    live = 0
    default_model = MODEL
    model_aliases: ClassVar[dict[str, str]] = dict(MODEL_ALIASES)
    models: ClassVar[list[str]] = list(MODEL_ALIASES)

    @classmethod
    def create_async_generator(
        cls, model: str | None, messages: Messages, proxy: str | None = None, **kwargs: Any
    ) -> ChunkGenerator:
        """
        Ask the Space.

        Args:
            model: A name of its model; ``""`` for whichever it is.
            messages: The chat as role dicts, the last one the user's.
            proxy: URL of a proxy.
            **kwargs: ``base_url``, ``api_key`` (a Hugging Face token),
                ``timeout`` (seconds) and ``system``; others are ignored, since
                callers pass what other providers need.

        Returns:
            The text as it comes; use it in ``async for``, with or without
            ``await`` before it.

        Raises:
            InvalidRequest: If an argument is refused.

        Example:
            >>> async def main():
            ...     messages = [{"role": "user", "content": "What is the capital of France?"}]
            ...     async for chunk in Qwen_Qwen_2_72B.create_async_generator("", messages):
            ...         print(chunk)
            >>> asyncio.run(main())
            Paris.
        """
        proxy, kwargs = hide_url(proxy), _hidden(kwargs)
        client = AsyncClient(**cls._options(proxy, kwargs))
        answer = cls._ask(client._core, model, messages, kwargs)
        return ChunkGenerator(client, AsyncStream(answer, client._threads))

    @classmethod
    def create_completion(
        cls,
        model: str | None,
        messages: Messages,
        stream: bool = True,
        proxy: str | None = None,
        **kwargs: Any,
    ) -> Iterator[str]:
        """
        Ask the Space, blocking.

        Args:
            model: As in ``create_async_generator``.
            messages: As in ``create_async_generator``.
            stream: Whether the text comes in pieces or as one.
            proxy: As in ``create_async_generator``.
            **kwargs: As in ``create_async_generator``.

        Returns:
            An iterator of text.

        Raises:
            InvalidRequest: If an argument is refused.

        Example:
            >>> messages = [{"role": "user", "content": "Why is the sky blue?"}]
            >>> list(Qwen_Qwen_2_72B.create_completion("", messages))
            ['Because', ' of', ' the air.']
        """
        proxy, kwargs = hide_url(proxy), _hidden(kwargs)
        client = Client(**cls._options(proxy, kwargs))
        answer = cls._ask(client._core, model, messages, kwargs)
        return _chunks(client, Stream(answer), whole=not stream)

    @staticmethod
    def generate_session_hash() -> str:
        """
        Make a session hash: 12 hexadecimal characters of a random UUID.

        Example:
            >>> len(Qwen_Qwen_2_72B.generate_session_hash())
            12
        """
        return new_session_hash()

    @classmethod
    def get_parent(cls) -> str:
        """
        Return the name that a registry files this provider under.

        Example:
            >>> Qwen_Qwen_2_72B.get_parent()
            'Qwen_Qwen_2_72B'
        """
        return cls.__name__

    @classmethod
    def get_dict(cls) -> dict[str, Any]:
        """
        Return what a registry lists.

        Example:
            >>> Qwen_Qwen_2_72B.get_dict()["label"]
            'Qwen Qwen-2.72B'
        """
        return {"name": cls.__name__, "url": cls.url, "label": cls.label}

    @classmethod
    def _options(cls, proxy: str | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        moved = cls.url if cls.url != space_url(PUBLIC_SPACE) else None
        return {
            "base_url": kwargs.get("base_url") or moved,
            "token": kwargs.get("api_key"),
            "proxy": proxy,
        }

    @classmethod
    def _ask(
        cls, core: ClientCore, model: str | None, messages: Messages, kwargs: dict[str, Any]
    ) -> Answer:
        check_model(model)
        timeout: TimeoutLike = kwargs.get("timeout")
        return core.open(
            _fold(messages, kwargs.get("system")), timeout=timeout, fallback=DOCUMENTED
        )


def _hidden(options: dict[str, Any]) -> dict[str, Any]:
    """Wrap what no frame of ours is to hold bare."""
    return {
        **options,
        "api_key": hide(options.get("api_key")),
        "base_url": hide_url(options.get("base_url")),
    }


def _fold(messages: Messages, system: str | None) -> Prompt:
    """Make one prompt of a chat; the system texts go where the Space wants them."""
    turns = read_messages(messages)
    chat = [{"role": role, "content": text} for role, text in turns if role != "system"]
    return Prompt(format_prompt(chat), system=system_text(turns, system))


def _chunks(client: Client, stream: Stream, *, whole: bool) -> Iterator[str]:
    with client:
        if whole:
            yield str(stream.result())
        else:
            yield from stream
