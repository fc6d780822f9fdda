"""A conversation remembers its turns by a stated rule, however an answer ends."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from qwen72b import (
    AsyncClient,
    AsyncConversation,
    Client,
    Conversation,
    GenerationFailed,
    InvalidMessages,
    InvalidRequest,
    Qwen72BError,
    StreamInterrupted,
)
from qwen72b.testing import Fail, FakeSpace, Gate, Stall

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
]


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace("5.25.2", chat="messages") as space:
        space.answer("Hel", "lo")
        yield space


@pytest.fixture
def client(space: FakeSpace) -> Iterator[Client]:
    with Client(space.url) as client:
        yield client


def turn(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def test_turns_are_remembered(space: FakeSpace, client: Client) -> None:
    """The second question goes out with the first turn as history and the same system text."""
    chat = client.conversation(system="Be brief.")
    assert "".join(chat.stream("Hi")) == "Hello"
    space.answer("Fine", times=1)
    reply = chat.ask("How are you?")
    assert reply == "Fine"
    assert chat.messages == reply.messages == [*CHAT, *turn("How are you?", "Fine")]
    job = space.jobs[-1]
    assert job.query == "How are you?"
    assert job.system == "Be brief."
    assert [message["content"] for message in job.history] == ["Hi", "Hello"]


def test_messages_are_a_copy(client: Client) -> None:
    """Whatever is done to the list of messages, the conversation stays as it is."""
    chat = client.conversation(messages=CHAT)
    chat.messages[1]["content"] = "changed"
    chat.messages.clear()
    assert chat.messages == CHAT


def test_final_text_is_remembered_when_reading_stops_after_it_came(client: Client) -> None:
    """A stream that is left before its last pieces were read, but complete, counts as complete."""
    chat = client.conversation()
    with chat.stream("Hi") as stream:
        stream.result()
        assert chat.messages == turn("Hi", "Hello")
    assert chat.messages == turn("Hi", "Hello")


def leave_loop(chat: Conversation) -> None:
    for _ in chat.stream("Hi"):
        break


def close(chat: Conversation) -> None:
    stream = chat.stream("Hi")
    next(stream)
    stream.close()


def leave_with(chat: Conversation) -> None:
    with chat.stream("Hi") as stream:
        next(stream)


def drop(chat: Conversation) -> None:
    next(chat.stream("Hi"))


def press_ctrl_c(chat: Conversation) -> None:
    with pytest.raises(KeyboardInterrupt):
        for _ in chat.stream("Hi"):
            raise KeyboardInterrupt


def close_client(chat: Conversation) -> None:
    with Client(chat._client.base_url) as client:
        chat._client = client
        stream = chat.stream("Hi")
        next(stream)
    with pytest.raises(StreamInterrupted):
        stream.result()


@pytest.mark.parametrize("stop", [leave_loop, close, leave_with, drop, press_ctrl_c, close_client])
def test_stopped_answer_is_kept_as_far_as_it_came(
    space: FakeSpace, client: Client, stop: Any
) -> None:
    """An answer that was stopped, in whatever way, stays as the assistant's partial text."""
    space.answer("Hel", Stall(), times=1)
    chat = client.conversation()
    stop(chat)
    assert chat.messages == turn("Hi", "Hel")
    chat._client = client
    assert chat.ask("And?") == "Hello"
    assert [message["content"] for message in space.jobs[-1].history] == ["Hi", "Hel"]


