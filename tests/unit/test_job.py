"""protocol: server messages in, events out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from qwen72b import (
    Attachment,
    Delta,
    Finished,
    GenerationFailed,
    InvalidDiff,
    InvalidServerMessage,
    Logged,
    Progress,
    Queued,
    QueueFull,
    QuotaExceeded,
    Revised,
    Started,
    StreamInterrupted,
    Thought,
)
from qwen72b.events import Event
from qwen72b.messages import Prompt
from qwen72b.protocol.chat import ChatFormat
from qwen72b.protocol.config import QueueProtocol
from qwen72b.protocol.fill import fill
from qwen72b.protocol.job import Job
from qwen72b.protocol.plan import DOCUMENTED, Plan
from qwen72b.protocol.reading import ChatReader, TextReader

EVENT = "e1"


def asked(plan: Plan = DOCUMENTED, prompt: Prompt | None = None) -> Job:
    filled = fill(plan, prompt or Prompt("q"))
    (step,) = plan.steps
    reader = ChatReader(filled.sent, filled.query)
    return Job(plan, step, filled.data(step), session_hash="abcdef012345", reader=reader)


def joined(plan: Plan = DOCUMENTED, prompt: Prompt | None = None) -> Job:
    job = asked(plan, prompt)
    job.receive_join(json.dumps({"event_id": EVENT}))
    return job


def say(job: Job, msg: str, **fields: Any) -> list[Event]:
    return job.receive_data(json.dumps({"msg": msg, "event_id": EVENT, **fields}))


def generating(job: Job, chat: Any) -> list[Event]:
    return say(job, "process_generating", output={"data": ["", chat, "s"]}, success=True)


def completed(job: Job, chat: Any) -> list[Event]:
    return say(job, "process_completed", output={"data": ["", chat, "s"]}, success=True)


def snapshots() -> Job:
    """A job whose answers come whole each time."""
    return joined(DOCUMENTED._replace(protocol=QueueProtocol.SSE_V1))


def test_join_payload_is_what_browsers_send() -> None:
    """The documented Space is asked in its documented words."""
    job = asked(prompt=Prompt("q", system="s"))
    assert json.dumps(job.payload) == (
        '{"data": ["q", [], "s"], "event_data": null, "fn_index": 0, "trigger_id": 11, '
        '"session_hash": "abcdef012345"}'
    )


def test_default_system_text_is_the_spaces_own() -> None:
    """Nobody's system text is the Space's; an explicit empty one is sent as empty."""
    assert joined().payload["data"][2] == "You are a helpful assistant."
    assert joined(prompt=Prompt("q", system="")).payload["data"][2] == ""


def test_history_goes_in_the_space_s_form() -> None:
    """The form is told by the plan."""
    plan = DOCUMENTED._replace(chat_format=ChatFormat.ROLES)
    job = asked(plan, Prompt("q", (("user", "a"), ("assistant", "b"))))

    assert job.payload["data"] == [
        "q",
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        "You are a helpful assistant.",
    ]


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"event_id": 5}', '{"event_id": ""}'])
def test_join_without_event_id_is_refused(text: str) -> None:
    """The answer to a join must name the event."""
    job = asked()
    with pytest.raises(InvalidServerMessage):
        job.receive_join(text)


def test_a_whole_answer() -> None:
    """Waiting, starting, text and the end come as events."""
    job = joined()
    assert say(job, "estimation", rank=2, queue_size=3, rank_eta=1.5) == [Queued(2, 3, 1.5)]
    assert say(job, "estimation", rank=True, queue_size="3", rank_eta="x") == [Queued(None)]
    assert say(job, "process_starts", eta=2) == [Started(2.0)]
    assert not job.has_text
    assert generating(job, [["q", "Hel"]]) == [Delta("Hel")]
    assert job.has_text
    assert generating(job, [["append", [0, 1], "lo"]]) == [Delta("lo")]
    assert generating(job, []) == []
    assert generating(job, [["append", [0, 1], ""]]) == []
    assert completed(job, [["q", "Hello"]]) == [Finished("Hello")]
    assert job.done
    assert job.text == "Hello"
    job.receive_eof()


def test_text_without_a_start_starts() -> None:
    """A missing process_starts is made up for."""
    assert generating(joined(), [["q", "a"]]) == [Started(), Delta("a")]
    assert completed(joined(), [["q", "a"]]) == [Started(), Delta("a"), Finished("a")]


def test_start_happens_once() -> None:
    """A second process_starts is no event."""
    job = joined()
    say(job, "process_starts")
    assert say(job, "process_starts") == []


def test_snapshots_are_told_by_the_protocol() -> None:
    """A snapshot that looks like edits is a snapshot where the protocol says so."""
    job = snapshots()
    generating(job, [["append", "a"]])
    assert generating(job, [["append", "ab"]]) == [Delta("b")]
    assert generating(job, [["append", "ab"]]) == []
    assert generating(job, [["append", "xb"]]) == [Revised("xb", 0)]
    assert completed(job, [["append", "xb"]]) == [Finished("xb")]


def test_indentation_taken_back_is_a_revision() -> None:
    """A replace tells from where on the answer reads otherwise."""
    job = joined()
    generating(job, [["q", "1. First\n "]])
    assert generating(job, [["replace", [0, 1], "1. First\n- s"]]) == [Revised("- s", 9)]
    assert generating(job, [["append", [0, 1], "ub"]]) == [Delta("ub")]
    assert generating(job, [["replace", [0, 1], "1. First\n   - sub\n2."]]) == [
        Revised("   - sub\n2.", 9)
    ]
    assert job.text == "1. First\n   - sub\n2."


def test_edits_around_the_answer() -> None:
    """Other turns, other fields and new turns are followed."""
    job = joined()
    generating(job, [["a", "b"], ["q", None]])
    assert generating(job, [["replace", [1, 1], ""]]) == []
    assert generating(job, [["append", [1, 1], "x"]]) == [Delta("x")]
    assert generating(job, [["append", [0, 1], "!"], ["append", [1, 0], "?"]]) == []
    assert generating(job, [["append", [1, 1], "y"], ["add", [2], ["r", "z"]]]) == [Revised("z", 0)]
    assert generating(job, [["delete", [2], None]]) == [Revised("xy", 0)]
    assert completed(job, [["a", "b!"], ["q?", "xy"]]) == [Finished("xy")]


def test_parts_are_followed() -> None:
    """Gradio 6's parts are appended to, and new parts belong to the answer."""
    job = joined(DOCUMENTED._replace(chat_format=ChatFormat.PARTS))
    part = {"type": "text", "text": "a"}
    generating(job, [{"role": "assistant", "content": [part], "metadata": {"title": None}}])
    assert generating(job, [["append", [0, "content", 0, "text"], "b"]]) == [Delta("b")]
    assert generating(job, [["add", [0, "metadata", "duration"], 3]]) == []
    assert generating(job, [["add", [0, "content", 1], {"type": "text", "text": "c"}]]) == [
        Delta("c")
    ]
    assert generating(job, [["append", [0, "content", 1, "text"], "d"]]) == [Delta("d")]
    assert generating(job, [["replace", [0, "content", 0, "text"], "AB"]]) == [Revised("ABcd", 0)]
    assert generating(job, [["replace", [0, "role"], "user"]]) == [Revised("", 0)]


