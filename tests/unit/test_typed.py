"""typed: what somebody typed for an input, as its component takes it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from qwen72b import InvalidOption
from qwen72b.messages import Prompt
from qwen72b.privacy.redaction import hide_values
from qwen72b.protocol.fill import fill
from qwen72b.protocol.limits import read_choices, read_limits, takes_many
from qwen72b.protocol.page import Component
from qwen72b.protocol.plan import DOCUMENTED, Setting
from qwen72b.protocol.typed import Typed

TEXTS = {"choices": [["1.5", "1.5"], ["Two", "2"], ["No", "null"]]}
NUMBERS = {"choices": [["Low", 0.5], ["High", 2], ["None", None]]}
CUSTOM = {"choices": [["Small", 7], ["a", "a"]], "allow_custom_value": True}
UNKNOWN: dict[str, Any] = {"choices": []}


def _send(kind: str, props: dict[str, Any], value: object) -> Any:
    """Give what a component is sent for a value."""
    component = Component(90, kind, props)
    limits, choices = read_limits(component), read_choices(component)
    setting = Setting(90, "It", kind, False, limits, choices, takes_many(component))
    plan = DOCUMENTED._replace(settings=(setting,))
    return fill(plan, Prompt("q"), inputs=hide_values({"It": value})).values[90]


@pytest.mark.parametrize(
    ("kind", "props", "text", "value"),
    [
        *(
            ("textbox", {}, text, text)
            for text in ("1.10", "null", "true", "[1]", '"a"', "", " a ")
        ),
        *((kind, {}, "2024", "2024") for kind in ("code", "colorpicker", "datetime")),
        ("multimodaltextbox", {}, "2", {"text": "2", "files": []}),
        ("multimodaltextbox", {}, '{"text": "a"}', {"text": "a"}),
        ("slider", {"minimum": 0, "maximum": 1}, ".5", 0.5),
        ("slider", {"minimum": 0, "maximum": 1}, "+0.5", 0.5),
        ("number", {}, "007", 7),
        ("number", {}, " -3 ", -3),
        ("number", {}, "5.", 5.0),
        ("number", {}, "1E3", 1000.0),
        ("number", {}, "null", None),
        *(("checkbox", {}, text, True) for text in ("true", "True", "YES", "on", "1")),
        *(("checkbox", {}, text, False) for text in ("false", "False", "No", "OFF", "0")),
        ("dropdown", TEXTS, "2", "2"),
        ("dropdown", TEXTS, "1.5", "1.5"),
        ("radio", TEXTS, "Two", "2"),
        ("radio", TEXTS, '"2"', "2"),
        ("dropdown", TEXTS, "null", "null"),
        ("dropdown", NUMBERS, ".5", 0.5),
        ("radio", NUMBERS, "2", 2),
        ("radio", NUMBERS, "High", 2),
        ("radio", NUMBERS, "null", None),
        ("radio", {"choices": [True, 1]}, "true", True),
        ("dropdown", CUSTOM, "7", 7),
        ("dropdown", CUSTOM, "8", "8"),
        ("dropdown", UNKNOWN, "8", "8"),
        ("checkboxgroup", TEXTS, '["2", "1.5"]', ["2", "1.5"]),
        ("checkboxgroup", TEXTS, "[2, 1.5]", ["2", "1.5"]),
        ("checkboxgroup", TEXTS, "Two", ["2"]),
        ("dropdown", {**NUMBERS, "multiselect": True}, '[2, "Low"]', [2, 0.5]),
        ("dropdown", {**CUSTOM, "multiselect": True}, "b", ["b"]),
        ("json", {}, '["a", {"b": true}]', ["a", {"b": True}]),
        ("json", {}, "[1e999]", "[1e999]"),
        ("unheard-of", {}, "[" * 100_000, "[" * 100_000),
    ],
)
def test_component_decides(kind: str, props: dict[str, Any], text: str, value: Any) -> None:
    """The kind of the component and its choices say how a text is read."""
    sent = _send(kind, props, Typed(text))
    assert sent == value
    assert isinstance(sent, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    ("kind", "props", "text"),
    [
        *(
            ("number", {}, text)
            for text in ("31337x", "", "NaN", "1e999", '"5"', "0,5", "1" * 5000)
        ),
        ("slider", {"minimum": 0, "maximum": 1}, "31337"),
        *(("checkbox", {}, text) for text in ("maybe", "", "null", "31337")),
        ("dropdown", TEXTS, "31337"),
        ("checkboxgroup", TEXTS, "[31337]"),
        ("checkboxgroup", TEXTS, "31337"),
    ],
)
def test_what_is_no_value_is_refused(kind: str, props: dict[str, Any], text: str) -> None:
    """The error says what the input takes, and not what was typed."""
    with pytest.raises(InvalidOption, match="It takes (?!anything)") as caught:
        _send(kind, props, Typed(text))
    assert "31337" not in str(caught.value)


def test_values_of_python_are_not_read() -> None:
    """A text that nobody typed is a text."""
    assert _send("number", {}, "5") == "5"
    for kind, props in (("checkbox", {}), ("radio", NUMBERS)):
        with pytest.raises(InvalidOption):
            _send(kind, props, "2")


def test_typed_text_stays_such() -> None:
    """Hidden, or sent to another process, it is still one that was typed."""
    text = Typed("secret")
    assert type(hide_values({"It": text})["It"]) is type(pickle.loads(pickle.dumps(text))) is Typed
    assert "secret" not in repr(text)
