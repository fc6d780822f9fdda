"""Real Gradio servers, each started once per session when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab_server import Lab, history_types, running_lab
from spaces_server import Apps, running_apps


@pytest.fixture(scope="session", params=history_types())
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A server as the public Space's, once per form of history that its chatbot has."""
    with running_lab("--type", request.param) as lab:
        yield lab


@pytest.fixture(scope="session")
def locked_lab() -> Iterator[Lab]:
    """A server that wants a login: ``user`` with the password ``pass word``."""
    with running_lab("--auth", "user:pass word") as lab:
        yield lab


@pytest.fixture(scope="session")
def narrow_lab() -> Iterator[Lab]:
    """A server with one job at once, three that may wait, and errors shown in full."""
    with running_lab("--concurrency", "1", "--max-size", "3", "--show-error") as lab:
        yield lab


@pytest.fixture(scope="session")
def apps() -> Iterator[Apps]:
    """Apps of the shapes that chat Spaces have."""
    with running_apps() as apps:
        yield apps
