"""config: from the text of /config to an endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwen72b import (
    EndpointNotFound,
    InvalidServerMessage,
    ModelNotFound,
    ProtocolError,
    UnsupportedProtocol,
)
from qwen72b.protocol.chat import ChatFormat
from qwen72b.protocol.config import Endpoint, QueueProtocol, read_config
from qwen72b.protocol.model import check_model


def textbox(number: int, value: Any = "", **props: Any) -> dict[str, Any]:
    return {"id": number, "type": "textbox", "props": {"value": value, **props}}


def chatbot(number: int, **props: Any) -> dict[str, Any]:
    return {"id": number, "type": "chatbot", "props": props}


def space(**changes: Any) -> dict[str, Any]:
    """The public Space's configuration, as far as a client reads it."""
    return {
        "version": "4.36.1",
        "protocol": "sse_v3",
        "components": [
            textbox(4, "You are a helpful assistant.", label="System"),
            textbox(8, "You are a helpful assistant.", visible=False),
            chatbot(10),
            textbox(11, label="Input"),
            {"id": 14, "type": "button"},
            {"id": 15, "type": "slider", "props": {"value": 512}},
        ],
        "dependencies": [function()],
        **changes,
    }


def function(**changes: Any) -> dict[str, Any]:
    return {
        "targets": [[11, "submit"]],
        "inputs": [11, 10, 8],
        "outputs": [11, 10, 4],
        "api_name": "model_chat",
        **changes,
    }


def read(config: Any) -> Endpoint:
    return read_config(json.dumps(config))


def test_public_space_is_read() -> None:
    """Function, positions, default system text and form come from the configuration."""
    assert read(space()) == Endpoint(
        fn_index=0,
        trigger_id=11,
        inputs=("", None, "You are a helpful assistant."),
        version="4.36.1",
        api_name="model_chat",
    )


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("sse", QueueProtocol.SSE),
        ("sse_v1", QueueProtocol.SSE_V1),
        ("sse_v2", QueueProtocol.SSE_V2),
        ("sse_v2.1", QueueProtocol.SSE_V2_1),
        ("sse_v3", QueueProtocol.SSE_V3),
        ("sse_v9", QueueProtocol.SSE_V3),
    ],
)
def test_protocol_is_read_by_its_name(name: str, protocol: QueueProtocol) -> None:
    """Each dialect has its name; a newer one is taken for the newest known."""
    assert read(space(protocol=name)).protocol is protocol


@pytest.mark.parametrize("name", [None, "ws", "carrier pigeon", 3])
def test_gradio_3_is_refused(name: Any) -> None:
    """A queue that is not made of server-sent events is refused, with Gradio's version."""
    with pytest.raises(UnsupportedProtocol, match=r"Gradio 3\.50\.2"):
        read(space(protocol=name, version="3.50.2"))


@pytest.mark.parametrize(
    ("prefix", "join"),
    [
        ("/gradio_api", "/gradio_api/queue/join"),
        ("gradio_api/", "/gradio_api/queue/join"),
        ("", "/queue/join"),
        ("/", "/queue/join"),
        (None, "/queue/join"),
        (7, "/queue/join"),
    ],
)
def test_prefix_comes_before_the_routes(prefix: Any, join: str) -> None:
    """The announced prefix is part of each route."""
    endpoint = read(space(api_prefix=prefix))
    assert endpoint.join_path == join
    assert endpoint.data_path == join.replace("join", "data")


@pytest.mark.parametrize(
    ("version", "props", "info", "form"),
    [
        ("4.0.2", {}, "ChatbotData", ChatFormat.PAIRS),
        ("4.44.1", {"type": "messages"}, None, ChatFormat.ROLES),
        ("4.44.1", {"type": "tuples"}, "ChatbotDataMessages", ChatFormat.PAIRS),
        ("5.50.0", {}, "ChatbotDataMessages", ChatFormat.ROLES),
        ("6.0.2", {}, "ChatbotDataMessages", ChatFormat.PARTS),
        ("10.1", {"type": "messages"}, None, ChatFormat.PARTS),
        (None, {}, None, ChatFormat.PAIRS),
    ],
)
def test_form_of_the_history_is_found(
    version: Any, props: dict[str, Any], info: str | None, form: ChatFormat
) -> None:
    """Gradio 4.44 and 5 name the form, 6 has one, and older ones have pairs."""
    config = space(version=version)
    config["components"][2] = chatbot(10, **props)
    if info:
        config["components"][2]["api_info"] = {"title": info}
    assert read(config).chat_format is form


def test_function_is_found_by_its_name() -> None:
    """A function called model_chat is preferred to one of the same shape before it."""
    other = function(api_name="regenerate", targets=[])
    config = space(dependencies=[other, function(id=7, api_name="/model_chat")])
    assert read(config).fn_index == 7


@pytest.mark.parametrize(
    ("functions", "index"),
    [
        ([function(inputs=[11, 10], api_name=None), function(api_name=False)], 1),
        ([function(inputs=[]), function(inputs=[10, 11], api_name=None)], 1),
        ([function(backend_fn=False), function(id=3, api_name=None)], 3),
        ([None, function(outputs=[11]), function(inputs=[11, 10, 8])], 2),
    ],
)
def test_function_is_found_by_its_shape(functions: list[Any], index: int) -> None:
    """Without the name, the first that takes a text and a chat and returns a chat serves."""
    assert read(space(dependencies=functions)).fn_index == index


