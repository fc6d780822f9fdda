"""choose: from a Space's page to the plan of a question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen72b import EndpointNotFound, InvalidServerMessage, UnsupportedProtocol
from qwen72b.protocol.chat import ChatFormat
from qwen72b.protocol.choose import choose
from qwen72b.protocol.config import QueueProtocol
from qwen72b.protocol.limits import UNLIMITED
from qwen72b.protocol.page import Page, read_page
from qwen72b.protocol.plan import HistoryPlace, Plan, StepKind

PAGES = Path(__file__).parent.parent / "data" / "pages"
VERSIONS = sorted(path.stem for path in PAGES.glob("*.json"))
RECORDED = {version: json.loads((PAGES / f"{version}.json").read_text()) for version in VERSIONS}


def box(number: int, label: str | None = None, **props: Any) -> dict[str, Any]:
    return {"id": number, "type": "textbox", "props": {"label": label, **props}}


def part(number: int, kind: str, **props: Any) -> dict[str, Any]:
    return {"id": number, "type": kind, "props": props}


def event(
    number: int,
    trigger: int | None,
    name: str,
    inputs: list[int],
    outputs: list[int],
    **changes: Any,
) -> dict[str, Any]:
    return {
        "id": number,
        "targets": [[trigger, name]],
        "inputs": inputs,
        "outputs": outputs,
        **changes,
    }


def then(number: int, after: int, inputs: list[int], outputs: list[int], **changes: Any) -> Any:
    return event(number, None, "then", inputs, outputs, trigger_after=after, **changes)


GENERATOR = {"types": {"generator": True, "cancel": False}}


def page(components: list[Any], functions: list[Any], **changes: Any) -> Page:
    config = {
        "version": "5.50.0",
        "protocol": "sse_v3",
        "components": components,
        "dependencies": functions,
        **changes,
    }
    return read_page(json.dumps(config))


BOT, BOX = part(1, "chatbot"), box(2, "Message")
CHAT = event(0, 2, "submit", [2, 1], [2, 1])


def label(where: Page, number: int | None) -> str | None:
    return None if number is None else where.component(number).label


def chain(plan: Plan) -> list[int]:
    return [step.fn_index for step in plan.steps]


# What is expected of a recorded page: the system text's box, the place of the
# history, the other inputs, and how many steps the question takes (with 4.44,
# and with 5.50 and 6.31).
STATE = HistoryPlace.STATE
EXPECTED: dict[str, tuple[str | None, str, list[str], tuple[int, int]]] = {
    "plain_interface": (None, "state", [], (3, 4)),
    "multimodal_interface": ("System message", "state", [], (3, 4)),
    "interface_settings_outside": ("Persona", "state", ["HF token", "Model"], (3, 4)),
    "two_steps_with_system": ("System prompt", "chatbot", ["Temperature"], (2, 2)),
    "success_chain": (None, "chatbot", [], (3, 3)),
    "javascript_between": (None, "chatbot", [], (2, 2)),
    "multimodal_guide": (None, "chatbot", [], (2, 2)),
    "loaded_first": (None, "chatbot", ["Model"], (3, 3)),
    "state_beside_chatbot": (None, "question", [], (2, 2)),
    "copied_on_change": (None, "state", [], (2, 2)),
    "kept_in_state": (None, "question", [], (1, 1)),
    "counting": (None, "chatbot", [], (1, 1)),
    "interface_with_settings": (
        "System instructions",
        "question",
        ["Max new tokens", "Model", "Sample"],
        (1, 1),
    ),
    "key_and_url_first": (None, "chatbot", ["API key", "Base URL", "Your name"], (1, 1)),
    "page_loader": (None, "chatbot", [], (1, 1)),
    "undo_buttons_first": (None, "chatbot", [], (1, 1)),
    "chinese": ("系统提示词", "chatbot", ["温度"], (1, 1)),
    "two_systems": (None, "chatbot", ["System A", "System B"], (1, 1)),
    "two_texts_out": (None, "question", [], (1, 1)),
    "unseen": (None, "question", [], (1, 1)),
}
QUESTION = {
    "key_and_url_first": "Ask",
    "page_loader": "Ask about the page",
    "chinese": "输入",
    "interface_with_settings": "Prompt",
    "two_systems": "Question for both",
    "two_texts_out": "Your question",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_page_has_its_places(version: str, name: str) -> None:
    """On each version, a real page's question, history, system text and inputs are found."""
    recorded = read_page(json.dumps(RECORDED[version][name]))
    system, history, settings, steps = EXPECTED[name]
    if version.startswith("4.") and name.endswith(("interface", "outside")):
        # ChatInterface read its Chatbot up to Gradio 5.
        history = "chatbot"

    plan = choose(recorded)

    assert label(recorded, plan.system) == system
    assert plan.history.value == history
    assert [setting.label for setting in plan.settings] == settings
    assert len(plan.steps) == steps[not version.startswith("4.")]
    if name in QUESTION:
        assert label(recorded, plan.query) == QUESTION[name]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["two_tabs", "two_texts", "completion", "picture"])
