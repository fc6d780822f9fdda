"""What is one running answer cannot be copied; what can be copied is a copy."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from qwen72b import AsyncClient, Client, Qwen_Qwen_2_72B
from qwen72b.testing import FakeSpace

WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "copy in a list": lambda value: copy.deepcopy([value]),
    "old pickle": lambda value: pickle.dumps(value, 0),
}


@pytest.mark.parametrize("way", WAYS)
def test_answers_are_not_copied(way: str) -> None:
    """A copy of what runs is refused in one clear line, and the original goes on."""
    with FakeSpace() as space, Client(space.url) as client:
        space.answer("a", "b", "c")
        stream = client.stream("Hi")
        with stream:
            chunks = [next(stream)]
            with pytest.raises(TypeError, match=r"Stream cannot be copied.*result\(\)"):
                WAYS[way](stream)
            assert "".join([*chunks, *stream]) == "abc"
        reply = WAYS[way](stream.result())
        assert way.endswith("pickle") or reply in ("abc", ["abc"])
        batch = client.map(["Hi", "Ho"])
        results = [next(batch)]
        with pytest.raises(TypeError, match="Batch cannot be copied.*results"):
            WAYS[way](batch)
        results += batch
        assert [str(result.reply) for result in results] == ["abc", "abc"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.anyio
async def test_answers_on_a_loop_are_not_copied(way: str) -> None:
    """The same holds on an event loop, and for what ``async for`` walks on."""
    with FakeSpace() as space:
        space.answer("a", "b", "c")
        async with AsyncClient(space.url) as client:
            stream = client.stream("Hi")
            walk = aiter(stream)
            chunks = [await anext(walk)]
            for each in (stream, walk):
                with pytest.raises(TypeError, match=r"AsyncStream cannot be copied"):
                    WAYS[way](each)
            chunks += [chunk async for chunk in walk]
            assert "".join(chunks) == "abc"
            batch = client.map(["Hi"])
            for each in (batch, aiter(batch)):
                with pytest.raises(TypeError, match="AsyncBatch cannot be copied"):
                    WAYS[way](each)
        made = Qwen_Qwen_2_72B.create_async_generator(None, "Hi", base_url=space.url)
        with pytest.raises(TypeError, match="AsyncStream cannot be copied"):
            WAYS[way](made)
        assert "".join([chunk async for chunk in made]) == "abc"


@pytest.mark.parametrize("way", ["copy", "deepcopy", "copy in a list"])
def test_a_conversation_is_copied_without_its_running_answer(way: str) -> None:
    """A copy of a chat has its turns, and leaves the answer that is coming to the original."""
    with FakeSpace() as space, Client(space.url) as client:
        space.answer("a", "b")
        chat = client.conversation()
        chat.ask("Hi")
        stream = chat.stream("Ho")
        first = next(stream)
        copied = WAYS[way](chat)
        copied = copied[0] if isinstance(copied, list) else copied
        assert len(copied.messages) == 2
        assert copied.ask("Hu") == "ab"
        assert first + "".join(stream) == "ab"
        assert (len(chat.messages), len(copied.messages)) == (4, 4)
