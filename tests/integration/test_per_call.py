"""What one call may be told, and what is refused before anything is sent."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from qwen72b import (
    AsyncClient,
    Client,
    InvalidMessages,
    InvalidOption,
    InvalidRequest,
    ModelNotFound,
    Retry,
)
from qwen72b.testing import FakeSpace, Gate, Respond


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace("5.25.2") as space:
        space.answer(lambda job: [f"re: {job.query}"])
        yield space


WAYS: dict[str, Callable[..., Any]] = {
    "ask": lambda client, **options: client.ask("Hi", **options),
    "stream": lambda client, **options: client.stream("Hi", **options).result(),
    "chat.ask": lambda client, **options: client.conversation().ask("Hi", **options),
    "chat.stream": lambda client, **options: client.conversation().stream("Hi", **options).result(),
}


async def _async(url: str, way: str, **options: Any) -> Any:
    async with AsyncClient(url) as client:
        found = WAYS[way](client, **options)
        return await found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", ["sync", "async"])
def test_headers_of_a_call(space: FakeSpace, way: str, side: str) -> None:
    """They go with this call's requests, beside the client's, and with no other's."""
    headers = {"X-IP-Token": "visitor"}
    if side == "sync":
        with Client(space.url, headers={"X-Mine": "1"}) as client:
            WAYS[way](client, headers=headers)
            sent = list(space.requests)
            WAYS[way](client)
        assert all(request.headers["x-mine"] == "1" for request in space.requests)
    else:
        anyio.run(lambda: _async(space.url, way, headers=headers))
        sent = list(space.requests)
    assert all(request.headers["x-ip-token"] == "visitor" for request in sent)
    assert not any("x-ip-token" in request.headers for request in space.requests[len(sent) :])


@pytest.mark.parametrize("way", WAYS)
def test_retry_of_a_call(space: FakeSpace, way: str) -> None:
    """A call may be more stubborn, or less, than its client."""
    with Client(space.url, retry=Retry(attempts=1)) as client:
        space.fault("join", Respond(status=503))
        assert WAYS[way](client, retry=Retry(attempts=2, base=0)) == "re: Hi"


@pytest.mark.parametrize(
    "options", [{"headers": {"Bad\n": "x"}}, {"headers": {"X": "a\r\nb"}}, {"retry": 3}]
)
def test_bad_options_of_a_call(space: FakeSpace, options: dict[str, Any]) -> None:
    """They are refused at once, as the client's are."""
    with Client(space.url) as client:
        for way in WAYS.values():
            with pytest.raises(InvalidOption):
                way(client, **options)
    assert space.requests == []


@pytest.mark.parametrize("question", ["", "  \n", [{"role": "user", "content": ""}]])
def test_empty_question_is_refused(space: FakeSpace, question: Any) -> None:
    """Nobody means to ask nothing."""
    with Client(space.url) as client:
        with pytest.raises(InvalidMessages, match="empty"):
            client.ask(question)
        with pytest.raises(InvalidMessages, match="empty"):
            client.conversation().ask("")
    assert space.requests == []


@pytest.mark.parametrize("model", ["Qwen/Qwen2-72B-Instruct", "qwen/qwen2-72b-instruct"])
def test_model_has_its_name_on_the_hub(space: FakeSpace, model: str) -> None:
    """The model's own name is one of its names."""
    with Client(space.url) as client:
        assert client.ask("Hi", model=model) == "re: Hi"
        with pytest.raises(ModelNotFound, match="Qwen/Qwen2-72B-Instruct"):
            client.ask("Hi", model="Qwen/Qwen2-7B-Instruct")


def test_two_spaces_are_one_too_many() -> None:
    """An address of one Space with the name of another is refused."""
    with pytest.raises(InvalidOption, match="two different Spaces"):
        Client("https://someone-app.hf.space", space="owner/name")
    assert Client("https://owner-name.hf.space", space="owner/name").base_url
    assert Client("http://localhost:7860", space="owner/name").base_url


def test_finished_stream_says_so(space: FakeSpace) -> None:
    """A second loop would be empty without a word; ``next`` and ``result`` are as ever."""
    with Client(space.url) as client:
        stream = client.stream("Hi")
        assert "result()" in repr(stream)
        assert "".join(stream) == "re: Hi"
        with pytest.raises(InvalidRequest, match="read to its end"):
            iter(stream)
        with pytest.raises(StopIteration):
            next(stream)
        assert stream.result() == "re: Hi"
        with client.stream("Hi") as stream:
            assert list(stream)


def test_finished_async_stream_says_so(space: FakeSpace) -> None:
    """So does the async one."""

    async def ask() -> None:
        async with AsyncClient(space.url) as client:
            stream = client.stream("Hi")
            assert "".join([chunk async for chunk in stream]) == "re: Hi"
            with pytest.raises(InvalidRequest, match="read to its end"):
                stream.__aiter__()
            assert await stream.result() == "re: Hi"

    anyio.run(ask)


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda chat: pickle.loads(pickle.dumps(chat))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_conversation_can_be_copied(space: FakeSpace, duplicate: Callable[[Any], Any]) -> None:
    """The copy has the turns, and not an answer that is still coming; each goes on by itself."""
    gate = Gate()
    with Client(space.url) as client:
        chat = client.conversation(system="Brief.")
        chat.ask("One")
        space.answer("Hel", gate, "lo", times=1)
        with chat.stream("Two") as stream:
            assert next(stream) == "Hel"
            other = duplicate(chat)
            gate.open()
            assert stream.result() == "Hello"
        assert [turn["content"] for turn in other.messages] == ["Brief.", "One", "re: One"]
        assert other.ask("Three") == "re: Three"
        assert len(chat.messages) == len(other.messages) == 5
        other._client.close()


def test_copies_share_the_client(space: FakeSpace) -> None:
    """A session state that is copied for each visitor opens no connections of its own."""
    with Client(space.url) as client:
        assert copy.deepcopy(client.conversation())._client is client
