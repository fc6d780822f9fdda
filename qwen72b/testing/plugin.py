"""
The pytest plugin: the fixture `fake_space`.

Strategy: pytest imports this module at every start, in every project, before
coverage is measured and before anyone asks for the fixture; so it imports
nothing of ours but when the fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .space import FakeSpace

__all__ = ["fake_space"]


@pytest.fixture
def fake_space(request: pytest.FixtureRequest) -> Iterator[FakeSpace]:
    """
    Yield a fresh `FakeSpace`.

    Its version of Gradio can be given indirectly::

        @pytest.mark.parametrize("fake_space", ["4.36.1", "6.0.2"], indirect=True)
    """
    from .space import FakeSpace

    with FakeSpace(getattr(request, "param", "4.36.1")) as space:
        yield space
