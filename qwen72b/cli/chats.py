"""
The chats that are kept on disk: JSON files in the user's state folder, which nobody else may read.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Sequence
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


def latest_chat(tell: Callable[[str], object]) -> Path | None:
    """
    Find the chat that was written last.

    Args:
        tell: Told, in a sentence, of what bears the name of a chat and is no file
            that can be read.

    Returns:
        The file; ``None`` if there is none.
    """
    found: dict[Path, int] = {}
    for path in chat_folder().glob("*.json"):
        try:
            status = path.stat()
        except OSError as exc:
            # A link to what has gone, or to itself.
            tell(f"{path} is left out: {exc.strerror}.")
            continue
        # A pipe's writer would be waited for.
        if not stat.S_ISREG(status.st_mode):
            tell(f"{path} is left out: it is no file.")
        elif not os.access(path, os.R_OK):
            tell(f"{path} is left out: {os.strerror(errno.EACCES)}.")
        else:
            found[path] = status.st_mtime_ns
    return max(found, key=found.__getitem__, default=None)


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
