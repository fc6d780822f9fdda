"""gpt4free's current clients take the provider class as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from qwen72b import Qwen_Qwen_2_72B
from qwen72b.testing import FakeSpace, Stall

g4f_client = pytest.importorskip("g4f.client")

ASK: dict[str, Any] = {
    "model": "qwen-2-72b",
    "messages": [{"role": "user", "content": "Hello"}],
}


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    """A Space that says Hello."""
    with FakeSpace() as space:
        space.answer("Hel", "lo")
        yield space


@pytest.fixture
def client(space: FakeSpace) -> Any:
    """gpt4free's blocking client."""
    return g4f_client.Client(provider=Qwen_Qwen_2_72B, base_url=space.url)


@pytest.fixture
def async_client(space: FakeSpace) -> Any:
    """gpt4free's async client."""
    return g4f_client.AsyncClient(provider=Qwen_Qwen_2_72B, base_url=space.url)


def _pieces(chunks: Iterator[Any]) -> list[str]:
    return [piece for chunk in chunks if (piece := chunk.choices[0].delta.content)]


def test_whole(client: Any, space: FakeSpace) -> None:
    """The blocking client gives the whole answer."""
    answer = client.chat.completions.create(**ASK)
    assert answer.choices[0].message.content == "Hello"
    assert [job.query for job in space.jobs] == ["Hello"]
    space.wait_until_idle()


def test_streaming(client: Any, space: FakeSpace) -> None:
    """The blocking client gives each piece."""
    assert _pieces(client.chat.completions.create(**ASK, stream=True)) == ["Hel", "lo"]
    space.wait_until_idle()


def test_async_whole(async_client: Any, space: FakeSpace) -> None:
    """The async client gives the whole answer."""

    async def main() -> str:
        answer = await async_client.chat.completions.create(**ASK)
        text: str = answer.choices[0].message.content
        return text

    assert asyncio.run(main()) == "Hello"
    space.wait_until_idle()


def test_async_streaming(async_client: Any, space: FakeSpace) -> None:
    """The async client gives each piece."""

    async def main() -> list[str]:
        chunks = async_client.chat.completions.create(**ASK, stream=True)
        return [piece async for chunk in chunks if (piece := chunk.choices[0].delta.content)]

    assert asyncio.run(main()) == ["Hel", "lo"]
    space.wait_until_idle()


def test_blocking_inside_a_running_loop(client: Any, space: FakeSpace) -> None:
    """The blocking client works where a loop runs, as in Jupyter."""

    async def cell() -> tuple[str, list[str]]:
        whole = client.chat.completions.create(**ASK).choices[0].message.content
        return whole, _pieces(client.chat.completions.create(**ASK, stream=True))

    assert asyncio.run(cell()) == ("Hello", ["Hel", "lo"])
    space.wait_until_idle()


def test_system_and_history(client: Any, space: FakeSpace) -> None:
    """A chat arrives as one prompt, with its system text."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "And you?"},
    ]
    client.chat.completions.create(model="qwen-2-72b", messages=messages)
    job = space.jobs[0]
    assert job.query == "User: Hello\nAssistant: Hi.\nUser: And you?\nAssistant:"
    assert job.system == "Be brief."


def test_leaving_early(client: Any, space: FakeSpace) -> None:
    """Leaving gpt4free's loop early hangs up."""
    space.answer("Hel", "lo", Stall())
    chunks = client.chat.completions.create(**ASK, stream=True)
    assert next(chunks).choices[0].delta.content == "Hel"
    chunks.close()
    del chunks
    space.wait_for_disconnect()
