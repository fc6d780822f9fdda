"""The client against real Gradio servers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
from lab_scripts import SCRIPTS
from lab_server import Lab

from qwen72b import (
    AsyncClient,
    AuthenticationError,
    Client,
    Delta,
    Event,
    Finished,
    GenerationFailed,
    Logged,
    Progress,
    Queued,
    QueueFull,
    Retry,
    Revised,
    Started,
)

TURNS = [("What is up?", "The sky."), ("还有呢?", "The moon,\n\nand 🌟 stars.")]
# tokens2000 has a test of its own: Gradio 4.44 takes ten seconds for it.
PLAIN = [
    name
    for name, script in SCRIPTS.items()
    if not script.failure and not script.extra and name not in ("tokens2000", "no_yield")
]
# What a chatbot that cleans indentation has to take back.
REWOUND = {"nested_list", "indented", "indent_late", "indent_all", "whitespace"}
Job = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[[Job], Any]:
    """Run an async function on an event loop of each kind."""
    return lambda job: anyio.run(job, backend=request.param)


def chat(prompt: str) -> list[dict[str, str]]:
    """Return messages with two turns before the prompt."""
    messages = []
    for user, assistant in TURNS:
        messages += [
            {"role": "user", "content": user},
            {"role": "assistant", "content": assistant},
        ]
    return [*messages, {"role": "user", "content": prompt}]


def follow(events: list[Event]) -> str:
    """Return the text that events make: added, taken back and replaced."""
    text = ""
    for event in events:
        if isinstance(event, Delta):
            text += event.text
        elif isinstance(event, Revised):
            text = text[: event.offset] + event.text
    return text


@pytest.mark.parametrize("name", PLAIN)
def test_text_is_exact(lab: Lab, name: str) -> None:
    """The text is the server's, character for character, and so is what the events make."""
    prompt, _ = lab.prompt(name)
    with Client(lab.base_url) as client, client.stream(prompt) as stream:
        events = list(stream.events())

    assert events[-1] == Finished(lab.answer(prompt))
    assert follow(events) == stream.text == lab.answer(prompt)


@pytest.mark.parametrize("name", PLAIN)
def test_chunks_join_to_the_text(lab: Lab, name: str) -> None:
    """Chunks joined are the text; where it was taken back, but for white space."""
    prompt, _ = lab.prompt(name)
    with Client(lab.base_url) as client:
        stream = client.stream(prompt)
        joined = "".join(stream)

    if name == "rewrite":
        assert stream.revised
        assert joined.endswith("\n" + lab.answer(prompt))
    elif name in REWOUND and not lab.keeps_indentation:
        assert stream.revised
        assert joined.split() == lab.answer(prompt).split()
    else:
        assert not stream.revised
        assert joined == lab.answer(prompt)


@pytest.mark.parametrize("name", ["english", "chinese", "tokens2000"])
def test_text_comes_in_pieces(lab: Lab, name: str) -> None:
    """Each piece that the app adds is handed out as it comes, none together with another."""
    prompt, _ = lab.prompt(name)
    with Client(lab.base_url) as client:
        stream = client.stream(prompt)
        chunks = list(stream)

    assert chunks == list(SCRIPTS[name].parts)
    assert stream.text == lab.answer(prompt)


def test_text_is_there_before_the_end(lab: Lab) -> None:
    """The first chunk is handed out while the app is still at work."""
    prompt, token = lab.prompt("gate")
    with Client(lab.base_url) as client, client.stream(prompt) as stream:
        chunks = iter(stream)
        first = next(chunks)
        lab.open_gate(token)
        rest = "".join(chunks)

    assert first == "Waiting"
    assert rest == " and released."


def test_history_is_sent(lab: Lab) -> None:
    """The app gets the turns of the caller, in the form that it wants."""
    prompt, _ = lab.prompt("history")
    with Client(lab.base_url) as client:
        assert client.ask(chat(prompt)) == lab.answer(prompt, TURNS)


