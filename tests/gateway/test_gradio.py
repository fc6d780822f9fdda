"""The openai package before the gateway, and the gateway before a real Gradio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import gradio as gr
import openai
import pytest
from doors import Door, door
from lab_scripts import SCRIPTS
from lab_server import Lab, running_lab

MODEL = "qwen-2-72b"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_lab() as lab:
        yield lab


@pytest.fixture
def gateway(lab: Lab) -> Iterator[Door]:
    with door(lab.base_url) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def chat_interface() -> Iterator[str]:
    """Serve the kind of app that most people make; it says what it was given."""

    def answer(message: str, history: Any, system: str, temperature: float) -> Iterator[str]:
        turns = [(turn["role"], _text_of(turn["content"])) for turn in history]
        text = ""
        for piece in (message, " | ", repr(turns), " | ", system, " | ", str(temperature)):
            text += piece
            yield text

    page = gr.ChatInterface(
        answer,
        additional_inputs=[
            gr.Textbox("Be kind.", label="System prompt"),
            gr.Slider(0.1, 2, 0.75, label="Temperature"),
        ],
    )
    page.launch(prevent_thread_lock=True, quiet=True)
    yield page.local_url
    page.close()


def _text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.mark.parametrize(("temperature", "got"), [(0.25, 0.25), (0, 0.1)])
@pytest.mark.parametrize("stream", [True, False])
def test_chat_interface(chat_interface: str, stream: bool, temperature: float, got: float) -> None:
    """Question, turns, system text and temperature are in their places of a ChatInterface."""
    chat: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        *asked("Three?"),
    ]
    with (
        door(chat_interface) as gateway,
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused") as api,
    ):
        answer: Any = api.chat.completions.create(
            model=MODEL, messages=chat, temperature=temperature, stream=stream
        )
        if stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
        else:
            text = answer.choices[0].message.content
    turns = [("user", "One?"), ("assistant", "Two.")]
    assert text == f"Three? | {turns} | Be brief. | {got}"


def asked(prompt: str) -> Any:
    return [{"role": "user", "content": prompt}]


def test_plain_and_stream(lab: Lab, gateway: Door) -> None:
    """The text is the app's, whole and in pieces."""
    prompt, _ = lab.prompt("chinese")
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused") as api:
        answer = api.chat.completions.create(model=MODEL, messages=asked(prompt))
        chunks = api.chat.completions.create(model=MODEL, messages=asked(prompt), stream=True)
        pieces = [text for chunk in chunks if (text := chunk.choices[0].delta.content)]
    assert answer.choices[0].message.content == lab.answer(prompt)
    assert pieces == list(SCRIPTS["chinese"].parts)


def test_chat_and_system_text(lab: Lab, gateway: Door) -> None:
    """Turns and system text are in their places."""
    history, _ = lab.prompt("history")
    system, _ = lab.prompt("system")
    turns: Any = [("What is up?", "The sky."), ("And now?", "The moon.")]
    before = [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused") as api:
        told = api.chat.completions.create(model=MODEL, messages=[*before, *asked(history)])
        brief: Any = [{"role": "system", "content": "Be brief."}, *asked(system)]
        obeyed = api.chat.completions.create(model=MODEL, messages=brief)
    assert told.choices[0].message.content == lab.answer(history, turns)
    assert obeyed.choices[0].message.content == lab.answer(system, system="Be brief.")


@pytest.mark.parametrize("stream", [True, False])
def test_cancel(lab: Lab, gateway: Door, stream: bool) -> None:
    """Leaving ends the app's generator."""
    prompt, token = lab.prompt("endless")

    async def ask(api: openai.AsyncOpenAI, begun: asyncio.Event) -> None:
        answer: Any = await api.chat.completions.create(
            model=MODEL, messages=asked(prompt), stream=stream
        )
        async for _ in answer:
            begun.set()

    async def leave() -> None:
        begun = asyncio.Event()
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="unused") as api:
            task = asyncio.create_task(ask(api, begun))
            # Unstreamed there is nothing to wait for: the request is under way after a while.
            await (begun.wait() if stream else asyncio.sleep(1))
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(leave())
    assert lab.end_of(token) == "closed"


def test_error(lab: Lab, gateway: Door) -> None:
    """The app's own words arrive, in the package's own class."""
    prompt, _ = lab.prompt("gr_error_first")
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused") as api,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        api.chat.completions.create(model=MODEL, messages=asked(prompt))
    assert str(SCRIPTS["gr_error_first"].words) in caught.value.message
