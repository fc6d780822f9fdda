"""
The Hub: where a Space is, its stage, and what the stage means.

The Hub is asked only when the Space itself gave a page instead of data, and
without the token, which is for the Space alone.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from ..errors import SpaceUnavailable
from ..privacy.redaction import HiddenURL
from .jsontext import NotJSON, read_json

__all__ = ["PUBLIC_SPACE", "explain", "is_passing_stage", "read_stage", "space_url", "stage_url"]

PUBLIC_SPACE = "Qwen/Qwen2-72B-Instruct"

# Characters of a stage that are kept.
_MOST_STAGE = 100

# Stages that end by themselves (huggingface_hub, SpaceStage).
_PASSING = {
    "SLEEPING": "is asleep and wakes up now",
    "BUILDING": "is being built",
    "RUNNING_BUILDING": "is being rebuilt",
    "APP_STARTING": "is starting",
    "RUNNING_APP_STARTING": "is restarting",
}

# Stages that only its owner ends.
_LASTING = {
    "PAUSED": "was paused by its owner",
    "STOPPED": "was stopped",
    "NO_APP_FILE": "has no app",
    "CONFIG_ERROR": "has a broken configuration",
    "BUILD_ERROR": "failed to build",
    "RUNTIME_ERROR": "failed to start",
    "DELETING": "is being deleted",
}


def space_url(space: str) -> str:
    """
    Tell where a Space is served.

    Args:
        space: ``"owner/name"``.

    Returns:
        Its base URL: owner and name, lower case, with other characters than
        letters and digits turned to hyphens (huggingface.co documents,
        "Spaces overview").
    """
    return f"https://{re.sub(r'[^a-z0-9]+', '-', space.lower()).strip('-')}.hf.space"


def stage_url(hub: str, base_url: str, space: str | None) -> str | None:
    """
    Tell where the Hub says how a Space is doing.

    Args:
        hub: Where the Hub is; without a slash at its end.
        base_url: Where the Space is served.
        space: ``"owner/name"``, if known.

    Returns:
        URL of the Hub's interface, hidden as the Hub's; ``None`` if the Space is not on a Hub.
    """
    if space is not None:
        return HiddenURL(f"{hub}/api/spaces/{quote(space)}")
    host = urlsplit(base_url).hostname or ""
    if host.endswith(".hf.space"):
        # gradio client, check_space_status: the name is not in the host.
        return HiddenURL(f"{hub}/api/spaces/by-subdomain/{host.removesuffix('.hf.space')}")
    return None


def read_stage(text: str) -> str | None:
    """
    Read the stage from the Hub's answer.

    Args:
        text: ``{"runtime": {"stage": ...}, ...}``.

    Returns:
        The stage; ``None`` if the text has none.
    """
    try:
        answer = read_json(text)
    except NotJSON:
        return None
    runtime = answer.get("runtime") if isinstance(answer, dict) else None
    stage = runtime.get("stage") if isinstance(runtime, dict) else None
    return stage[:_MOST_STAGE] if isinstance(stage, str) and stage else None


def is_passing_stage(stage: str | None) -> bool:
    """Tell whether a Space in this stage comes up by itself."""
    return stage in _PASSING


def explain(error: SpaceUnavailable, stage: str) -> SpaceUnavailable:
    """
    Add the Hub's stage to what the Space's page said.

    Args:
        error: Made of the page.
        stage: The Hub's word.

    Returns:
        The fuller error.
    """
    meaning = _PASSING.get(stage) or _LASTING.get(stage)
    if meaning is None:
        # RUNNING, or a stage that is new: the page has the better words.
        reason, hint = error.reason, error.hint
    elif stage in _PASSING:
        reason = f"the Space {meaning}; {error.reason}"
        hint = "Try again in a minute, or pass wait_for_space=300."
    else:
        reason = f"the Space {meaning}; {error.reason}"
        hint = "Only its owner can mend that; space= and base_url= name another one."
    return SpaceUnavailable(
        reason,
        stage=stage,
        status_code=error.status_code,
        retry_after=error.retry_after,
        hint=hint,
        partial=error.partial,
    )