def test_ctrl_c_in_a_blocked_read_keeps_the_text(
    space: FakeSpace, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt that strikes while the stream waits for the network stops the answer."""
    space.answer("Hel", Stall(), times=1)
    chat = client.conversation()
    stream = chat.stream("Hi")
    next(stream)

    def interrupted(body: Any) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("qwen72b.transport.body.Body.read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert chat.messages == turn("Hi", "Hel")


def test_stop_from_another_thread_keeps_the_text(space: FakeSpace, client: Client) -> None:
    """When close() returns in one thread the turn is settled, and the blocked reader gets an error."""
    gate = Gate()
    space.answer("Hel", gate, times=1)
    chat = client.conversation()
    stream = chat.stream("Hi")
    next(stream)
    errors: list[Exception] = []

    def read() -> None:
        try:
            stream.result()
        except Qwen72BError as exc:
            errors.append(exc)

    reader = threading.Thread(target=read)
    reader.start()
    gate.wait_reached()
    stream.close()
    assert chat.messages == turn("Hi", "Hel")
    reader.join(5)
    assert isinstance(errors[0], StreamInterrupted)
    assert chat.messages == turn("Hi", "Hel")


def test_answer_stopped_before_any_text_drops_its_question(
    space: FakeSpace, client: Client
) -> None:
    """A stream that was never read, closed or dropped, leaves nothing behind."""
    chat = client.conversation(messages=CHAT)
    chat.stream("never read").close()
    assert chat.messages == CHAT
    chat.stream("dropped")
    assert chat.ask("Hi") == "Hello"
    assert chat.messages == [*CHAT, *turn("Hi", "Hello")]
    assert len(space.jobs) == 1


def test_failed_answer_drops_its_question(space: FakeSpace, client: Client) -> None:
    """An answer that fails half-way leaves the conversation as it was; the error has the text."""
    space.answer("Hel", Fail("out of memory"), times=1)
    chat = client.conversation(messages=CHAT)
    with pytest.raises(GenerationFailed) as caught:
        chat.ask("And?")
    assert caught.value.partial == "Hel"
    assert chat.messages == CHAT
    assert chat.ask("And?") == "Hello"


def test_refused_question_leaves_the_conversation_usable(client: Client) -> None:
    """A question that is refused before any I/O is not remembered."""
    chat = client.conversation(messages=CHAT)
    with pytest.raises(InvalidMessages, match="content"):
        chat.ask(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="timeout"):
        chat.stream("Hi", timeout=-1)
    assert chat.messages == CHAT
    assert chat.ask("And?") == "Hello"


def test_closed_client_is_a_clear_error(space: FakeSpace) -> None:
    """A conversation whose client was closed says so, each time."""
    client = Client(space.url)
    chat = client.conversation()
    client.close()
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="client was closed"):
            chat.stream("Hi")


def test_one_answer_at_a_time(space: FakeSpace, client: Client) -> None:
    """While an answer is coming nothing else can be asked or changed, but a fork can."""
    gate = Gate()
    space.answer("Hel", gate, "lo", times=1)
    chat = client.conversation(messages=CHAT)
    with chat.stream("And?") as stream:
        for change in (partial(chat.stream, "More?"), chat.undo, chat.reset):
            with pytest.raises(InvalidRequest, match="still coming"):
                change()
        assert chat.messages == CHAT
        assert chat.fork().ask("Elsewhere?") == "Hello"
        gate.open()
        assert stream.result() == "Hello"
    assert chat.messages == [*CHAT, *turn("And?", "Hello")]


def test_only_one_of_many_threads_may_ask(client: Client) -> None:
    """Of threads that ask at the same moment one gets its answer, the others a clear error."""
    chat = client.conversation()
    barrier = threading.Barrier(8)
    outcomes: list[Any] = []

    def ask() -> None:
        barrier.wait(5)
        try:
            outcomes.append(chat.stream("Hi"))
        except InvalidRequest as exc:
            outcomes.append(exc)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    streams = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    assert len(outcomes) == 8
    assert len(streams) == 1
    assert streams[0].result() == "Hello"
    assert chat.messages == turn("Hi", "Hello")


def test_undo_forgets_the_last_turn(client: Client) -> None:
    """Undo takes the last question back with all that followed it, and returns it."""
    chat = client.conversation(messages=CHAT)
    chat.ask("And?")
    assert chat.undo() == turn("And?", "Hello")
    assert chat.undo() == CHAT[1:]
    assert chat.undo() == []
    assert chat.messages == CHAT[:1]


def test_reset_keeps_the_system_text(client: Client) -> None:
    """Reset forgets the turns, not the system text."""
    chat = client.conversation(messages=CHAT)
    chat.reset()
    assert chat.messages == CHAT[:1]


def test_fork_goes_its_own_way(client: Client) -> None:
    """What is said in a fork, and its system text, does not show in the original."""
    chat = client.conversation(messages=CHAT)
    fork = chat.fork()
    fork.system = "Be long."
    fork.ask("And?")
    assert chat.messages == CHAT
    assert fork.messages[0] == {"role": "system", "content": "Be long."}
    assert fork.messages[1:] == [*CHAT[1:], *turn("And?", "Hello")]


def test_system_text_can_change(space: FakeSpace, client: Client) -> None:
    """A new system text counts from the next question; none leaves the choice to the Space."""
    chat = client.conversation()
    assert chat.system is None
    chat.ask("Hi")
    own = space.jobs[-1].system
    chat.system = "Be brief."
    chat.ask("Hi")
    chat.system = None
    chat.ask("Hi")
    assert [job.system for job in space.jobs] == [own, "Be brief.", own]
    with pytest.raises(InvalidMessages, match="system must be a str"):
        chat.system = 7  # type: ignore[assignment]


def test_system_texts_are_joined(client: Client) -> None:
    """The system argument comes before the system messages of the chat."""
    chat = client.conversation(system="Speak French.", messages=CHAT)
    assert chat.system == "Speak French.\nBe brief."


def test_saved_chat_is_plain_json(client: Client, tmp_path: Path) -> None:
    """A saved chat is a JSON list of role dicts, and loads as the same chat."""
    chat = client.conversation(messages=[*CHAT, {"role": "user", "content": "Grüße 😀"}])
    path = tmp_path / "chat.json"
    chat.save(path)
    text = path.read_text("utf-8")
    assert json.loads(text) == chat.messages
    assert "Grüße 😀" in text
    loaded = Conversation.load(str(path), client)
    assert loaded.messages == chat.messages
    assert loaded.ask("And?") == "Hello"


@pytest.mark.parametrize("text", ["", "{", "{}", '[{"role": "user"}]', "[" * 100_000, '"Hi"'])
def test_file_that_holds_no_chat_is_refused(client: Client, tmp_path: Path, text: str) -> None:
    """A file with anything else than role dicts is a clear error."""
    path = tmp_path / "chat.json"
    path.write_text(text)
    with pytest.raises(InvalidMessages):
        Conversation.load(path, client)


def test_async_twin_has_the_same_surface() -> None:
    """Both conversations have the same public names with the same arguments."""

    def surface(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(value).parameters) if callable(value) else []
            for name, value in inspect.getmembers(kind)
            if not name.startswith("_")
        }

    assert surface(Conversation) == surface(AsyncConversation)
    assert list(inspect.signature(Client.conversation).parameters) == list(
        inspect.signature(AsyncClient.conversation).parameters
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_conversation_follows_the_same_rule(space: FakeSpace, backend: str) -> None:
    """On an event loop too: whole answers stay, stopped ones in part, failed ones not."""

    async def talk() -> None:
        async with AsyncClient(space.url) as client:
            chat = client.conversation(system="Be brief.")
            assert [chunk async for chunk in chat.stream("Hi")]
            assert await chat.ask("And?") == "Hello"
            assert chat.messages == [*CHAT, *turn("And?", "Hello")]
            chat.undo()

            space.answer("Hel", Fail("out of memory"), times=1)
            with pytest.raises(GenerationFailed):
                await chat.ask("And?")
            assert chat.messages == CHAT

            gate = Gate()
            space.answer("Hel", gate, times=1)
            with anyio.CancelScope() as scope:
                async for _ in chat.stream("Cancelled?"):
                    scope.cancel()
            assert chat.messages == [*CHAT, *turn("Cancelled?", "Hel")]
            assert await chat.fork().ask("And?") == "Hello"

            space.answer("Hel", Stall(), times=1)
            stream = chat.stream("Closed?")
            await anext(stream)
            with pytest.raises(InvalidRequest, match="still coming"):
                chat.stream("More?")
            await stream.close()
            assert chat.messages[-2:] == turn("Closed?", "Hel")

    anyio.run(talk, backend=backend)
