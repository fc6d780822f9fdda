"""
The plugin for ``llm``: ``llm -m qwen2-72b "Why is the sky blue?"``.

``llm`` finds it by the entry point ``qwen72b`` of its group. History and system text
go to the Space as what they are; ``-c``, ``chat``, logs and async are llm's own.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import llm
from llm.parts import TextPart, ToolResultPart
from pydantic import Field, field_validator

from ..aio.client import AsyncClient
from ..client.client import Client
from ..errors import Qwen72BError

if TYPE_CHECKING:
    from llm.models import AsyncConversation, AsyncResponse, Conversation, Prompt, Response

__all__ = ["AsyncQwen72B", "Qwen72B", "register_models"]

# Its short name, as of the other models of llm; and the one of the Space's own.
_MODEL_ID = "qwen2-72b"
_ALIASES = ("qwen-2-72b",)


@llm.hookimpl
def register_models(register: Any) -> None:
    """Tell ``llm`` the model."""
    register(Qwen72B(), AsyncQwen72B(), aliases=_ALIASES)


class _Space(llm.Options):
    """Which Space answers; by default ``QWEN72B_BASE_URL``, else the public one."""

    url: str | None = Field(default=None, description="Address of the Space")
    space: str | None = Field(default=None, description="Its name on Hugging Face: owner/name")
    endpoint: str | None = Field(
        default=None, description="What of it to ask, where it has several chats"
    )
    timeout: float | None = Field(default=None, description="Seconds for a whole answer")
    inputs: dict[str, Any] | None = Field(
        default=None, description='Its other inputs by their labels: {"Temperature": 0.2}'
    )

    @field_validator("inputs", mode="before")
    @classmethod
    def _read_inputs(cls, value: Any) -> Any:
        """Read JSON, as it comes from the command line."""
        return json.loads(value) if isinstance(value, str) else value


class _Shared:
    """What the blocking model and the async one have in common."""

    model_id = _MODEL_ID
    can_stream = True
    Options = _Space

    @staticmethod
    def settings(prompt: Prompt) -> dict[str, Any]:
        """Give the client's arguments."""
        options = prompt.options
        return {
            "base_url": options.url,
            "space": options.space,
            "endpoint": options.endpoint,
            "timeout": options.timeout,
        }

    @staticmethod
    def question(prompt: Prompt) -> dict[str, Any]:
        """
        Give the stream's arguments.

        llm tells the system text of each turn anew: the last one holds.
        """
        messages: list[dict[str, str]] = []
        system = None
        for message in prompt.messages:
            text = "".join(map(_text_of, message.parts))
            if message.role == "system":
                system = text
            elif text or message.role == "user":
                # The result of a tool, from another model's turn.
                role = "user" if message.role == "tool" else message.role
                messages.append({"role": role, "content": text})
        return {"messages": messages, "system": system, "inputs": prompt.options.inputs}


class Qwen72B(_Shared, llm.Model):
    """The model, as ``llm`` asks it."""

    def execute(
        self, prompt: Prompt, stream: bool, response: Response, conversation: Conversation | None
    ) -> Iterator[str]:
        """
        Ask the Space.

        Args:
            prompt: The chat, and llm's options.
            stream: Whether the text comes in pieces.
            response: Not needed.
            conversation: Not needed: the prompt has the whole chat.

        Yields:
            The text; unstreamed as one piece, the exact one.
        """
        with (
            _llms_words(),
            Client(**self.settings(prompt)) as client,
            client.stream(**self.question(prompt)) as answer,
        ):
            if stream:
                yield from answer
            else:
                yield str(answer.result())


class AsyncQwen72B(_Shared, llm.AsyncModel):
    """The model for an event loop."""

    async def execute(
        self,
        prompt: Prompt,
        stream: bool,
        response: AsyncResponse,
        conversation: AsyncConversation | None,
    ) -> AsyncGenerator[str, None]:
        """
        Ask the Space.

        Args:
            prompt: As in ``Qwen72B.execute``.
            stream: As in ``Qwen72B.execute``.
            response: As in ``Qwen72B.execute``.
            conversation: As in ``Qwen72B.execute``.

        Yields:
            As ``Qwen72B.execute``.
        """
        with _llms_words():
            async with (
                AsyncClient(**self.settings(prompt)) as client,
                client.stream(**self.question(prompt)) as answer,
            ):
                if stream:
                    async for chunk in answer:
                        yield chunk
                else:
                    yield str(await answer.result())


@contextmanager
def _llms_words() -> Iterator[None]:
    """Name llm's options in a hint, where it names arguments of Python's."""
    try:
        yield
    except Qwen72BError as error:
        error.hint = error.hint.replace("base_url=", "-o url").replace("endpoint=", "-o endpoint ")
        raise


def _text_of(part: Any) -> str:
    if isinstance(part, TextPart):
        return str(part.text)
    return str(part.output) if isinstance(part, ToolResultPart) else ""
