"""Apps of the shapes that chat Spaces have, on a real Gradio: what arrives where."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from spaces_server import Apps

from qwen72b import (
    AsyncClient,
    Attachment,
    Client,
    EndpointNotFound,
    GenerationFailed,
    InvalidOption,
    Thought,
)

CHAT = [
    {"role": "user", "content": "First question"},
    {"role": "assistant", "content": "First answer"},
    {"role": "user", "content": "Second\n  question"},
    {"role": "assistant", "content": "Second answer"},
    {"role": "user", "content": "QUESTION"},
]
TURNS = [message["content"] for message in CHAT[:-1]]
FOLDED_TURNS = "\n".join(f"{m['role'].capitalize()}: {m['content']}" for m in CHAT) + "\nAssistant:"
SYSTEM = "SYSTEM"
Ask = Callable[..., Any]

# What each app has a place for; with other inputs as it got them.
EVERYTHING: dict[str, dict[str, Any]] = {
    "two_steps_with_system": {"heat": 0.25},
    "chinese": {"heat": 0.5},
    "interface_settings_outside": {"token": None, "model": "x"},
    "multimodal_interface": {"files": 0},
}
HISTORY_ONLY: dict[str, dict[str, Any]] = {
    "browser_state": {"tone": "kind"},
    "copied_on_change": {},
    "counting": {"count": 0},
    "decorated": {},
    "greeting": {},
    "javascript_between": {},
    "key_and_url_first": {"key": None, "url": "https://example.org/v1", "name": "Ann"},
    "loaded_first": {"session": "S-1", "model": "m1"},
    "multimodal_guide": {},
    "new_turn_alone": {},
    "page_loader": {},
    "plain_interface": {},
    "success_chain": {},
    "thinking_interface": {},
    "tools_in_order": {"note": "notes on QUESTION"},
    "undo_buttons_first": {},
    "update_without_value": {},
    "window": {},
    "with_file": {},
}
NOTHING = ("kept_in_state", "state_beside_chatbot", "two_texts_out", "unseen")


@pytest.fixture(params=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask with a client of each kind."""

    def blocking(url: str, messages: Any, *, fold: bool = True, **call: Any) -> Any:
        with Client(url, fold=fold) as client:
            return client.ask(messages, **call)

    def on_a_loop(url: str, messages: Any, *, fold: bool = True, **call: Any) -> Any:
        async def main() -> Any:
            async with AsyncClient(url, fold=fold) as client:
                return await client.ask(messages, **call)

        return anyio.run(main, backend=request.param)

    return blocking if request.param == "blocking" else on_a_loop


def squeezed(texts: list[str]) -> list[str]:
    """Leave out the white space at the beginning of lines, which a Chatbot cleans."""
    return [" ".join(text.split()) for text in texts]


def check(account: Any, history: list[str], system: Any, others: dict[str, Any]) -> None:
    """Check what an app says that it got."""
    got = json.loads(account)
    assert got.pop("question") == "QUESTION"
    assert squeezed(got.pop("history")) == squeezed(history)
    assert got.pop("system") == system
    assert got == others


@pytest.mark.parametrize("name", EVERYTHING)
def test_everything_arrives_in_its_place(apps: Apps, name: str, ask: Ask) -> None:
    """Question, four earlier messages, system text and defaults; nothing is folded."""
    reply = ask(apps.url(name), CHAT, system=SYSTEM, fold=False)

    check(reply, TURNS, SYSTEM, EVERYTHING[name])
    assert reply.folded == ()


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("chinese", {"温度": 2.5}, "from 0 to 2"),
        ("chinese", {"温度": "hot"}, "from 0 to 2"),
        ("interface_with_settings", {"Model": "c"}, "'a', 'b'"),
        ("interface_settings_outside", {"Model": ["x", "y"]}, "one of 'x', 'y'"),
    ],
)
def test_value_that_no_page_could_send_is_refused(
    apps: Apps, name: str, values: dict[str, Any], told: str, ask: Ask
) -> None:
    """Ends of sliders and choices are read from the page of any Gradio."""
    with pytest.raises(InvalidOption, match=told):
        ask(apps.url(name), "QUESTION", inputs=values)


@pytest.mark.parametrize("name", HISTORY_ONLY)
def test_history_arrives_and_the_system_text_is_folded(apps: Apps, name: str, ask: Ask) -> None:
    """An app without a place for a system text gets it before the first user text."""
    reply = ask(apps.url(name), CHAT, system=SYSTEM)

    check(reply, [f"SYSTEM {TURNS[0]}", *TURNS[1:]], None, HISTORY_ONLY[name])
    assert reply.folded == ("system",)
    with pytest.raises(InvalidOption, match="no system text"):
        ask(apps.url(name), CHAT, system=SYSTEM, fold=False)


@pytest.mark.parametrize("name", NOTHING)
def test_chat_is_folded_where_it_has_no_place(apps: Apps, name: str, ask: Ask) -> None:
    """An app that takes a question alone gets the whole chat in it."""
    reply = ask(apps.url(name), CHAT)

    got = json.loads(reply)
    assert squeezed([got["question"]]) == squeezed([FOLDED_TURNS])
    assert got["history"] == []
    assert reply.folded == ("history",)
    bare = ask(apps.url(name), "QUESTION", fold=False)
    assert json.loads(bare)["question"] == "QUESTION"


