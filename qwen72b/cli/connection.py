"""
The client that the shared options describe.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import InvalidOption

if TYPE_CHECKING:
    from ..client.client import Client
    from ..local.generation import Backend
    from .console import Console

__all__ = ["connected", "make_backend", "reached"]


@contextmanager
def connected(args: argparse.Namespace) -> Iterator[Client]:
    """
    Open the client, and the local Space if one is asked for.

    Args:
        args: With the options of ``add_connection``.

    Yields:
        The client.

    Raises:
        InvalidOption: If the options contradict each other.
    """
    from ..client.client import Client

    with reached(args) as settings, Client(**settings) as client:
        yield client


@contextmanager
def reached(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """
    Start the local Space if one is asked for, and say how to reach the Space.

    Args:
        args: With the options of ``add_connection``.

    Yields:
        The arguments of its client, blocking or async.

    Raises:
        InvalidOption: If the options contradict each other.
    """
    choices = [f"--{name}" for name in ("url", "space") if _is_given(args, name)]
    choices += _local_choices(args)[:1]
    if len(choices) > 1:
        raise InvalidOption(f"{choices[0]} and {choices[1]} name two different Spaces.")
    if not _local_choices(args):
        yield {
            "base_url": args.url,
            "space": args.space,
            "endpoint": args.endpoint,
            "inputs": dict(args.inputs),
            "timeout": args.timeout,
        }
        return
    from ..local.server import running

    backend = make_backend(args, args.console)
    args.console.status("Starting the local Space...")
    with running(backend) as url, _no_proxy_for("127.0.0.1"):
        args.console.erase()
        yield {
            "base_url": url,
            "token": False,
            "endpoint": args.endpoint,
            "inputs": dict(args.inputs),
            "timeout": args.timeout,
        }


def make_backend(args: argparse.Namespace, console: Console) -> Backend:
    """
    Make the model of a local Space, and say what it is.

    Args:
        args: With the options of ``add_backend``.
        console: Where to say it.

    Returns:
        The model.

    Raises:
        InvalidOption: If the options contradict each other.
    """
    import sys

    from ..local.models import backend

    chosen = [name for name in ("backend", "gguf", "upstream") if _is_given(args, name)]
    if len(chosen) > 1:
        raise InvalidOption(f"--{chosen[0]} and --{chosen[1]} choose two different models.")
    if args.model is not None and args.upstream is None:
        raise InvalidOption("--model names a model of an --upstream.", hint="Give both.")
    progress = None if console.quiet else sys.stderr
    if args.gguf is not None:
        made = backend("gguf", gguf=args.gguf)
    elif args.upstream is not None:
        made = backend("upstream", upstream=args.upstream, model=args.model)
    else:
        made = backend(args.backend or "smollm2", progress=progress)
    if made.stand_in:
        console.say(f"{made.label}.")
    return made


def _local_choices(args: argparse.Namespace) -> list[str]:
    names = ("local", "backend", "gguf", "upstream", "model")
    return [f"--{name}" for name in names if _is_given(args, name)]


def _is_given(args: argparse.Namespace, name: str) -> bool:
    """
    Tell whether an option was given.

    An empty value, of a shell's variable that is not set, is a mistake: to take it
    for none would send the question to another Space than the one that was meant.
    """
    return getattr(args, name, None) not in (None, False)


@contextmanager
def _no_proxy_for(host: str) -> Iterator[None]:
    """Keep a proxy of the environment out of the way to this machine."""
    # requests reads the lower-case name first.
    before = os.environ.get("no_proxy")
    present = before if before is not None else os.environ.get("NO_PROXY", "")
    if present != "*":
        # Beside other names a star means nothing.
        os.environ["no_proxy"] = f"{present},{host}".lstrip(",")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("no_proxy", None)
        else:
            os.environ["no_proxy"] = before
