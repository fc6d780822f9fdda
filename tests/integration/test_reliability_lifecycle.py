"""Spaces that sleep, build, pause or break, and quotas that are used up."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from askers import ASKERS, ONCE, check_error
from timing import AMPLE

from qwen72b import (
    Client,
    InvalidOption,
    QuotaExceeded,
    RequestTimeout,
    Retry,
    SpaceUnavailable,
    StreamInterrupted,
    Timeout,
)
from qwen72b.testing import Fail, FakeSpace, Gate, Proceed, Respond, Stall, page

NAME = "owner/name"
API = f"/api/spaces/{NAME}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpace]:
    """A Hub."""
    with FakeSpace() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
        yield hub


@pytest.mark.parametrize("phase", ["config", "join", "stream"])
@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_page_instead_of_data(phase: str, status: int) -> None:
    """A page instead of data is SpaceUnavailable with the page's title."""
    with FakeSpace() as space:
        space.fault(phase, page("Sleeping & dreaming", status), times=None)
        error = ASKERS["sync"](space.url, retry=ONCE).error
        check_error(error, SpaceUnavailable)
        assert "Sleeping & dreaming" in str(error)
        assert (error.status_code, error.stage) == (status, None)


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize(
    "stage",
    [
        "SLEEPING",
        "BUILDING",
        "APP_STARTING",
        "PAUSED",
        "STOPPED",
        "BUILD_ERROR",
        "RUNTIME_ERROR",
        "NEW",
    ],
)
def test_stage_is_asked_once(way: str, stage: str, hub: FakeSpace) -> None:
    """The Hub is asked for the stage of a Space that is not up, once."""
    hub.hub(NAME, stage)
    with FakeSpace() as space:
        space.fault("config", page("Not now", 503), times=None)
        error = ASKERS[way](space.url, space=NAME, retry=ONCE).error
        check_error(error, SpaceUnavailable)
        assert error.stage == stage
        assert "Not now" in str(error)
        assert [request.path for request in hub.requests] == [API]


def test_hub_is_not_asked_without_need(hub: FakeSpace) -> None:
    """A Space that answers, and one that is on no Hub, need no Hub."""
    hub.hub(NAME, "RUNNING")
    with FakeSpace() as space:
        assert ASKERS["sync"](space.url, space=NAME).text
        space.fault("config", page("Not now", 503))
        check_error(ASKERS["sync"](space.url, retry=ONCE).error, SpaceUnavailable)
        assert not hub.requests


@pytest.mark.parametrize(
    "answer",
    [
        Respond(status=404),
        Respond(status=500, body="oops"),
        Respond(body="not json"),
        Respond(body=[]),
        Respond(body={"runtime": None}),
        Respond(body={"runtime": {"stage": 7}}),
        Respond(body="[" * 100_000),
        page("Hub"),
    ],
    ids=lambda answer: str(answer)[:60],
)
def test_hub_that_does_not_know(answer: Respond, hub: FakeSpace) -> None:
    """A Hub that gives no stage leaves the error as the page made it."""
    hub.route("GET", API, answer)
    with FakeSpace() as space:
        space.fault("config", page("Not now", 503), times=None)
        error = ASKERS["sync"](space.url, space=NAME, retry=ONCE).error
        check_error(error, SpaceUnavailable)
        assert error.stage is None and "Not now" in str(error)


def test_hub_that_is_down(hub: FakeSpace) -> None:
    """A Hub that cannot be reached does not hide what is wrong with the Space."""
    hub.refuse()
    with FakeSpace() as space:
        space.fault("config", page("Not now", 503), times=None)
        check_error(ASKERS["sync"](space.url, space=NAME, retry=ONCE).error, SpaceUnavailable)


@pytest.mark.parametrize("limits", [{"total": AMPLE}, {"read": AMPLE}], ids=str)
def test_hub_that_is_silent(limits: Any, hub: FakeSpace) -> None:
    """A Hub that is silent does not hide what is wrong with the Space either."""
    hub.fault(f"GET {API}", Stall(), times=None)
    with FakeSpace() as space:
        space.fault("config", page("Not now", 503), times=None)
        timeout = Timeout(**limits)
        error = ASKERS["sync"](space.url, space=NAME, retry=ONCE, timeout=timeout).error
        check_error(error, SpaceUnavailable)


def test_wait_for_space(hub: FakeSpace, caplog: pytest.LogCaptureFixture) -> None:
    """wait_for_space= waits for a Space that comes up, and says so in the log."""
    caplog.set_level(logging.WARNING)
    hub.hub(NAME, "SLEEPING", "BUILDING", "APP_STARTING")
    with FakeSpace() as space:
        waking = Respond(
            status=503,
            body="<html><title>Waking</title></html>",
            content_type="text/html",
            headers={"Retry-After": "0.01"},
        )
        space.fault("config", waking, times=3)
        answer = ASKERS["sync"](space.url, space=NAME, retry=ONCE, wait_for_space=60)
        assert answer.error is None and answer.text
        assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
        assert "asleep" in caplog.text and "being built" in caplog.text


