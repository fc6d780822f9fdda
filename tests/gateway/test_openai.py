"""The openai package before the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import openai
import pytest
from conftest import LINES, PIECES
from doors import HI, Door

import qwen72b.gateway.chat
from qwen72b.testing import Close, Fail, FakeSpace, Gate, Respond, Stall, page

MODEL = "qwen-2-72b"


def client(gateway: Door, **options: Any) -> openai.OpenAI:
    options = {"api_key": "s3cret", **options}
    return openai.OpenAI(base_url=f"{gateway.url}/v1", **options)


def async_client(gateway: Door, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="s3cret", **options)


def text_of(chunks: Any) -> str:
    return "".join(
        choice.delta.content or "" for chunk in chunks for choice in getattr(chunk, "choices", ())
    )


def test_plain(gateway: Door) -> None:
    """A completion has the text and whole counts."""
    with client(gateway) as api:
        answer = api.chat.completions.create(model=MODEL, messages=HI)
    assert answer.choices[0].message.content == LINES
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_stream(gateway: Door) -> None:
    """A stream has a chunk for each piece, and the counts at its end."""
    with client(gateway) as api:
        chunks = list(
            api.chat.completions.create(
                model=MODEL, messages=HI, stream=True, stream_options={"include_usage": True}
            )
        )
    assert text_of(chunks) == LINES
    assert len(chunks) == len(PIECES) + 3
    assert chunks[-1].usage.completion_tokens > 0


def test_stream_helper(gateway: Door) -> None:
    """The package's own accumulating stream makes the whole completion of the chunks."""
    with client(gateway) as api, api.chat.completions.stream(model=MODEL, messages=HI) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert "content.delta" in kinds
    assert answer.choices[0].message.content == LINES


def test_async() -> None:
    """Two hundred async streams at once each have their own whole text."""
    with FakeSpace() as space:
        space.answer(lambda job: [f"<{job.query}>", *(f" {n}" for n in range(20))], delay=0.01)
        from doors import door

        async def one(api: openai.AsyncOpenAI, number: int) -> str:
            messages: Any = [{"role": "user", "content": str(number)}]
            stream = await api.chat.completions.create(model=MODEL, messages=messages, stream=True)
            return text_of([chunk async for chunk in stream])

        async def many(gateway: Door) -> list[str]:
            async with async_client(gateway) as api:
                return await asyncio.gather(*(one(api, number) for number in range(200)))

        with door(space.url, key="s3cret") as gateway:
            texts = asyncio.run(many(gateway))
    rest = "".join(f" {n}" for n in range(20))
    assert texts == [f"<{number}>{rest}" for number in range(200)]


def test_models(gateway: Door) -> None:
    """The models are listed, and each is found by its name."""
    with client(gateway) as api:
        names = [model.id for model in api.models.list()]
        assert MODEL in names
        assert api.models.retrieve(MODEL).id == MODEL


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("first", [[], ["It is"]])
def test_cancel(space: FakeSpace, gateway: Door, stream: bool, first: list[str]) -> None:
    """Cancelling an async request, before the first text or after it, ends the Space's job."""
    gate = Gate()
    space.answer(*first, gate, "never")

    async def ask(api: openai.AsyncOpenAI) -> None:
        answer: Any = await api.chat.completions.create(model=MODEL, messages=HI, stream=stream)
        async for _ in answer:
            pass

    async def leave() -> None:
        async with async_client(gateway) as api:
            task = asyncio.create_task(ask(api))
            await asyncio.to_thread(gate.wait_reached)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(leave())
    space.wait_for_disconnect()


def test_leaving_a_stream(space: FakeSpace, gateway: Door) -> None:
    """Closing a blocking stream ends the Space's job."""
    space.answer("It is", Stall())
    with client(gateway) as api:
        stream = api.chat.completions.create(model=MODEL, messages=HI, stream=True)
        next(iter(stream))
        stream.close()
        space.wait_for_disconnect()


ERRORS: list[tuple[Any, type[openai.APIError]]] = [
    (Respond(status=503, body={"detail": "Queue is full."}), openai.RateLimitError),
    (Respond(status=429, headers={"Retry-After": "7"}), openai.RateLimitError),
    (Fail("GPU quota exceeded. Try again in 0:01:00"), openai.RateLimitError),
    (page("Sleeping Space"), openai.InternalServerError),
    (Fail("CUDA out of memory"), openai.InternalServerError),
    (Respond(status=401), openai.InternalServerError),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("step", "kind"), ERRORS)
def test_error_of_the_space(
    space: FakeSpace, gateway: Door, step: Any, kind: type[openai.APIError], stream: bool
) -> None:
    """Each error is the package's own class, and is not asked for again."""
    if isinstance(step, Fail):
        space.answer(step)
    else:
        space.fault("join", step, times=None)
    with client(gateway) as api, pytest.raises(kind) as caught:
        api.chat.completions.create(model=MODEL, messages=HI, stream=stream)
    assert type(caught.value) is kind
    # The package tries twice more where it is not told to leave that.
    assert len([request for request in space.requests if request.phase == "join"]) == 1


def test_cut_may_be_asked_for_again(space: FakeSpace, gateway: Door) -> None:
    """A connection that was cut before the first text is asked for again by the package."""
    space.answer(Close(), times=1)
    with client(gateway) as api:
        answer = api.chat.completions.create(model=MODEL, messages=HI)
    assert answer.choices[0].message.content == LINES


Call = Callable[[openai.OpenAI], Any]
REFUSALS: list[tuple[Call, type[openai.APIError]]] = [
    (
        lambda api: api.chat.completions.create(model="gpt-4", messages=HI),  # type: ignore[arg-type]
        openai.NotFoundError,
    ),
    (
        lambda api: api.chat.completions.create(model=MODEL, messages=[]),
        openai.BadRequestError,
    ),
    (
        lambda api: api.chat.completions.create(model=MODEL, messages=HI, n=2),  # type: ignore[arg-type]
        openai.BadRequestError,
    ),
    (lambda api: api.completions.create(model=MODEL, prompt="Hi"), openai.NotFoundError),
]


@pytest.mark.parametrize(("call", "kind"), REFUSALS)
def test_refusal(gateway: Door, call: Call, kind: type[openai.APIError]) -> None:
    """What the gateway itself refuses is the package's own class, too."""
    with client(gateway) as api, pytest.raises(kind):
        call(api)


def test_wrong_key(gateway: Door) -> None:
    """A wrong key is an AuthenticationError."""
    with client(gateway, api_key="wrong") as api, pytest.raises(openai.AuthenticationError):
        api.models.list()


def test_error_in_the_text(space: FakeSpace, gateway: Door) -> None:
    """An error after the first text is raised, not taken for the end."""
    space.answer("It is", Fail("CUDA out of memory"))
    with client(gateway) as api, pytest.raises(openai.APIError, match="CUDA"):
        list(api.chat.completions.create(model=MODEL, messages=HI, stream=True))


def test_long_queue(space: FakeSpace, gateway: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments while the queue is long are passed over."""
    monkeypatch.setattr(qwen72b.gateway.chat, "HEAD_TIME", 0.02)
    monkeypatch.setattr(qwen72b.gateway.chat, "KEEP_ALIVE", 0.02)
    gate = Gate()
    space.answer(gate, *PIECES)
    with client(gateway) as api:
        # Returns with the head, before the first text.
        stream = api.chat.completions.create(model=MODEL, messages=HI, stream=True)
        gate.open()
        assert text_of(stream) == LINES