def test_recorded_page_without_one_answer_is_refused(version: str, name: str) -> None:
    """What has two questions, or none, is not guessed at."""
    with pytest.raises(EndpointNotFound):
        choose(read_page(json.dumps(RECORDED[version][name])))


@pytest.mark.parametrize("version", VERSIONS)
def test_doubt_lists_the_candidates_and_a_name_ends_it(version: str) -> None:
    """The error of two equal chats names both; either is had by its name or its number."""
    recorded = read_page(json.dumps(RECORDED[version]["two_tabs"]))

    with pytest.raises(EndpointNotFound) as caught:
        choose(recorded)

    assert caught.value.candidates == ("/red", "/blue")
    assert "endpoint='/red'" in str(caught.value)
    for endpoint in ("/blue", "blue", 1, "1"):
        plan = choose(recorded, endpoint=endpoint)
        assert label(recorded, plan.query) == "Message for blue"
        assert plan.others == ()


def test_inputs_tell_which_box_is_left_for_the_question() -> None:
    """A box that the caller has a value for takes no question."""
    recorded = read_page(json.dumps(RECORDED[VERSIONS[-1]]["two_texts"]))

    plan = choose(recorded, inputs=["WO"])

    assert label(recorded, plan.query) == "Wer"
    assert [setting.label for setting in plan.settings] == ["Wo"]


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    """An endpoint that the Space lacks is answered with what it has."""
    with pytest.raises(EndpointNotFound, match="'/nothing'.*'/chat'"):
        choose(page([BOT, BOX], [{**CHAT, "api_name": "chat"}]), endpoint="/nothing")


def test_step_knows_what_the_wire_needs() -> None:
    """Numbers, prefix, dialect, form and defaults come from the page."""
    plan = choose(
        page(
            [BOT, BOX, part(3, "slider", value=7, label="Size")],
            [event(5, 2, "submit", [2, 1, 3], [1], api_name="/chat")],
            api_prefix="/gradio_api/",
            protocol="sse_v1",
        )
    )

    (step,) = plan.steps
    assert (step.fn_index, step.trigger_id, step.api_name) == (5, 2, "chat")
    assert plan.join_path == "/gradio_api/queue/join"
    assert plan.data_path == "/gradio_api/queue/data"
    assert plan.protocol is QueueProtocol.SSE_V1
    assert plan.chat_format is ChatFormat.PAIRS
    assert plan.defaults == {2: None, 1: None, 3: 7}
    assert plan.output == 0
    assert plan.requests == 2
    assert plan.name == "/chat"


