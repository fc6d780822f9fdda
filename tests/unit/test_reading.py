"""reading: the answer in what a Space shows."""

from __future__ import annotations

from typing import Any

import pytest

from qwen72b import Attachment, Thought
from qwen72b.protocol.chat import ChatFormat, encode_history
from qwen72b.protocol.reading import NOTHING, Answer, ChatReader, TextReader

TURNS = (("user", "u1"), ("assistant", "a1"), ("user", "u2"), ("assistant", "a2"))
FORMS = pytest.mark.parametrize("form", ChatFormat)


def chat(form: ChatFormat, *texts: str) -> list[Any]:
    """Write texts, the user's first, as a Chatbot's value."""
    roles = ("user", "assistant")
    return encode_history([(roles[i % 2], text) for i, text in enumerate(texts)], form)


def read(form: ChatFormat, value: Any, *, query: str = "q", turns: Any = TURNS) -> Answer | None:
    return ChatReader(encode_history(turns, form), query).read(value)


def text(answer: Answer | None) -> str | None:
    return answer.text if answer is not None and answer.given else None


@FORMS
def test_new_turn_after_the_history_is_the_answer(form: ChatFormat) -> None:
    """In each form, and the path leads to its text."""
    value = chat(form, "u1", "a1", "u2", "a2", "q", "answer")

    answer = read(form, value)

    assert answer is not None and answer.given
    assert answer.text == "answer"
    for key in answer.path or ():
        value = value[key]
    assert value == "answer"


@FORMS
def test_history_as_it_was_is_no_answer(form: ChatFormat) -> None:
    """An app may first give back what it got, all of it or the end."""
    assert text(read(form, chat(form, "u1", "a1", "u2", "a2"))) is None
    assert text(read(form, chat(form, "u2", "a2"))) is None
    assert text(read(form, [])) is None
    assert text(read(form, None)) is None


@FORMS
def test_question_alone_is_no_answer(form: ChatFormat) -> None:
    """Before the assistant has said anything there is nothing to read."""
    assert text(read(form, chat(form, "u1", "a1", "u2", "a2", "q"))) is None


@FORMS
@pytest.mark.parametrize("query", ["q", "u2", "u1"])
def test_window_and_new_turn_alone(form: ChatFormat, query: str) -> None:
    """Fewer turns than were sent hold the answer too, and a question that was asked before."""
    assert text(read(form, chat(form, "u2", "a2", query, "new"), query=query)) == "new"
    assert text(read(form, chat(form, query, "new"), query=query)) == "new"
    whole = chat(form, "u1", "a1", "u2", "a2", query, "new")
    assert text(read(form, whole, query=query)) == "new"


@FORMS
def test_window_that_moves_while_it_is_read(form: ChatFormat) -> None:
    """The chat as it was, then one of equal length that ends with the new turn."""
    reader = ChatReader(encode_history(TURNS, form), "q")

    assert text(reader.read(chat(form, "u1", "a1", "u2", "a2"))) is None
    assert text(reader.read(chat(form, "u2", "a2", "q", "n"))) == "n"
    assert text(reader.read(chat(form, "u2", "a2", "q", "new"))) == "new"


@FORMS
def test_indentation_of_old_turns_does_not_count(form: ChatFormat) -> None:
    """A Chatbot cleans the text of every turn."""
    turns = (("user", "a\n\tb"), ("assistant", "x\n  y"))

    assert text(read(form, chat(form, "a\nb", "x\ny"), turns=turns)) is None
    assert text(read(form, chat(form, "a\nb", "x\ny", "q", "n"), turns=turns)) == "n"


@FORMS
def test_turns_that_the_app_changed_are_still_old(form: ChatFormat) -> None:
    """Decorated turns are told by the question that they are not."""
    assert text(read(form, chat(form, "<b>u1</b>", "<b>a1</b>", "<b>u2</b>", "<b>a2</b>"))) is None
    shown = chat(form, "<b>u1</b>", "<b>a1</b>", "<b>u2</b>", "<b>a2</b>", "<b>q</b>", "new")
    assert text(read(form, shown)) == "new"
    assert text(read(form, chat(form, "u1", "A1!", "u2", "A2!"))) is None


@FORMS
@pytest.mark.parametrize(
    "escaped",
    [
        "1 &lt; 2 &amp;&amp; &#x27;a&#x27; &gt; &quot;b&quot;?",  # html.escape
        "1 &lt; 2 &amp;&amp; &#39;a&#39; &gt; &#34;b&#34;?",  # markupsafe
        "1&nbsp;&lt; 2 &amp;&amp; 'a' &gt; \"b\"?",  # a browser
        '1 &lt; 2 &amp;&amp; &#039;a&apos; &gt; "b"?',
    ],
)
def test_escaped_question_is_known(form: ChatFormat, escaped: str) -> None:
    """An app that escapes HTML shows the same question, in whichever way it does so."""
    asked = "1 < 2 && 'a' > \"b\"?"
    shown = chat(form, escaped, "yes")
    assert text(read(form, shown, query=asked, turns=TURNS[:2])) == "yes"


def test_all_messages_of_the_turn_are_joined() -> None:
    """By a blank line, in order; appended text extends the last."""
    value: list[Any] = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "one"},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": [{"type": "text", "text": "t"}, "wo"]},
    ]

    answer = read(ChatFormat.ROLES, value)

    assert answer == Answer("one\n\ntwo", [3, "content", 1], [0], given=True)
    assert read(ChatFormat.ROLES, value[:3]) == Answer("one", None, [0], given=True)


