"""
A chat model for langchain: ``ChatQwen72B``.

It streams, is truly async, obeys ``stop``, and hangs up on the Space when whoever
iterates leaves. Tools and structured output are not there, since a Space has none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cached_property
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, SecretStr

from ..aio.client import AsyncClient
from ..client.client import Client
from ..gateway.stops import StopCutter
from ..provider import Qwen_Qwen_2_72B

__all__ = ["ChatQwen72B"]


class ChatQwen72B(BaseChatModel):
    """
    A Space as a chat model of langchain.

    Args:
        base_url: As in ``Client``.
        space: See there.
        token: See there.
        endpoint: See there.
        timeout: Seconds for a whole answer; ``None`` for no limit.
        inputs: Values of the Space's other inputs, by their labels.
        stop: Text that ends every answer.

    Example:
        >>> from qwen72b.integrations.langchain import ChatQwen72B
        >>> ChatQwen72B().invoke("What is the capital of France?").content
        'Paris.'
    """

    base_url: str | None = None
    space: str | None = None
    token: SecretStr | None = None
    endpoint: str | int | None = None
    timeout: float | None = None
    inputs: dict[str, Any] | None = None
    stop: list[str] | None = Field(default=None, alias="stop_sequences")

    model_config = ConfigDict(populate_by_name=True, ignored_types=(cached_property,))

    @property
    def _llm_type(self) -> str:
        return "qwen72b"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"base_url": self.base_url, "space": self.space, "endpoint": self.endpoint}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        # What tracing shows as the model.
        name = kwargs.get("model") or self.space or Qwen_Qwen_2_72B.default_model
        told = {"ls_provider": "qwen72b", "ls_model_name": name, "ls_model_type": "chat"}
        return told | ({"ls_stop": stop} if stop else {})

    def _settings(self) -> dict[str, Any]:
        token = None if self.token is None else self.token.get_secret_value()
        return {
            "base_url": self.base_url,
            "space": self.space,
            "token": token,
            "endpoint": self.endpoint,
            "timeout": self.timeout,
        }

    def _question(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> dict[str, Any]:
        return {
            "messages": _to_messages(messages),
            "model": kwargs.get("model"),
            "inputs": kwargs.get("inputs", self.inputs),
        }

    @cached_property
    def _client(self) -> Client:
        return Client(**self._settings())

    @cached_property
    def _async_client(self) -> AsyncClient:
        return AsyncClient(**self._settings())

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        cutter = StopCutter(stop or self.stop or ())
        with self._client.stream(**self._question(messages, kwargs)) as answer:
            for piece in answer:
                text = cutter.feed(piece)
                if text:
                    chunk = _chunk(text)
                    if run_manager is not None:
                        run_manager.on_llm_new_token(text, chunk=chunk)
                    yield chunk
                if cutter.found:
                    break
        yield _chunk(cutter.flush(), last=True)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        cutter = StopCutter(stop or self.stop or ())
        async with self._async_client.stream(
            _to_messages(messages), model=kwargs.get("model")
        ) as answer:
            async for piece in answer:
                text = cutter.feed(piece)
                if text:
                    chunk = _chunk(text)
                    if run_manager is not None:
                        await run_manager.on_llm_new_token(text, chunk=chunk)
                    yield chunk
                if cutter.found:
                    break
        yield _chunk(cutter.flush(), last=True)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        stops = stop or self.stop
        if stops:
            pieces = self._stream(messages, stops, **kwargs)
            return _result("".join(str(piece.message.content) for piece in pieces))
        with self._client.stream(**self._question(messages, kwargs)) as answer:
            return _result(str(answer.result()))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        stops = stop or self.stop
        if stops:
            pieces = self._astream(messages, stops, **kwargs)
            return _result("".join([str(piece.message.content) async for piece in pieces]))
        async with self._async_client.stream(
            _to_messages(messages), model=kwargs.get("model")
        ) as answer:
            return _result(str(await answer.result()))


def _to_messages(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Make role dicts; calls of tools are left out, and their results are what the user says."""
    converted: list[dict[str, Any]] = convert_to_openai_messages(messages)
    return [
        {
            "role": "user" if message["role"] == "tool" else message["role"],
            "content": message["content"],
        }
        for message in converted
        if message["content"] or "tool_calls" not in message
    ]


def _chunk(text: str, *, last: bool = False) -> ChatGenerationChunk:
    if last:
        end = AIMessageChunk(
            content=text, chunk_position="last", response_metadata={"finish_reason": "stop"}
        )
        return ChatGenerationChunk(message=end)
    return ChatGenerationChunk(message=AIMessageChunk(content=text))


def _result(text: str) -> ChatResult:
    message = AIMessage(content=text, response_metadata={"finish_reason": "stop"})
    return ChatResult(generations=[ChatGeneration(message=message)])
