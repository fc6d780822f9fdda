"""
The outputs of a function that may hold an answer.
"""

from __future__ import annotations

from collections.abc import Collection

from .labels import BoxKind, box_kind, says_answer
from .page import Component, Function, Page

__all__ = ["find_chats", "find_texts"]

# Components that show text, the plainest first.
_TEXTS = ("textbox", "markdown", "html", "code")

# What a function that writes one of them has made is not its text.
_MEDIA = frozenset(
    [
        "image",
        "gallery",
        "audio",
        "video",
        "model3d",
        "plot",
        "file",
        "annotatedimage",
        "imageeditor",
        "imageslider",
        "label",
        "highlightedtext",
        "dataframe",
    ]
)


def find_chats(page: Page, function: Function) -> list[int]:
    """
    Find the Chatbots that a function writes.

    Args:
        page: The page.
        function: The function.
    """
    return [number for number in function.outputs if page.component(number).kind == "chatbot"]


def find_texts(
    page: Page, function: Function, asked: Collection[Component], *, named: bool
) -> list[int]:
    """
    Find the components that a function writes a text to and does not read.

    Args:
        page: The page.
        function: The function.
        asked: The boxes that may take the question.
        named: Whether the caller wants just this function; then JSON will do,
            as ChatInterface gives it to programs, and whatever stands beside it.

    Returns:
        Those of the plainest type; the one that says that it is the answer, if
        one does.
    """
    others = {box.id for box in asked} | set(function.inputs)
    outputs = [page.component(number) for number in function.outputs if number not in others]
    media = not named and any(component.kind in _MEDIA for component in outputs)
    for kind in (*_TEXTS, "json") if named else _TEXTS:
        found = [
            component
            for component in outputs
            if component.kind == kind and (named or _may_answer(component))
        ]
        telling = [component for component in found if says_answer(component)]
        if media:
            # Beside a picture a text is its caption, unless it says otherwise.
            found = telling
        if found:
            return [each.id for each in (telling if len(telling) == 1 else found)]
    return []


def _may_answer(component: Component) -> bool:
    """Tell whether the words at a component leave room for an answer."""
    foreign = (BoxKind.SECRET, BoxKind.SYSTEM, BoxKind.SETTING)
    return says_answer(component) or box_kind(component) not in foreign
