"""
The end of a command: exit statuses, and the line that explains a failure.

The table is part of the interface: scripts branch on it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator

from ..errors import (
    AuthenticationError,
    ConnectFailed,
    EndpointNotFound,
    GenerationFailed,
    HTTPStatusError,
    InvalidRequest,
    QueueFull,
    QuotaExceeded,
    Qwen72BError,
    RateLimited,
    RequestTimeout,
    SpaceUnavailable,
    StreamInterrupted,
    told,
)
from ..privacy.masking import mask
from ..privacy.redaction import hide, redact

__all__ = ["EXIT_UNAVAILABLE", "WAIT_OR_LEAVE", "Terminated", "describe", "exit_status", "hint_for"]

EXIT_OTHER = 1
EXIT_UNAVAILABLE = 4


class Terminated(BaseException):
    """
    The command is to end: its terminal was closed, or it was told to.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


# The first that fits counts. The first two are 128 + SIGINT and 128 + SIGPIPE,
# as shells report them.
_STATUSES: tuple[tuple[type[BaseException], int], ...] = (
    (KeyboardInterrupt, 130),
    (BrokenPipeError, 141),
    (InvalidRequest, 2),
    (AuthenticationError, 3),
    (SpaceUnavailable, EXIT_UNAVAILABLE),
    (QueueFull, 5),
    (RateLimited, 5),
    (QuotaExceeded, 5),
    (HTTPStatusError, EXIT_OTHER),
    (ConnectFailed, 6),
    (RequestTimeout, 6),
    (StreamInterrupted, 6),
)

# Statuses of gateways whose server behind is down.
_GATEWAY = (502, 503, 504)

# Said by commands that do not ask, and have no --local, as well.
_ELSEWHERE = "Ask with --local for a small model on this machine, or with --url for another Space."
_WAIT = "Wait for it with: qwen72b status --wait 300."
WAIT_OR_LEAVE = f"{_WAIT} {_ELSEWHERE}"


def exit_status(error: BaseException) -> int:
    """
    Tell the exit status that an error stands for.

    Args:
        error: What a command raised.
    """
    if isinstance(error, Terminated):
        return 128 + error.number
    if isinstance(error, HTTPStatusError) and error.status_code in _GATEWAY:
        return EXIT_UNAVAILABLE
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), EXIT_OTHER)


def describe(
    error: BaseException, *, verbose: bool = False, elsewhere: str = _ELSEWHERE
) -> list[str]:
    """
    Explain an error to the user of the command line.

    Args:
        error: What a command raised.
        verbose: Whether to say what it came of, too.
        elsewhere: How to ask another Space.

    Returns:
        Lines; one, unless verbose. No secret is in them.
    """
    if isinstance(error, Qwen72BError):
        # What the caller did wrong is in our own words; other reasons may be a Space's.
        own = isinstance(error, (InvalidRequest, EndpointNotFound))
        reason = error.reason.replace("base_url", "the address") if own else error.reason
        lines = [told(reason, _in_shell(hint_for(error, elsewhere)))]
        if verbose:
            lines += [f"  because of {type(link).__name__}: {link}" for link in _causes(error)]
    elif isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        # A journal's knows what helps.
        lines = [told(f"{name}{error.strerror or error}.", getattr(error, "hint", ""))]
    else:
        lines = [
            f"internal error: {type(error).__name__}: {error}. Please report it; -v tells more."
        ]
        if verbose:
            # Slow to import, and hardly ever needed.
            import traceback

            lines += "".join(traceback.format_exception(error)).splitlines()
    return [_redacted(line) for line in lines]


# Of errors that know nothing better.
_USUAL = {
    "proxy": "Check the proxy variables of the environment.",
    "tls": "REQUESTS_CA_BUNDLE names further authorities.",
}


def hint_for(error: Qwen72BError, elsewhere: str = _ELSEWHERE) -> str:
    """
    Say what to do about an error in the command line's own terms.

    Args:
        error: The error; its hint speaks of Python arguments.
        elsewhere: How to ask another Space.
    """
    retry_after = error.retry_after
    if isinstance(error, AuthenticationError):
        return "For a private Space put a Hugging Face token in the variable HF_TOKEN."
    if isinstance(error, SpaceUnavailable) and (error.stage or error.status_code):
        # The Hub's hint is about arguments; a page's is fine, but no way out.
        # A local Space has neither, and knows better.
        return f"{_WAIT} {elsewhere}"
    may_pass = (QueueFull, RateLimited, QuotaExceeded, SpaceUnavailable)
    if isinstance(error, may_pass) and retry_after is not None:
        return f"Ask again in {retry_after:.0f} s."
    if isinstance(error, ConnectFailed) and error.stage in _USUAL:
        return f"{error.hint or _USUAL[error.stage]} qwen72b doctor helps."
    if isinstance(error, ConnectFailed) and (not error.hint or "base_url=" in error.hint):
        return elsewhere
    if isinstance(error, RequestTimeout):
        return {
            "connect": elsewhere,
            "read": "Is the Space alive? Ask qwen72b status.",
            "total": "Give it longer with --timeout.",
        }.get(error.phase, "Ask again later.")
    if isinstance(error, StreamInterrupted):
        return "Ask again."
    if isinstance(error, GenerationFailed):
        # The local Space's own words say what helps.
        ours = error.reason.startswith(("The upstream", "The local Space"))
        return error.hint or ("" if ours else "Ask again, or more briefly.")
    return error.hint


# Python's arguments in hints, and what they are here.
_WORDS = (
    ("base_url or space", "--url or --space"),
    ("space= and base_url=", "--space and --url"),
    ("as base_url", "as --url"),
    (
        'Pass auth=("user", "password") instead.',
        'Only Python has a login: Client(auth=("user", "password")).',
    ),
    ("Give key=,", "Set QWEN72B_GATEWAY_KEY or --key-file,"),
    ("allow_hosts=", "--allow-host"),
    (", or proxy=", ""),
    ("verify=, ", ""),
)
_QUOTES = "'\""
_VALUE = r"('[^']*'|\"[^\"]*\"|\d+)"
_SETTING = re.compile(rf"\b(endpoint|space)={_VALUE}")
_INPUT = re.compile(rf"\binputs=\{{{_VALUE}: \.\.\.\}}")


def _in_shell(hint: str) -> str:
    """Name options where a hint names arguments of Python's."""
    for words, here in _WORDS:
        hint = hint.replace(words, here)
    hint = _SETTING.sub(lambda it: f"--{it[1]} {shlex.quote(it[2].strip(_QUOTES))}", hint)
    # A label may have blanks.
    return _INPUT.sub(lambda it: f"--input {shlex.quote(it[1].strip(_QUOTES) + '=...')}", hint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    link = error.__cause__
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _redacted(line: str) -> str:
    """Blot out the token, and the users, passwords and queries of URLs."""
    line = mask(redact(line))
    token = hide(os.environ.get("HF_TOKEN", "").strip())
    return line.replace(token, "...") if token else line
