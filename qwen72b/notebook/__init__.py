"""
Answers in a notebook: ``show`` draws one, ``%load_ext qwen72b.notebook`` brings ``%%qwen``.
"""

from __future__ import annotations

from ..fences import close_fence
from .display import show
from .magic import load_ipython_extension, unload_ipython_extension

__all__ = ["close_fence", "load_ipython_extension", "show", "unload_ipython_extension"]
