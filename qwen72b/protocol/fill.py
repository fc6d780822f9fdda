"""
A question put into a plan: the value of every component that the steps read.

What the Space has no place for is folded into the question, visibly, or
refused. What a step writes is kept for the next one, as in a browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InvalidOption
from ..messages import Prompt, Turn, format_prompt
from .chat import encode_history
from .limits import UNLIMITED
from .page import fold_label
from .plan import HistoryPlace, Plan, Setting, Step, StepKind
from .typed import Typed, read_typed

__all__ = ["Filled", "fill"]

# Inputs that an error names.
_MOST_SHOWN = 50


class Filled(NamedTuple):
    """
    A plan with a question in it.

    Args:
        plan: The plan.
        steps: The steps that this question takes.
        values: The present value of each component.
        query: The question's text, with what was folded into it.
        sent: The history that was given to the Chatbots.
        folded: What was folded into the question: ``"history"``, ``"system"``.
        given: The components whose values are the caller's.
    """

    plan: Plan
    steps: tuple[Step, ...]
    values: dict[int, Any]
    query: str
    sent: list[Any]
    folded: tuple[str, ...]
    given: frozenset[int]

    def data(self, step: Step) -> list[Any]:
        """
        Write the inputs of a step.

        Args:
            step: The step.
        """
        return [self.values.get(number) for number in step.inputs]

    def write_back(self, step: Step, outputs: list[Any]) -> None:
        """
        Keep what a step wrote, for the steps after it.

        Args:
            step: The step.
            outputs: Its final outputs. An update without a value changes none,
                and a generator's ``None`` says that it gave nothing.
        """
        for number, output in zip(step.outputs, outputs, strict=False):
            if number not in self.values or (output is None and step.generator):
                continue
            if step.kind is not StepKind.CHAIN and number in self.given:
                # What the page sets when it opens, people have changed since.
                continue
            if isinstance(output, dict) and output.get("__type__") == "update":
                if "value" not in output:
                    continue
                output = output["value"]
            self.values[number] = output


def fill(
    plan: Plan,
    prompt: Prompt,
    *,
    inputs: Mapping[str, Any] | None = None,
    fold: bool = True,
) -> Filled:
    """
    Put a question into a plan.

    Args:
        plan: How the Space is asked.
        prompt: The question.
        inputs: Values of other inputs by their labels.
        fold: Whether to fold into the question what the Space has no place for.

    Returns:
        The question, ready to be asked.

    Raises:
        InvalidOption: If there is no place for something and ``fold`` is off,
            or an input is unknown, its label not unique, or its value none that
            it takes.
    """
    values = dict(plan.defaults)
    given = read_inputs(plan, inputs) if inputs else {}
    values.update(given)
    query, turns, folded = _fold(plan, prompt, fold)
    sent = encode_history(turns, plan.chat_format) if turns else []
    for number in plan.chats:
        values[number] = sent
    values[plan.query] = {"text": query, "files": []} if plan.multimodal else query
    if plan.system is not None and prompt.system is not None:
        values[plan.system] = prompt.system
        given[plan.system] = None
    # States stay null: the server has their values. Chatbots that get no
    # history are empty, whatever greeting the page shows.
    steps = plan.steps if sent else plan.fresh_steps
    return Filled(
        plan, steps, values, query, sent, folded, frozenset((plan.query, *plan.chats, *given))
    )


def _fold(plan: Plan, prompt: Prompt, fold: bool) -> tuple[str, tuple[Turn, ...], tuple[str, ...]]:
    """Find places for the parts of a prompt: the question, the history, and what was folded."""
    query, turns = prompt.query, prompt.history
    system = prompt.system if plan.system is None else None
    # There is nothing in an empty text that could be lost.
    system = system or None
    lost = plan.history is HistoryPlace.QUESTION and bool(turns)
    if not fold and system is not None:
        raise InvalidOption(
            "this Space takes no system text.", hint="Leave it out, or let it be folded."
        )
    if not fold and lost:
        raise InvalidOption(
            "this Space takes no history.", hint="Ask a single question, or let it be folded."
        )
    if lost:
        head = [] if system is None else [("system", system)]
        chat = [{"role": role, "content": text} for role, text in (*head, *turns, ("user", query))]
        return format_prompt(chat), (), ("history",) if system is None else ("system", "history")
    if system is None:
        return query, turns, ()
    for i, (role, text) in enumerate(turns):
        if role == "user":
            first = (role, f"{system}\n\n{text}")
            return query, (*turns[:i], first, *turns[i + 1 :]), ("system",)
    return f"{system}\n\n{query}", turns, ("system",)


def read_inputs(plan: Plan, inputs: Mapping[str, Any]) -> dict[int, Any]:
    """
    Find the components that a caller has values for, and look at the values.

    Args:
        plan: How the Space is asked.
        inputs: The values by what the caller calls the inputs.

    Returns:
        The values by component.

    Raises:
        InvalidOption: If an input is unknown, its label not unique, or its
            value none that it takes.
    """
    found: dict[int, Any] = {}
    known = _by_name(plan)
    for name, value in inputs.items():
        setting = _find_setting(plan, known, name)
        allowed = True
        if isinstance(value, Typed):
            try:
                value = read_typed(value, setting)
            except ValueError:
                allowed = False
        if not (allowed and setting.limits.allows(value)):
            # Neither shown nor chained: it may be a secret that was meant for another one.
            takes = "numbers" if setting.limits == UNLIMITED else setting.limits
            raise InvalidOption(
                f"the input {setting.label[:40]!r} does not take this value.",
                hint=f"It takes {takes}.",
            )
        found[setting.component] = value
    return found


def _by_name(plan: Plan) -> dict[str, list[Setting]]:
    """List the inputs by what they may be called: a page may have them by the thousand."""
    known: dict[str, list[Setting]] = {}
    for setting in plan.settings:
        for name in setting.names:
            known.setdefault(name, []).append(setting)
    return known


def _find_setting(plan: Plan, known: Mapping[str, list[Setting]], name: str) -> Setting:
    """Find an input by what a caller calls it; case and punctuation do not count."""
    hits = known.get(fold_label(name), []) if isinstance(name, str) else []
    if len(hits) == 1:
        return hits[0]
    if hits:
        choices = _listed([f"{hit.kind} {hit.component}" for hit in hits])
        raise InvalidOption(f"several inputs are called {name!r}.", hint=f"They are: {choices}.")
    labels = _listed([setting.label for setting in plan.settings])
    raise InvalidOption(
        f"no input of this Space is called {name!r}.",
        hint=f"Its inputs are: {labels}." if labels else "It has no other inputs.",
    )


def _listed(names: list[str]) -> str:
    """List names for people; a stranger's words are escaped by ``repr``, and bounded."""
    more = len(names) - _MOST_SHOWN
    shown = ", ".join(repr(name[:40]) for name in names[:_MOST_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