@pytest.mark.parametrize("name", ["chinese", "nested_list", "shape"])
def test_answer_follows_history(lab: Lab, name: str) -> None:
    """With turns before it the answer is read from the last turn."""
    prompt, _ = lab.prompt(name)
    with Client(lab.base_url) as client, client.stream(chat(prompt)) as stream:
        events = list(stream.events())

    assert follow(events) == stream.text == lab.answer(prompt, TURNS)


@pytest.mark.parametrize("system", ["Réponds\n\ten une   ligne. 用中文 \"'\\ ", ""])
def test_system_text_is_sent(lab: Lab, system: str) -> None:
    """The app gets the system text as it is, an explicit empty one too."""
    prompt, _ = lab.prompt("system")
    with Client(lab.base_url) as client:
        assert client.ask(prompt, system=system) == lab.answer(prompt, system=system)


def test_system_text_default(lab: Lab) -> None:
    """Without a system text the app gets the one that its own page shows."""
    prompt, _ = lab.prompt("system")
    with Client(lab.base_url) as client:
        assert client.ask(prompt) == 'SYSTEM="You are a helpful assistant."'


@pytest.mark.parametrize("prompt", ['  Is <b>1 < 2</b>? 👩‍👦 "q" \\n', "A\u2028B\u2029C\x85D", "#"])
def test_prompt_is_sent(lab: Lab, prompt: str) -> None:
    """The app gets the question as it is."""
    with Client(lab.base_url) as client:
        assert client.ask(prompt) == lab.answer(prompt)


@pytest.mark.parametrize("name", ["gr_error_first", "gr_error_mid", "gr_error_hidden"])
def test_error_has_the_words_of_the_app(lab: Lab, name: str) -> None:
    """The words of gr.Error reach the caller without Python's quotes, and so does the text."""
    prompt, _ = lab.prompt(name)
    with Client(lab.base_url) as client, pytest.raises(GenerationFailed) as caught:
        client.ask(prompt)

    assert caught.value.reason == SCRIPTS[name].words
    assert caught.value.partial == SCRIPTS[name].text


def test_error_with_quotes_and_lines(lab: Lab) -> None:
    """Quotes, line ends and backslashes in the words of gr.Error stay what they are."""
    prompt, _ = lab.prompt("gr_error_quotes")
    with Client(lab.base_url) as client, pytest.raises(GenerationFailed) as caught:
        client.ask(prompt)

    assert caught.value.reason == SCRIPTS["gr_error_quotes"].words


def test_app_that_answers_nothing(lab: Lab) -> None:
    """An end without an assistant's turn is an error, and no empty answer."""
    prompt, _ = lab.prompt("no_yield")
    with Client(lab.base_url) as client, pytest.raises(GenerationFailed, match="without an answer"):
        client.ask(prompt)


@pytest.mark.parametrize("name", ["exception_first", "exception_mid"])
def test_exception_is_hidden(lab: Lab, name: str) -> None:
    """A plain exception of the app ends the stream with an error that says it hid the reason."""
    prompt, _ = lab.prompt(name)
    with Client(lab.base_url) as client, pytest.raises(GenerationFailed, match="hid") as caught:
        client.ask(prompt)

    assert caught.value.partial == SCRIPTS[name].text


def test_exception_is_shown(narrow_lab: Lab) -> None:
    """Where the Space shows plain exceptions, their words reach the caller."""
    prompt, _ = narrow_lab.prompt("exception_mid")
    with Client(narrow_lab.base_url) as client, pytest.raises(GenerationFailed) as caught:
        client.ask(prompt)

    assert caught.value.reason == "upstream went away"


