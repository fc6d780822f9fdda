"""The langchain chat model: langchain's own standard tests, and what they do not see."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from qwen72b import EndpointNotFound, GenerationFailed, InvalidMessages, ModelNotFound
from qwen72b.integrations.langchain import ChatQwen72B
from qwen72b.testing import Fail, FakeSpace, Layout, Snapshot, Stall, words

LINES = "It is blue. It is not green."


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """langchain keeps threads of its own, and a model its connections."""


@pytest.fixture(autouse=True)
def space(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer(*words(LINES))
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        yield space


class _Standard:
    """What a Space cannot do."""

    chat_model_class = ChatQwen72B
    has_tool_calling = False
    has_structured_output = False
    supports_json_mode = False
    returns_usage_metadata = False
    supports_model_override = False


class TestUnit(_Standard, ChatModelUnitTests):
    """langchain's tests without a network."""


class TestIntegration(_Standard, ChatModelIntegrationTests):
    """langchain's tests with a Space."""


def test_chat_reaches_the_space(space: FakeSpace) -> None:
    """The Space gets the system text, the turns and the question."""
    call = {"name": "f", "args": {}, "id": "1"}
    chat = [
        SystemMessage("Be brief."),
        HumanMessage("Weather?"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("Rain.", tool_call_id="1"),
        AIMessage("It rains."),
        HumanMessage([{"type": "text", "text": "Then?"}]),
    ]
    assert ChatQwen72B().invoke(chat).content == LINES
    job = space.jobs[-1]
    assert (job.query, job.system) == ("Then?", "Be brief.")
    assert job.history == [["Weather?\n\nRain.", "It rains."]]


def test_inputs_of_the_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other inputs are given by their labels, to the model or with a call."""
    with FakeSpace(layout=Layout(inputs=("query", "chat", "system", "extra"))) as space:
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        model = ChatQwen72B(inputs={"Temperature": 0.25})
        model.invoke("Hi")
        model.invoke("Hi", inputs={"Temperature": 0.5})
        assert [job.data[-1] for job in space.jobs] == [0.25, 0.5]


def test_endpoint(space: FakeSpace) -> None:
    """Of several chats in a Space one can be named."""
    ChatQwen72B(base_url=space.url, endpoint="/model_chat").invoke("Why?")
    with pytest.raises(EndpointNotFound, match="'/nope'"):
        ChatQwen72B(base_url=space.url, endpoint="/nope").invoke("Why?")
    assert len(space.jobs) == 1


def test_image_is_refused(space: FakeSpace) -> None:
    """What is no text is refused before anything is sent."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(InvalidMessages):
        ChatQwen72B().invoke([HumanMessage([image])])
    assert space.requests == []


def test_other_model_is_refused(space: FakeSpace) -> None:
    """A model that is asked for by another name is refused, not answered by this one."""
    with pytest.raises(ModelNotFound):
        ChatQwen72B().invoke("Hi", model="gpt-4")
    assert ChatQwen72B().invoke("Hi", model="qwen-2-72b").content == LINES
    assert len(space.jobs) == 1


def test_exact_text(space: FakeSpace) -> None:
    """Unstreamed, text that was taken back is not there."""
    space.answer(Snapshot("It is red."), Snapshot("No: blue."))
    assert ChatQwen72B().invoke("Hi").content == "No: blue."


def test_stop_hangs_up(space: FakeSpace) -> None:
    """What comes after a stop sequence is not waited for, blocking and async."""
    space.answer("One\nT", "wo\nThree", Stall())
    model = ChatQwen72B(stop=["\nThree"])
    assert model.invoke("Hi").content == "One\nTwo"
    assert "".join(str(chunk.content) for chunk in model.stream("Hi")) == "One\nTwo"

    async def ask() -> tuple[Any, Any]:
        whole = await model.ainvoke("Hi")
        return whole.content, "".join([str(chunk.content) async for chunk in model.astream("Hi")])

    assert asyncio.run(ask()) == ("One\nTwo", "One\nTwo")
    space.wait_for_disconnect(4)


def test_leaving_hangs_up(space: FakeSpace) -> None:
    """Closing a stream ends the Space's job."""
    space.answer("It is", Stall())
    stream: Any = ChatQwen72B().stream("Hi")
    next(stream)
    stream.close()
    space.wait_for_disconnect()


def test_failure(space: FakeSpace) -> None:
    """An error is ours, with the text that came before it."""
    space.answer("It is", Fail("CUDA out of memory"))
    with pytest.raises(GenerationFailed) as caught:
        list(ChatQwen72B().stream("Hi"))
    assert caught.value.partial == "It is"


def test_tokens_are_called_back() -> None:
    """Callbacks get each piece of text."""
    from langchain_core.callbacks import BaseCallbackHandler

    class Keep(BaseCallbackHandler):
        tokens: list[str]

        def on_llm_new_token(self, token: Any, **_: Any) -> None:
            self.tokens.append(token)

    keep = Keep()
    keep.tokens = []
    list(ChatQwen72B().stream("Hi", config={"callbacks": [keep]}))
    assert "".join(keep.tokens) == LINES


def test_token_is_no_part_of_what_is_shown() -> None:
    """A model that is printed shows no token."""
    assert "hf_secret" not in repr(ChatQwen72B(token="hf_secret"))
