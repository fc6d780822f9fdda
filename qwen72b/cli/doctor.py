"""
The command ``doctor``: why does it not work?

Strategy: the way of a question is walked step by step, each step on its own,
so that the first one that fails names the trouble. What lies behind it is not
tried.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING

from ..errors import InvalidOption, Qwen72BError, SpaceUnavailable
from ..privacy.redaction import hide
from ..version import __version__
from .connection import connected
from .exits import WAIT_OR_LEAVE, describe, exit_status
from .options import add_connection, add_verbosity

if TYPE_CHECKING:
    from ..client.client import Client
    from .options import Commands

__all__ = ["add_parser", "run"]

# Seconds for the queue and for the first word: a doctor must not take ten minutes.
_PATIENCE = 60.0

Step = tuple[str, Callable[[], str]]


def add_parser(commands: Commands) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="find out why it does not work",
        description="Walk the way of a question step by step; each line says ok, or what to do. "
        "The last step asks the Space a short question.",
    )
    add_connection(parser, local=False)
    add_verbosity(parser)


def run(args: argparse.Namespace) -> int:
    """Walk the steps up to the first that fails; its exit status is the command's."""
    console = args.console
    error: Qwen72BError | None = None
    with closing(_steps(args)) as steps:
        for name, step in steps:
            console.status(f"Checking: {name}...")
            try:
                console.line(f"ok    {name:<9} {step()}")
            except Qwen72BError as exc:
                error = exc
                first, *more = describe(exc, verbose=args.verbose)
                console.line(f"FAIL  {name:<9} {first}")
                for line in more:
                    console.line(f"      {line}")
                break
    if error is not None:
        return exit_status(error)
    console.line("All is well.")
    return 0


def _steps(args: argparse.Namespace) -> Generator[Step, None, None]:
    yield "software", _software
    yield "settings", lambda: _settings(args)
    with connected(args) as client:
        from .route import Route

        route = Route(client.base_url)
        yield "token", lambda: _token(client)
        yield "proxy", route.find_proxy
        yield "name", route.resolve
        yield "connect", route.connect
        yield "TLS", route.greet
        yield "config", lambda: _config(client)
        yield "answer", lambda: _answer(client, args.timeout)


def _software() -> str:
    from importlib.metadata import PackageNotFoundError, version

    versions = [f"qwen72b {__version__}"]
    for name in ("requests", "urllib3", "sseclient-py", "anyio"):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            # In a bundle (zipapp, PyInstaller) there are the modules alone.
            versions.append(name)
    return f"Python {sys.version.split()[0]} on {sys.platform}; {', '.join(versions)}"


def _settings(args: argparse.Namespace) -> str:
    with connected(args) as client:
        if args.url is not None or args.space is not None:
            source = "--space" if args.url is None else "--url"
        elif os.environ.get("QWEN72B_BASE_URL", "").strip():
            source = "QWEN72B_BASE_URL"
        else:
            source = "the public Space"
        return f"{client.base_url} ({source})"


def _token(client: Client) -> str:
    from ..client.urls import hub_url, may_have_token

    token = hide(os.environ.get("HF_TOKEN", "").strip())
    if not token:
        return "none; a public Space needs none (HF_TOKEN)"
    found = f"from HF_TOKEN, {len(token)} characters"
    if may_have_token(client.base_url, hub_url()):
        return f"{found}; it goes to {client.base_url} only"
    return f"{found}; not sent, since {client.base_url} is no Space of the Hub's"


def _config(client: Client) -> str:
    status = client.status()
    if not status.ready:
        raise SpaceUnavailable(status.reason, stage=status.stage, hint=WAIT_OR_LEAVE)
    return (
        f"Gradio {status.version or '(unknown)'}, protocol {status.protocol}, "
        f"endpoint {status.endpoint}, in {status.latency:.2f} s"
    )


def _answer(client: Client, total: float | None) -> str:
    from ..timeout import Timeout

    limits = Timeout(queue=_PATIENCE, first_token=_PATIENCE, total=total)
    begun = monotonic()
    with closing(client.stream("Say hello.", timeout=limits)) as stream:
        stream._read_batch()
        first_event = monotonic() - begun
        while not stream.text and stream._read_batch():
            pass
        if not stream.text:
            raise InvalidOption("the Space answered with no text.", hint="Try another Space.")
        return (
            f"first sign of the queue after {first_event:.2f} s, "
            f"first text after {monotonic() - begun:.2f} s"
        )
