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
from qwen72b.protocol.choose import choose
from qwen72b.protocol.config import QueueProtocol
from qwen72b.protocol.model import check_model
from qwen72b.protocol.page import read_page
from qwen72b.protocol.plan import DOCUMENTED, Plan


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
        "types": {"generator": True},
        **changes,
    }


def read(config: Any) -> Plan:
    return choose(read_page(json.dumps(config)))


def test_public_space_is_read() -> None:
    """Function, positions, default system text and form come from the configuration."""
    assert read(space()) == DOCUMENTED._replace(version="4.36.1")


def test_what_else_could_be_asked_does_not_count() -> None:
    """A plan asks like one that differs in its other candidates, and unlike one with other steps."""
    assert DOCUMENTED.asks_like(DOCUMENTED._replace(others=("/other",)))
    assert not DOCUMENTED.asks_like(DOCUMENTED._replace(steps=DOCUMENTED.steps * 2))


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
    plan = read(space(api_prefix=prefix))
    assert plan.join_path == join
    assert plan.data_path == join.replace("join", "data")


@pytest.mark.parametrize(
    "prefix",
    [
        "http://other.invalid/x",
        "/a/http://b",
        "/a?b=c",
        "a#b",
        "a b",
        "a\r\nb: c",
        "a\0",
        "a\\b",
        "\ud800",
        "x" * 10_000,
    ],
)
def test_prefix_that_is_no_path(prefix: str) -> None:
    """What leads elsewhere, holds a query or breaks a request is a fault of the Space."""
    with pytest.raises(InvalidServerMessage, match="api_prefix") as caught:
        read(space(api_prefix=prefix))
    assert len(str(caught.value)) < 300


def test_function_is_found_by_its_name() -> None:
    """A function called model_chat is preferred to one of the same shape before it."""
    other = function(api_name="regenerate", targets=[])
    config = space(dependencies=[other, function(id=7, api_name="/model_chat")])
    assert read(config).steps[0].fn_index == 7


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
    ],
)
def test_space_without_a_chat_is_refused(functions: list[Any]) -> None:
    """A Space that is something else is told so."""
    with pytest.raises(EndpointNotFound):
        read(space(dependencies=functions))


@pytest.mark.parametrize("text", ["", "<html>", "[]", "null", '{"dependencies": {}}', "{}"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    """Anything that Gradio does not send raises InvalidServerMessage."""
    with pytest.raises(InvalidServerMessage):
        read_page(text)


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
    assert (found.steps[0].fn_index, found.chat_format) == (0, ChatFormat.PARTS)


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
    assert read(space(components=odd)).system is None


def test_configuration_of_very_many_values() -> None:
    """It is refused before it is taken apart."""
    with pytest.raises(InvalidServerMessage, match=r"/config is too large: .* 200,000 values"):
        read(space(theme=["a"] * 200_000))
