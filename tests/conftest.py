"""What every test gets: a clean environment, and the proof that it left nothing behind."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

# Threads that belong to a library's own pool, which outlives every test.
_POOLED = ("Trio thread",)

# Seconds to wait for something that was told to end.
_PATIENCE = 5.0


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Every test ends with the threads, sockets and files that it began with."""
    threads, files = _threads(), _files()
    yield
    deadline = monotonic() + _PATIENCE
    while (left := _threads() - threads) and monotonic() < deadline:
        # Briefly: a pool's thread does not end but goes back, under its own name.
        left.pop().join(0.05)
    assert not left, f"threads were left running: {left}"
    if _files() - files:
        # Tracebacks of expected errors keep frames, in cycles.
        gc.collect()
    assert not _files() - files, "sockets or files were left open"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the proxies, tokens and settings of whoever runs it."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("HF_", "QWEN72B_")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setenv("NETRC", os.devnull)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Async tests run on both event loops."""
    return request.param


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.name.startswith(_POOLED)}


def _files() -> set[tuple[str, str]]:
    """Name what the process has open, where the system tells (Linux)."""
    found = set()
    try:
        names = os.listdir("/proc/self/fd")
    except FileNotFoundError:
        return found
    for name in names:
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except FileNotFoundError:
            # The descriptor that listed the directory itself.
            continue
    return found