def test_other_outputs_are_not_looked_at() -> None:
    """Updates and edits of other outputs are none of the answer's."""
    job = joined()
    update = {"__type__": "update", "value": ""}
    say(job, "process_generating", output={"data": [update, [["q", "a"]], "s"]})
    edits = [["delete", ["value"], None]]
    assert say(
        job, "process_generating", output={"data": [edits, [["append", [0, 1], "b"]], "?"]}
    ) == [Delta("b")]


def test_completion_is_the_authority() -> None:
    """What the last message says is the answer, whatever came before."""
    job = joined()
    generating(job, [["q", "abc"]])
    assert completed(job, [["q", "abd"]]) == [Revised("d", 2), Finished("abd")]


def test_completion_with_nulls_keeps_the_text() -> None:
    """An app that yields nothing more ends with what it had."""
    job = joined()
    generating(job, [["q", "a"]])
    assert completed(job, None) == [Finished("a")]


def test_end_without_an_answer_is_a_failure() -> None:
    """No turn of the assistant's is no success with an empty text; the Space's last word is told."""
    for chat in (None, [], [["q", None]]):
        job = joined()
        with pytest.raises(GenerationFailed, match="without an answer"):
            completed(job, chat)
        assert job.unclear
    job = joined()
    say(job, "log", log="Wait.", level="info")
    say(job, "log", log="Overloaded.", level="warning")
    with pytest.raises(GenerationFailed, match=r"no answer: Overloaded\."):
        completed(job, None)
    assert completed(joined(), [["q", ""]]) == [Started(), Finished("")]


