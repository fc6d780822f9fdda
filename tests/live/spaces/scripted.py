"""What the apps of this folder share: answers that give an account of what an app got."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

# Read by gradio when it is imported: no calls home, and no proxy in between.
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", GRADIO_SSR_MODE="False")
for _variable in ("http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(_variable, None)
    os.environ.pop(_variable.upper(), None)

import gradio as gr

MAJOR = int(gr.__version__.split(".")[0])
_TYPED = "type" in inspect.signature(gr.Chatbot.__init__).parameters

#: The apps by name; each builds its page anew.
APPS: dict[str, Callable[[], gr.Blocks]] = {}


def app(since: int = 4) -> Callable[[Callable[[], gr.Blocks]], Callable[[], gr.Blocks]]:
    """Register an app, for a Gradio not older than a version."""

    def register(build: Callable[[], gr.Blocks]) -> Callable[[], gr.Blocks]:
        if since <= MAJOR:
            APPS[build.__name__] = build
        return build

    return register


def chatbot(*, roles: bool = False, **options: Any) -> gr.Chatbot:
    """Make a Chatbot of pairs or of role dicts; Gradio 6 has but one form."""
    if _TYPED:
        options["type"] = "messages" if roles else "tuples"
    return gr.Chatbot(**options)


def interface(fn: Callable[..., Any], *, roles: bool = True, **options: Any) -> gr.ChatInterface:
    """Make a ChatInterface in one of the two forms."""
    if "type" in inspect.signature(gr.ChatInterface.__init__).parameters:
        options["type"] = "messages" if roles else "tuples"
    return gr.ChatInterface(fn, **options)


def plain(content: Any) -> str:
    """Read the text of a content in whatever form it came."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return plain(content.get("text"))
    if isinstance(content, (list, tuple)):
        return "".join(plain(part) for part in content)
    return ""


def texts(history: Any) -> list[str]:
    """Read the texts of a history in whatever form it came, in order."""
    found: list[str] = []
    for turn in history or ():
        if isinstance(turn, dict):
            found.append(plain(turn["content"]))
        else:
            found += [plain(text) for text in turn if text is not None]
    return found


def account(question: Any, history: Any = (), system: Any = None, **others: Any) -> str:
    """Write down what an app got."""
    got = {"question": plain(question), "history": texts(history), "system": system, **others}
    return json.dumps(got)


def pieces(text: str) -> Iterator[str]:
    """Grow a text in three steps, whole each time."""
    third = len(text) // 3
    yield text[:third]
    yield text[: 2 * third]
    yield text


def asked(history: Any, question: str, *, roles: bool = False) -> list[Any]:
    """Add the user's turn to a history."""
    if roles or MAJOR >= 6:
        return [*(history or []), {"role": "user", "content": question}]
    return [*(history or []), [question, None]]


def answered(history: list[Any], text: str) -> list[Any]:
    """Add the assistant's text to a history that ends with the user's."""
    if isinstance(history[-1], dict):
        return [*history, {"role": "assistant", "content": text}]
    return [*history[:-1], [history[-1][0], text]]


def last_question(history: list[Any]) -> str:
    """Read the user's text that a history ends with."""
    turn = history[-1]
    return plain(turn["content"] if isinstance(turn, dict) else turn[0])