def test_limits_of_an_input_are_those_of_the_page() -> None:
    """What runs when the page opens may set others, so then there are none."""
    slider = part(3, "slider", value=7, label="Size", minimum=1, maximum=8)
    asks = event(0, 2, "submit", [2, 1, 3], [1])
    loads = event(1, None, "load", [], [3])

    (bounded,) = choose(page([BOT, BOX, slider], [asks])).settings
    (loaded,) = choose(page([BOT, BOX, slider], [asks, loads])).settings

    assert (bounded.limits.minimum, bounded.limits.maximum) == (1, 8)
    assert loaded.limits == UNLIMITED


def test_number_is_the_position_where_the_page_has_none() -> None:
    """Up to 4.35 a function's number is its place in the list."""
    functions = [event(0, 2, "change", [], [2]), CHAT]
    for function in functions:
        del function["id"]

    assert chain(choose(page([BOT, BOX], functions))) == [1]
    CHAT["id"] = 0


@pytest.mark.parametrize(
    ("version", "kind", "title", "form"),
    [
        ("4.0.2", None, None, ChatFormat.PAIRS),
        ("4.44.1", "messages", None, ChatFormat.ROLES),
        ("5.50.0", None, "ChatbotDataMessages", ChatFormat.ROLES),
        ("5.50.0", "tuples", "ChatbotDataMessages", ChatFormat.PAIRS),
        ("6.0.2", None, None, ChatFormat.PARTS),
        ("10.1", None, None, ChatFormat.PARTS),
        ("", None, None, ChatFormat.PAIRS),
    ],
)
def test_form_of_the_history(
    version: str, kind: str | None, title: str | None, form: ChatFormat
) -> None:
    """The form is told by the Chatbot's type and by Gradio's version."""
    bot = {"id": 1, "type": "chatbot", "props": {"type": kind}, "api_info": {"title": title}}

    assert choose(page([bot, BOX], [CHAT], version=version)).chat_format is form


def test_last_generator_that_writes_the_chat_answers() -> None:
    """Steps after the answering one are not taken, and those beside the way to it neither."""
    functions = [
        CHAT,
        then(1, 0, [1], [1], **GENERATOR),
        then(2, 0, [], [2]),
        then(3, 1, [1], [1]),
        then(4, 3, [], [2]),
    ]

    assert chain(choose(page([BOT, BOX], functions))) == [0, 1]


def test_last_function_answers_where_nothing_streams() -> None:
    """Without a generator it is the last that writes the chat and got the question."""
    functions = [CHAT, then(1, 0, [1], [1]), then(2, 1, [], [1])]

    assert chain(choose(page([BOT, BOX], functions))) == [0, 1]


def test_functions_of_the_page_itself_are_left_out() -> None:
    """JavaScript is no step; what runs after a failure is no part of the chain."""
    functions = [
        event(0, 2, "submit", [2], [2], backend_fn=False, js="() => {}"),
        then(1, 0, [2, 1], [2, 1]),
        then(2, 1, [1], [1], trigger_only_on_failure=True, **GENERATOR),
    ]

    assert chain(choose(page([BOT, BOX], functions))) == [1]


def test_chain_of_sixteen_steps_is_the_longest() -> None:
    """A seventeenth step is out of reach."""
    functions = [CHAT, *(then(i, i - 1, [1], [1]) for i in range(1, 16))]
    assert chain(choose(page([BOT, BOX], functions))) == list(range(16))

    functions = [event(0, 2, "submit", [2], [2]), *(then(i, i - 1, [2], [2]) for i in range(1, 16))]
    with pytest.raises(EndpointNotFound):
        choose(page([BOT, BOX], [*functions, then(16, 15, [2, 1], [1])]))