def test_update_without_a_value_keeps_the_answer() -> None:
    """It changes nothing, but what follows builds on it."""
    job = joined()
    generating(job, {"__type__": "update", "value": [["q", "a"]]})
    update = [["delete", ["value"], None], ["add", ["label"], "x"]]
    assert generating(job, update) == []
    assert generating(job, [["add", ["value"], [["q", "ab"]]]]) == [Delta("b")]
    assert completed(job, {"__type__": "update", "label": "y"}) == [Finished("ab")]


def test_text_that_is_appended_to_no_place() -> None:
    """Where the answer has no place that could grow, nothing extends it."""
    job = joined()
    generating(job, [["q", "a"]])
    generating(job, [["replace", [], {"__type__": "update", "label": "x"}]])
    with pytest.raises(InvalidDiff):
        generating(job, [["append", None, "b"]])


def test_messages_of_one_turn_are_joined() -> None:
    """Each of the assistant's messages is part of the answer, a blank line between."""
    job = joined(DOCUMENTED._replace(chat_format=ChatFormat.ROLES))
    turn = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert generating(job, turn) == [Started(), Delta("a")]
    assert generating(job, [["add", [2], {"role": "assistant", "content": ""}]]) == []
    assert generating(job, [["append", [2, "content"], "b"]]) == [Delta("\n\nb")]
    assert generating(job, [["append", [2, "content"], "c"]]) == [Delta("c")]
    assert generating(job, [["append", [1, "content"], "A"]]) == [Revised("A\n\nbc", 1)]


def test_thoughts_come_whole_and_are_no_text() -> None:
    """A message with a title is told once it is complete; files are told as they come."""
    job = joined(DOCUMENTED._replace(chat_format=ChatFormat.ROLES))
    thought = {"role": "assistant", "content": "h", "metadata": {"title": "Thinking"}}
    generating(job, [{"role": "user", "content": "q"}, thought])
    for _ in range(3):
        assert generating(job, [["append", [1, "content"], "m"]]) == []
    events = generating(job, [["add", [2], {"role": "assistant", "content": "a"}]])
    assert events == [Thought("Thinking", "hmmm"), Delta("a")]
    file = {"role": "assistant", "content": {"path": "/x.txt", "url": "http://h/x.txt"}}
    assert generating(job, [["add", [3], file]]) == [Attachment("http://h/x.txt", "x.txt")]
    last = {**thought, "content": "done"}
    shown = [{"role": "user", "content": "q"}, {**thought, "content": "hmmm"}]
    shown += [{"role": "assistant", "content": "a"}, file, last]
    assert completed(job, shown) == [Thought("Thinking", "done"), Finished("a")]
    assert job.thoughts == (Thought("Thinking", "hmmm"), Thought("Thinking", "done"))
    assert job.attachments == (Attachment("http://h/x.txt", "x.txt"),)


