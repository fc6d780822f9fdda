"""
A scripted Space for tests: the Gradio queue protocol without Gradio.

`FakeSpace` is a real server on a free port of 127.0.0.1 that speaks as any
Gradio from 4.0 to 6.31 does, says what the test scripts, breaks where the test
wants it broken, and remembers what the client did. It needs nothing but the
standard library and shares no code with the client, so that it can test any
client of such a Space::

    from qwen72b.testing import Fail, FakeSpace, Gate

    def test_answer_is_shown(fake_space):          # the fixture of our pytest plugin
        fake_space.answer("Hel", "lo")
        assert my_chat(fake_space.url) == "Hello"

    def test_error_is_told(fake_space):
        fake_space.answer("Hel", Fail("GPU quota exceeded"))
        ...

A script is text and steps. Steps about the answer: `Estimation`, `Start`,
`Snapshot`, `Outputs`, `Log`, `Progress`, `Complete`, `Fail`,
`UnexpectedError`, `CloseStream`, `End`, `Burst`, and, freely, `Message`,
`Event`, `Edits`, `Chunk`. Steps about the connection: `Gate`, `Pause`,
`Stall`, `Repeat`, `Send`, `Trickle`, `Respond`, `page`, `redirect`, `Reset`,
`Close`, `Throttle`, `CutAfter`, `Proceed`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dialect import ChatFormat, Dialect, Protocol, find_dialect
    from .edits import make_diff
    from .http11 import Framing, Request
    from .job import Job
    from .layout import Layout, Role
    from .proxy import FakeProxy, FakeSocksProxy
    from .record import DEFAULT_ANSWER, words
    from .response import Respond, page, redirect
    from .script import (
        AwaitData,
        Burst,
        Chunk,
        CloseStream,
        Complete,
        Edits,
        End,
        Estimation,
        Event,
        Fail,
        Heartbeat,
        Log,
        Message,
        Outputs,
        Progress,
        Snapshot,
        Start,
        UnexpectedError,
    )
    from .settings import Shape
    from .space import FakeSpace
    from .steps import (
        Close,
        CutAfter,
        Gate,
        Pause,
        Proceed,
        Repeat,
        Reset,
        Send,
        Stall,
        Step,
        Throttle,
        Trickle,
    )

_HOMES = {
    "dialect": "ChatFormat Dialect Protocol find_dialect",
    "edits": "make_diff",
    "http11": "Framing Request",
    "job": "Job",
    "layout": "Layout Role",
    "proxy": "FakeProxy FakeSocksProxy",
    "record": "DEFAULT_ANSWER words",
    "response": "Respond page redirect",
    "script": "AwaitData Burst Chunk CloseStream Complete Edits End Estimation Event Fail "
    "Heartbeat Log Message Outputs Progress Snapshot Start UnexpectedError",
    "settings": "Shape",
    "space": "FakeSpace",
    "steps": "Close CutAfter Gate Pause Proceed Repeat Reset Send Stall Step Throttle Trickle",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "DEFAULT_ANSWER",
    "AwaitData",
    "Burst",
    "ChatFormat",
    "Chunk",
    "Close",
    "CloseStream",
    "Complete",
    "CutAfter",
    "Dialect",
    "Edits",
    "End",
    "Estimation",
    "Event",
    "Fail",
    "FakeProxy",
    "FakeSocksProxy",
    "FakeSpace",
    "Framing",
    "Gate",
    "Heartbeat",
    "Job",
    "Layout",
    "Log",
    "Message",
    "Outputs",
    "Pause",
    "Proceed",
    "Progress",
    "Protocol",
    "Repeat",
    "Request",
    "Reset",
    "Respond",
    "Role",
    "Send",
    "Shape",
    "Snapshot",
    "Stall",
    "Start",
    "Step",
    "Throttle",
    "Trickle",
    "UnexpectedError",
    "find_dialect",
    "make_diff",
    "page",
    "redirect",
    "words",
]


def __getattr__(name: str) -> Any:
    # Pytest loads our plugin, and with it this package, in every project that has
    # qwen72b installed: the rest of it is for those who use it.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | set(__all__))