def test_circle_is_refused() -> None:
    """Functions that follow each other in a circle are nothing to call."""
    functions = [{**CHAT, "trigger_after": 1}, then(1, 0, [1], [1])]

    with pytest.raises(EndpointNotFound):
        choose(page([BOT, BOX], functions))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (event(1, 4, "click", [2, 1], [1], **GENERATOR), CHAT),
        (event(1, 2, "submit", [2, 1], [1]), event(2, 2, "submit", [2, 1], [1], **GENERATOR)),
        (event(1, 2, "submit", [2], [1]), event(2, 2, "submit", [2, 1], [1])),
        (event(1, 4, "click", [2, 1], [1]), event(2, 5, "click", [2, 1], [1])),
        (event(1, 2, "submit", [2], [3]), event(2, 5, "click", [2, 1], [1])),
        (event(1, 6, "click", [2, 1], [1]), event(2, 5, "click", [2, 1], [1])),
        (event(1, 7, "click", [2, 1], [1]), event(2, 4, "click", [2, 1], [1])),
        (CHAT, event(2, 4, "click", [2, 1], [1], api_name="model_chat")),
    ],
    ids=["submit", "streams", "history", "send", "chat", "undo", "hidden", "model_chat"],
)
def test_order_of_candidates(first: Any, second: Any) -> None:
    """The second is asked, wherever it stands."""
    components = [
        *(BOT, BOX, box(3, "Output")),
        part(4, "button", value="…"),
        part(5, "button", value="Send"),
        part(6, "button", value="🔄 Regenerate"),
        part(7, "button", value="Send", visible=False),
    ]

    for functions in ([first, second], [second, first]):
        assert chain(choose(page(components, functions))) == [second["id"]]


def test_button_that_undoes_is_asked_by_name_only() -> None:
    """Where nothing else takes a text, an undo button is still no question."""
    only = page(
        [BOT, BOX, part(3, "button", value="重试")],
        [event(4, 3, "click", [2, 1], [1], api_name="again")],
    )

    with pytest.raises(EndpointNotFound, match="undo"):
        choose(only)
    assert chain(choose(only, endpoint="/again")) == [4]


@pytest.mark.parametrize(
    "props",
    [
        {"label": "OpenAI API key"},
        {"label": "Enter code", "type": "password"},
        {"label": "Website URL"},
        {"label": "Chat title"},
        {"label": "Type your name"},
        {"label": "Enter a link"},
        {"label": "用户名"},
        {"label": "System prompt"},
        {"label": "E-Mail"},
        {"placeholder": "https://..."},
        {"interactive": False},
        {"label": "Пароль"},
    ],
    ids=str,
)
def test_foreign_box_takes_no_question(props: dict[str, Any]) -> None:
    """A box that says that it is for something else is not the question's, even alone."""
    lone = {"id": 2, "type": "textbox", "props": props}

    with pytest.raises(EndpointNotFound):
        choose(page([BOT, lone], [CHAT]))


@pytest.mark.parametrize(
    "props",
    [
        {},
        {"label": "Input"},
        {"placeholder": "Enter text and press enter, or upload a file"},
        {"label": "Message", "placeholder": "Ask the system anything"},
        {"label": "Instruction"},
        {"label": "Type here"},
        {"label": "Ask your documents"},
        {"label": "Chat with my repo"},
        {"label": "Talk to a model"},
        {"label": "Ask about the name of the document, or its URL, or the author"},
        {"label": "", "placeholder": "Type your message and press the enter key"},
    ],
    ids=str,
)
def test_box_that_is_submitted_takes_the_question(props: dict[str, Any]) -> None:
    """The words of a question's box may speak of anything."""
    lone = {"id": 2, "type": "textbox", "props": props}

    assert choose(page([BOT, lone], [CHAT])).query == 2


@pytest.mark.parametrize(
    ("boxes", "outputs", "wanted"),
    [
        ([box(2, "One"), box(3, "Two")], [1, 3], 3),
        ([box(2, "One"), box(3, "Two", type="password")], [1, 3], 2),
        ([box(2, "One"), box(3, "Your question")], [1], 3),
        ([box(2, "One"), {"id": 3, "type": "multimodaltextbox", "props": {}}], [1], 3),
        ([box(2, "One"), box(3, "Instructions")], [1], 2),
    ],
    ids=["cleared", "password", "label", "multimodal", "instruction"],
)
def test_button_finds_the_question_s_box(boxes: list[Any], outputs: list[int], wanted: int) -> None:
    """With a button, it is the box that is cleared, or that asks for a message."""
    components = [BOT, *boxes, part(4, "button", value="Send")]

    plan = choose(page(components, [event(0, 4, "click", [2, 3, 1], outputs)]))

    assert plan.query == wanted
    assert plan.multimodal is (boxes[1]["type"] == "multimodaltextbox")


