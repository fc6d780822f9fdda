"""
What values an input takes: its bounds or its choices, as the page says.

A browser lets nobody set a slider beyond its ends; a server that is asked to fails,
with words of its own or without. So a value is looked at before anything is sent.
What the page says badly, or not at all, limits nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .page import Component

__all__ = [
    "NUMBERS",
    "TRUTHS",
    "UNLIMITED",
    "Limits",
    "is_same",
    "read_choices",
    "read_limits",
    "takes_many",
]

#: Components whose value is a number, and those that are ticked or not.
NUMBERS = frozenset({"slider", "number"})
TRUTHS = frozenset({"checkbox"})
_CHOICES = frozenset({"dropdown", "radio", "checkboxgroup"})

# Numbers beyond it are not the same in every JSON.
_MOST = 2**53

# Choices that are named, and characters of each.
_MOST_SHOWN = 8
_MOST_CHARACTERS = 40


class Limits(NamedTuple):
    """
    What values an input takes.

    Args:
        minimum: The least number; ``None`` for any.
        maximum: The largest number; ``None`` for any.
        step: What two numbers that a person can set are apart. It is told, and
            binds nobody: Gradio takes what is between.
        choices: The values that there are; ``None`` for any.
        many: Whether a value is a list of them.
    """

    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] | None = None
    many: bool = False

    def allows(self, value: Any) -> bool:
        """
        Tell whether an input takes a value; ``None``, which empties it, goes everywhere.

        Args:
            value: The value.
        """
        if value is None:
            return True
        if self.choices is not None:
            if self.many and not isinstance(value, (list, tuple)):
                return False
            return all(
                any(is_same(each, choice) for choice in self.choices)
                for each in (value if self.many else [value])
            )
        if self.minimum is None and self.maximum is None:
            return True
        # What is no number compares with none, and is not the same as itself.
        return (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and self.nearest(value) == value
        )

    def nearest(self, value: float) -> float:
        """
        Find the number within the bounds that is nearest to one.

        Args:
            value: The number.
        """
        if self.minimum is not None and value < self.minimum:
            return self.minimum
        if self.maximum is not None and value > self.maximum:
            return self.maximum
        return value

    def to_dict(self) -> dict[str, Any]:
        """Return what is limited as a dictionary, ready for JSON."""
        named = {"minimum": self.minimum, "maximum": self.maximum, "step": self.step}
        found: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        if self.choices is not None:
            found["choices"] = list(self.choices)
        if self.many:
            found["many"] = True
        return found

    def __str__(self) -> str:
        if self.choices is not None:
            shown = ", ".join(map(_shown, self.choices[:_MOST_SHOWN]))
            more = len(self.choices) - _MOST_SHOWN
            rest = f" and {more} more" if more > 0 else ""
            return f"{'a list of any' if self.many else 'one'} of {shown}{rest}"
        ends = (("from", self.minimum), ("to", self.maximum), ("in steps of", self.step))
        told = [f"{word} {end}" for word, end in ends if end is not None]
        return " ".join(["numbers", *told]) if told else "anything"


#: Those of an input of which nothing is known.
UNLIMITED = Limits()

# A text would be true to the app, whatever it says.
_TRUTH = Limits(choices=(True, False))


def read_limits(component: Component) -> Limits:
    """
    Read what values a component takes.

    Args:
        component: The component.
    """
    props = component.props
    if component.kind in TRUTHS:
        return _TRUTH
    if component.kind in NUMBERS:
        minimum, maximum, step = (_number(props.get(n)) for n in ("minimum", "maximum", "step"))
        if minimum is not None and maximum is not None and minimum > maximum:
            return UNLIMITED
        return Limits(minimum, maximum, step if step and step > 0 else None)
    # A list that is empty is filled later, by the app.
    choices = read_choices(component)
    if not choices or props.get("allow_custom_value"):
        return UNLIMITED
    return Limits(choices=tuple(value for _, value in choices), many=takes_many(component))


def read_choices(component: Component) -> tuple[tuple[Any, Any], ...] | None:
    """
    Read the choices that a component has, whether or not they limit it.

    Args:
        component: The component.

    Returns:
        Pairs of what is shown and the value; none if they are not known yet, or
        not readable; ``None`` for a component without choices.
    """
    if component.kind not in _CHOICES:
        return None
    choices = component.props.get("choices")
    if not isinstance(choices, list):
        return ()
    # Since Gradio 4 each is a pair: what is shown, and the value.
    pairs = tuple(
        (each[0], each[1]) if isinstance(each, list) and len(each) == 2 else (each, each)
        for each in choices
    )
    readable = all(value is None or isinstance(value, (str, int, float)) for _, value in pairs)
    return pairs if readable else ()


def takes_many(component: Component) -> bool:
    """
    Tell whether a value of a component with choices is a list of them.

    Args:
        component: The component.
    """
    return component.kind == "checkboxgroup" or bool(component.props.get("multiselect"))


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) and abs(value) <= _MOST else None


def is_same(value: Any, choice: Any) -> bool:
    """
    Tell whether a value is a choice; ``True`` and 1 are one to Python, and two to JSON.

    Args:
        value: The value.
        choice: The choice.
    """
    return bool(value == choice) and isinstance(value, bool) == isinstance(choice, bool)


def _shown(choice: Any) -> str:
    text = repr(choice)
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 3] + "..."
