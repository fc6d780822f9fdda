"""fill: a question put into a plan."""

from __future__ import annotations

from typing import Any

import pytest

from qwen72b import InvalidOption
from qwen72b.messages import Prompt
from qwen72b.protocol.fill import fill
from qwen72b.protocol.limits import Limits
from qwen72b.protocol.plan import DOCUMENTED, HistoryPlace, Plan, Setting, Step, StepKind

TURNS = (("user", "u1"), ("assistant", "a1"))
FULL = Prompt("q", TURNS, "s")

# A chain of two steps: a state that is filled from the chat, then the answer.
PLAN = Plan(
    steps=(
        Step(9, None, (), (5,), kind=StepKind.LOAD, generator=False),
        Step(8, None, (1,), (4,), kind=StepKind.HISTORY, generator=False),
        Step(0, 2, (2, 1), (2, 1), generator=False),
        Step(1, None, (1, 4, 3, 5, 6), (1, 4)),
    ),
    query=2,
    answer=1,
    history=HistoryPlace.STATE,
    chats=(1,),
    system=3,
    defaults={1: [["", "hello"]], 2: "", 3: "S", 4: None, 5: "m", 6: 7},
    settings=(
        Setting(5, "Model", "dropdown"),
        Setting(6, "Top-P (nucleus)", "slider"),
        Setting(7, "Size", "slider"),
        Setting(8, "size:", "number"),
    ),
)
FOLDING = DOCUMENTED._replace(history=HistoryPlace.QUESTION, chats=(), system=None)


def test_documented_space_gets_what_it_always_got() -> None:
    """Question, history as pairs, system text; or the default of the page."""
    filled = fill(DOCUMENTED, FULL)

    assert filled.data(DOCUMENTED.steps[0]) == ["q", [["u1", "a1"]], "s"]
    assert filled.folded == ()
    bare = fill(DOCUMENTED, Prompt("q"))
    assert bare.data(DOCUMENTED.steps[0]) == ["q", [], "You are a helpful assistant."]


def test_multimodal_box_gets_text_and_no_files() -> None:
    """A MultimodalTextbox takes an object."""
    filled = fill(DOCUMENTED._replace(multimodal=True), Prompt("q"))

    assert filled.values[DOCUMENTED.query] == {"text": "q", "files": []}


def test_history_is_copied_only_if_there_is_one() -> None:
    """The step that brings the history into a state is left out for a first question."""
    assert fill(PLAN, FULL).steps == PLAN.steps
    assert [step.fn_index for step in fill(PLAN, Prompt("q")).steps] == [9, 0, 1]


def test_greeting_of_the_page_is_no_history() -> None:
    """A Chatbot gets the caller's turns and nothing else."""
    assert fill(PLAN, Prompt("q")).values[1] == []


@pytest.mark.parametrize(
    ("prompt", "query", "folded"),
    [
        (Prompt("q"), "q", ()),
        (Prompt("q", system=""), "q", ()),
        (Prompt("q", system="s"), "s\n\nq", ("system",)),
        (Prompt("q", TURNS), "User: u1\nAssistant: a1\nUser: q\nAssistant:", ("history",)),
        (
            FULL,
            "System: s\nUser: u1\nAssistant: a1\nUser: q\nAssistant:",
            ("system", "history"),
        ),
    ],
    ids=["nothing", "empty", "system", "history", "both"],
)
def test_folding_without_any_place(prompt: Prompt, query: str, folded: tuple[str, ...]) -> None:
    """What has no place stands in the question, and is told."""
    filled = fill(FOLDING, prompt)

    assert (filled.query, filled.values[11], filled.folded) == (query, query, folded)
    assert filled.sent == []


def test_system_text_stands_before_the_first_user_text() -> None:
    """With a history that has a place, the system text goes with its first turn."""
    plan = DOCUMENTED._replace(system=None)

    assert fill(plan, FULL).sent == [["s\n\nu1", "a1"]]
    late = Prompt("q", (("assistant", "hello"),), "s")
    assert (fill(plan, late).query, fill(plan, late).sent) == ("s\n\nq", [["", "hello"]])


@pytest.mark.parametrize(
    ("prompt", "words"), [(Prompt("q", system="s"), "system"), (Prompt("q", TURNS), "history")]
)
def test_folding_can_be_refused(prompt: Prompt, words: str) -> None:
    """With fold off, what has no place is an error."""
    with pytest.raises(InvalidOption, match=f"takes no {words}"):
        fill(FOLDING, prompt, fold=False)
    assert fill(FOLDING, Prompt("q"), fold=False).query == "q"
    assert fill(DOCUMENTED, FULL, fold=False).folded == ()


@pytest.mark.parametrize("name", ["model", "MODEL", "Model:", " model ", "dropdown 5"])
def test_inputs_are_set_by_label(name: str) -> None:
    """Neither case nor punctuation counts."""
    assert fill(PLAN, Prompt("q"), inputs={name: "other"}).values[5] == "other"


def test_label_of_several_words() -> None:
    """Blanks and hyphens do not count either."""
    assert fill(PLAN, Prompt("q"), inputs={"top p nucleus": 1}).values[6] == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Temperature", "'Model'"),
        ("", "'Model'"),
        ("size", "'slider 7', 'number 8'"),
        (3, "'Model'"),
    ],
    ids=str,
)
def test_unknown_or_ambiguous_input_is_refused(name: Any, words: str) -> None:
    """The error lists what there is."""
    with pytest.raises(InvalidOption, match=words):
        fill(PLAN, Prompt("q"), inputs={name: 1})


def test_value_outside_the_limits_is_refused() -> None:
    """The error says what the input takes, and not what it was given."""
    limited = Setting(6, "Heat", "slider", limits=Limits(0.1, 4, 0.1))
    plan = PLAN._replace(settings=(limited,))
    with pytest.raises(InvalidOption, match="'Heat'.*from 0.1 to 4") as caught:
        fill(plan, Prompt("q"), inputs={"heat": 31337})
    assert "31337" not in str(caught.value)
    assert fill(plan, Prompt("q"), inputs={"heat": 4}).values[6] == 4


def test_writing_back_is_what_a_browser_does() -> None:
    """Outputs are kept for the next step, updates only with a value, and a generator's null not."""
    filled = fill(PLAN, FULL)
    load, history, first, last = PLAN.steps

    filled.write_back(load, ["loaded"])
    assert filled.values[5] == "loaded"
    filled.write_back(history, [None])
    assert filled.values[4] is None
    filled.write_back(first, [{"__type__": "update", "interactive": False}, [["q", None]]])
    assert filled.data(first) == ["q", [["q", None]]]
    filled.write_back(first, [{"__type__": "update", "value": ""}, None])
    assert filled.data(first) == ["", None]
    filled.values[1] = "kept"
    filled.write_back(last, [None, None])
    assert filled.values[1] == "kept"


def test_loading_does_not_undo_what_the_caller_set() -> None:
    """An input that the caller has a value for keeps it, as after a person's own choice."""
    filled = fill(PLAN, FULL, inputs={"Model": "mine"})

    filled.write_back(PLAN.steps[0], ["loaded"])

    assert filled.values[5] == "mine"
