"""Code fences: found, stripped and closed in the same way."""

from __future__ import annotations

import pytest

from qwen72b.fences import close_fence, code_blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code", []),
        ("```\none\n```\ntext\n~~~\ntwo\n~~~", ["one", "two"]),
        ("```py\n```", [""]),
        ("```\n", [""]),
        ("- ```\n  one\n    two\n  ```\n", ["one\n  two"]),
        ("10. text\n\n    ```sh\n    ls\n\n      -l\n    ```", ["ls\n\n  -l"]),
        ("* - ```\n    deep\n    ```", ["deep"]),
        ("> ```\n> one\n>  two\n> ```\nprose", ["one\n two"]),
        ("> - ```\n>   one\n>   ```", ["one"]),
        (">> ```\n>> one\n>> ```", ["one"]),
        (">```\n>one\n>```", ["one"]),
        ("> ```\n> one\nprose after the quote\n```\ntwo\n```", ["one", "two"]),
        ("> ```\n> one\n```\ntwo\n```", ["one", "two"]),
        ("> ```\none", [""]),
        ("```\n> ```\nstill\n```", ["> ```\nstill"]),
        ("````\n```\n````", ["```"]),
        ("~~~\n```\n~~~", ["```"]),
        ("  ```\n  one\ntwo\n  ```", ["one\ntwo"]),
        ("```like this``` and\n````\nopen\n```", ["open\n```"]),
        ("```\r\none\r\n```\r\n", ["one"]),
        ("```\npage\x0cbreak\u2028sep\n```", ["page\x0cbreak\u2028sep"]),
        ("```\n```\n```\n```", ["", ""]),
    ],
)
def test_code_blocks_are_found(text: str, blocks: list[str]) -> None:
    """A block is what stands between its fences, less the margin of its list item or quote."""
    assert list(code_blocks(text)) == blocks


@pytest.mark.parametrize(
    "text",
    [
        "```\none",
        "~~~~py\none\n~~~",
        "> ```\n> one",
        "- ```\n  one",
        "1. text\n   ```\n   one",
        "> - ```\n>   one",
    ],
)
def test_open_fence_is_closed_where_it_stands(text: str) -> None:
    """What closes a fence ends its block, and what follows is prose."""
    closed = close_fence(text)
    assert closed.startswith(text)
    assert len(list(code_blocks(f"{closed}\n```\nnext\n```"))) == 2
    assert close_fence(closed) == closed
