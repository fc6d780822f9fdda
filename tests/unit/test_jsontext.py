"""jsontext: JSON from a stranger."""

from __future__ import annotations

import json

import pytest

from qwen72b.protocol.jsontext import MAX_VALUES, NotJSON, TakesLong, TooManyValues, read_json


def test_values_come_back() -> None:
    """JSON is read, with white space around it."""
    assert read_json(' {"a": [1, null, "\\ud83d\\ude00"]}\r\n') == {"a": [1, None, "\U0001f600"]}


def test_what_is_no_number_is_null() -> None:
    """NaN and the infinities, which Python servers write, read as null."""
    assert read_json("[NaN, Infinity, -Infinity]") == [None, None, None]


def test_brackets_in_strings_are_not_nesting() -> None:
    """A text full of code is one value."""
    code = '"[{' * 1000
    assert read_json(json.dumps([{"a": code}, [code]])) == [{"a": code}, [code]]


@pytest.mark.parametrize("text", ['"[],', "\\\\", '\\"', "{,}", "\\u00e9[", ","])
def test_a_long_text_is_one_value(text: str) -> None:
    """What a string holds is no structure, however long it is."""
    text = json.dumps(text * 400_000)
    assert read_json(text) == json.loads(text)
    assert read_json(f'[[{text}], {{"a": {text}}}]') == [
        [json.loads(text)],
        {"a": json.loads(text)},
    ]


@pytest.mark.parametrize("one", ["[]", "{}", "1", '""', '{"a":"b"}', "[1,2]"])
def test_as_many_values_as_a_long_chat_has(one: str) -> None:
    """The limit is behind every honest message, and exact."""
    each = one.count("[") + one.count("{") + one.count(",")
    most = (MAX_VALUES - 1) // (each + 1)
    rest = MAX_VALUES - 1 - most * (each + 1)
    text = "[" + ",".join([one] * most + ["1"] * (rest + 1)) + "]"
    assert len(read_json(text)) == most + rest + 1
    with pytest.raises(TooManyValues, match="200,000"):
        read_json(text[:-1] + ",1]")


@pytest.mark.parametrize(
    "text",
    [
        '"' + "[]" * 201 + '\\"' * 500_000,
        '"' + "{" * 300 + "\\" * 999_999,
        "[" * 150 + '"' + "[" * 300 + '\\"x' * 300_000,
        '[],"' * 200_000,
        "[" + '"ab",' * 1_000_000 + "1]",
        '{"a":' * 500_000,
    ],
    ids=lambda text: text[:4],
)
def test_megabytes_that_are_no_json(text: str) -> None:
    """A string that is never closed, and values by the hundred thousand, are refused."""
    with pytest.raises(NotJSON):
        read_json(text)


@pytest.mark.parametrize("before", [0, 1, 27, 63, 64, 65, 127, 128, 200])
def test_the_limit_of_nesting_is_exact(before: int) -> None:
    """Wherever the deepest place is, what is one deeper is refused."""
    ahead = "[" + "[]," * before
    towers = ["[" * depth + "]" * depth for depth in (199, 200)]
    assert read_json(f"{ahead}{towers[0]},{towers[0]}]")
    with pytest.raises(NotJSON, match="deep"):
        read_json(f"{ahead}{towers[1]},{towers[0]}]")
    with pytest.raises(NotJSON, match="deep"):
        read_json(f"{ahead}{towers[0]},{towers[1]}]")


@pytest.mark.parametrize("depth", [150, 200])
def test_what_nests_as_deep_as_a_page_is_read(depth: int) -> None:
    """Some nesting is honest."""
    assert read_json("[" * depth + "1," * 300 + "1" + "]" * depth)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nul",
        "[1] 2",
        "[" * 200_000,
        '{"a":' * 201 + "1" + "}" * 201,
        "[" + "[]," * 1_000_000 + "[]]",
        "9" * 5000,
    ],
    ids=lambda text: text[:8],
)
def test_anything_else_is_refused(text: str) -> None:
    """Malformed, overlong and overdeep JSON raise one error."""
    if text.startswith("9"):
        # Python 3.10 before 3.10.7 has no limit for digits.
        import sys

        if not hasattr(sys, "get_int_max_str_digits"):
            return
    with pytest.raises(NotJSON):
        read_json(text)


@pytest.mark.parametrize("number", ["9" * 310, "-" + "9" * 4000])
def test_numbers_of_a_long_text(number: str) -> None:
    """Numbers that cost far more than their length are refused where there may be thousands."""
    text = f'["{"x" * 65536}", %s]'
    assert read_json(text % ("9" * 309))[1] == 10**309 - 1
    with pytest.raises(NotJSON):
        read_json(text % number)


@pytest.mark.parametrize("one", ["1", "[]", '{"a": 1}', '"a"', "null", '{"a": [[]]}'])
def test_text_that_is_to_be_read_briefly(one: str) -> None:
    """2,000 values are read, and no more, however short they are; one long text is one value."""
    each = one.count("[") + one.count("{") + 1
    few, many = ("[" + ", ".join([one] * count) + "]" for count in (1900 // each, 2100 // each))
    for text in (few, json.dumps(few), json.dumps("a" * 60_000)):
        assert read_json(text, briefly=True) == json.loads(text)
    with pytest.raises(TakesLong):
        read_json(many, briefly=True)
    assert read_json(many) == json.loads(many)