def test_notes_and_progress(lab: Lab) -> None:
    """gr.Info, gr.Warning and gr.Progress come as events between the text."""
    notes, bars = lab.prompt("log")[0], lab.prompt("progress")[0]
    with Client(lab.base_url) as client:
        noted = list(client.stream(notes).events())
        barred = list(client.stream(bars).events())

    assert [(event.text, event.level) for event in noted if isinstance(event, Logged)] == [
        *(("Note 0", "warning"), ("Note 1", "info"), ("Note 2", "warning"), ("Note 3", "info"))
    ]
    assert follow(noted) == SCRIPTS["log"].text
    progress = [event for event in barred if isinstance(event, Progress)]
    assert [(event.fraction, event.index, event.length) for event in progress] == [
        *((0.25, None, None), (None, 2, 4))
    ]
    assert [event.description for event in progress] == ["a quarter", "two of four"]
    assert follow(barred) == SCRIPTS["progress"].text


def test_updates_of_other_outputs(lab: Lab) -> None:
    """Component updates in the other outputs do not touch the answer."""
    prompt, _ = lab.prompt("update")
    with Client(lab.base_url) as client:
        assert list(client.stream(prompt)) == list(SCRIPTS["update"].parts)


def test_login(locked_lab: Lab) -> None:
    """A Space with a login of its own is used with a name and a password."""
    prompt, _ = locked_lab.prompt("english")
    with Client(locked_lab.base_url, auth=("user", "pass word")) as client:
        assert client.ask(prompt) == locked_lab.answer(prompt)
        assert client.ask(prompt) == locked_lab.answer(prompt)


@pytest.mark.parametrize("auth", [None, ("user", "wrong")])
def test_login_refused(locked_lab: Lab, auth: tuple[str, str] | None) -> None:
    """Without the right password nothing is asked, and the error says that a login is wanted."""
    with Client(locked_lab.base_url, auth=auth) as client, pytest.raises(AuthenticationError):
        client.ask("Hello")


def test_queue_positions(narrow_lab: Lab) -> None:
    """Who waits is told how many are before, again when that changes, and has the answer."""
    gate, token = narrow_lab.prompt("gate")
    prompt, _ = narrow_lab.prompt("english")
    with Client(narrow_lab.base_url) as client, ThreadPoolExecutor(2) as pool:
        first = client.stream(gate)
        # The one worker is busy from here on, until the gate opens.
        assert next(first) == "Waiting"
        second, third = client.stream(prompt).events(), client.stream(prompt).events()
        assert next(second) == Queued(rank=0, size=1, eta=None)
        assert next(third) == Queued(rank=1, size=2, eta=None)
        others = [pool.submit(list, events) for events in (second, third)]
        narrow_lab.open_gate(token)
        assert "".join(first) == " and released."
        second_events, third_events = (other.result() for other in others)

    assert isinstance(second_events[0], Started)
    assert isinstance(third_events[0], Queued)
    assert third_events[0].rank == 0
    assert second_events[-1] == third_events[-1] == Finished(narrow_lab.answer(prompt))


def test_queue_full(narrow_lab: Lab) -> None:
    """A queue that takes no more is an error of its own, once the retries are used up."""
    gate, token = narrow_lab.prompt("gate")
    prompt, _ = narrow_lab.prompt("english")
    with Client(narrow_lab.base_url, retry=Retry(attempts=1)) as client:
        first = client.stream(gate)
        assert next(first) == "Waiting"
        waiting = [client.stream(prompt).events() for _ in range(3)]
        assert [next(events).rank for events in waiting] == [0, 1, 2]
        with pytest.raises(QueueFull):
            client.ask(prompt)
        for events in waiting:
            events.close()
        narrow_lab.open_gate(token)
        assert "".join(first) == " and released."


def test_break_stops_the_job(lab: Lab) -> None:
    """Leaving the loop early closes the app's generator."""
    stops_jobs(lab)
    prompt, token = lab.prompt("endless")
    with Client(lab.base_url) as client:
        for chunk in client.stream(prompt):
            assert chunk == "tick "
            break

        assert lab.end_of(token) == "closed"