def test_edits_of_old_turns_do_not_touch_the_answer() -> None:
    """They are applied, and the answer's text goes on where it was."""
    job = joined(prompt=Prompt("q", (("user", "u"), ("assistant", "a"))))
    generating(job, [["u", "a"], ["q", "x"]])
    assert generating(job, [["replace", [0, 1], "A"]]) == []
    assert generating(job, [["append", [1, 1], "y"]]) == [Delta("y")]
    assert completed(job, None) == [Finished("xy")]


def test_step_before_the_answer_gives_its_outputs() -> None:
    """It has no events of its own but the queue's, and its last outputs are for the next step."""
    (step,) = DOCUMENTED.steps
    job = Job(DOCUMENTED, step, ["q", [], "s"], session_hash="x")
    job.receive_join(json.dumps({"event_id": EVENT}))
    assert say(job, "estimation", rank=0) == [Queued(0)]
    assert say(job, "process_starts") == []
    assert generating(job, [["q", "WRONG"]]) == []
    assert completed(job, [["q", None]]) == []
    assert job.done
    assert (job.outputs, job.text) == (["", [["q", None]], "s"], "")


def test_stream_that_knows_no_session_from_the_start_is_astray() -> None:
    """Another replica says so first; one that has the job has said something before."""
    for heard in (False, True):
        job = joined()
        if heard:
            say(job, "estimation", rank=0)
        with pytest.raises(StreamInterrupted):
            say(job, "unexpected_error", message="404: Session not found.")
        assert job.astray is not heard


def test_completion_without_data_is_a_cancelled_job() -> None:
    """Success without data is what a cancelled job looks like."""
    with pytest.raises(GenerationFailed, match="cancelled"):
        say(joined(), "process_completed", output={}, success=True)


@pytest.mark.parametrize("output", [None, [], {"data": None}, {"data": ["x"]}])
def test_messages_without_the_output_are_refused(output: Any) -> None:
    """A message that should bring the answer and cannot is an error."""
    for msg in ("process_generating", "process_completed"):
        with pytest.raises(InvalidServerMessage):
            say(joined(), msg, output=output, success=True)


def test_messages_after_the_end_are_ignored() -> None:
    """The first completion is the end."""
    job = joined()
    completed(job, [["q", "a"]])
    assert completed(job, [["q", "b"]]) == []
    assert say(job, "close_stream") == []
    assert job.text == "a"


def test_messages_of_others_are_ignored() -> None:
    """Other events of the session, unknown messages and heartbeats mean nothing here."""
    job = joined()
    assert (
        job.receive_data('{"msg": "process_completed", "event_id": "e2", "success": false}') == []
    )
    assert job.receive_data('{"msg": "heartbeat"}') == []
    assert job.receive_data('{"msg": "whatever", "event_id": null}') == []
    assert job.receive_data('{"msg": ["estimation"]}') == []
    assert job.receive_data("{}") == []
    assert not job.skipped


@pytest.mark.parametrize("data", ["", "x", "[]", "null", '"process_completed"', '{"msg": "pro'])
def test_what_is_no_json_object_is_skipped(data: str) -> None:
    """The completion still brings the whole text."""
    job = joined()
    generating(job, [["q", "a"]])
    assert job.receive_data(data) == []
    assert job.skipped == 1
    assert generating(job, [["append", [4, 1], "c"]]) == []
    assert completed(job, [["q", "abc"]]) == [Delta("bc"), Finished("abc")]


def test_edits_that_do_not_fit_are_an_error() -> None:
    """Without a gap before it, an impossible edit is the Space's fault."""
    job = joined()
    generating(job, [["q", "a"]])
    with pytest.raises(InvalidDiff):
        generating(job, [["append", [4, 1], "c"]])


def test_end_of_a_stream_is_no_success() -> None:
    """Only the completion is."""
    with pytest.raises(StreamInterrupted):
        joined().receive_eof()
    with pytest.raises(StreamInterrupted):
        say(joined(), "close_stream")


