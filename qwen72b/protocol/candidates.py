"""
The ways in which a person at a Space's page could ask something.

A candidate is an event of a text box or a button whose chain takes a text and
writes a chat or a text: the event's function, and those that follow it. What
flows where is told by structure. A step that reads the question passes it on to
all that it writes; only a step that it reaches can answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from .labels import BoxKind, ButtonKind, box_kind, button_kind
from .outputs import find_chats, find_texts
from .page import Component, Function, Page

__all__ = ["MOST_STEPS", "Candidate", "flows", "list_candidates", "walk_chain"]

# The steps of a chain at most; the longest seen in public has 9.
MOST_STEPS = 16

# What is looked at, so that no page takes long: candidates, functions of one
# chain, and text boxes that a chain reads.
_MOST_CANDIDATES = 100
_MOST_FUNCTIONS = 100
_MOST_BOXES = 100

# What a text box whose words say so is for, other than a question.
_FOREIGN = frozenset({BoxKind.SECRET, BoxKind.SYSTEM, BoxKind.SETTING})


class Candidate(NamedTuple):
    """
    An event that may ask a question.

    Args:
        trigger: The component whose event it is.
        submit: Whether text is submitted; else something is clicked.
        path: The functions to call, in order; the last one gives the answer.
        chain: All functions that the event starts.
        answers: The components that may hold the answer; of several, no rule
            tells which.
        chat: Whether the answer is a Chatbot.
        undoes: Whether the trigger says that it undoes, clears or stops something.
        sends: Whether it says that it sends something.
    """

    trigger: Component
    submit: bool
    path: tuple[Function, ...]
    chain: tuple[Function, ...]
    boxes: tuple[Component, ...]
    answers: tuple[int, ...]
    chat: bool
    undoes: bool
    sends: bool

    @property
    def query(self) -> Component | None:
        """The box that takes the question; ``None`` in doubt."""
        return self.boxes[0] if len(self.boxes) == 1 else None

    @property
    def name(self) -> str:
        """What to give as ``endpoint`` to get it."""
        named = [function.api_name for function in self.path if function.api_name]
        return f"/{named[-1]}" if named else str(self.path[0].id)

    def is_called(self, endpoint: str) -> bool:
        """Tell whether an ``endpoint`` names it: one of its functions, by name or number."""
        return any(
            endpoint == str(function.id) or endpoint.lstrip("/") == function.api_name
            for function in self.path
        )


def flows(path: tuple[Function, ...], sources: AbstractSet[int]) -> bool:
    """
    Tell whether something in given components reaches the last function of a path.

    Args:
        path: The functions, in order.
        sources: Where it is at first.
    """
    reached = set(sources)
    for function in path:
        if reached.isdisjoint(function.inputs):
            # What it writes no longer holds what was there.
            reached.difference_update(function.outputs)
            carried = False
        else:
            reached.update(function.outputs)
            carried = True
    return bool(path) and carried


def list_candidates(
    page: Page,
    *,
    taken: AbstractSet[str],
    named: str | None,
    hidden: bool = False,
    check: Callable[[], object] | None = None,
) -> list[Candidate]:
    """
    List the events of a page that may ask a question.

    Args:
        page: The page.
        taken: Labels, folded, of inputs for which the caller has values.
        named: The ``endpoint`` that the caller wants. It may be one that
            nobody sees, or whose box has another name than a question's. Empty
            for whatever could be had by name.
        hidden: Whether a box that nobody sees may take the question.
        check: Called before each event is looked at; may raise to stop.

    Returns:
        The candidates in the page's order.
    """
    found: list[Candidate] = []
    submitted = {
        number
        for function in page.functions.values()
        for number, event in function.targets
        if event == "submit"
    }
    for root in page.functions.values():
        if root.after is not None or root.timed or root.rescue:
            continue
        if check is not None:
            check()
        triggers = list(_triggers(page, root))
        if not triggers:
            continue
        paths = walk_chain(page, root)
        if paths is None:
            continue
        candidate = _candidate(page, triggers, paths, submitted, taken, named, hidden, check)
        if candidate is not None and (not named or candidate.is_called(named)):
            found.append(candidate)
            if len(found) == _MOST_CANDIDATES:
                break
    return found


def _triggers(page: Page, root: Function) -> Iterator[tuple[Component, bool]]:
    """Walk over what a person does to call a function: submits of boxes, then clicks."""
    clicks: list[tuple[Component, bool]] = []
    for number, event in root.targets:
        if number is None:
            continue
        component = page.component(number)
        if component.is_text_box and event in ("submit", ""):
            yield component, True
        elif component.kind not in ("dataset", "chatbot") and event in ("click", ""):
            clicks.append((component, False))
    yield from clicks


def walk_chain(page: Page, root: Function) -> list[tuple[Function, ...]] | None:
    """
    Walk down the chain of an event: for each function, the way that leads to it.

    Returns:
        The paths, parents first; ``None`` if the chain runs in a circle, or has more
        functions than any page of people or more steps than are followed.
    """
    found: list[tuple[Function, ...]] = []
    seen = {root.id}
    pending: list[tuple[Function, tuple[Function, ...]]] = [(root, ())]
    for function, before in pending:
        # JavaScript of the page changes nothing that the server sees.
        path = (*before, function) if function.callable else before
        if len(path) > MOST_STEPS:
            # What its first steps show is not its answer.
            return None
        if function.callable:
            found.append(path)
        for follower in page.followers(function.id):
            if follower.id in seen or len(seen) == _MOST_FUNCTIONS:
                return None
            seen.add(follower.id)
            pending.append((follower, path))
    return found


def _candidate(
    page: Page,
    triggers: list[tuple[Component, bool]],
    paths: list[tuple[Function, ...]],
    submitted: AbstractSet[int | None],
    taken: AbstractSet[str],
    named: str | None,
    hidden: bool,
    check: Callable[[], object] | None,
) -> Candidate | None:
    """Find the answering step of a chain, and its question."""
    everything = {number for path in paths for number in path[-1].inputs}
    boxes = [component for component in map(page.component, everything) if component.is_text_box]
    if len(boxes) > _MOST_BOXES:
        return None
    boxes.sort(key=lambda component: component.id)
    if taken:
        boxes = [component for component in boxes if taken.isdisjoint(component.names)]
    asked = _questions(boxes, triggers, named, hidden or named is not None)
    # The submit of a box that is none of the question's does something else.
    triggers = [pair for pair in triggers if not pair[1] or pair[0] in asked]
    if not triggers:
        return None
    carried: list[tuple[tuple[Function, ...], list[Component]]] = []
    for path in paths:
        if check is not None:
            check()
        if boxes := [box for box in asked if flows(path, {box.id})]:
            carried.append((path, boxes))
    chat = any(find_chats(page, path[-1]) for path, _ in carried)
    writers = [
        (path, boxes)
        for path, boxes in carried
        if (
            find_chats(page, path[-1])
            if chat
            else find_texts(page, path[-1], asked, named=named is not None)
        )
    ]
    if not writers:
        return None
    path, asked = ([pair for pair in writers if pair[0][-1].generator] or writers)[-1]
    asked = _choose_question(asked, triggers, paths, submitted)
    trigger, submit = next((pair for pair in triggers if pair[0] in asked), triggers[-1])
    kind = ButtonKind.PLAIN if submit else button_kind(trigger, path[0].api_name)
    return Candidate(
        trigger=trigger,
        submit=submit,
        path=path,
        chain=tuple(path[-1] for path in paths),
        boxes=tuple(asked),
        answers=tuple(
            find_chats(page, path[-1])[:1]
            if chat
            else find_texts(page, path[-1], asked, named=named is not None)
        ),
        chat=chat,
        undoes=kind is ButtonKind.UNDO,
        sends=kind is ButtonKind.SEND,
    )


def _questions(
    boxes: list[Component],
    triggers: list[tuple[Component, bool]],
    named: str | None,
    hidden: bool,
) -> list[Component]:
    """Leave out the boxes that say that they are for something else, and those that nobody sees."""
    kinds = {box.id: box_kind(box) for box in boxes}
    if named is not None and len(boxes) == 1:
        # The caller wants this function, and it takes one text.
        return [box for box in boxes if kinds[box.id] is not BoxKind.SECRET]
    asked = [
        box for box in boxes if kinds[box.id] not in _FOREIGN and (hidden or not box.is_hidden)
    ]
    submitted = {component.id for component, submit in triggers if submit}
    others = [
        box for box in asked if kinds[box.id] is not BoxKind.INSTRUCTION or box.id in submitted
    ]
    return others or asked


def _choose_question(
    asked: list[Component],
    triggers: list[tuple[Component, bool]],
    paths: list[tuple[Function, ...]],
    own: AbstractSet[int | None],
) -> list[Component]:
    """
    Choose the question's box by one rule after the other, until one is left.

    It is the box that triggers the event, else the one that has a submit event
    of its own, that the chain writes (it is cleared for the next question), or
    that asks for a message.
    """
    submitted = {component.id for component, submit in triggers if submit}
    written = {number for path in paths for number in path[-1].outputs}
    rules = (
        lambda box: box.id in submitted,
        lambda box: box.kind == "multimodaltextbox",
        lambda box: box.id in own,
        lambda box: box.id in written,
        lambda box: box_kind(box) is BoxKind.MESSAGE,
    )
    for rule in rules:
        if len(asked) < 2:
            break
        asked = [box for box in asked if rule(box)] or asked
    return asked
