"""joberror: what the words of a failed job mean."""

from __future__ import annotations

from typing import Any

import pytest

from qwen72b import GenerationFailed, QuotaExceeded
from qwen72b.protocol.joberror import job_error


def failed(words: Any, title: str | None = None) -> Any:
    output: dict[str, Any] = {"error": words}
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
