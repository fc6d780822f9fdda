"""
A command's arguments: which there are, and what is typed that is none of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from ..errors import InvalidOption

__all__ = [
    "BEHIND",
    "MERGE",
    "has_prompt_like_option",
    "list_arguments",
    "list_options",
    "means_merge",
    "refuse_unknown",
]

BEHIND = 'A prompt that begins with "-" goes behind --.'

# The module of ``batch merge``, and the word.
MERGE = "merge"

# What every command takes, before and behind its own words.
_VERBOSITY = ("-q", "--quiet", "-v", "--verbose")

# What other programs call it. A command line can be seen by others.
_TOKENS = ("--token", "--hf-token", "--api-key")

# How near an option must be to be named: "--no-streem" is, "--nope" is near to nothing.
_NEAR = 0.65


def list_arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """
    List the arguments of a command.

    Args:
        parser: The command's parser.

    Returns:
        Options and positional arguments; none if argparse keeps them elsewhere,
        which has no public list of them.
    """
    return list(getattr(parser, "_actions", ()))


def list_options(parser: argparse.ArgumentParser, *, with_value: bool = False) -> list[str]:
    """
    List the options of a command.

    Args:
        parser: The command's parser.
        with_value: Whether only those that take a value are wanted.
    """
    return [
        option
        for action in list_arguments(parser)
        for option in action.option_strings
        if action.nargs is None or not with_value
    ]


def has_prompt_like_option(words: Sequence[str], parser: argparse.ArgumentParser) -> bool:
    """
    Tell whether a word looks like an option and is none, nor the value of one.

    Args:
        words: The command line.
        parser: The command's parser.
    """
    known = list_options(parser)
    takes_value = list_options(parser, with_value=True)
    return any(
        word.startswith("-") and word.partition("=")[0] not in known and before not in takes_value
        for before, word in zip(["", *words], words, strict=False)
    )


def refuse_unknown(unknown: Sequence[str], name: str, parser: argparse.ArgumentParser) -> NoReturn:
    """
    Refuse what a command has no place for.

    Args:
        unknown: Options and words. What follows such an option may be a secret,
            and is not shown.
        name: The command.
        parser: The command's parser.

    Raises:
        InvalidOption: Always.
    """
    # Slow to import, and wanted for this only.
    from difflib import get_close_matches

    options = [word.partition("=")[0] for word in unknown if word.startswith("-")]
    hints = []
    for option in options:
        if option in _TOKENS:
            hints.append("A token comes from HF_TOKEN.")
        elif near := get_close_matches(option, list_options(parser), n=1, cutoff=_NEAR):
            hints.append(f"Nearest: {near[0]}.")
    if name == "ask" and options and not hints:
        hints.append(BEHIND)
    told = " ".join(options or unknown)
    raise InvalidOption(
        f"unrecognized arguments: {told}.", hint=" ".join([*hints, f"See {parser.prog} --help."])
    )


def means_merge(words: Sequence[str]) -> bool:
    """
    Tell whether it is ``batch merge OUT IN``, and not a file of prompts with that name.

    A batch has one file of prompts, and then only options.

    Args:
        words: The command line, the command first.
    """
    rest = [word for word in words[1:] if word not in _VERBOSITY]
    if words[0] != "batch" or rest[:1] != [MERGE] or len(rest) == 1:
        return False
    return rest[1] in ("-h", "--help", "--", "-") or not rest[1].startswith("-")
