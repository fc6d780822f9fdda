"""Canaries: the private parts of Gradio that the local Space stands on are still there."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest
from timing import PATIENCE

pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="needs Gradio")


def _printed(code: str) -> list[str]:
    """Run code in a process of its own, since importing Gradio leaves event loops behind."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=True,
    )
    return done.stdout.split()


def test_gradio_context_id() -> None:
    """Context.id is the next component's id: set to 0, the page has the public Space's ids."""
    code = """
import gradio
from gradio.context import Context
gradio.Markdown("not on the page")
Context.id = 0
with gradio.Blocks():
    header, box = gradio.Markdown("title"), gradio.Textbox()
print(header._id, box._id, Context.id > 2)
"""
    assert _printed(code) == ["1", "2", "True"]


def test_gradio_sessions() -> None:
    """A page keeps 10,000 sessions unless launch says otherwise, and each asks its components."""
    code = """
import gradio
with gradio.Blocks() as page:
    box = gradio.Textbox()
print(page.state_session_capacity, page.blocks[box._id] is box)
box.get_config = lambda *_: {"asked": True}
print(page.get_config_file()["components"][0]["props"])
"""
    assert _printed(code) == ["10000", "True", "{'asked':", "True}"]


def test_gradio_queue_threads() -> None:
    """The page and its queue have a limit each, set by launch: 40, which the local Space lifts."""
    code = """
import gradio
with gradio.Blocks() as page:
    pass
print(page.max_threads, page._queue.max_thread_count)
"""
    assert _printed(code) == ["40", "40"]
