"""The README, the guide and the contributor's notes as the tests read them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docutils import nodes
from docutils.core import publish_doctree

import qwen72b

__all__ = ["DOCUMENTS", "GUIDE", "HOME", "find_examples", "parse", "read_tables"]

HOME = Path(__file__).parents[2]
GUIDE = Path(qwen72b.__file__).parent / "guide"

# Each by a short name.
DOCUMENTS = {
    path.stem.lower(): path
    for path in [
        HOME / "README.rst",
        HOME / ".github" / "CONTRIBUTING.rst",
        *sorted(GUIDE.glob("*.rst")),
    ]
}


@cache
def parse(name: str) -> nodes.document:
    """Parse a document; whatever docutils would remark on is an error."""
    # Colours are for whoever shows it, and would want Pygments.
    settings = {"halt_level": 1, "syntax_highlight": "none", "_disable_config": True}
    path = DOCUMENTS[name]
    return publish_doctree(
        path.read_text("utf-8"), source_path=str(path), settings_overrides=settings
    )


def find_examples(language: str) -> Iterator[tuple[str, str]]:
    """Find the blocks of a language; each is named by its document, section and number there."""
    for name in DOCUMENTS:
        document = parse(name)
        # The title of a document with one section only is not a section.
        for part in [document, *document.findall(nodes.section)]:
            blocks = [
                block
                for block in part.children
                if isinstance(block, nodes.literal_block) and language in block["classes"]
            ]
            section = part["names"][0] if part["names"] else name
            for number, block in enumerate(blocks, 1):
                yield f"{name}-{section}-{number}", block.astext()


def read_tables(first: str) -> list[tuple[str, list[list[str]]]]:
    """Read the rows of the tables whose first heading is this, with the name of their document."""
    found = []
    for name in DOCUMENTS:
        for table in parse(name).findall(nodes.table):
            rows = [[cell.astext() for cell in row.children] for row in table.findall(nodes.row)]
            if rows[0][0] == first:
                found.append((name, rows[1:]))
    assert found, f"there is no table of {first!r}"
    return found