def test_close_stops_the_job(lab: Lab) -> None:
    """Closing the stream closes the app's generator."""
    stops_jobs(lab)
    prompt, token = lab.prompt("endless")
    with Client(lab.base_url) as client, client.stream(prompt) as stream:
        assert next(stream) == "tick "
        stream.close()

        assert lab.end_of(token) == "closed"


def test_client_close_stops_the_job(lab: Lab) -> None:
    """Closing the client closes the app's generator."""
    stops_jobs(lab)
    prompt, token = lab.prompt("endless")
    client = Client(lab.base_url)
    stream = client.stream(prompt)
    assert next(stream) == "tick "
    client.close()

    assert lab.end_of(token) == "closed"


@pytest.mark.parametrize("name", ["english", "chinese", "emoji", "linesep", "code", "big100k"])
def test_async_text(lab: Lab, run: Callable[[Job], Any], name: str) -> None:
    """The async client gives the same chunks as the blocking one."""
    prompt, _ = lab.prompt(name)

    async def job() -> tuple[list[str], str]:
        async with AsyncClient(lab.base_url) as client:
            stream = client.stream(prompt)
            return [chunk async for chunk in stream], stream.text

    chunks, text = run(job)
    assert "".join(chunks) == text == lab.answer(prompt)


def test_async_history_and_system(lab: Lab, run: Callable[[Job], Any]) -> None:
    """The async client sends turns and system text as the blocking one."""
    history, system = lab.prompt("history")[0], lab.prompt("system")[0]

    async def job() -> tuple[str, str]:
        async with AsyncClient(lab.base_url) as client:
            return await client.ask(chat(history)), await client.ask(chat(system), system="")

    assert run(job) == (lab.answer(history, TURNS), 'SYSTEM=""')


def test_async_error(lab: Lab, run: Callable[[Job], Any]) -> None:
    """The async client raises the app's words, with the text before them."""
    prompt, _ = lab.prompt("gr_error_mid")

    async def job() -> None:
        async with AsyncClient(lab.base_url) as client:
            await client.ask(prompt)

    with pytest.raises(GenerationFailed) as caught:
        run(job)
    assert caught.value.reason == SCRIPTS["gr_error_mid"].words
    assert caught.value.partial == SCRIPTS["gr_error_mid"].text


def test_async_login(locked_lab: Lab, run: Callable[[Job], Any]) -> None:
    """The async client logs in as the blocking one."""
    prompt, _ = locked_lab.prompt("english")

    async def job() -> str:
        async with AsyncClient(locked_lab.base_url, auth=("user", "pass word")) as client:
            return await client.ask(prompt)

    assert run(job) == locked_lab.answer(prompt)


def test_async_cancel_stops_the_job(lab: Lab, run: Callable[[Job], Any]) -> None:
    """Cancelling a task that waits for text closes the app's generator."""
    stops_jobs(lab)
    prompt, token = lab.prompt("endless")

    async def job() -> None:
        async with AsyncClient(lab.base_url) as client:
            with anyio.CancelScope() as scope:
                async for chunk in client.stream(prompt):
                    assert chunk == "tick "
                    scope.cancel()

    run(job)
    assert lab.end_of(token) == "closed"


def test_async_break_stops_the_job(lab: Lab, run: Callable[[Job], Any]) -> None:
    """Leaving an async loop early closes the app's generator, while the client stays open."""
    stops_jobs(lab)
    prompt, token = lab.prompt("endless")

    async def job() -> str | None:
        async with AsyncClient(lab.base_url) as client:
            async with client.stream(prompt) as stream:
                async for chunk in stream:
                    assert chunk == "tick "
                    break
            return await anyio.to_thread.run_sync(lab.end_of, token)

    assert run(job) == "closed"


def stops_jobs(lab: Lab) -> None:
    """Skip where Gradio itself lets an abandoned job run on."""
    if tuple(int(part) for part in lab.gradio.split(".")[:2]) < (4, 26):
        pytest.skip(f"Gradio {lab.gradio} runs abandoned jobs to their end")
