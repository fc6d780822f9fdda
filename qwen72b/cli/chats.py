"""
The chats that are kept on disk: JSON files in the user's state folder, which nobody else may read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ..errors import InvalidOption

__all__ = ["chat_folder", "latest_chat", "new_chat", "write_chat"]


def chat_folder() -> Path:
    """Tell where chats are kept: ``XDG_STATE_HOME``, on Windows ``LOCALAPPDATA``."""
    windows = os.name == "nt"
    variable = "LOCALAPPDATA" if windows else "XDG_STATE_HOME"
    base = Path(os.environ.get(variable, ""))
    # A relative one is to be ignored (XDG Base Directory Specification 0.8).
    if not base.is_absolute():
        try:
            home = Path.home()
        except RuntimeError as exc:
            # In a container, for a user whom the system does not know.
            raise InvalidOption(
                "there is no home folder to keep chats in.", hint=f"Set HOME, or {variable}."
            ) from exc
        base = home / ("AppData/Local" if windows else ".local/state")
    return base / "qwen72b" / "chats"


def new_chat() -> Path:
    """Name a file for a chat that begins now."""
    return chat_folder() / f"{datetime.now():%Y-%m-%d-%H%M%S}-{os.getpid()}.json"


def latest_chat() -> Path | None:
    """Find the chat that was written last; ``None`` if there is none."""
    return max(chat_folder().glob("*.json"), key=lambda path: path.stat().st_mtime_ns, default=None)


def write_chat(path: Path, messages: Sequence[object]) -> None:
    """
    Write a chat, whole or not at all.

    Args:
        path: The file; it is replaced.
        messages: The chat as role dicts.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    try:
        with open(
            fresh, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)
        ) as file:
            file.write(json.dumps(messages, ensure_ascii=False, indent=2) + "\n")
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
