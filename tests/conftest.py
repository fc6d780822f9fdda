"""What every test gets: a clean environment, and the proof that it left nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from time import monotonic, sleep
from typing import Any

import pytest
from timing import AMPLE, FACTOR, PROMPT

from qwen72b.testing import FakeSpace, Gate

# Threads that belong to a library's own pool, which outlives every test.
_POOLED = ("Trio thread",)

# What a test may wait for on the fake's side, five seconds by default.
_WAITS = (
    FakeSpace.wait_for_request,
    FakeSpace.wait_for_job,
    FakeSpace.wait_for_disconnect,
    FakeSpace.wait_until_idle,
    FakeSpace.close,
    Gate.wait_reached,
)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """
    Ctrl-C works in the tests, and in the programs that they start.

    Who runs tests in the background of a script hands down a SIGINT that is
    ignored; a handler, however, is the default again in a program that is started.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    # None: it was set by something that is not Python.
    signal.signal(signal.SIGINT, before or signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def briefly_collected() -> None:
    """What was loaded before the first test is garbage for none, and is not looked through."""
    # It asks the collector who refers to trio's random numbers, and so comes before;
    # not every environment has it.
    with suppress(ImportError):
        import_module("hypothesis")
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def patient_fakes() -> None:
    """What is waited for on the fake's side has as much longer as the tests themselves."""
    for wait in _WAITS:
        *others, timeout = wait.__defaults__ or ()
        wait.__defaults__ = (*others, timeout * FACTOR)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the long version of tests that take a sample."""
    parser.addoption(
        "--exhaustive", action="store_true", help="try every point where a sample is tried"
    )


@pytest.fixture
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Whether every point is to be tried where a sample would do."""
    return bool(request.config.getoption("exhaustive"))


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Every test ends with the threads, sockets and files that it began with."""
    threads, files = _threads(), _files()
    yield
    deadline = monotonic() + PROMPT
    while (left := _threads() - threads) and monotonic() < deadline:
        # Briefly: a pool's thread does not end but goes back, under its own name.
        left.pop().join(0.05)
    assert not left, f"threads were left running: {left}"
    deadline = monotonic() + 2 * AMPLE
    while (open_ := _files() - files) and monotonic() < deadline:
        # Tracebacks of expected errors keep frames, in cycles; and a server in
        # another thread may be about to close what a client has left.
        gc.collect()
        sleep(0.01)
    assert not open_, f"sockets or files were left open: {open_}"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the proxies, tokens and settings of whoever runs it."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or (
            name.startswith(("HF_", "QWEN72B_")) and not name.startswith("QWEN72B_TEST_")
        ):
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
