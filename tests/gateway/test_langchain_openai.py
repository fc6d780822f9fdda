"""langchain-openai before the gateway."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from conftest import LINES
from doors import Door
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

from qwen72b.testing import Fail, FakeSpace, Respond


def model(gateway: Door, **options: Any) -> ChatOpenAI:
    options = {"model": "qwen-2-72b", "api_key": "s3cret", "stream_usage": True, **options}
    return ChatOpenAI(base_url=f"{gateway.url}/v1", **options)


def test_plain(space: FakeSpace, gateway: Door) -> None:
    """An answer has the text and whole counts, and the Space gets the whole chat."""
    chat = [
        SystemMessage("Be brief."),
        HumanMessage("One?"),
        AIMessage("Two."),
        HumanMessage("Three?"),
    ]
    answer = model(gateway).invoke(chat)
    assert answer.content == LINES
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] > 0
    job = space.jobs[-1]
    assert (job.query, job.system) == ("Three?", "Be brief.")


def test_stream(gateway: Door) -> None:
    """A stream has the whole text, and the counts."""
    chunks = list(model(gateway).stream("Hi"))
    assert "".join(str(chunk.content) for chunk in chunks) == LINES
    assert any(chunk.usage_metadata for chunk in chunks)


def test_async(gateway: Door) -> None:
    """So have the async ones."""

    async def ask() -> tuple[str, str]:
        whole = await model(gateway).ainvoke("Hi")
        pieces = [str(chunk.content) async for chunk in model(gateway).astream("Hi")]
        return str(whole.content), "".join(pieces)

    assert asyncio.run(ask()) == (LINES, LINES)


def test_errors(space: FakeSpace, gateway: Door) -> None:
    """Errors are those of openai, before the text and in it."""
    space.fault("join", Respond(status=503, body={"detail": "Queue is full."}))
    with pytest.raises(openai.RateLimitError):
        model(gateway).invoke("Hi")
    with pytest.raises(openai.NotFoundError):
        model(gateway, model="gpt-4").invoke("Hi")
    with pytest.raises(openai.AuthenticationError):
        model(gateway, api_key="wrong").invoke("Hi")
    space.answer("It is", Fail("CUDA out of memory"))
    with pytest.raises(openai.APIError, match="CUDA"):
        list(model(gateway).stream("Hi"))
