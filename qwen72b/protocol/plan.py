"""
What has to be done to ask a Space: a ``Plan``, which is data.

A browser keeps a value for every component. It runs the functions of an event
in order, takes the inputs of each from those values, and writes its outputs
back. A plan says which functions those are and where in them the question, the
history and the system text go, and where the answer is. ``choose`` makes it,
``fill`` puts a question into it, and the client's exchange does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from .chat import ChatFormat
from .config import QueueProtocol
from .limits import UNLIMITED, Limits
from .model import DEFAULT_SYSTEM
from .page import fold_label

__all__ = ["DOCUMENTED", "HistoryPlace", "Plan", "Setting", "Step", "StepKind"]


class StepKind(Enum):
    """
    Why a step is taken.

    * ``LOAD``: it ran when the page opened. Its failure is none of the question's.
    * ``HISTORY``: it copies the Chatbot into the state that the app reads its
      history from; needed only if there is a history.
    * ``CHAIN``: it is part of what the question starts.
    """

    LOAD = "load"
    HISTORY = "history"
    CHAIN = "chain"


class Step(NamedTuple):
    """
    One function to call.

    Args:
        fn_index: The function's number.
        trigger_id: The component whose event calls it; Gradio 4 and later
            ignore it, browsers send it.
        inputs: The components whose values it takes.
        outputs: The components that it sets.
        api_name: Its public name; ``None`` if it has none.
        generator: Whether it gives its outputs many times.
        kind: Why it is called.
    """

    fn_index: int
    trigger_id: int | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    api_name: str | None = None
    generator: bool = True
    kind: StepKind = StepKind.CHAIN

    @property
    def name(self) -> str:
        """What people call it: its public name, else its number."""
        return f"/{self.api_name}" if self.api_name else str(self.fn_index)


class HistoryPlace(Enum):
    """
    Where the turns before the question go.

    * ``CHATBOT``: into a Chatbot that the app reads.
    * ``STATE``: into a state, by the app's own function that copies the Chatbot.
    * ``QUESTION``: the app takes none; they are folded into the question.
    """

    CHATBOT = "chatbot"
    STATE = "state"
    QUESTION = "question"


class Setting(NamedTuple):
    """
    An input that is neither question, history nor system text.

    Args:
        component: Its number.
        label: What people call it.
        kind: Gradio's name of its type.
        secret: Whether its value must not be shown.
        limits: What values it takes.
        choices: What is shown for its choices, and their values, whether or not
            they limit it; ``None`` for an input without choices.
        many: Whether its value is a list of choices.
    """

    component: int
    label: str
    kind: str
    secret: bool = False
    limits: Limits = UNLIMITED
    choices: tuple[tuple[Any, Any], ...] | None = None
    many: bool = False

    @property
    def names(self) -> frozenset[str]:
        """What callers may call it, folded: its label, or its type and number."""
        return frozenset((fold_label(self.label), fold_label(f"{self.kind} {self.component}")))


class Plan(NamedTuple):
    """
    How a Space is asked.

    Args:
        steps: The functions to call, in order; the last one gives the answer.
        query: The component that takes the question.
        answer: The component that holds the answer.
        defaults: The value that each input has when the page opens.
        history: Where the turns before the question go.
        chats: The Chatbots that are given the history.
        system: The component that takes the system text; ``None`` if there is none.
        settings: The other inputs.
        multimodal: Whether the question goes as ``{"text", "files"}``.
        chat: Whether the answer is read from a Chatbot, or from a text.
        chat_format: The form of the history.
        protocol: The queue's dialect.
        prefix: What comes before ``/queue/...`` in a path; ``"/gradio_api"``
            from Gradio 5 on.
        version: Gradio's version; empty if unknown.
        others: What else could have been asked, by the name to give as ``endpoint``.
    """

    steps: tuple[Step, ...]
    query: int
    answer: int
    defaults: Mapping[int, Any]
    history: HistoryPlace = HistoryPlace.CHATBOT
    chats: tuple[int, ...] = ()
    system: int | None = None
    settings: tuple[Setting, ...] = ()
    multimodal: bool = False
    chat: bool = True
    chat_format: ChatFormat = ChatFormat.PAIRS
    protocol: QueueProtocol = QueueProtocol.SSE_V3
    prefix: str = ""
    version: str = ""
    others: tuple[str, ...] = ()

    @property
    def fresh_steps(self) -> tuple[Step, ...]:
        """The steps of a question without a history."""
        return tuple([step for step in self.steps if step.kind is not StepKind.HISTORY])

    @property
    def output(self) -> int:
        """Position of the answer among the outputs of the last step."""
        return self.steps[-1].outputs.index(self.answer)

    @property
    def join_path(self) -> str:
        """Path of the join."""
        return f"{self.prefix}/queue/join"

    @property
    def data_path(self) -> str:
        """Path of the stream; under ``sse``, of the upload."""
        return f"{self.prefix}/queue/data"

    @property
    def name(self) -> str:
        """What to give as ``endpoint`` to get this plan: the last named step, else the first."""
        named = [step for step in self.chain if step.api_name]
        return (named[-1] if named else self.chain[0]).name

    @property
    def chain(self) -> tuple[Step, ...]:
        """The steps that the question starts."""
        return tuple(step for step in self.steps if step.kind is StepKind.CHAIN)

    def asks_like(self, plan: Plan) -> bool:
        """
        Tell whether a question is asked in the same way by another plan.

        Args:
            plan: The other plan; what else could have been asked does not count.
        """
        return self == plan._replace(others=self.others)

    @property
    def requests(self) -> int:
        """How many requests a question with a history takes at most."""
        return 2 * len(self.steps)


# The public Space as it was documented in December 2024 (Gradio 4, pairs): one
# Markdown header before the Row gives the input box the id 11. It serves the
# class-level provider where ``/config`` cannot be read.
DOCUMENTED = Plan(
    steps=(Step(0, 11, (11, 10, 8), (11, 10, 4), "model_chat"),),
    query=11,
    answer=10,
    chats=(10,),
    system=8,
    defaults={11: "", 10: None, 8: DEFAULT_SYSTEM},
)
