"""
The words of a failed job: what a Space's app says when it gives no answer.

HTTP says 200 whatever an app does, so one that cannot answer for now has only
its error to say so. Three titles of a ``gr.Error`` (Gradio 5.25 and later) are
read as that, exactly as written here; the guide's ``spaces`` tells them to
authors. A title stands in a field of its own, where no answer can put one.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import (
    GenerationFailed,
    QueueFull,
    QuotaExceeded,
    Qwen72BError,
    SpaceUnavailable,
    StreamInterrupted,
)
from ..privacy.masking import mask
from .surrogates import replace_surrogates

__all__ = ["BUSY", "INTERRUPTED", "MAX_WORDS", "UNAVAILABLE", "job_error"]

#: Too many ask; its ``duration`` is how many seconds nobody needs to ask again.
BUSY = "Busy"

#: What makes the answers is away and comes back, as while it is started anew.
UNAVAILABLE = "Unavailable for now"

#: The answer had begun and was cut.
INTERRUPTED = "Interrupted"

# Seconds that such an error may ask for: a day, as a quota's renewal takes, and
# no less than what keeps two tries apart.
_LEAST_WAIT, _MOST_WAIT = 0.1, 86_400.0

# Characters of the words of a failure that are kept.
MAX_WORDS = 10_000

# What the Hub's shared GPUs (ZeroGPU) say to who has used them enough.
_QUOTA = (
    r"(?i)\bquota\b|\breached (?:its|your) (?:daily )?GPU limit|\bZeroGPU runs limit\b|"
    r"\bNo GPU was available\b"
)

# What Gradio says where the app's function takes a gr.OAuthToken or OAuthProfile.
_LOGIN = (
    r"(?i)\brequires a logged[- ]in user\b|\b(?:sign|log) ?in (?:and retry|first|with hugging ?face)\b|"
    r"\bplease (?:sign|log) ?in\b"
)


def job_error(message: dict[str, Any]) -> Qwen72BError:
    """
    Tell why a job failed.

    Gradio's default hides the reason of a plain exception (``error: null``);
    ``gr.Error`` shows it, up to 5.24 as a Python literal with its quotes.

    Args:
        message: A server message with ``success: false``.

    Returns:
        The error to raise.
    """
    output = message.get("output")
    fields = output if isinstance(output, dict) else {}
    title = fields.get("title", message.get("title"))
    title = title[:MAX_WORDS] if isinstance(title, str) else None
    words = fields.get("error")
    words = mask(replace_surrogates(_unquoted(words[:MAX_WORDS]))) if isinstance(words, str) else ""
    if title in (BUSY, UNAVAILABLE, INTERRUPTED):
        return _passing(title, words.strip(), _asked(fields.get("duration")))
    # "None" is what 4.0 to 4.22 make of a hidden reason.
    if words.strip() in ("", "None"):
        return GenerationFailed(
            "the Space's app failed and hid the reason.",
            title=title,
            hint="Ask again, or shorten the chat; the Space's owner sees the reason in its log.",
        )
    if re.search(_QUOTA, words) or (title is not None and re.search(_QUOTA, title)):
        return QuotaExceeded(
            words,
            retry_after=_wait(words),
            hint="Wait, or pass the token of an account with quota left.",
        )
    hint = ""
    if re.search(_LOGIN, words):
        hint = (
            "The app wants a visitor who has signed in with Hugging Face in a browser, which a "
            "token cannot do: ask a copy of the Space that needs no login."
        )
    return GenerationFailed(words, title=title, hint=hint)


def _passing(title: str, words: str, wait: float | None) -> Qwen72BError:
    """Make the error of an app that says by its title what has happened."""
    if title == BUSY:
        return QueueFull(words or "the Space is busy.", retry_after=wait, hint="Ask again later.")
    if title == UNAVAILABLE:
        return SpaceUnavailable(
            words or "the Space cannot answer for now.", retry_after=wait, hint="Ask again later."
        )
    return StreamInterrupted(
        words or "the Space's app was cut off.", retry_after=wait, hint="Ask again."
    )


def _asked(duration: Any) -> float | None:
    """Read how long an error is to be shown; 0 and null are until somebody closes it."""
    # No bool, and no NaN: that is not above 0.
    if type(duration) not in (int, float) or not duration > 0:
        return None
    return float(min(max(duration, _LEAST_WAIT), _MOST_WAIT))


# A text as ``repr`` writes it, and the escapes that it knows.
_QUOTED = r"""(?s)'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*\""""
_ESCAPE = r"""\\(?:([\\'"nrt])|x([0-9a-f]{2})|u([0-9a-f]{4})|U(000[0-9a-f]{5}))"""
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def _unquoted(words: str) -> str:
    """Undo the ``repr`` that Gradio up to 5.24 sends a ``gr.Error`` as."""
    if len(words) < 2 or words[0] != words[-1] or words[0] not in "'\"":
        return words
    if re.fullmatch(_QUOTED, words) is None:
        return words[1:-1]
    return re.sub(_ESCAPE, _unescaped, words[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    if letter := match[1]:
        return _ESCAPED.get(letter, letter)
    return chr(int(match[2] or match[3] or match[4], 16))


# "Try again in 0:05:23", "... in 1 day, 2:03:04": a Python timedelta (spaces'
# zero client); or a number with its unit.
_TIMEDELTA = r"\b(?:in|after)\s+(?:(\d{1,4}) days?, )?(\d{1,4}):(\d\d):(\d\d)"
_COUNT = r"\b(?:in|after)\s+(\d{1,6}(?:\.\d+)?)\s*(s|m|h)(?:ec|in|our|r|\b)"


def _wait(words: str) -> float | None:
    """Read the seconds to wait from a quota message."""
    if match := re.search(_TIMEDELTA, words):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    if match := re.search(_COUNT, words):
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
    return None
