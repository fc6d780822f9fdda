"""
What a question to a Space will do, told beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..protocol.fill import read_inputs
from ..protocol.limits import Limits
from ..protocol.page import Page
from ..protocol.plan import HistoryPlace, Plan, StepKind

__all__ = ["Description", "describe"]

_MASKED = "***"

# Characters of a default that are shown.
_MOST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Description:
    """
    What a question to a Space will do.

    ``str()`` of it is for people; a Space's own words are escaped there.

    Args:
        url: The Space's base URL.
        version: Gradio's version; empty if unknown.
        protocol: The queue's dialect.
        endpoint: What is asked, by the name or number to give as ``endpoint``.
        steps: The functions that are called, by name or number, in order.
        question: The box that takes the question.
        history: Where the turns before it go: ``"chatbot"``, ``"state"`` (by the
            app's own function), or ``"question"`` (they are folded into it).
        chat_format: The form of the history: ``"pairs"``, ``"roles"`` or
            ``"parts"``; empty if it is folded.
        system: The box that takes the system text; ``None`` if it is folded.
        answer: The component that shows the answer.
        streams: Whether the answer comes in pieces.
        folded: What is folded into the question: ``"system"``, ``"history"``.
        inputs: The other inputs and the values that they will have; ``"***"``
            for a secret.
        limits: What values the inputs take, by the same names: ``minimum``,
            ``maximum`` and ``step`` of a number, or ``choices``, and ``many``
            where a value is a list of them. Inputs that take anything are left
            out.
        others: What else could be asked, by the name to give as ``endpoint``.
        requests: How many requests a question with a history takes.

    Example:
        >>> description = Client().describe()
        >>> description.history, description.folded
        ('chatbot', ())
        >>> print(description.line)
        1 step to /model_chat, at most 2 requests
    """

    url: str
    version: str
    protocol: str
    endpoint: str
    steps: tuple[str, ...]
    question: str
    history: str
    chat_format: str
    system: str | None
    answer: str
    streams: bool
    folded: tuple[str, ...]
    inputs: Mapping[str, Any]
    limits: Mapping[str, Mapping[str, Any]]
    others: tuple[str, ...]
    requests: int

    def __str__(self) -> str:
        history = (
            "folded into the question"
            if self.history == "question"
            else f"{self.history}, as {self.chat_format}"
        )
        lines = [
            f"{self.url}  Gradio {_shown(self.version, bare=True) or '?'}, {self.protocol}",
            f"endpoint   {_shown(self.endpoint, bare=True)}",
            f"steps      {', '.join(_shown(step, bare=True) for step in self.steps)}",
            f"question   {_shown(self.question)}",
            f"history    {history}",
            f"system     {'folded into the question' if self.system is None else _shown(self.system)}",
            f"answer     {_shown(self.answer)}{', in pieces' if self.streams else ''}",
            f"requests   {self.requests} at most",
        ]
        lines += [
            f"input      {_shown(name)} = {_shown(value)}{self._told_limits(name)}"
            for name, value in self.inputs.items()
        ]
        if self.others:
            lines.append(f"others     {', '.join(_shown(name, bare=True) for name in self.others)}")
        return "\n".join(lines)

    @property
    def line(self) -> str:
        """The same in one line, for a status."""
        folded = (
            f"; folds the {' and the '.join(self.folded)} into the question" if self.folded else ""
        )
        many = "step" if len(self.steps) == 1 else "steps"
        return (
            f"{len(self.steps)} {many} to {_shown(self.endpoint, bare=True)}, "
            f"at most {self.requests} requests{folded}"
        )

    def _told_limits(self, name: str) -> str:
        limits = self.limits.get(name)
        return f"; {Limits(**limits)}" if limits else ""

    def to_dict(self) -> dict[str, Any]:
        """
        Return the fields as a dictionary, ready for JSON.

        Example:
            >>> json.dumps(Client().describe().to_dict()["steps"])
            '["/model_chat"]'
        """
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in fields.items()
        }


def describe(url: str, page: Page, plan: Plan, inputs: Mapping[str, Any]) -> Description:
    """
    Describe a plan.

    Args:
        url: The Space's base URL.
        page: The page that the plan was made of.
        plan: The plan.
        inputs: The caller's values of other inputs.

    Raises:
        InvalidOption: If an input is unknown, its label not unique, or its
            value none that it takes.
    """
    given = read_inputs(plan, inputs)
    values: dict[str, Any] = {}
    limits: dict[str, Mapping[str, Any]] = {}
    for setting in plan.settings:
        name = setting.label
        if name in values:
            name = f"{setting.kind} {setting.component}"
        value = given.get(setting.component, plan.defaults.get(setting.component))
        values[name] = _MASKED if setting.secret and value else value
        if limited := setting.limits.to_dict():
            limits[name] = limited
    folded = (*(("system",) if plan.system is None else ()),)
    if plan.history is HistoryPlace.QUESTION:
        folded = (*folded, "history")
    return Description(
        url=url,
        version=plan.version,
        protocol=plan.protocol.value,
        endpoint=plan.name,
        steps=tuple(
            step.name if step.kind is StepKind.CHAIN else f"{step.name} ({step.kind.value})"
            for step in plan.steps
        ),
        question=page.component(plan.query).label,
        history=plan.history.value,
        chat_format="" if plan.history is HistoryPlace.QUESTION else plan.chat_format.value,
        system=None if plan.system is None else page.component(plan.system).label,
        answer=page.component(plan.answer).label,
        streams=plan.steps[-1].generator,
        folded=folded,
        inputs=values,
        limits=limits,
        others=plan.others,
        requests=plan.requests,
    )


def _shown(value: Any, *, bare: bool = False) -> str:
    """Write a stranger's value so that it can do nothing to a terminal; ``repr`` escapes."""
    text = repr(value)
    text = text[1:-1] if bare and isinstance(value, str) else text
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."