def test_button_with_boxes_of_one_kind_is_a_doubt() -> None:
    """Of two boxes that nothing tells apart none is taken."""
    components = [BOT, box(2, "One"), box(3, "Two"), part(4, "button", value="Send")]

    with pytest.raises(EndpointNotFound, match="inputs="):
        choose(page(components, [event(0, 4, "click", [2, 3, 1], [1])]))


@pytest.mark.parametrize(
    ("props", "found"),
    [
        ({"label": "System prompt"}, True),
        ({"label": "系统指令"}, True),
        ({"label": "Системный промпт"}, True),
        ({"label": "Prompt du système"}, True),
        ({"label": "Clé API, mot de passe"}, False),
        ({"placeholder": "System message for the model"}, True),
        ({"elem_id": "system_prompt"}, True),
        ({"label": "Instructions"}, True),
        ({"label": "Persona"}, True),
        ({"label": "Notes", "value": "You are a pirate."}, False),
        ({"label": "Text", "value": "You are a pirate."}, True),
        ({"label": "OpenAI API key"}, False),
        ({"label": "Operating system name"}, False),
        ({"label": "System prompt", "type": "password"}, False),
        ({"label": "System prompt", "interactive": False}, False),
        ({"label": "Other"}, False),
        ({"visible": False}, False),
    ],
    ids=str,
)
def test_system_text_has_a_box_only_where_words_say_so(props: dict[str, Any], found: bool) -> None:
    """It is never just the other box."""
    other = {"id": 3, "type": "textbox", "props": props}

    plan = choose(page([BOT, BOX, other], [event(0, 2, "submit", [2, 1, 3], [1])]))

    assert plan.system == (3 if found else None)


def test_hidden_box_that_is_filled_from_the_system_s_takes_the_system_text() -> None:
    """The public Space copies a visible box into a hidden one, which its function reads."""
    components = [
        *(BOT, BOX, box(3, visible=False), box(4, "System")),
        part(5, "button", value="Set"),
    ]
    functions = [
        event(0, 2, "submit", [2, 1, 3], [1]),
        event(1, 5, "click", [4], [4, 3, 1]),
    ]

    assert choose(page(components, functions)).system == 3
    functions[0]["api_name"] = "model_chat"
    assert choose(page(components, functions[:1])).system == 3


def test_history_in_a_state_without_a_way_in_is_folded() -> None:
    """A state that the app alone fills takes no history; beside a Chatbot, if it is cleared with it."""
    state = part(3, "state")
    alone = [event(0, 2, "submit", [2, 3], [1, 3])]
    beside = [event(0, 2, "submit", [2, 1, 3], [1, 3]), event(1, 4, "click", [], [1, 3])]
    components = [BOT, BOX, state, part(4, "button", value="Clear")]

    for functions in (alone, beside):
        plan = choose(page(components, functions))
        assert (plan.history, plan.chats) == (HistoryPlace.QUESTION, ())
    assert choose(page(components, beside[:1])).history is HistoryPlace.CHATBOT


def test_history_that_only_the_first_step_sees_is_folded() -> None:
    """A Chatbot that does not reach the answer is no place for the history."""
    functions = [
        event(0, 2, "submit", [2, 1], [1]),
        then(1, 0, [2, 3], [1, 3], **GENERATOR),
    ]

    assert choose(page([BOT, BOX, part(3, "state")], functions)).history is HistoryPlace.QUESTION