def test_all_pairs_of_the_turn_are_joined() -> None:
    """A pair without a user's text goes on with the turn before."""
    value = [["u1", "a1"], ["u2", "a2"], ["q", "one"], [None, "two"]]

    assert text(read(ChatFormat.PAIRS, value)) == "one\n\ntwo"


def test_messages_with_a_title_are_thoughts() -> None:
    """They are no answer, and the last may still grow."""
    thought = {"role": "assistant", "content": "hmm", "metadata": {"title": "Thinking"}}
    plain = {"role": "assistant", "content": "a", "metadata": {"title": None}}
    value = [{"role": "user", "content": "q"}, thought]

    first = read(ChatFormat.ROLES, value)
    second = read(ChatFormat.ROLES, [*value, plain])

    assert first is not None and second is not None
    assert (first.given, first.thinking, first.thoughts) == (
        False,
        True,
        (Thought("Thinking", "hmm"),),
    )
    assert (second.text, second.thinking, second.thoughts) == ("a", False, first.thoughts)


@pytest.mark.parametrize(
    "content",
    [
        {"file": {"path": "/t/x.png", "url": None, "mime_type": "image/png"}, "alt_text": None},
        {"path": "/t/x.png", "meta": {"_type": "gradio.FileData"}, "mime_type": "image/png"},
        {"component": "image", "value": {"path": "/t/x.png", "mime_type": "image/png"}},
        [{"type": "file", "file": {"path": "/t/x.png", "mime_type": "image/png"}}],
    ],
    ids=["pair", "role", "component", "part"],
)
@pytest.mark.parametrize("pairs", [True, False])
def test_files_are_attachments(content: Any, pairs: bool) -> None:
    """A file is named, in each of the forms that Gradio has for it, and is an answer without text."""
    value = [["q", content]] if pairs else [{"role": "assistant", "content": content}]
    if pairs and isinstance(content, list):
        value = [["q", content[0]]]

    answer = ChatReader([], "q", files="http://host/file=").read(value)

    assert answer is not None and answer.given
    assert answer.attachments == (Attachment("http://host/file=/t/x.png", "x.png", "image/png"),)
    assert answer.text == ""


def test_url_and_name_of_a_file_are_the_space_s() -> None:
    """Where the Space gives them they are taken."""
    file = {"path": "/t/1", "url": "http://host/f", "orig_name": "notes.txt", "mime_type": None}

    answer = ChatReader([], "q").read([["q", {"file": file}]])

    assert answer is not None
    assert answer.attachments == (Attachment("http://host/f", "notes.txt"),)


def test_null_is_no_turn_and_empty_text_is_one() -> None:
    """An assistant that says nothing, in so many words, has answered."""
    assert text(read(ChatFormat.PAIRS, [["q", None]])) is None
    assert text(read(ChatFormat.PAIRS, [["q", ""]])) == ""
    assert text(read(ChatFormat.ROLES, [{"role": "assistant", "content": None}])) is None
    assert text(read(ChatFormat.ROLES, [{"role": "assistant", "content": ""}])) == ""


def test_update_is_read_by_its_value() -> None:
    """One without a value leaves the answer as it was."""
    update = {"__type__": "update", "value": [["q", "a"]]}

    answer = read(ChatFormat.PAIRS, update)

    assert answer is not None
    assert (answer.text, answer.path, answer.start) == ("a", ["value", 0, 1], ["value", 0])
    assert read(ChatFormat.PAIRS, {"__type__": "update", "label": "x"}) is None


@pytest.mark.parametrize(
    "value",
    [
        "text",
        7,
        {},
        [None],
        [1],
        [[]],
        [["q"]],
        [["q", 3]],
        [{"role": 3, "content": 4}],
        [{"content": "x"}],
        [{"role": "assistant", "content": {"text": 5}}],
        [{"role": "assistant", "content": [[[]]]}],
        [{"role": "system", "content": "x"}],
    ],
    ids=repr,
)
def test_strange_values_have_no_text(value: Any) -> None:
    """What is no chat is no answer, and no exception."""
    answer = read(ChatFormat.ROLES, value)

    assert answer is None or answer.text == ""


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("text", Answer("text", [], None, given=True)),
        ("", Answer("", [], None, given=True)),
        (None, NOTHING),
        ({"__type__": "update", "value": "t"}, Answer("t", ["value"], None, given=True)),
        ({"__type__": "update"}, None),
        ({"role": "assistant", "content": "t"}, Answer("t", given=True)),
        (
            [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}],
            Answer("a\n\nb", given=True),
        ),
        ({"é": 1}, Answer('{"é": 1}', given=True)),
        (3, Answer("3", given=True)),
    ],
    ids=repr,
)
def test_text_of_a_box(value: Any, answer: Answer | None) -> None:
    """A box's text is the answer; what is no text is shown as data."""
    assert TextReader().read(value) == answer


def test_reading_tells_what_it_goes_through() -> None:
    """Texts are compared once; what is left is in proportion to the elements of the turn."""
    first: list[int] = []
    second: list[int] = []
    reader = ChatReader([["u", "a" * 10]], "q")

    reader.read([["U", "x"], ["q", "n"]], first.append)
    reader.read([["U", "x"], ["q", "new"]], second.append)

    assert sum(first) - sum(second) == len("Ux") + len("q")
