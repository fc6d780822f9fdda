"""The table of names that came before."""

from __future__ import annotations

from qwen72b.batch.idset import IdSet


def test_names_are_new_once() -> None:
    """A name is new the first time and never again, also after the table has grown."""
    seen = IdSet()
    names = [f"name {number}" for number in range(5000)]
    assert all(seen.add(name) for name in names)
    assert not any(seen.add(name) for name in names)
    assert seen.add("another")
