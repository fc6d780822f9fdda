"""What a job tells adds up to what the Space said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen72b import Delta, Finished, GenerationFailed, Qwen72BError, Revised
from qwen72b.client.appendonly import AppendOnlyText
from qwen72b.events import Event
from qwen72b.messages import Prompt
from qwen72b.protocol.chat import ChatFormat
from qwen72b.protocol.choose import choose
from qwen72b.protocol.config import QueueProtocol
from qwen72b.protocol.diff import apply_edits
from qwen72b.protocol.fill import fill
from qwen72b.protocol.job import Job
from qwen72b.protocol.page import read_page
from qwen72b.protocol.plan import DOCUMENTED, Plan
from qwen72b.protocol.reading import ChatReader
from qwen72b.testing import make_diff

LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab \n", max_size=4)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["role", "content", "text", "value"]), inner, max_size=3)
    ),
    max_leaves=12,
)
TEXTS = st.text("ab \n\t", max_size=12)
SENT = [("user", "old"), ("assistant", "ab")]


def chat(form: ChatFormat, texts: list[str]) -> list[Any]:
    """The Chatbot's value with the old turn and, for each text, a turn."""
    if form is ChatFormat.PAIRS:
        return [["old", "ab"], *(["q", text] for text in texts)]

    def content(text: str) -> Any:
        return [{"type": "text", "text": text}] if form is ChatFormat.PARTS else text

    turns: list[Any] = [
        {"role": "user", "content": content("old")},
        {"role": "assistant", "content": content("ab")},
    ]
    for text in texts:
        turns.append({"role": "user", "content": content("q")})
        turns.append({"role": "assistant", "content": content(text)})
    return turns


def answer(texts: list[str]) -> str:
    return texts[-1] if texts else ""


@given(VALUES, VALUES, st.booleans())
def test_edits_lead_to_the_next_value(old: Any, new: Any, sequential: bool) -> None:
    """What a Space's diff says of two values, applied to the one, gives the other."""
    before = json.dumps(old)
    edits = make_diff(old, new, deletes="sequential" if sequential else "original")
    assert apply_edits(old, edits) == new
    assert json.dumps(old) == before


@given(
    st.sampled_from(ChatFormat),
    st.sampled_from([QueueProtocol.SSE_V1, QueueProtocol.SSE_V3]),
    st.lists(st.lists(TEXTS, max_size=2), min_size=1, max_size=6),
)
def test_events_add_up_to_each_snapshot(
    form: ChatFormat, protocol: QueueProtocol, shows: list[list[str]]
) -> None:
    """Deltas and revisions, replayed, equal the answer of the last snapshot; so does the end."""
    plan = DOCUMENTED._replace(protocol=protocol, chat_format=form)
    job = asked(plan, Prompt("q", tuple(SENT)))
    job.receive_join('{"event_id": "e"}')
    chunks, handed, text = AppendOnlyText(), "", ""
    last: Any = None

    def take(events: list[Event]) -> None:
        nonlocal text, handed
        for event in events:
            if isinstance(event, Delta):
                text += event.text
                handed += chunks.add(event.text)
            elif isinstance(event, Revised):
                assert event.offset <= len(text)
                text = text[: event.offset] + event.text
                handed += chunks.revise(event.text, event.offset)

    for texts in shows:
        value = chat(form, texts)
        full = last is None or not protocol.edits
        data = ["", value if full else make_diff(last, value), ""]
        take(say(job, "process_generating", data))
        last = value
        assert text == job.text == answer(texts)
    if not shows[-1]:
        # No turn of the assistant's is no answer.
        with pytest.raises(GenerationFailed):
            say(job, "process_completed", ["", last, ""])
        return
    events = say(job, "process_completed", ["", last, ""])
    take(events)
    assert events[-1] == Finished(answer(shows[-1])) == Finished(text)
    if not chunks.revised:
        assert handed == text
    elif not chunks.restarted:
        assert handed.split() == text.split() or "".join(handed.split()) == "".join(text.split())


def asked(plan: Plan, prompt: Prompt) -> Job:
    filled = fill(plan, prompt)
    (step,) = plan.steps
    reader = ChatReader(filled.sent, filled.query)
    return Job(plan, step, filled.data(step), session_hash="x", reader=reader)


def say(job: Job, msg: str, data: Any) -> list[Event]:
    message = {"msg": msg, "event_id": "e", "success": True, "output": {"data": data}}
    return job.receive_data(json.dumps(message))


MESSAGES = st.sampled_from(
    [
        "estimation",
        "process_starts",
        "process_generating",
        "process_completed",
        "log",
        "progress",
        "unexpected_error",
        "send_data",
        "heartbeat",
        "close_stream",
        "queue_full",
    ]
)
KEYS = ["msg", "event_id", "output", "data", "error", "success", "rank", "message", "title", "log"]
ANYTHING = st.recursive(
    LEAVES | st.floats(allow_nan=True) | MESSAGES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=15,
)


@given(
    st.sampled_from([QueueProtocol.SSE, QueueProtocol.SSE_V1, QueueProtocol.SSE_V3]),
    st.lists(
        st.fixed_dictionaries(
            {"msg": MESSAGES}, optional={"output": st.fixed_dictionaries({"data": ANYTHING})}
        )
        | ANYTHING,
        max_size=5,
    ),
)
def test_any_json_gives_events_or_an_error_of_ours(
    protocol: QueueProtocol, messages: list[Any]
) -> None:
    """No message whatever raises anything else."""
    job = asked(DOCUMENTED._replace(protocol=protocol), Prompt("q"))
    try:
        job.receive_join(json.dumps(messages))
    except Qwen72BError:
        pass
    for message in messages:
        try:
            for event in job.receive_data(json.dumps(message)):
                repr(event)
        except Qwen72BError as error:
            str(error)
            return


@given(
    ANYTHING
    | st.fixed_dictionaries(
        {
            "dependencies": st.lists(ANYTHING, max_size=3),
            "protocol": st.sampled_from(["sse_v3", "ws", None]),
            "components": st.lists(ANYTHING, max_size=3),
        }
    )
)
def test_any_configuration_gives_a_plan_or_an_error_of_ours(config: Any) -> None:
    """Nothing that /config may say raises anything else."""
    try:
        assert isinstance(choose(read_page(json.dumps(config))), Plan)
    except Qwen72BError as error:
        str(error)