def test_copying_function_is_called_first() -> None:
    """A function that follows the chat's change fills the state before the question."""
    functions = [
        event(0, 2, "submit", [2, 3], [1]),
        event(1, 1, "change", [1], [3]),
        event(2, 4, "click", [1], [3]),
    ]
    components = [BOT, BOX, part(3, "state"), part(4, "button", value="Save")]

    plan = choose(page(components, functions))

    assert [(step.fn_index, step.kind) for step in plan.steps] == [
        (1, StepKind.HISTORY),
        (0, StepKind.CHAIN),
    ]
    assert (plan.history, plan.chats) == (STATE, (1,))
    del functions[1]
    assert choose(page(components, functions)).history is HistoryPlace.QUESTION


def test_load_events_that_the_chain_builds_upon_come_first() -> None:
    """Only functions that write an input of the chain, other than the chat, and run once."""
    components = [BOT, BOX, part(3, "state"), part(4, "dropdown", label="Model")]
    functions = [
        event(0, 2, "submit", [2, 1, 3, 4], [1]),
        event(1, 9, "load", [], [3]),
        event(2, 9, "load", [], [1]),
        event(3, 9, "load", [], [4], every=2.0),
        event(4, 9, "load", [], [4], **GENERATOR),
        event(5, 9, "load", [], []),
        then(6, 5, [], [4]),
        event(7, 9, "load", [], [2]),
        event(8, 9, "load", [], [4], backend_fn=False),
    ]

    plan = choose(page(components, functions))

    assert chain(plan) == [1, 5, 6, 0]
    assert plan.steps[0].kind is StepKind.LOAD
    assert plan.steps[0].trigger_id == 9


def test_unknown_component_is_a_setting_with_its_default() -> None:
    """What a newer Gradio or a custom component brings is sent as the page shows it."""
    components = [BOT, BOX, part(3, "hologram", value={"x": 1}, label="Depth")]

    plan = choose(page(components, [event(0, 2, "submit", [2, 1, 3, 77], [1])]))

    assert [(s.label, s.kind) for s in plan.settings] == [
        ("Depth", "hologram"),
        ("component 77", "component"),
    ]
    assert plan.defaults[3] == {"x": 1}
    assert plan.defaults[77] is None


def test_secret_setting_is_known_as_such() -> None:
    """A password box is a setting whose value is not shown."""
    components = [BOT, BOX, box(3, "Key"), box(4, "Name", value="n")]

    plan = choose(page(components, [event(0, 2, "submit", [2, 1, 3, 4], [1])]))

    assert [setting.secret for setting in plan.settings] == [True, False]


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"dependencies": 1}', "<html>", "[" * 3000], ids=repr
)
def test_what_is_no_configuration_is_refused(text: str) -> None:
    """A body that is no Gradio configuration is named as such."""
    with pytest.raises(InvalidServerMessage, match="Gradio"):
        read_page(text)


def test_gradio_3_is_refused() -> None:
    """A queue over WebSocket is not spoken."""
    with pytest.raises(UnsupportedProtocol, match="WebSocket"):
        page([BOT, BOX], [CHAT], protocol="ws")


def test_malformed_parts_are_left_out() -> None:
    """What is broken on a page does not hide what is whole."""
    broken: list[Any] = [
        None,
        {"id": 1},
        {**CHAT, "inputs": "2"},
        {**CHAT, "id": 3, "targets": [[None]]},
        {**CHAT, "id": 4, "targets": None},
        {**CHAT, "id": 5, "targets": [7, "x"]},
    ]
    plan = choose(
        page([None, {"id": "1"}, BOT, {"id": 2, "type": "textbox", "props": 3}], [*broken, CHAT])
    )

    assert chain(plan) == [0]


