"""A line that is told at a glance says what it says when it is read."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qwen72b import GenerationFailed, Reply, Timings
from qwen72b.batch.records import answered_id, read_record, write_record
from qwen72b.batch.result import Answered, AnyResult, Failed

# What is hostile to a reader of JSON, more often than by chance.
TEXTS = st.one_of(
    st.text(max_size=20),
    st.text('"\\/{}[]:, \x00\x1f\x7f\x85\u2028\ud800\udc00\ufeff\U0001f600nu0', max_size=12),
    st.sampled_from(['", "error": null', '"custom_id": "x"', "\\u0041", "a\tb\r\nc"]),
)
SECONDS = st.one_of(st.floats(0, 1e4), st.floats(0, 1e300), st.integers(0, 10**20))
MAYBE = st.none() | SECONDS
TIMINGS = st.none() | st.builds(Timings, MAYBE, MAYBE, SECONDS)
ANSWERS = st.builds(
    lambda name, text, timings, tries: Answered(name, None, Reply(text, timings, ()), tries=tries),
    TEXTS, TEXTS, TIMINGS, st.integers(1, 10**10),
)  # fmt: skip
FAILURES = st.builds(
    lambda name, text: Failed(name, None, error=GenerationFailed(text)), TEXTS, TEXTS
)
LINES = st.builds(
    lambda result, openai: write_record(result, openai=openai), ANSWERS | FAILURES, st.booleans()
)

# What somebody's editor, a power cut or another program makes of a line.
PIECES = (
    [
        b"",
        b"\n",
        b"\r\n",
        b"\t",
        b"\0",
        b'"',
        b"\\",
        b" ",
        b"}",
        b"0",
        b"-",
        b"null",
        b'"a"',
        b"\xff",
    ]
    + [b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"answer": null, ', b'"id": "b", ', b'"custom_id": "b", ']
    + ["\u0663".encode(), b"\\u0041", b"\\x", b"1e5", b"{}", b"[]", b"NaN"]
)
EDITS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 30), st.sampled_from(PIECES)),
    min_size=1,
    max_size=3,
)
# The values of a line: what it has between two quotes, and its numbers and words.
VALUE = re.compile(rb'"(?:[^"\\]|\\.)*"|[0-9.]+|null')


def check(line: bytes) -> None:
    """Whatever is told at a glance is what is read."""
    name = answered_id(line)
    if name is not None:
        record = read_record(line)
        assert record is not None
        assert (record.id, line[-1:]) == (name, b"\n")
        assert record.answer is not None


@given(LINES)
def test_lines_are_told_as_they_are_read(line: bytes) -> None:
    """So it is with all that is written."""
    check(line)


@given(LINES, EDITS)
def test_edited_lines_are_told_as_they_are_read(
    line: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    """So it is with what somebody put in, took out or wrote over."""
    for place, length, piece in edits:
        place %= len(line) + 1
        line = line[:place] + piece + line[place + length :]
    check(line)


@pytest.mark.parametrize("openai", [False, True])
def test_any_one_edit_is_told_as_it_is_read(openai: bool) -> None:
    """So it is with each piece at each place of a line, for each value, and without each byte."""
    reply = Reply('He said: "a\\b"\n', Timings(None, 0.5, 10.0), ())
    line = write_record(Answered("a1", None, reply), openai=openai)
    assert answered_id(line) == "a1"
    for place in range(len(line) + 1):
        check(line[:place] + line[place + 1 :])
        for piece in PIECES:
            check(line[:place] + piece + line[place:])
            check(line[:place] + piece + line[place + 1 :])
    for value in VALUE.finditer(line):
        for piece in PIECES:
            check(line[: value.start()] + piece + line[value.end() :])


@given(st.binary(max_size=40))
@example(b"")
def test_other_bytes_are_told_as_they_are_read(line: bytes) -> None:
    """So it is with any bytes."""
    check(line)


@given(st.text("abc-_09é", max_size=8), TEXTS, st.floats(0, 1e9), st.booleans())
def test_plain_answers_are_told_at_a_glance(
    name: str, text: str, seconds: float, openai: bool
) -> None:
    """What is written with a plain id never needs to be read."""
    reply = Reply(text, Timings(None, seconds, seconds), ())
    result: AnyResult = Answered(name, None, reply)
    line = write_record(result, openai=openai)
    assert answered_id(line) == name