@pytest.mark.parametrize(
    "functions",
    [
        [],
        [None, 3],
        [function(inputs="x")],
        [function(inputs=[11, 10, "8"])],
        [function(outputs=[4])],
        [function(inputs=[10])],
        [function(inputs=[11, 10, 10])],
        [function(inputs=[11, 99])],
    ],
)
def test_space_without_a_chat_is_refused(functions: list[Any]) -> None:
    """A Space that is something else is told so."""
    with pytest.raises(EndpointNotFound):
        read(space(dependencies=functions))


@pytest.mark.parametrize(
    ("changes", "query", "history", "system"),
    [
        ({"inputs": [10, 11, 8]}, 1, 0, 2),
        ({"inputs": [8, 10, 11]}, 2, 1, 0),
        ({"inputs": [4, 10, 11], "targets": [[14, "click"]]}, 2, 1, 0),
        ({"inputs": [11, 10]}, 0, 1, None),
        ({"inputs": [20, 10, 21], "targets": []}, 0, 1, 2),
        ({"inputs": [20, 10, 21], "targets": [[21, "submit"]]}, 2, 1, 0),
    ],
)
def test_inputs_are_told_apart(
    changes: dict[str, Any], query: int, history: int, system: int | None
) -> None:
    """Query and system text are found wherever they stand."""
    config = space(dependencies=[function(**changes)])
    config["components"] += [textbox(20), textbox(21)]
    endpoint = read(config)
    assert (endpoint.query, endpoint.history, endpoint.system) == (query, history, system)


def test_other_inputs_keep_their_defaults() -> None:
    """An input that is neither is sent as the page shows it."""
    endpoint = read(space(dependencies=[function(inputs=[11, 10, 8, 15, 14])]))
    assert endpoint.inputs == ("", None, "You are a helpful assistant.", 512, None)


@pytest.mark.parametrize(
    ("targets", "trigger"),
    [
        ([[12, "click"]], 12),
        ([[None, "load"]], None),
        ([], None),
        (None, None),
        ([12, "click"], 12),
        (["x"], None),
    ],
)
def test_trigger_is_the_first_targets_component(targets: Any, trigger: int | None) -> None:
    """It may be missing, for events that no component triggers."""
    assert read(space(dependencies=[function(targets=targets)])).trigger_id == trigger


@pytest.mark.parametrize("text", ["", "<html>", "[]", "null", '{"dependencies": {}}', "{}"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    """Anything that Gradio does not send raises InvalidServerMessage."""
    with pytest.raises(InvalidServerMessage):
        read_config(text)


@pytest.mark.parametrize(
    "components", [None, [None], [{"id": "4"}], [{"id": 10, "type": "chatbot"}]]
)
def test_odd_components_are_survived(components: Any) -> None:
    """Components of unknown shape lead to a typed error, not to a crash."""
    with pytest.raises(ProtocolError):
        read(space(components=components))


def test_function_with_a_bare_chatbot_is_read() -> None:
    """A chatbot without properties has the old form."""
    config = space()
    config["components"][2] = {"id": 10, "type": "chatbot", "props": None}
    assert read(config).chat_format is ChatFormat.PAIRS


@pytest.mark.parametrize("model", [None, "", "auto", "qwen-2-72b", "qwen-qwen2-72b-instruct"])
def test_names_of_the_model_are_accepted(model: str | None) -> None:
    """The Space's one model has several names."""
    check_model(model)


def test_other_models_are_refused() -> None:
    """Another model's name raises an error with the choices."""
    with pytest.raises(ModelNotFound, match="'gpt-4'") as caught:
        check_model("gpt-4")
    assert "qwen-2-72b" in str(caught.value)


def test_version_and_numbers_of_hundreds_of_digits() -> None:
    """They are no numbers to count with."""
    found = read(space(version="9" * 5000, dependencies=[function(id=10**300)]))
    assert (found.fn_index, found.chat_format) == (0, ChatFormat.PARTS)


def test_one_component_many_times() -> None:
    """A function that takes one box again and again is none that a join could be written for."""
    long = [textbox(8, "x" * 1000, label="l" * 1000), chatbot(10), textbox(11)]
    with pytest.raises(EndpointNotFound):
        read(space(components=long, dependencies=[function(inputs=[11, 10, *[8] * 50_000])]))
    # What stands there instead of a kind or a label may be as long.
    odd = [{"id": 1, "type": ["x"] * 10_000}, *long]
    with pytest.raises(EndpointNotFound):
        read(space(components=odd, dependencies=[function(inputs=[11, 10, *[1] * 50_000])]))
    odd = [textbox(8, label=[["system"]] * 10_000), *long[1:]]
    assert read(space(components=odd)).system == 2


def test_configuration_of_very_many_values() -> None:
    """It is refused before it is taken apart."""
    with pytest.raises(InvalidServerMessage, match=r"/config is too large: .* 200,000 values"):
        read(space(theme=["a"] * 200_000))
