"""What nobody thought of ends in an error of ours; what callers' code raises is theirs."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from askers import ASKERS, ONCE, check_error

from qwen72b import Client, InvalidServerMessage
from qwen72b.protocol import diff
from qwen72b.protocol.job import Job
from qwen72b.protocol.sse import EventSplitter
from qwen72b.testing import Edits, FakeSpace

FAULTS = [
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
    RuntimeError,
    ZeroDivisionError,
]


def broken(fault: type[BaseException], times: int = 0) -> Any:
    """A function that fails after it was called so many times."""
    left = [times]

    def fail(*_: Any, **__: Any) -> Any:
        if left[0]:
            left[0] -= 1
            return []
        raise fault("a secret of the answer")

    return fail


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("qwen72b.client.space", "read_page"),
        ("qwen72b.protocol.choose", "choose"),
        ("qwen72b.client.exchange", "fill"),
        (Job, "receive_join"),
        (Job, "_generating"),
        (EventSplitter, "split"),
    ],
    ids=["config", "choose", "fill", "join", "event", "bytes"],
)
def test_fault_of_ours_is_an_error_of_ours(
    way: str, fault: type[Exception], place: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cause is chained, and it asks for a report."""
    if name == "_generating":
        monkeypatch.setitem(Job._HANDLERS, "process_generating", broken(fault))
    elif isinstance(place, str):
        monkeypatch.setattr(f"{place}.{name}", broken(fault))
    else:
        monkeypatch.setattr(place, name, broken(fault))
    with FakeSpace() as space:
        space.answer("Hel", "lo")
        error = ASKERS[way](space.url, retry=ONCE).error
    check_error(error, InvalidServerMessage)
    assert error is not None
    assert type(error.__cause__) is fault
    assert "report" in error.hint and fault.__name__ in error.reason
    assert "secret" not in str(error)


@pytest.mark.parametrize("way", ASKERS)
def test_fault_in_the_middle_keeps_what_had_come(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text before it is handed out, and kept in the error."""
    monkeypatch.setattr(diff._Editing, "edit", broken(KeyError))
    with FakeSpace("4.36.1") as space:
        space.answer("Hel", Edits([[], [["replace", [0, 0], "Hi"]], []]), "lo")
        answer = ASKERS[way](space.url, retry=ONCE)
    check_error(answer.error, InvalidServerMessage, "Hel")
    assert answer.shown == "Hel"


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("name", ["_generating", "fill"])
def test_memory_that_is_gone_is_told_as_it_is(
    way: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can answer for that."""
    if name == "fill":
        monkeypatch.setattr("qwen72b.client.exchange.fill", broken(MemoryError))
    else:
        monkeypatch.setitem(Job._HANDLERS, "process_generating", broken(MemoryError))
    with FakeSpace() as space, pytest.raises(MemoryError):
        ASKERS[way](space.url, retry=ONCE)


def test_what_a_log_handler_raises_passes(caplog: pytest.LogCaptureFixture) -> None:
    """A filter is the caller's own code."""

    def refuse(record: logging.LogRecord) -> bool:
        raise LookupError(record.msg)

    log = logging.getLogger("qwen72b")
    caplog.set_level(logging.DEBUG, "qwen72b")
    with FakeSpace() as space, Client(space.url) as client:
        client.status()
        log.addFilter(refuse)
        try:
            with pytest.raises(LookupError):
                client.ask("Hi")
        finally:
            log.removeFilter(refuse)


def test_what_a_hook_of_a_session_raises_passes() -> None:
    """So is a hook of their session."""
    requests = pytest.importorskip("requests")

    def refuse(response: Any, **_: Any) -> None:
        response.close()
        raise LookupError("of the caller's")

    with FakeSpace() as space, requests.Session() as session:
        session.hooks["response"].append(refuse)
        with Client(space.url, session=session) as client, pytest.raises(LookupError):
            client.ask("Hi")