@pytest.mark.parametrize(
    ("fields", "reason", "title"),
    [
        ({"output": {"error": None}}, "hid the reason", None),
        ({"output": {"error": "None"}, "title": "Error"}, "hid the reason", "Error"),
        ({"output": None}, "hid the reason", None),
        ({"output": {"error": "boom", "title": "T"}}, "^boom$", "T"),
        ({"output": {"error": "'boom'"}}, "^boom$", None),
        ({"output": {"error": '"it\'s"'}}, "^it's$", None),
        ({"output": {"error": "'a\\nb'"}}, "^a\nb$", None),
        ({"output": {"error": "'it's'"}}, "^it's$", None),
        ({"output": {"error": "'lone\\ud800'"}}, "^lone\ufffd$", None),
        ({"output": {"error": "'boom"}}, "^'boom$", None),
        ({"output": {"error": "''"}}, "hid the reason", None),
    ],
)
def test_failure_tells_the_spaces_words(
    fields: dict[str, Any], reason: str, title: str | None
) -> None:
    """The app's own words, without Python's quotes; a hidden reason is said to be hidden."""
    job = joined()
    generating(job, [["q", "a"]])
    with pytest.raises(GenerationFailed) as caught:
        say(job, "process_completed", success=False, **fields)
    assert re.search(reason, caught.value.reason)
    assert caught.value.title == title


def test_failure_in_mid_answer_is_one() -> None:
    """A process_generating may say that the app failed, too."""
    with pytest.raises(GenerationFailed, match="boom"):
        say(joined(), "process_generating", success=False, output={"error": "boom"})


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("You have exceeded your GPU quota. Try again in 0:05:23", 323.0),
        ("GPU quota exceeded. Try again in 1 day, 2:03:04", 93784.0),
        ("quota: retry after 90 s", 90.0),
        ("Quota is used up, come back in 2 hours", 7200.0),
        ("Quota is used up, come back in 1.5 minutes", 90.0),
        ("You exceeded your current quota", None),
        ("quota resets in 3 moons", None),
    ],
)
def test_quota_says_how_long(words: str, seconds: float | None) -> None:
    """The wait is read from the Space's words."""
    with pytest.raises(QuotaExceeded) as caught:
        say(joined(), "process_completed", success=False, output={"error": words})
    assert caught.value.retry_after == seconds


def test_queue_full_is_told() -> None:
    """Old queues refuse on the stream."""
    with pytest.raises(QueueFull):
        say(joined(), "queue_full")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"message": "404: Session not found."}, StreamInterrupted),
        ({"message": "404: Not Found", "session_not_found": True}, StreamInterrupted),
        ({"message": "Server stopped unexpectedly."}, StreamInterrupted),
        ({"message": "str is not valid UTF-8"}, GenerationFailed),
        ({"message": None}, GenerationFailed),
    ],
)
def test_unexpected_errors_are_told(fields: dict[str, Any], kind: type[Exception]) -> None:
    """A lost job is an interruption, anything else the Space's failure."""
    with pytest.raises(kind):
        job = joined()
        job.receive_data(json.dumps({"msg": "unexpected_error", "success": False, **fields}))


def test_logs_and_progress_are_events() -> None:
    """gr.Info, gr.Warning and gr.Progress come through."""
    job = joined()
    assert say(job, "log", log="hi", level="warning", title="T") == [Logged("hi", "warning", "T")]
    assert say(job, "log", log=None, level=None) == [Logged("", "info", "")]
    step = {"index": 1, "length": 4, "unit": "files", "progress": None, "desc": "one"}
    assert say(job, "progress", progress_data=[step, {"progress": 0.5}, 7]) == [
        Progress(1, 4, "files", None, "one"),
        Progress(fraction=0.5),
    ]
    assert say(job, "progress", progress_data=None) == []


def test_old_queues_ask_for_the_data() -> None:
    """Under sse the stream comes first and names the event."""
    job = asked(DOCUMENTED._replace(protocol=QueueProtocol.SSE))
    assert job.query == {"fn_index": "0", "session_hash": "abcdef012345"}
    assert job.receive_data('{"msg": "estimation", "rank": 0}') == [Queued(0)]
    assert job.receive_data('{"msg": "send_data", "event_id": "e1"}') == []
    assert job.upload == {**job.payload, "event_id": "e1"}
    assert job.receive_data('{"msg": "send_data", "event_id": "e2"}') == []
    assert generating(job, [["q", "a"]]) == [Started(), Delta("a")]