@pytest.mark.parametrize("name", [*EVERYTHING, *HISTORY_ONLY])
def test_first_question_has_no_history(apps: Apps, name: str) -> None:
    """Alone, a question comes as it is, and the next one knows nothing of it."""
    with Client(apps.url(name), fold=False) as client:
        for _ in range(2):
            got = json.loads(client.ask("QUESTION"))
            assert (got["question"], got["history"]) == ("QUESTION", [])


def test_form_takes_its_settings(apps: Apps, ask: Ask) -> None:
    """A form's inputs have their defaults, or what the caller wants."""
    url = apps.url("interface_with_settings")

    got = json.loads(ask(url, "QUESTION", system=SYSTEM, inputs={"max new tokens": 9}))

    assert got == {
        "question": "QUESTION",
        "history": [],
        "system": SYSTEM,
        "size": 9,
        "pick": "b",
        "flag": True,
    }


def test_two_chatbots_are_both_given_the_history(apps: Apps, ask: Ask) -> None:
    """The first answers; two boxes for system texts are none."""
    got = json.loads(ask(apps.url("two_systems"), CHAT))

    assert got["system"] == ["S1", "S2"]
    assert squeezed(got["history"]) == squeezed(TURNS)
    assert got["second"] == (4 if apps.major >= 6 else 2)


def test_doubt_is_told_and_a_name_ends_it(apps: Apps, ask: Ask) -> None:
    """Of two equal chats none is guessed; the named one answers."""
    url = apps.url("two_tabs")

    with pytest.raises(EndpointNotFound) as caught:
        ask(url, "QUESTION")
    assert caught.value.candidates == ("/red", "/blue")
    check(ask(url, CHAT, endpoint="/blue"), TURNS, None, {"tab": "blue"})


def test_inputs_leave_one_box_for_the_question(apps: Apps, ask: Ask) -> None:
    """Of two boxes that nothing tells apart, the one without a value takes it."""
    url = apps.url("two_texts")

    with pytest.raises(EndpointNotFound, match="inputs="):
        ask(url, "QUESTION")
    got = json.loads(ask(url, "QUESTION", inputs={"Wo": "here"}))
    assert (got["question"], got["two"]) == ("QUESTION", "here")


@pytest.mark.parametrize("name", ["completion", "picture"])
def test_what_is_no_chat_is_refused(apps: Apps, name: str, ask: Ask) -> None:
    """A page that answers no question is told so."""
    with pytest.raises(EndpointNotFound):
        ask(apps.url(name), "QUESTION")


def test_named_function_of_a_chat_interface(apps: Apps, ask: Ask) -> None:
    """What the interface offers to programs is asked by its name."""
    url = apps.url("interface_settings_outside")
    name = "/chat" if apps.major < 6 else "/reply"

    got = json.loads(ask(url, "QUESTION", endpoint=name, system=SYSTEM))

    assert (got["question"], got["system"]) == ("QUESTION", SYSTEM)


def test_empty_answer_is_an_answer(apps: Apps, ask: Ask) -> None:
    """An assistant that says nothing has answered."""
    assert ask(apps.url("empty_answer"), "QUESTION") == ""


def test_missing_answer_is_a_failure(apps: Apps, ask: Ask) -> None:
    """With the Space's last word in it, if there was one."""
    with pytest.raises(GenerationFailed, match="The model is overloaded"):
        ask(apps.url("no_answer"), CHAT)
    with pytest.raises(GenerationFailed, match="without an answer"):
        ask(apps.url("question_only"), CHAT)


def test_failing_steps(apps: Apps, ask: Ask) -> None:
    """A step's error is the answer's; what came before it is kept."""
    with pytest.raises(GenerationFailed, match="too rude"):
        ask(apps.url("failing_first"), "QUESTION")
    with pytest.raises(GenerationFailed, match="went away") as caught:
        ask(apps.url("failing_later"), "QUESTION")
    assert caught.value.partial == "Some text"


def test_messages_thoughts_and_files(apps: Apps, ask: Ask) -> None:
    """All messages of the turn are the answer; thoughts and files stand beside it."""
    reply = ask(apps.url("several_messages"), CHAT)
    first, _, second = reply.partition("\n\n")
    assert first == "First part."
    check(second, TURNS, None, {})
    assert reply.thoughts == (Thought("Search", "one two three"),)

    (file,) = ask(apps.url("with_file"), "QUESTION").attachments
    assert isinstance(file, Attachment)
    assert (file.name, file.mime_type) == ("notes.txt", "text/plain")
    assert file.url.startswith("http")


def test_events_of_a_thinking_interface(apps: Apps) -> None:
    """A thought is told once, whole, before the answer's text."""
    with Client(apps.url("thinking_interface")) as client, client.stream("QUESTION") as stream:
        events = list(stream.events())

    thoughts = [event for event in events if isinstance(event, Thought)]
    assert thoughts == [Thought("Thinking", "let me see")]
    assert json.loads(stream.text)["question"] == "QUESTION"


def test_description_says_what_is_done(apps: Apps) -> None:
    """The number of requests is as told, and what is folded."""
    with Client(apps.url("plain_interface")) as client:
        found = client.describe()

    assert found.version == apps.gradio
    assert found.folded == ("system",)
    assert found.requests == (6 if apps.major < 5 else 8)
