"""
The choice of what a question to a Space starts: from ``/config`` to a ``Plan``.

Strategy: take the page's candidates, filter them by structure, and put what is
left in order by one rule after the other; there are no scores. Where no rule
separates two that would put the question elsewhere or read the answer from
elsewhere, it is a doubt, and a doubt is not guessed: the caller gets the list,
and names one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..errors import EndpointNotFound
from .candidates import Candidate, list_candidates
from .page import Page, fold_label
from .places import find_history, find_system, load_steps, read_settings, to_step
from .plan import HistoryPlace, Plan, StepKind

__all__ = ["choose"]

# Candidates that an error names.
_MOST_SHOWN = 8


def choose(
    page: Page,
    *,
    endpoint: str | int | None = None,
    inputs: Collection[str] = (),
    check: Callable[[], object] | None = None,
) -> Plan:
    """
    Choose how a Space is asked.

    Args:
        page: The Space's page.
        endpoint: The public name or the number of a function of the wanted
            event; ``None`` leaves the choice to the rules.
        inputs: Labels of inputs for which the caller has values. None of these
            takes the question or the system text.
        check: Called now and then, since a page may have events by the thousand;
            may raise to stop.

    Returns:
        The plan.

    Raises:
        EndpointNotFound: If there is nothing to ask, or no rule tells what.
    """
    named = None if endpoint is None else str(endpoint).strip()
    taken = frozenset(map(fold_label, inputs))
    found = list_candidates(page, taken=taken, named=named, check=check)
    if named is None:
        # What undoes or stops something answers no question, and a page with a
        # chat is no mere form. By name, both may be had.
        usable = [each for each in found if not each.undoes]
        usable = [each for each in usable if each.chat] or usable
        if not found:
            # A Space for programs alone shows nothing.
            found = usable = list_candidates(
                page, taken=taken, named=None, hidden=True, check=check
            )
    else:
        usable = [each for each in found if str(each.path[0].id) == named] or found
    if not usable:
        raise _nothing(page, named, found, check)
    ranked = []
    for each in usable:
        if check is not None:
            check()
        ranked.append((_rank(page, each), each))
    ranked.sort(key=lambda pair: pair[0])
    rank, first = ranked[0]
    rivals = [
        each
        for other, each in ranked[1:]
        if other == rank and (each.boxes, each.answers) != (first.boxes, first.answers)
    ]
    if rivals:
        raise _doubt([first, *rivals])
    if first.query is None:
        raise _which_box(first)
    if len(first.answers) > 1 and named is None:
        raise _which_answer(page, first)
    return _plan(page, first, taken, found)


def _rank(page: Page, candidate: Candidate) -> tuple[bool, ...]:
    """Write the rules of the order as a key: what comes first has ``False`` first."""
    history = find_history(page, candidate)
    return (
        all(function.api_name != "model_chat" for function in candidate.path),
        candidate.trigger.is_hidden,
        not candidate.submit,
        not candidate.path[-1].generator,
        history.place is HistoryPlace.QUESTION,
        not candidate.sends,
    )


def _plan(page: Page, candidate: Candidate, taken: frozenset[str], found: list[Candidate]) -> Plan:
    query = candidate.query
    assert query is not None
    history = find_history(page, candidate)
    system = find_system(page, candidate, taken)
    trigger = candidate.trigger.id
    chain = tuple(
        # Only the first is called by a component; a browser then sends null.
        to_step(function, StepKind.CHAIN, None if i else trigger)
        for i, function in enumerate(candidate.path)
    )
    steps = (*load_steps(page, candidate), *history.steps, *chain)
    read = dict.fromkeys(number for step in steps for number in step.inputs)
    answer = page.component(candidate.answers[0])
    chats = [page.component(number) for number in history.chats]
    return Plan(
        steps=steps,
        query=query.id,
        answer=answer.id,
        history=history.place,
        chats=history.chats,
        system=None if system is None else system.id,
        defaults={number: page.component(number).value for number in read},
        settings=read_settings(page, candidate, system),
        multimodal=query.kind == "multimodaltextbox",
        chat=candidate.chat,
        chat_format=next((chat.form for chat in chats), answer.form),
        protocol=page.protocol,
        prefix=page.prefix,
        version=page.version,
        others=_names([each for each in found if each is not candidate]),
    )


def _nothing(
    page: Page, named: str | None, found: list[Candidate], check: Callable[[], object] | None
) -> EndpointNotFound:
    every = list_candidates(page, taken=frozenset(), named="", check=check)
    if named is not None:
        return EndpointNotFound(
            f"the Space has nothing to ask that is called {named[:60]!r}.",
            hint=f"What can be asked: {_listed(every)}." if every else "",
            candidates=_names(every),
        )
    if found:
        return EndpointNotFound(
            f"all that takes a text here seems to undo or stop something: {_listed(found)}.",
            hint=_advice(found),
            candidates=_names(found),
        )
    return EndpointNotFound(
        "the Space has no event that takes a question and writes a chat or a text.",
        hint=f"If one of these does all the same, name it, as in "
        f"endpoint={_shown(every[0].name)}: {_listed(every)}."
        if every
        else "Point base_url or space at a Space to chat with.",
        candidates=_names(every),
    )


def _doubt(found: list[Candidate]) -> EndpointNotFound:
    return EndpointNotFound(
        f"a question could go to more than one place in this Space: {_listed(found)}.",
        hint=_advice(found),
        candidates=_names(found),
    )


def _which_box(candidate: Candidate) -> EndpointNotFound:
    labels = [box.label for box in candidate.boxes]
    return EndpointNotFound(
        f"{candidate.name[:60]!r} takes several texts, and nothing tells which is the question: "
        f"{', '.join(map(_shown, labels[:_MOST_SHOWN]))}.",
        hint="Give the others values of your own, as in "
        f"inputs={{{_shown(labels[-1])}: ...}}; what is left takes the question.",
        candidates=_names([candidate]),
    )


def _which_answer(page: Page, candidate: Candidate) -> EndpointNotFound:
    labels = [page.component(number).label for number in candidate.answers]
    return EndpointNotFound(
        "the answer could be in more than one output of this Space: "
        f"{', '.join(map(_shown, labels[:_MOST_SHOWN]))}.",
        hint=f"To read the first, pass endpoint={_shown(candidate.name)}.",
        candidates=_names([candidate]),
    )


def _names(found: list[Candidate]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.name for each in found))


def _advice(found: list[Candidate]) -> str:
    return f"Name one, as in endpoint={_shown(found[0].name)}."


def _listed(found: list[Candidate]) -> str:
    """List candidates for people; a stranger's words are escaped by ``repr``."""
    shown = [
        f"{_shown(each.name)} (box {', '.join(_shown(box.label) for box in each.boxes[:3])})"
        for each in found[:_MOST_SHOWN]
    ]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