def test_send_data_without_event_id_is_refused() -> None:
    """The data can only be sent for a named event."""
    job = asked(DOCUMENTED._replace(protocol=QueueProtocol.SSE))
    with pytest.raises(InvalidServerMessage):
        job.receive_data('{"msg": "send_data", "event_id": 7}')


def test_send_data_is_for_old_queues() -> None:
    """Elsewhere it means nothing."""
    assert say(joined(), "send_data") == []
    assert joined().query == {"session_hash": "abcdef012345"}


def test_lone_surrogates_become_replacement_characters() -> None:
    """What a Space sends of them can be printed, and offsets stay right."""
    job = joined()
    assert generating(job, [["q", "a\ud800"]])[1:] == [Delta("a\ufffd")]
    assert completed(job, [["q", "a\ud800b"]]) == [Delta("b"), Finished("a\ufffdb")]


def test_deep_json_is_an_error() -> None:
    """Nesting that Python cannot follow is skipped or refused, never a RecursionError."""
    job = joined()
    assert job.receive_data("[" * 200_000) == []
    assert job.skipped == 1


def test_carriage_returns_are_kept() -> None:
    """The answer is exactly the Space's text."""
    job = joined()
    generating(job, [["q", "a\r\n"]])
    generating(job, [["append", [0, 1], "b\r"]])
    assert job.text == "a\r\nb\r"


def test_edits_beside_the_answer_that_move_it() -> None:
    """An element less or more in the answer's pair leaves no answer where it was."""
    job = joined()
    generating(job, [["q", "abc"]])
    assert generating(job, [["append", [0, 1], "d"]]) == [Delta("d")]
    assert generating(job, [["delete", [0, 0], None]]) == [Revised("", 0)]
    assert generating(job, [["add", [0, 0], "q"], ["append", [0, 1], "e"]]) == [Delta("abcde")]
    with pytest.raises(InvalidDiff):
        generating(job, [["replace", [0, 1, 2], "x"]])


def test_several_pieces_in_one_message() -> None:
    """Appended pieces are one delta, wherever other edits stand between them."""
    job = joined()
    generating(job, [["a", "b"], ["q", "x"]])
    pieces = [["append", [1, 1], letter] for letter in "yz!"]
    edits = [pieces[0], ["append", [0, 1], "c"], pieces[1], pieces[2]]
    assert generating(job, edits) == [Delta("yz!")]
    assert generating(job, [["append", [1, 1], ""]]) == []
    assert completed(job, [["a", "bc"], ["q", "xyz!"]]) == [Finished("xyz!")]


def test_edits_after_a_gap_that_do_not_fit() -> None:
    """What an unreadable message may have changed is not built upon; the completion tells."""
    job = joined()
    generating(job, [["a", "b"], ["q", "x"]])
    generating(job, [["append", [1, 1], "y"]])
    job.receive_data("?")
    gap = [["delete", [1], None], ["append", [7, 1], "z"]]
    assert generating(job, gap) == []
    assert generating(job, [["replace", [1, 1], "new"]]) == []
    assert completed(job, [["q", "xyz"]]) == [Delta("z"), Finished("xyz")]


@pytest.mark.parametrize(
    "edits",
    [
        [["add", [0, "content", 1], {"type": "text", "text": "b"}]],
        [["append", [0, "content", 0, "text"], "b"]],
        [["replace", [0, "role"], "assistant"]],
    ],
)
def test_long_answer_is_not_rewritten_for_every_word(edits: Any) -> None:
    """Edits of a few bytes that have megabytes told anew are refused after some."""
    job = joined(DOCUMENTED._replace(chat_format=ChatFormat.PARTS))
    parts = [{"type": "text", "text": text} for text in ("a", "x" * 3_000_000)]
    generating(job, [{"role": "assistant", "content": parts}])
    with pytest.raises(InvalidDiff, match="move"):
        for _ in range(10):
            generating(job, edits)


