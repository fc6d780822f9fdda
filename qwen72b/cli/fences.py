"""
The code blocks of an answer.
"""

from __future__ import annotations

import re

__all__ = ["first_code_block"]

_OPENING = re.compile(r"^([ \t]*)(`{3,}|~{3,})([^\n]*)$")


def first_code_block(text: str) -> str | None:
    """
    Find the first fenced code block of a Markdown text.

    A fence is closed by one of the same character, at least as long
    (CommonMark 0.31, "Fenced code blocks"); a block in a list is indented as
    its fence is, and loses this indentation.

    Args:
        text: The text.

    Returns:
        The block's lines, without the fences; up to the text's end if it is
        not closed; ``None`` if there is none.
    """
    lines = iter(text.splitlines())
    for line in lines:
        opening = _OPENING.match(line)
        if opening is None:
            continue
        indent, fence, info = opening.groups()
        # `` ```like this``` `` is code within a line.
        if fence[0] == "`" and "`" in info:
            continue
        closing = re.compile(rf"^[ \t]*{fence[0]}{{{len(fence)},}}[ \t]*$")
        block = []
        for inner in lines:
            if closing.match(inner):
                break
            block.append(inner.removeprefix(indent))
        return "\n".join(block)
    return None
