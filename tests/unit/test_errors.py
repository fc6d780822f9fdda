"""errors: the tree, and what each error carries."""

from __future__ import annotations

import copy
import pickle

import pytest

from qwen72b import errors
from qwen72b.errors import (
    HTTPStatusError,
    InvalidRequest,
    Qwen72BError,
    RateLimited,
    RequestTimeout,
)

ERRORS = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_survives_copying_and_pickling(kind: type[Qwen72BError]) -> None:
    """Type, words, hint, partial text and data come back."""
    error = kind("It broke.", hint="Mend it.", partial="half")
    error.extra = 1  # type: ignore[attr-defined]  # any attribute
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is kind
        assert twin.__dict__ == error.__dict__
        assert str(twin) == "It broke. Mend it."
        assert twin.args == ("It broke.",)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InvalidOption, ValueError),
        (errors.ConnectFailed, ConnectionError),
        (errors.RequestTimeout, TimeoutError),
        (errors.StreamInterrupted, ConnectionError),
    ],
)
def test_errors_double_as_builtins(kind: type[Qwen72BError], builtin: type[Exception]) -> None:
    """Code that catches the builtin catches these."""
    with pytest.raises(builtin, match="words"):
        raise kind("words")
    assert getattr(kind("words"), "errno", None) is None


def test_every_error_has_a_family() -> None:
    """The base is only a base."""
    families = (
        errors.InvalidRequest,
        errors.TransportError,
        errors.ProtocolError,
        errors.SpaceError,
    )
    assert all(issubclass(kind, families) for kind in ERRORS if kind is not Qwen72BError)


def test_data_are_attributes() -> None:
    """Data travel beside the words, not in them."""
    assert RequestTimeout("late", phase="queue").phase == "queue"
    limited = RateLimited("slow", retry_after=3.0, headers={"a": "b"}, body="c")
    assert (limited.retry_after, limited.status_code, limited.headers) == (3.0, 429, {"a": "b"})
    assert isinstance(limited, HTTPStatusError)
    assert str(InvalidRequest("no hint")) == "no hint"


@pytest.mark.parametrize(
    ("reason", "whole"),
    [
        ("boom", "boom. Ask again."),
        ("boom.", "boom. Ask again."),
        ("boom!  ", "boom! Ask again."),
        ('it said "no!"', 'it said "no!" Ask again.'),
        ("it said (no)", "it said (no). Ask again."),
        ("\u4e0d\u884c\u3002", "\u4e0d\u884c\u3002 Ask again."),
        ("", "Ask again."),
    ],
)
def test_reason_and_hint_are_two_sentences(reason: str, whole: str) -> None:
    """A Space's bare words do not run into what is said about them."""
    assert str(InvalidRequest(reason, hint="Ask again.")) == whole
