"""litellm before the gateway."""

from __future__ import annotations

import asyncio
from typing import Any

import litellm
import pytest
from conftest import LINES
from doors import HI, Door

from qwen72b.testing import Fail, FakeSpace, Respond, page


def named(gateway: Door, **options: Any) -> dict[str, Any]:
    return {
        "model": "openai/qwen-2-72b",
        "messages": HI,
        "api_base": f"{gateway.url}/v1",
        "api_key": "s3cret",
        "num_retries": 0,
        **options,
    }


def text_of(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_plain(gateway: Door) -> None:
    """A completion has the text and whole counts."""
    answer = litellm.completion(**named(gateway))
    assert answer.choices[0].message.content == LINES
    assert answer.usage.total_tokens > 0


def test_stream(gateway: Door) -> None:
    """A stream has the whole text."""
    assert text_of(litellm.completion(**named(gateway, stream=True))) == LINES


def test_async(gateway: Door) -> None:
    """So have the async ones."""

    async def ask() -> tuple[str, str]:
        whole = await litellm.acompletion(**named(gateway))
        stream = await litellm.acompletion(**named(gateway, stream=True))
        return whole.choices[0].message.content, text_of([chunk async for chunk in stream])

    assert asyncio.run(ask()) == (LINES, LINES)


ERRORS: list[tuple[Any, Any]] = [
    (Respond(status=503, body={"detail": "Queue is full."}), litellm.RateLimitError),
    (Fail("GPU quota exceeded. Try again in 0:01:00"), litellm.RateLimitError),
    (page("Sleeping Space"), litellm.ServiceUnavailableError),
    (Fail("CUDA out of memory"), litellm.BadGatewayError),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("step", "kind"), ERRORS)
def test_error_of_the_space(
    space: FakeSpace, gateway: Door, step: Any, kind: Any, stream: bool
) -> None:
    """Each error is the package's own class."""
    if isinstance(step, Fail):
        space.answer(step)
    else:
        space.fault("join", step, times=None)
    with pytest.raises(kind):
        litellm.completion(**named(gateway, stream=stream))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"model": "openai/gpt-4"}, litellm.NotFoundError),
        ({"n": 2}, litellm.BadRequestError),
        ({"api_key": "wrong"}, litellm.AuthenticationError),
    ],
)
def test_refusal(gateway: Door, options: dict[str, Any], kind: Any) -> None:
    """What the gateway itself refuses is the package's own class, too."""
    with pytest.raises(kind):
        litellm.completion(**named(gateway, **options))


def test_error_in_the_text(space: FakeSpace, gateway: Door) -> None:
    """An error after the first text is raised, not taken for the end."""
    space.answer("It is", Fail("CUDA out of memory"))
    with pytest.raises(Exception, match="CUDA"):
        text_of(litellm.completion(**named(gateway, stream=True)))
