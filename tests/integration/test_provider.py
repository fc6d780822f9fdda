"""The class-level provider: its documented surface, its bytes on the wire, and its generator."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import re
from typing import Any

import anyio
import pytest
from timing import AMPLE

from qwen72b import (
    AsyncClient,
    GenerationFailed,
    InvalidMessages,
    ModelNotFound,
    Qwen_Qwen_2_72B,
    RequestTimeout,
)
from qwen72b.testing import Fail, FakeSpace, Respond, Stall, page

HELLO = [{"role": "user", "content": "Hello"}]
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "How are you?"},
]


async def _collect(generator: Any) -> list[str]:
    return [chunk async for chunk in generator]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("__name__", "Qwen_Qwen_2_72B"),
        ("label", "Qwen Qwen-2.72B"),
        ("url", "https://qwen-qwen2-72b-instruct.hf.space"),
        ("api_endpoint", "https://qwen-qwen2-72b-instruct.hf.space/queue/join?"),
        ("working", True),
        ("needs_auth", False),
        ("supports_stream", True),
        ("supports_system_message", True),
        ("supports_message_history", False),
        ("default_model", "qwen-qwen2-72b-instruct"),
        ("model_aliases", {"qwen-2-72b": "qwen-qwen2-72b-instruct"}),
        ("models", ["qwen-2-72b"]),
    ],
)
def test_attributes(name: str, value: Any) -> None:
    """The class has the documented attributes."""
    assert getattr(Qwen_Qwen_2_72B, name) == value


def test_parameters() -> None:
    """create_async_generator takes what the interface says it takes."""
    parameters = inspect.signature(Qwen_Qwen_2_72B.create_async_generator).parameters
    assert list(parameters) == ["model", "messages", "proxy", "kwargs"]
    assert parameters["proxy"].default is None
    assert parameters["kwargs"].kind is inspect.Parameter.VAR_KEYWORD


def test_session_hashes() -> None:
    """A session hash is 12 hexadecimal characters, and never the same twice."""
    hashes = {Qwen_Qwen_2_72B.generate_session_hash() for _ in range(100)}
    assert len(hashes) == 100
    assert all(re.fullmatch("[0-9a-f]{12}", found) for found in hashes)


@pytest.mark.anyio
class TestWire:
    """What goes over the wire."""

    @pytest.mark.parametrize("readable", [True, False])
    async def test_the_join_is_the_documented_one(
        self, fake_space: FakeSpace, readable: bool
    ) -> None:
        """The join's bytes are the documented ones, with the configuration or without it."""
        if not readable:
            fake_space.fault("config", Respond(status=404, body="Not Found"), times=None)
        system = [{"role": "system", "content": "S"}]
        await _collect(
            Qwen_Qwen_2_72B.create_async_generator(
                "qwen-2-72b", system + HELLO, base_url=fake_space.url
            )
        )
        join = fake_space.wait_for_request("join")
        assert join.path == "/queue/join"
        session_hash = json.loads(join.body)["session_hash"]
        assert re.fullmatch("[0-9a-f]{12}", session_hash)
        expected = (
            '{"data":["Hello",[],"S"],"event_data":null,"fn_index":0,"trigger_id":11,'
            f'"session_hash":"{session_hash}"}}'
        )
        assert join.body.decode() == expected
        assert fake_space.wait_for_request("stream").target.endswith(
            f"?session_hash={session_hash}"
        )

    @pytest.mark.parametrize("answer", [page("Gone", 404), Respond(status=500), Respond(body="[]")])
    async def test_any_unreadable_configuration_will_do(
        self, fake_space: FakeSpace, answer: Respond
    ) -> None:
        """The documented constants serve wherever the configuration cannot be read."""
        fake_space.fault("config", answer, times=None)
        chunks = await _collect(
            Qwen_Qwen_2_72B.create_async_generator("", HELLO, base_url=fake_space.url)
        )
        assert chunks
        assert (fake_space.jobs[0].fn_index, fake_space.jobs[0].history) == (0, [])

    async def test_a_chat_is_folded_into_one_prompt(self, fake_space: FakeSpace) -> None:
        """Turns become lines of one prompt, system texts the system text; no history."""
        await _collect(Qwen_Qwen_2_72B.create_async_generator("", CHAT, base_url=fake_space.url))
        job = fake_space.jobs[0]
        assert job.query == "User: Hello\nAssistant: Hi.\nUser: How are you?\nAssistant:"
        assert (job.history, job.system) == ([], "Be brief.")

    @pytest.mark.parametrize("fake_space", ["4.0.2", "4.36.1", "5.25.2", "6.0.2"], indirect=True)
    async def test_any_version_will_do(self, fake_space: FakeSpace) -> None:
        """A Space of another Gradio is found out, not assumed."""
        fake_space.answer("Hel", "lo")
        chunks = await _collect(
            Qwen_Qwen_2_72B.create_async_generator("", HELLO, base_url=fake_space.url)
        )
        assert chunks == ["Hel", "lo"]

    async def test_a_subclass_has_its_own_url(self, fake_space: FakeSpace) -> None:
        """A subclass that sets url asks there."""
        mine = type("Mine", (Qwen_Qwen_2_72B,), {"url": fake_space.url})
        assert await _collect(mine.create_async_generator("", HELLO))
        assert mine.get_dict()["url"] == fake_space.url

    async def test_the_environment_has_a_url(
        self, fake_space: FakeSpace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """QWEN72B_BASE_URL is where it asks otherwise."""
        monkeypatch.setenv("QWEN72B_BASE_URL", fake_space.url)
        assert await _collect(Qwen_Qwen_2_72B.create_async_generator("", HELLO))

    async def test_options_of_others_are_ignored(self, fake_space: FakeSpace) -> None:
        """What callers pass to every provider does no harm."""
        others = {
            "provider": "x",
            "stream": True,
            "max_tokens": 5,
            "temperature": 0.1,
            "cookies": {},
        }
        others |= {"api_key": None, "timeout": None, "ignored": [], "conversation": None}
        assert await _collect(
            Qwen_Qwen_2_72B.create_async_generator("", HELLO, base_url=fake_space.url, **others)
        )

    async def test_the_key_is_the_token(self, fake_space: FakeSpace) -> None:
        """api_key goes to the Space as a Hugging Face token."""
        generator = Qwen_Qwen_2_72B.create_async_generator(
            "", HELLO, base_url=fake_space.url, api_key="hf_key"
        )
        assert await _collect(generator)
        assert "hf_key" in str(dict(fake_space.requests[0].headers))

    async def test_the_timeout_is_kept(self, fake_space: FakeSpace) -> None:
        """timeout limits the whole call."""
        fake_space.answer("Hel", Stall())
        with pytest.raises(RequestTimeout):
            await _collect(
                Qwen_Qwen_2_72B.create_async_generator(
                    "", HELLO, base_url=fake_space.url, timeout=AMPLE
                )
            )


@pytest.mark.anyio
class TestGenerator:
    """What create_async_generator returns."""

    async def test_both_forms(self, fake_space: FakeSpace) -> None:
        """It is iterated over, with or without being awaited first."""
        fake_space.answer("Hel", "lo")
        assert await _collect(self._ask(fake_space)) == ["Hel", "lo"]
        assert await _collect(await self._ask(fake_space)) == ["Hel", "lo"]

    @staticmethod
    def _ask(space: FakeSpace) -> Any:
        return Qwen_Qwen_2_72B.create_async_generator("", HELLO, base_url=space.url)

    async def test_it_has_an_async_generators_methods(self, fake_space: FakeSpace) -> None:
        """It has the methods of an async generator and none of a coroutine's."""
        generator = self._ask(fake_space)
        for name in ["__aiter__", "__anext__", "__await__", "asend", "athrow", "aclose"]:
            assert hasattr(generator, name)
        for name in ["send", "throw", "close"]:
            assert not hasattr(generator, name)
        assert not asyncio.iscoroutine(generator)
        assert inspect.isawaitable(generator)

    async def test_asend(self, fake_space: FakeSpace) -> None:
        """asend(None) is a step."""
        fake_space.answer("Hel", "lo")
        generator = self._ask(fake_space)
        assert [await generator.asend(None), await anext(generator)] == ["Hel", "lo"]
        with pytest.raises(StopAsyncIteration):
            await generator.asend(None)

    async def test_athrow(self, fake_space: FakeSpace) -> None:
        """athrow() hangs up and raises what was thrown."""
        fake_space.answer("Hel", Stall())
        generator = self._ask(fake_space)
        assert await anext(generator) == "Hel"
        with pytest.raises(LookupError, match="mine"):
            await generator.athrow(LookupError("mine"))
        await anyio.to_thread.run_sync(fake_space.wait_for_disconnect)
        with pytest.raises(StopAsyncIteration):
            await anext(generator)

    async def test_aclose(self, fake_space: FakeSpace) -> None:
        """aclose() hangs up; again it does nothing."""
        fake_space.answer("Hel", Stall())
        generator = self._ask(fake_space)
        assert await anext(generator) == "Hel"
        await generator.aclose()
        await generator.aclose()
        await anyio.to_thread.run_sync(fake_space.wait_until_idle)

    async def test_nothing_stays_when_it_is_left(self, fake_space: FakeSpace) -> None:
        """A loop that is left early leaves no connection."""
        fake_space.answer("Hel", Stall())
        async for _ in self._ask(fake_space):
            break
        gc.collect()
        await anyio.to_thread.run_sync(fake_space.wait_for_disconnect)

    async def test_nothing_stays_at_its_end(self, fake_space: FakeSpace) -> None:
        """An answer that was read to its end leaves no connection."""
        generator = self._ask(fake_space)
        await _collect(generator)
        await generator.aclose()
        await anyio.to_thread.run_sync(fake_space.wait_until_idle)

    async def test_a_failure_is_raised(self, fake_space: FakeSpace) -> None:
        """A failed job raises after its text, and leaves no connection."""
        fake_space.answer("Hel", Fail("no"))
        generator = self._ask(fake_space)
        assert await anext(generator) == "Hel"
        with pytest.raises(GenerationFailed):
            await anext(generator)
        await anyio.to_thread.run_sync(fake_space.wait_until_idle)

    async def test_it_streams(self, fake_space: FakeSpace) -> None:
        """Every piece of text comes as one, the first as well as the last."""
        words = [f" {number}" for number in range(50)]
        fake_space.answer(*words)
        assert await _collect(self._ask(fake_space)) == words


def test_it_is_made_without_a_loop(fake_space: FakeSpace) -> None:
    """The generator is made, and its arguments checked, where no event loop runs."""
    generator = Qwen_Qwen_2_72B.create_async_generator("", HELLO, base_url=fake_space.url)
    assert not fake_space.requests
    assert asyncio.run(_collect(generator))


def test_arguments_are_checked_at_once() -> None:
    """A wrong model or message is refused before there is a loop."""
    with pytest.raises(ModelNotFound):
        Qwen_Qwen_2_72B.create_async_generator("gpt-4", HELLO)
    with pytest.raises(InvalidMessages):
        Qwen_Qwen_2_72B.create_async_generator("", [])


@pytest.mark.parametrize("model", ["qwen-2-72b", "qwen-qwen2-72b-instruct", "", None, "auto"])
def test_names_of_the_model(fake_space: FakeSpace, model: str | None) -> None:
    """Every name of the Space's model is taken."""
    chunks = Qwen_Qwen_2_72B.create_completion(model, HELLO, base_url=fake_space.url)
    assert list(chunks)


@pytest.mark.parametrize(("stream", "chunks"), [(True, ["Hel", "lo"]), (False, ["Hello"])])
def test_create_completion(fake_space: FakeSpace, stream: bool, chunks: list[str]) -> None:
    """The blocking form gives the pieces, or the whole."""
    fake_space.answer("Hel", "lo")
    answer = Qwen_Qwen_2_72B.create_completion("", HELLO, stream, base_url=fake_space.url)
    assert list(answer) == chunks
    fake_space.wait_until_idle()


def test_what_it_sends_is_what_a_client_sends(fake_space: FakeSpace) -> None:
    """One message goes to the Space in the same bytes as from the client, but for the session."""

    async def main() -> None:
        async with AsyncClient(fake_space.url) as client:
            await client.ask(HELLO)
        await _collect(Qwen_Qwen_2_72B.create_async_generator("", HELLO, base_url=fake_space.url))

    asyncio.run(main())
    one, other = (request.json() for request in fake_space.requests if request.phase == "join")
    assert one | {"session_hash": ""} == other | {"session_hash": ""}