def test_wait_for_space_outlives_a_hub_that_is_down(hub: FakeSpace) -> None:
    """A Hub that cannot be reached does not end the wait for the Space."""
    hub.refuse()
    with FakeSpace() as space:
        waking = Respond(
            status=503,
            body="<html><title>Waking</title></html>",
            content_type="text/html",
            headers={"Retry-After": str(0.6 * AMPLE)},
        )
        space.fault("config", waking, times=2)
        answer = ASKERS["sync"](
            space.url, space=NAME, retry=ONCE, wait_for_space=60, timeout=Timeout(connect=AMPLE)
        )
        assert answer.error is None


def test_wait_for_space_is_bounded(hub: FakeSpace) -> None:
    """The wait ends after wait_for_space seconds, with what is wrong."""
    hub.hub(NAME, "BUILDING")
    with FakeSpace() as space:
        space.fault("config", page("Building", 503), times=None)
        error = ASKERS["sync"](space.url, space=NAME, retry=ONCE, wait_for_space=AMPLE).error
        check_error(error, SpaceUnavailable)
        assert error.stage == "BUILDING"


def test_wait_for_space_keeps_to_the_total(hub: FakeSpace) -> None:
    """The total clock ends the wait, too."""
    hub.hub(NAME, "BUILDING")
    with FakeSpace() as space:
        space.fault("config", page("Building", 503), times=None)
        error = ASKERS["sync"](
            space.url, space=NAME, retry=ONCE, wait_for_space=60, timeout=AMPLE
        ).error
        assert isinstance(error, (SpaceUnavailable, RequestTimeout))


@pytest.mark.parametrize("stage", ["PAUSED", "BUILD_ERROR", "RUNTIME_ERROR", "STOPPED"])
def test_wait_for_space_does_not_wait_for_ever(stage: str, hub: FakeSpace) -> None:
    """A stage that only the owner ends is not waited for."""
    hub.hub(NAME, stage)
    with FakeSpace() as space:
        space.fault("config", page("No", 503), times=None)
        check_error(
            ASKERS["sync"](space.url, space=NAME, retry=ONCE, wait_for_space=600).error,
            SpaceUnavailable,
        )
        assert len(space.requests) == 1


def test_wait_for_space_can_be_closed(hub: FakeSpace) -> None:
    """close() ends the wait at once."""
    hub.hub(NAME, "BUILDING")
    with FakeSpace() as space:
        space.fault("config", page("Building", 503), times=None)
        client = Client(space.url, space=NAME, retry=ONCE, wait_for_space=600)
        stream = client.stream("Hi")
        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit("".join, stream)
            hub.wait_for_request("other")
            stream.close()
            assert isinstance(reader.exception(10), StreamInterrupted)
        client.close()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "5", True], ids=repr)
def test_impossible_wait_for_space(seconds: Any) -> None:
    """Seconds that are none are refused before any I/O."""
    with pytest.raises(InvalidOption):
        Client("http://127.0.0.1:1", wait_for_space=seconds)


def test_status_of_a_space(hub: FakeSpace) -> None:
    """Client.status tells how a Space is, up or not."""
    hub.hub(NAME, "PAUSED")
    with FakeSpace("5.25.2") as space, Client(space.url, space=NAME, retry=ONCE) as client:
        status = client.status()
        assert (status.ready, status.stage, status.version) == (True, "RUNNING", "5.25.2")
        space.fault("config", page("Paused", 503))
        status = client.status()
        assert (status.ready, status.stage) == (False, "PAUSED")
        assert "Paused" in status.reason


QUOTAS = [
    ("You have exceeded your GPU quota (60s requested vs. 0s left). Try again in 0:10:05", 605),
    ("You have exceeded your free GPU quota. Try again in 1 day, 2:03:04", 93784),
    ("GPU quota exceeded, retry after 30 s.", 30),
    ("GPU quota exceeded. Try again in 5 minutes.", 300),
    ("GPU quota exceeded. Try again in 2 hours.", 7200),
    ("You have exceeded your GPU quota.", None),
]


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("version", ["4.36.1", "5.25.2"])
@pytest.mark.parametrize(("text", "seconds"), QUOTAS)
def test_quota(way: str, version: str, text: str, seconds: float | None) -> None:
    """A quota that is used up is QuotaExceeded, with the seconds to wait."""
    with FakeSpace(version) as space:
        space.answer(Fail(text))
        error = ASKERS[way](space.url).error
        check_error(error, QuotaExceeded)
        assert error.retry_after == seconds
        assert error.reason == text


def test_space_that_falls_asleep_between_two_questions(hub: FakeSpace) -> None:
    """A Space that was up and is not any more says so, and is asked again later."""
    hub.hub(NAME, "SLEEPING")
    with FakeSpace() as space, Client(space.url, space=NAME, retry=Retry(attempts=1)) as client:
        assert client.ask("Hi")
        space.fault("join", page("Sleeping", 503))
        with pytest.raises(SpaceUnavailable) as caught:
            client.ask("Hi")
        assert caught.value.stage == "SLEEPING"
        gate = Gate()
        space.fault("join", gate, Proceed())
        gate.open()
        assert client.ask("Hi")
