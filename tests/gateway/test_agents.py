"""smolagents and pydantic-ai before the gateway."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from conftest import LINES
from doors import Door
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from smolagents import ChatMessage, CodeAgent, MessageRole, OpenAIServerModel

from qwen72b.testing import Fail, FakeSpace, Respond


class TestSmolagents:
    """smolagents, whose models need whole numbers in ``usage``."""

    @staticmethod
    def model(gateway: Door, **options: Any) -> OpenAIServerModel:
        options = {"model_id": "qwen-2-72b", "api_key": "s3cret", **options}
        return OpenAIServerModel(api_base=f"{gateway.url}/v1", **options)

    def test_plain_and_stream(self, gateway: Door) -> None:
        """The text and the counts arrive, whole and in pieces."""
        messages = [ChatMessage(role=MessageRole.USER, content=[{"type": "text", "text": "Hi"}])]
        answer = self.model(gateway).generate(messages)
        assert answer.content == LINES
        assert answer.token_usage.total_tokens > 0
        deltas = list(self.model(gateway).generate_stream(messages))
        assert "".join(delta.content or "" for delta in deltas) == LINES
        assert any(delta.token_usage for delta in deltas)

    @pytest.mark.parametrize("stream", [True, False])
    def test_agent(self, space: FakeSpace, gateway: Door, stream: bool) -> None:
        """A code agent runs the code that the Space answers, up to its stop sequence."""
        space.answer("Thought: easy.\n<code>\n", "final_answer(6 * 7)\n", "</code>", " and more")
        agent = CodeAgent(tools=[], model=self.model(gateway), stream_outputs=stream)
        assert agent.run("What is 6 times 7?") == 42

    def test_error(self, gateway: Door) -> None:
        """Errors are those of openai."""
        messages = [ChatMessage(role=MessageRole.USER, content="Hi")]
        with pytest.raises(openai.NotFoundError):
            self.model(gateway, model_id="gpt-4").generate(messages)


class TestPydanticAI:
    """pydantic-ai, which checks every field."""

    @staticmethod
    def agent(gateway: Door, **options: Any) -> Agent[None, str]:
        options = {"model_name": "qwen-2-72b", "api_key": "s3cret", **options}
        provider = OpenAIProvider(base_url=f"{gateway.url}/v1", api_key=options["api_key"])
        model = OpenAIChatModel(options["model_name"], provider=provider)
        return Agent(model, instructions="Be brief.")

    def test_plain(self, space: FakeSpace, gateway: Door) -> None:
        """The text and the counts arrive, and the Space gets history and instructions."""
        agent = self.agent(gateway)
        first = agent.run_sync("One?")
        second = agent.run_sync("Two?", message_history=first.all_messages())
        assert (first.output, second.output) == (LINES, LINES)
        assert second.usage.output_tokens > 0
        job = space.jobs[-1]
        assert (job.query, job.system) == ("Two?", "Be brief.")

    def test_stream(self, gateway: Door) -> None:
        """A stream has the whole text."""

        async def ask() -> str:
            async with self.agent(gateway).run_stream("Hi") as result:
                return "".join([piece async for piece in result.stream_text(delta=True)])

        assert asyncio.run(ask()) == LINES

    def test_errors(self, space: FakeSpace, gateway: Door) -> None:
        """Errors have the gateway's status."""
        space.fault("join", Respond(status=503, body={"detail": "Queue is full."}))
        with pytest.raises(ModelHTTPError) as caught:
            self.agent(gateway).run_sync("Hi")
        assert caught.value.status_code == 429
        with pytest.raises(ModelHTTPError) as caught:
            self.agent(gateway, model_name="gpt-4").run_sync("Hi")
        assert caught.value.status_code == 404
        space.answer(Fail("CUDA out of memory"))
        with pytest.raises(ModelHTTPError) as caught:
            self.agent(gateway).run_sync("Hi")
        assert caught.value.status_code == 502