def test_words_of_a_page_cannot_write_to_the_terminal() -> None:
    """Names and labels are escaped in errors."""
    evil = "\x1b[31m\u202e"
    components = [BOT, box(2, evil + "1"), part(3, "chatbot"), box(4, evil + "2")]
    functions = [CHAT, event(1, 4, "submit", [4, 3], [3], api_name=evil)]

    with pytest.raises(EndpointNotFound) as caught:
        choose(page(components, functions))

    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("outputs", "answer"),
    [
        ([part(3, "markdown")], 3),
        ([part(3, "textbox", label="Status"), part(4, "textbox", label="Translation")], 4),
        ([part(3, "textbox", label="Output"), part(4, "textbox", label="More")], 3),
        ([part(3, "markdown"), part(4, "textbox", label="Reply")], 4),
        ([part(3, "image"), part(4, "textbox", label="Model response")], 4),
        ([part(3, "html"), part(4, "code")], 3),
    ],
    ids=["alone", "status", "named", "plainest", "media", "kinds"],
)
def test_text_that_answers_where_there_is_no_chat(outputs: list[Any], answer: int) -> None:
    """Of a function's outputs, it is the plainest text whose words leave room for an answer."""
    function = event(0, 2, "submit", [2], [output["id"] for output in outputs])

    plan = choose(page([BOX, *outputs], [function]))

    assert (plan.answer, plan.chat, plan.history) == (answer, False, HistoryPlace.QUESTION)


@pytest.mark.parametrize(
    "outputs",
    [
        [part(3, "image"), part(4, "textbox", label="Seed")],
        [part(3, "audio"), part(4, "markdown")],
        [part(3, "label")],
        [part(3, "json")],
        [part(3, "textbox", label="Status")],
        [part(3, "textbox", label="One"), part(4, "textbox", label="Two")],
    ],
    ids=["image", "audio", "label", "json", "status", "doubt"],
)
def test_other_outputs_are_no_answers(outputs: list[Any]) -> None:
    """What makes pictures, sounds or data, or only says how it went, answers no question."""
    function = event(0, 2, "submit", [2], [output["id"] for output in outputs], api_name="f")

    with pytest.raises(EndpointNotFound):
        choose(page([BOX, *outputs], [function]))
    if outputs[-1]["type"] in ("textbox", "json", "markdown"):
        assert choose(page([BOX, *outputs], [function]), endpoint="/f").query == 2


def test_clock_and_failure_start_no_question() -> None:
    """What runs on a clock, or only after a failure, is no event of a person's."""
    for changes in ({"every": 1.0}, {"trigger_only_on_failure": True}):
        with pytest.raises(EndpointNotFound):
            choose(page([BOT, BOX], [{**CHAT, **changes}]))


def test_page_of_very_many_events_is_bounded() -> None:
    """Neither hundreds of chats, nor long chains, nor very many boxes take long; none is guessed."""
    many = [event(i, 2, "submit", [2, 1], [1]) for i in range(300)]
    assert len(choose(page([BOT, BOX], many)).others) < 150
    wide = [CHAT, *(then(i, 0, [1], [1]) for i in range(1, 200))]
    with pytest.raises(EndpointNotFound):
        choose(page([BOT, BOX], wide))
    boxes = [box(i) for i in range(10, 200)]
    with pytest.raises(EndpointNotFound):
        choose(page([BOT, *boxes], [event(0, 10, "submit", [1, *range(10, 200)], [1])]))


def test_negative_prompt_is_no_question() -> None:
    """It has the word, but asks for the contrary."""
    components = [BOT, box(2, "Prompt"), box(3, "Negative prompt"), part(4, "button", value="Go")]

    assert choose(page(components, [event(0, 4, "click", [2, 3, 1], [1])])).query == 2


def test_box_with_another_name_is_had_by_the_function_s() -> None:
    """The error names what could be asked all the same; a password box never."""
    functions = [{**CHAT, "api_name": "greet"}]

    with pytest.raises(EndpointNotFound, match="endpoint='/greet'") as caught:
        choose(page([BOT, box(2, "Name")], functions))
    assert caught.value.candidates == ("/greet",)
    assert choose(page([BOT, box(2, "Name")], functions), endpoint="greet").query == 2
    with pytest.raises(EndpointNotFound) as caught:
        choose(page([BOT, box(2, "Key")], functions), endpoint="greet")
    assert caught.value.candidates == ()
