"""
A notebook's answers: ``show`` draws one, ``%load_ext qwen72b.notebook`` brings ``%%qwen``.
"""

from __future__ import annotations

from typing import Any

from ..fences import close_fence
from .display import show

__all__ = ["close_fence", "load_ipython_extension", "show", "unload_ipython_extension"]


def load_ipython_extension(shell: Any) -> None:
    """Register the cell magic ``%%qwen``; IPython calls this on ``%load_ext qwen72b.notebook``."""
    from .magic import Magic

    shell.register_magic_function(Magic(shell).qwen, "cell", "qwen")


def unload_ipython_extension(shell: Any) -> None:
    """Take the magic away, with its connections and its kept conversations."""
    magic = shell.magics_manager.magics["cell"].pop("qwen", None)
    if magic is not None:
        magic.__self__.close()
