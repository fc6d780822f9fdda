"""limits: what values an input takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwen72b.protocol.limits import Limits, read_limits
from qwen72b.protocol.page import Component

HUGE = 10**400


def _limits(kind: str, **props: Any) -> Limits:
    return read_limits(Component(1, kind, props))


@pytest.mark.parametrize(
    ("kind", "props", "told"),
    [
        (
            "slider",
            {"minimum": 0.1, "maximum": 4, "step": 0.1},
            "numbers from 0.1 to 4 in steps of 0.1",
        ),
        ("slider", {"minimum": 0, "maximum": 1, "step": None}, "numbers from 0 to 1"),
        ("slider", {"minimum": -3, "maximum": -3, "step": 0}, "numbers from -3 to -3"),
        ("number", {"minimum": 1, "maximum": None, "step": 1}, "numbers from 1 in steps of 1"),
        ("number", {"maximum": 8}, "numbers to 8"),
        ("radio", {"choices": [["A", "a"], ["B", 2]]}, "one of 'a', 2"),
        ("radio", {"choices": ["a", "b"]}, "one of 'a', 'b'"),
        ("dropdown", {"choices": [["A", "a"]], "allow_custom_value": False}, "one of 'a'"),
        ("dropdown", {"choices": [["A", "a"]], "multiselect": True}, "a list of any of 'a'"),
        ("checkboxgroup", {"choices": [["A", "a"]]}, "a list of any of 'a'"),
        (
            "radio",
            {"choices": [[str(n), n] for n in range(20)]},
            "one of 0, 1, 2, 3, 4, 5, 6, 7 and 12 more",
        ),
        ("radio", {"choices": ["\x1b" * 99]}, "one of '" + "\\x1b" * 9 + "..."),
        ("checkbox", {}, "one of True, False"),
        # What limits nothing.
        ("number", {}, "anything"),
        ("textbox", {"minimum": 1, "choices": ["a"]}, "anything"),
        ("dropdown", {"choices": [["A", "a"]], "allow_custom_value": True}, "anything"),
        ("dropdown", {"choices": []}, "anything"),
        ("dropdown", {"choices": None}, "anything"),
        ("radio", {"choices": "ab"}, "anything"),
        ("radio", {}, "anything"),
        ("radio", {"choices": [["A", ["a"]], ["B", {"b": 1}]]}, "anything"),
        # What the page says badly.
        ("slider", {"minimum": 4, "maximum": 0}, "anything"),
        ("slider", {"minimum": "0", "maximum": [1], "step": "a"}, "anything"),
        ("slider", {"minimum": True, "maximum": HUGE}, "anything"),
        ("slider", {"minimum": float("nan"), "maximum": float("inf")}, "anything"),
        ("slider", {"minimum": -HUGE, "maximum": 5, "step": -1}, "numbers to 5"),
    ],
)
def test_what_a_page_says(kind: str, props: dict[str, Any], told: str) -> None:
    """Bounds and choices are read where they are some, and told in a line."""
    assert str(_limits(kind, **props)) == told


@pytest.mark.parametrize("value", [0.1, 4, 4.0, 1, 0.15, None])
def test_number_within_bounds(value: Any) -> None:
    """A number within the bounds is taken, the bounds too, and so is nothing at all."""
    assert _limits("slider", minimum=0.1, maximum=4, step=0.1).allows(value)


@pytest.mark.parametrize(
    "value", [0, 0.09, 4.1, -1, HUGE, -HUGE, float("nan"), float("inf"), True, "1", [1], {"a": 1}]
)
def test_number_outside_bounds(value: Any) -> None:
    """A number outside the bounds is not taken, and neither is what is no number."""
    assert not _limits("slider", minimum=0.1, maximum=4, step=0.1).allows(value)


@pytest.mark.parametrize("value", [5, -HUGE, 0.5])
def test_number_with_one_bound(value: Any) -> None:
    """Where there is one bound, any number on its other side is taken."""
    assert _limits("number", maximum=5).allows(value)
    assert not _limits("number", maximum=5).allows(5.1)


@pytest.mark.parametrize(
    ("value", "one", "many"),
    [
        ("a", True, False),
        (2, True, False),
        (2.0, True, False),
        (None, True, True),
        ("A", False, False),
        ("2", False, False),
        (True, False, False),
        (["a"], False, True),
        (["a", 2], False, True),
        ((), False, True),
        (["a", "c"], False, False),
        (["a", None], False, False),
        ("", False, False),
        ({"a": 1}, False, False),
    ],
)
def test_choice(value: Any, one: bool, many: bool) -> None:
    """A value is one of the choices; of some components it is a list of them."""
    choices = [["A", "a"], ["Two", 2], ["One", 1]]
    assert _limits("radio", choices=choices).allows(value) is one
    assert _limits("dropdown", choices=choices, multiselect=None).allows(value) is one
    assert _limits("dropdown", choices=choices, multiselect=True).allows(value) is many
    assert _limits("checkboxgroup", choices=choices).allows(value) is many


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        (True, True),
        (False, True),
        (None, True),
        ("False", False),
        ("", False),
        (0, False),
        (1, False),
    ],
)
def test_tick(value: Any, taken: bool) -> None:
    """A checkbox takes a truth: to an app, any text would be true."""
    assert _limits("checkbox").allows(value) is taken


def test_anything_is_taken_without_limits() -> None:
    """What the page does not limit takes what the caller gives."""
    for value in (1, "a", [1], {"a": 1}, float("nan")):
        assert Limits().allows(value)


def test_dictionary() -> None:
    """The dictionary has what is limited, and is ready for JSON."""
    slider = _limits("slider", minimum=0.1, maximum=4, step=None)
    assert slider.to_dict() == {"minimum": 0.1, "maximum": 4}
    choices = _limits("dropdown", choices=[["A", "a"]], multiselect=True)
    assert json.loads(json.dumps(choices.to_dict())) == {"choices": ["a"], "many": True}
    assert Limits().to_dict() == {}
