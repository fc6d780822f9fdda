"""
The command line.

Strategy: standard output carries the answer and nothing else; everything said
about it goes to standard error. A command is a module with ``add_parser``
and ``run``; it raises, and ``main`` alone turns what was raised into one line
and an exit status (``exits``). Nothing that speaks HTTP is imported before a
command needs it: ``qwen72b --help`` is there at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .console import Console
from .exits import Terminated, describe, exit_status
from .logs import logging_to
from .options import parse

if TYPE_CHECKING:
    # The commands are loaded by their names. PyInstaller and its like find
    # modules by import statements, wherever those stand.
    from . import (  # noqa: F401
        ask,
        batch,
        chat,
        completion,
        doctor,
        gateway,
        help,
        inspect,
        serve,
        status,
    )

__all__ = ["main"]

# Where users have their files, and what they keep there (XDG Base Directory Specification).
_FOLDERS = ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command line.

    Args:
        argv: The arguments without the program's name; by default those of
            the process.

    Returns:
        The exit status: 0 success; 1 other failures; 2 bad usage or input;
        3 login or token; 4 the Space is not up; 5 it is busy; 6 network or
        timeout; 129 the terminal was closed; 130 Ctrl-C; 141 the reader of
        standard output has gone; 143 SIGTERM.
    """
    console = Console()
    verbose = False
    _forget_useless_folders()
    try:
        run, args = parse(sys.argv[1:] if argv is None else argv)
        verbose = args.verbose
        console.quiet = args.quiet
        args.console = console
        with logging_to(console, verbose=verbose):
            status = run(args)
            console.flush()
        return status
    except SystemExit as exc:
        # --help and --version, which argparse answers itself.
        return exc.code if isinstance(exc.code, int) else 0
    except KeyboardInterrupt as exc:
        console.erase()
        return exit_status(exc)
    except BrokenPipeError as exc:
        console.abandon(sys.stdout)
        return exit_status(exc)
    except Terminated as exc:
        # The terminal may have gone, and both with it.
        console.abandon(sys.stdout, sys.stderr)
        return exit_status(exc)
    except Exception as exc:  # noqa: BLE001 - no traceback reaches a user of the command
        console.complain(*describe(exc, verbose=verbose))
        try:
            console.flush()
        except (OSError, ValueError):
            # It may be what was just told of.
            console.abandon(sys.stdout)
        return exit_status(exc)


def _forget_useless_folders() -> None:
    """
    Take an empty or relative folder of the environment for none.

    Python takes an empty HOME for the root of the file system, and so do the
    libraries and programs that the commands use.
    """
    for name in _FOLDERS:
        if not os.path.isabs(os.environ.get(name, "/")):
            del os.environ[name]
