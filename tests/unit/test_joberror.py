"""joberror: what the words of a failed job mean."""

from __future__ import annotations

from typing import Any

import pytest

from qwen72b import (
    GenerationFailed,
    QueueFull,
    QuotaExceeded,
    Qwen72BError,
    SpaceUnavailable,
    StreamInterrupted,
)
from qwen72b.protocol.joberror import job_error
from qwen72b.retry import is_passing


def failed(words: Any, title: Any = None, **fields: Any) -> Any:
    output: dict[str, Any] = {"error": words, **fields}
    if title is not None:
        output["title"] = title
    return job_error({"msg": "process_completed", "success": False, "output": output})


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("You have exceeded your GPU quota (60s requested vs. 3s left).", None),
        ("You have reached your GPU limit. Try again in 0:01:00", "ZeroGPU quota exceeded"),
        ("The Space owner has reached its GPU limit.", None),
        ("The Space has reached its daily GPU limit", None),
        ("ZeroGPU runs limit reached: 10 per day.", None),
        ("No GPU was available after 60s. Retry later", None),
        ("Try again in 2 minutes", "ZeroGPU quota exceeded"),
    ],
)
@pytest.mark.parametrize("quoted", [False, True])
def test_words_of_shared_gpus_are_a_quota(words: str, title: str | None, quoted: bool) -> None:
    """With or without a title, and in the quotes that versions up to 5.24 add."""
    error = failed(repr(words) if quoted else words, title)

    assert type(error) is QuotaExceeded
    assert error.reason == words


def test_wait_is_read_from_the_words() -> None:
    """In hours, minutes and seconds."""
    assert failed("You have reached your GPU limit. Try again in 0:01:05").retry_after == 65.0


@pytest.mark.parametrize("words", ["CUDA error: no kernel", "The limit of tokens is reached"])
def test_other_words_are_a_failure(words: str) -> None:
    """A GPU or a limit in them is no quota."""
    error = failed(words)

    assert type(error) is GenerationFailed
    assert (error.reason, error.hint) == (words, "")


@pytest.mark.parametrize(
    "words",
    [
        "This action requires a logged in user. Please sign in and retry.",
        "Please log in first",
        "Please sign in with Hugging Face",
    ],
)
def test_wanted_login_is_explained(words: str) -> None:
    """A token does not stand for a visitor who has signed in."""
    error = failed(words)

    assert type(error) is GenerationFailed
    assert "token cannot" in error.hint


@pytest.mark.parametrize("words", [None, "", "None", "'None'"])
def test_hidden_reason_is_told_as_such(words: Any) -> None:
    """Gradio hides the reason of a plain exception."""
    assert "hid the reason" in failed(words).reason


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Busy", QueueFull),
        ("Unavailable for now", SpaceUnavailable),
        ("Interrupted", StreamInterrupted),
    ],
)
def test_title_says_what_passes(title: str, kind: type[Qwen72BError]) -> None:
    """An app's error with one of three titles is what the title says, in the app's words."""
    error = failed("Come back soon.", title, duration=7)

    assert type(error) is kind
    assert (error.reason, error.retry_after) == ("Come back soon.", 7.0)
    assert str(error).startswith("Come back soon. Ask again")


@pytest.mark.parametrize("title", ["Busy", "Unavailable for now", "Interrupted"])
@pytest.mark.parametrize("words", [None, "", " ", 5, []])
def test_title_without_words_is_enough(title: str, words: Any) -> None:
    """Then the words are ours."""
    error = failed(words, title)

    assert type(error) is not GenerationFailed
    assert error.reason.startswith("the Space")


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (10, 10.0),
        (0.5, 0.5),
        (0.001, 0.1),
        (86_400, 86_400.0),
        (1e300, 86_400.0),
        (10**400, 86_400.0),
        (float("inf"), 86_400.0),
        (float("nan"), None),
        (0, None),
        (-5, None),
        (None, None),
        (True, None),
        ("30", None),
        ([30], None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("title", ["Busy", "Unavailable for now", "Interrupted"])
def test_duration_is_the_wait_within_bounds(
    duration: Any, seconds: float | None, title: str
) -> None:
    """Whatever a Space sends as its duration, the wait is a sensible number of seconds or none."""
    assert failed("Wait.", title, duration=duration).retry_after == seconds


@pytest.mark.parametrize(
    "title",
    ["Error", "busy", "BUSY", "Busy ", "Busy!", "Unavailable", "", 5, None, True, ["Busy"], {}],
)
def test_other_titles_say_nothing(title: Any) -> None:
    """A title that is not exactly one of them is that of a failure like any other."""
    error = failed("Busy", title, duration=7)

    assert type(error) is GenerationFailed
    assert error.retry_after is None


def test_what_an_app_says_of_itself_passes() -> None:
    """Busy and away may be asked again as it was; a cut where its text is lost with it."""
    assert is_passing(failed("x", "Busy"))
    assert is_passing(failed("x", "Unavailable for now"))
    cut = failed("x", "Interrupted")
    assert not is_passing(cut)
    cut.partial = "Half an ans"
    assert is_passing(cut)
    assert not is_passing(failed("x"))
    assert not is_passing(SpaceUnavailable("x", stage="PAUSED"))
    assert not is_passing(SpaceUnavailable("x", status_code=404))