def test_long_answer_grows_and_is_revised() -> None:
    """Neither its end nor a text of its own size is too much of a change."""
    job = snapshots()
    text = "x" * 3_000_000
    for end in "abcdefgh":
        assert generating(job, [["q", text + end]])[-1].text.endswith(end)  # type: ignore[union-attr]
    job = joined()
    generating(job, [["q", text]])
    for end in "abcdefgh":
        assert generating(job, [["append", [0, 1], end], ["append", [0, 1], end]])
    assert job.text == text + "aabbccddeeffgghh"


def test_message_of_very_many_values_is_an_error() -> None:
    """What would take the interpreter too long is refused, and says its limit."""
    job = joined()
    with pytest.raises(InvalidServerMessage, match="200,000 values"):
        say(job, "log", log=[[]] * 200_000)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "-" + "9" * 4000, "1e300", "NaN"])
def test_numbers_that_nothing_counts_with(number: str) -> None:
    """Infinity and numbers of hundreds of digits are no ranks, estimates and lengths."""
    job = joined()
    fields = f'"rank":{number},"queue_size":{number},"rank_eta":{number},"eta":{number}'
    assert job.receive_data(f'{{"msg":"estimation",{fields}}}') == [Queued(None, None, None)]
    step = f'{{"index":{number},"length":{number},"progress":{number}}}'
    assert job.receive_data(f'{{"msg":"progress","progress_data":[{step}]}}') == [Progress()]
    assert job.receive_data(f'{{"msg":"process_starts",{fields}}}') == [Started(None)]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("'" + "(" * 200_000 + "'", "(" * 9_999),
        ("'" + "a'+'" * 100_000 + "'", "a'+'" * 2500),
        ("'\\d \\x1b \\U0001f600 \\uFFFF'", "\\d \x1b \U0001f600 \\uFFFF"),
        ("'\\U99999999 \\x'", "\\U99999999 \\x"),
        ("'a\\\\'", "a\\"),
        ("'a\\'", "a\\"),
        ("'\\\"\\'\\r\\t'", "\"'\r\t"),
        ("in " * 100_000, "in " * 3333),
    ],
    ids=lambda words: words[:8],
)
def test_words_of_a_failure_are_only_words(words: str, reason: str) -> None:
    """Nothing in them is run or warned of, and so many are enough."""
    with pytest.raises(GenerationFailed) as caught:
        say(joined(), "process_completed", success=False, output={"error": words}, title=words)
    assert caught.value.reason.strip("'") == (reason + words[0])[:10_000].strip("'")
    assert len(caught.value.title or "") <= 10_000
    with pytest.raises(GenerationFailed) as caught:
        job = joined()
        job.receive_data(json.dumps({"msg": "unexpected_error", "message": words}))
    assert len(caught.value.reason) < 10_100


@pytest.mark.parametrize("chat", [7, "text", True])
def test_chat_that_is_no_list_is_refused(chat: Any) -> None:
    """A Chatbot holds turns."""
    with pytest.raises(InvalidServerMessage, match="no list of turns"):
        generating(joined(), chat)


def test_text_of_a_box_is_the_answer() -> None:
    """A page without a Chatbot shows its answer as text; null and updates leave it as it was."""
    plan = DOCUMENTED._replace(chat=False)
    filled = fill(plan, Prompt("q"))
    job = Job(
        plan, plan.steps[0], filled.data(plan.steps[0]), session_hash="x", reader=TextReader()
    )
    job.receive_join(json.dumps({"event_id": EVENT}))

    assert generating(job, "Hel") == [Started(), Delta("Hel")]
    assert generating(job, [["append", [], "lo"]]) == [Delta("lo")]
    assert generating(job, [["replace", [], {"__type__": "update", "label": "x"}]]) == []
    assert completed(job, None) == [Finished("Hello")]
