"""
The places of a chosen event: where its history and its system text go, and the rest.

History reaches the answer through the Chatbots that the chain reads, or through
a state that some function of the app fills from the Chatbot. A state that the
app fills by itself, turn after turn, has no way in: what the app remembers
there cannot be given to it, so the turns are folded into the question.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .candidates import MOST_STEPS, Candidate, flows, walk_chain
from .labels import BoxKind, box_kind
from .limits import TRUTHS, UNLIMITED, read_choices, read_limits, takes_many
from .page import Component, Function, Page
from .plan import HistoryPlace, Setting, Step, StepKind

__all__ = ["History", "find_history", "find_system", "load_steps", "read_settings", "to_step"]

# What a text begins with that tells a model who it is.
_PERSONA = re.compile(r"\s*(?:you are|you're|act as|你是|您是|あなたは)", re.IGNORECASE)

# Inputs that have no value worth to be set.
_NO_SETTINGS = frozenset({"chatbot", "button", "uploadbutton", "downloadbutton", "browserstate"})


class History(NamedTuple):
    """
    Where the turns before a question go.

    Args:
        place: The place.
        chats: The Chatbots that are given them.
        steps: Calls that bring them into a state first.
    """

    place: HistoryPlace
    chats: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()


def to_step(function: Function, kind: StepKind, trigger: int | None = None) -> Step:
    """
    Make a step of a function.

    Args:
        function: The function.
        kind: Why it is called.
        trigger: The component that calls it; ``None`` if another function does.
    """
    return Step(
        fn_index=function.id,
        trigger_id=trigger,
        inputs=function.inputs,
        outputs=function.outputs,
        api_name=function.api_name,
        generator=function.generator,
        kind=kind,
    )


def find_history(page: Page, candidate: Candidate) -> History:
    """
    Find the place of the turns before the question.

    Args:
        page: The page.
        candidate: The event that asks.
    """
    path = candidate.path
    read = dict.fromkeys(number for function in path for number in function.inputs)
    chats = [number for number in read if page.component(number).kind == "chatbot"]
    kept = _kept_states(page, path)
    every = _find_syncs(page, set(chats)) if kept else {}
    syncs = {number: every.get(number) for number in kept}
    found = {sync.id: sync for sync in syncs.values() if sync is not None}
    steps = tuple(to_step(sync, StepKind.HISTORY) for sync in found.values())
    sources = [sync.inputs[0] for sync in found.values()]
    if flows(path, set(chats)):
        alone = [number for number in kept if syncs[number] is None]
        if not alone or not _remember(page, candidate, alone, set(chats)):
            return History(HistoryPlace.CHATBOT, tuple(dict.fromkeys(chats + sources)), steps)
    elif any(sync is not None and flows(path, {number}) for number, sync in syncs.items()):
        return History(HistoryPlace.STATE, tuple(dict.fromkeys(chats + sources)), steps)
    return History(HistoryPlace.QUESTION)


def _kept_states(page: Page, path: tuple[Function, ...]) -> list[int]:
    """Find the states that a chain reads as they were before it."""
    kept: dict[int, None] = {}
    written: set[int] = set()
    for function in path:
        for number in function.inputs:
            if page.component(number).is_state and number not in written:
                kept[number] = None
        written.update(function.outputs)
    return list(kept)


def _find_syncs(page: Page, chats: set[int]) -> dict[int, Function]:
    """
    Find, for each state, the function that copies a Chatbot into it whenever that has changed.

    Gradio's ChatInterface 5 and 6 calls one after each answer (measured on 5.50
    and 6.31); others use the Chatbot's ``change`` event.
    """
    found: dict[int, Function] = {}
    for function in page.functions.values():
        if not function.callable or function.generator or len(function.inputs) != 1:
            continue
        chat = function.inputs[0]
        parent = page.functions.get(function.after) if function.after is not None else None
        follows = parent is not None and chat in parent.outputs
        if (
            page.component(chat).kind == "chatbot"
            and (not chats or chat in chats)
            and (follows or (chat, "change") in function.targets)
            and all(page.component(number).is_state for number in function.outputs)
        ):
            for number in function.outputs:
                found.setdefault(number, function)
    return found


def _remember(page: Page, candidate: Candidate, states: list[int], chats: set[int]) -> bool:
    """
    Tell whether an app seems to keep its history in one of some states beside the Chatbot.

    The chain then writes the state too, and what clears the chat clears the
    state with it, or the state holds a list from the start.
    """
    written = {number for function in candidate.chain for number in function.outputs}
    possible: set[int] = set()
    for state in written.intersection(states):
        # Up to Gradio 4 the page shows what a state holds at first.
        first = page.component(state).props.get("value")
        if isinstance(first, list):
            return True
        if first is None or isinstance(first, dict):
            possible.add(state)
    chain = {function.id for function in candidate.chain}
    return bool(possible) and any(
        not possible.isdisjoint(function.outputs)
        and not chats.isdisjoint(function.outputs)
        and not any(page.component(number).is_text_box for number in function.inputs)
        for function in page.functions.values()
        if function.id not in chain
    )


def find_system(page: Page, candidate: Candidate, taken: frozenset[str]) -> Component | None:
    """
    Find the box that takes the system text.

    It is the one whose words say so; else one for instructions; else one that
    nobody sees and that the app fills from a box that says so, or that holds a
    persona. It is never just the other box. Of two that are equal it is none.

    Args:
        page: The page.
        candidate: The event that asks.
        taken: Labels, folded, of inputs for which the caller has values.
    """
    boxes: list[Component] = []
    for number in dict.fromkeys(n for function in candidate.path for n in function.inputs):
        box = page.component(number)
        if (
            box.kind == "textbox"
            and box.is_text_box
            and box not in candidate.boxes
            and taken.isdisjoint(box.names)
            and flows(candidate.path, {number})
        ):
            boxes.append(box)
    kinds = [(box, box_kind(box)) for box in boxes]
    plain = [box for box, kind in kinds if kind is BoxKind.PLAIN]
    for rule in (
        [box for box, kind in kinds if kind is BoxKind.SYSTEM],
        [box for box, kind in kinds if kind is BoxKind.INSTRUCTION],
        [box for box in plain if _is_filled_from_system(page, box) or _has_persona(box)],
        [box for box in plain if box.is_hidden and _is_model_chat(candidate)],
    ):
        if rule:
            return rule[0] if len(rule) == 1 else None
    return None


def _is_filled_from_system(page: Page, box: Component) -> bool:
    return box.is_hidden and any(
        box.id in function.outputs
        and any(
            page.component(number).kind == "textbox"
            and box_kind(page.component(number)) is BoxKind.SYSTEM
            for number in function.inputs
        )
        for function in page.functions.values()
    )


def _has_persona(box: Component) -> bool:
    value = box.value
    return isinstance(value, str) and bool(_PERSONA.match(value))


def _is_model_chat(candidate: Candidate) -> bool:
    """Tell the public Space, which keeps its system text in a box that nobody sees."""
    return candidate.path[-1].api_name == "model_chat"


def load_steps(page: Page, candidate: Candidate) -> tuple[Step, ...]:
    """
    Find what has run when the page has opened and the chain builds upon.

    Args:
        page: The page.
        candidate: The event that asks.

    Returns:
        Calls of functions that write an input of the chain other than a chat.
        What gives its outputs again and again, or runs on a clock, is none.
    """
    needed = {
        number
        for function in candidate.path
        for number in function.inputs
        if page.component(number).kind != "chatbot"
    }
    needed.difference_update(box.id for box in candidate.boxes)
    found: dict[int, Step] = {}
    for root in page.functions.values():
        triggers = [number for number, event in root.targets if event == "load"]
        if not triggers or root.after is not None or root.timed or root.rescue:
            continue
        for path in walk_chain(page, root) or ():
            if any(function.generator for function in path):
                continue
            if not needed.isdisjoint(path[-1].outputs):
                for function in path:
                    trigger = triggers[0] if function is root else None
                    found.setdefault(function.id, to_step(function, StepKind.LOAD, trigger))
    return tuple(found.values())[: max(0, MOST_STEPS - len(candidate.path))]


def read_settings(
    page: Page, candidate: Candidate, system: Component | None
) -> tuple[Setting, ...]:
    """
    List the other inputs of an event.

    Args:
        page: The page.
        candidate: The event.
        system: The box that takes the system text.
    """
    settings: list[Setting] = []
    # What is none of them, or is one already.
    passed = {box.id for box in candidate.boxes}.union(candidate.answers)
    if system is not None:
        passed.add(system.id)
    # What runs first may set other limits than the page has.
    loaded = {number for step in load_steps(page, candidate) for number in step.outputs}
    for function in candidate.path:
        for number in function.inputs:
            component = page.component(number)
            if (
                number not in passed
                and component.kind not in _NO_SETTINGS
                and not component.is_state
            ):
                passed.add(number)
                secret = component.is_text_box and box_kind(component) is BoxKind.SECRET
                changes = number in loaded and component.kind not in TRUTHS
                settings.append(
                    Setting(
                        number,
                        component.label,
                        component.kind,
                        secret,
                        UNLIMITED if changes else read_limits(component),
                        read_choices(component),
                        takes_many(component),
                    )
                )
        passed.update(function.outputs)
    return tuple(settings)
