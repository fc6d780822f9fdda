"""A conversation remembers its turns by a stated rule, however an answer ends."""

from __future__ import annotations

import errno
import inspect
import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from timing import PATIENCE, PROMPT, SHORT

from qwen72b import (
    AsyncClient,
    AsyncConversation,
    Client,
    Conversation,
    GenerationFailed,
    InvalidMessages,
    InvalidOption,
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
    reader.join(PROMPT)
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
        barrier.wait(PATIENCE)
        try:
            outcomes.append(chat.stream("Hi"))
        except InvalidRequest as exc:
            outcomes.append(exc)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
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


@pytest.mark.parametrize("path", ["a\0b", "a\ud800b", None, 7, 0.5], ids=repr)
def test_file_that_is_none(client: Client, path: Any) -> None:
    """What is no path is refused as such, not by whatever opens it."""
    with pytest.raises(InvalidOption, match="no path"):
        client.conversation().save(path)
    with pytest.raises(InvalidOption, match="no path"):
        Conversation.load(path, client)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has none")
def test_pipe_that_nobody_writes_to(client: Client, tmp_path: Path) -> None:
    """Loading a chat from it does not wait; from one that somebody writes to, it does."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(InvalidMessages):
        Conversation.load(path, client)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    thread = threading.Thread(target=_write_late, args=(writer,))
    thread.start()
    try:
        assert Conversation.load(path, client).messages == []
    finally:
        thread.join()
        os.close(reader)


def _write_late(file: int) -> None:
    time.sleep(SHORT)
    os.write(file, b"[]")
    os.close(file)


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


@pytest.fixture(params=["sync", "async"])
def saved(request: pytest.FixtureRequest) -> Any:
    """A chat with one of the clients; nothing is asked."""
    if request.param == "sync":
        with Client("http://127.0.0.1:9") as client:
            yield client.conversation(messages=CHAT)
    else:
        yield AsyncClient("http://127.0.0.1:9").conversation(messages=CHAT)


def read_chat(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_saving_keeps_the_mode_and_the_link(saved: Any, tmp_path: Path) -> None:
    """A chat is replaced where a symbolic link leads, with the mode that it had."""
    target, link = tmp_path / ("x" * 250), tmp_path / "link"
    link.symlink_to(target.name)
    saved.save(link)
    assert link.is_symlink() and read_chat(target) == CHAT
    target.chmod(0o640)
    number = target.stat().st_ino
    saved.save(link)
    assert link.is_symlink() and read_chat(target) == CHAT
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.stat().st_ino != number
    assert sorted(tmp_path.iterdir()) == sorted([target, link])


def test_failed_saving_leaves_the_earlier_chat(
    saved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full, or breaks, costs nothing, and the file is named."""
    path = tmp_path / "chat.json"
    path.write_text("earlier", encoding="utf-8")

    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="chat.json") as caught:
        saved.save(path)
    assert caught.value.errno == errno.EIO
    assert path.read_text(encoding="utf-8") == "earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("refusal", [errno.EBUSY, errno.EXDEV, errno.EPERM])
def test_file_that_cannot_be_renamed_is_written_in_place(
    saved: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refusal: int,
) -> None:
    """A file that is mounted by itself keeps its place, which is said once."""
    path = tmp_path / "chat.json"
    path.write_text("earlier " * 1000, encoding="utf-8")
    number = path.stat().st_ino

    def refuse(*_: Any) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(os, "replace", refuse)
    for _ in range(2):
        saved.save(path)
        assert read_chat(path) == CHAT and path.stat().st_ino == number
    assert list(tmp_path.iterdir()) == [path]
    (told,) = (message for message in caplog.messages if "in place" in message)
    assert told.startswith(f"{path} is written in place ({os.strerror(refusal)})")


def test_folder_that_takes_no_new_file(
    saved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that may be written is written, whatever its folder allows; a new one is not."""
    path = tmp_path / "chat.json"
    path.write_text("earlier", encoding="utf-8")
    real = os.open

    def open_old(name: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", open_old)
    saved.save(path)
    with pytest.raises(PermissionError, match="other.json"):
        saved.save(tmp_path / "other.json")
    monkeypatch.undo()
    assert read_chat(path) == CHAT


def test_file_that_may_not_be_written(
    saved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is protected stays as it is, even where its name could be given to another."""
    path = tmp_path / "chat.json"
    path.write_text("earlier", encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="chat.json"):
        saved.save(path)
    assert path.read_text(encoding="utf-8") == "earlier"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_chat_goes_to_a_device(saved: Any, tmp_path: Path) -> None:
    """What is no file is written to as it is; a link to a device stays one."""
    link = tmp_path / "link"
    link.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        saved.save(link)
    assert caught.value.filename == str(link)
    saved.save("/dev/null")
    with pytest.raises(IsADirectoryError):
        saved.save(tmp_path)
    out, end = os.pipe()
    saved.save(f"/dev/fd/{end}")
    os.close(end)
    with open(out, encoding="utf-8") as file:
        assert json.load(file) == CHAT


def test_lone_surrogates_are_saved(client: Client, tmp_path: Path) -> None:
    """A file takes any text, and gives it back."""
    path = tmp_path / "chat.json"
    chat = client.conversation(messages=[{"role": "user", "content": "a\ud800\u202e"}])
    chat.save(path)
    assert Conversation.load(path, client).messages == chat.messages


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_chat_without_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that never ends is no chat."""
    monkeypatch.setattr("qwen72b.client.conversation._MOST_BYTES", 1 << 20)
    with pytest.raises(InvalidMessages, match="larger"):
        Conversation.load("/dev/zero", client)


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
