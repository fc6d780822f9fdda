"""Pages and refusals of whoever stands before a Space say who it was, at any size."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from askers import ASKERS, ONCE, check_error
from timing import PROMPT

from qwen72b import AuthenticationError, HTTPStatusError, Qwen72BError, SpaceUnavailable
from qwen72b.testing import FakeSpace, Respond, page

HTML = "text/html; charset=utf-8"


def fail(way: str, response: Respond, phase: str = "join") -> Qwen72BError:
    with FakeSpace() as space:
        space.fault(phase, response, times=None)
        error = ASKERS[way](space.url, retry=ONCE, timeout=PROMPT).error
    assert error is not None
    return error


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize(
    "unit",
    ["<title>", "<title", "<title x", "</title", "<title>a</title>", "<", " ", "a\n", "&#9;", "&"],
)
@pytest.mark.parametrize("status", [200, 403, 404, 500, 503])
def test_megabytes_of_a_page(way: str, status: int, unit: str) -> None:
    """However long a page is and whatever is in it, its error is there, and short."""
    body = "<html>" + unit * (4_000_000 // len(unit))
    error = fail(way, Respond(status=status, body=body, content_type=HTML))
    assert isinstance(error, (SpaceUnavailable, AuthenticationError))
    assert len(str(error)) < 1000


@pytest.mark.parametrize(
    ("body", "title"),
    [
        ("<html><TITLE lang='en'>\n We are &lt;down&gt; \n</TITLE>", "We are <down>"),
        ("<html><svg></svg><title>One</title><title>Two</title>", "One"),
        ("<html><title>" + "long " * 1000, "long long"),
        ("<html><titles>No</titles>", "without a title"),
        ("<html>" + " " * 100_000 + "<title>Late</title>", "without a title"),
    ],
)
def test_title_of_a_page(body: str, title: str) -> None:
    """The title of a page is in its error."""
    error = fail("sync", Respond(status=503, body=body, content_type=HTML))
    check_error(error, SpaceUnavailable)
    assert title in error.reason


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize(
    "response",
    [
        Respond(status=413, body={"detail": "too large"}),
        page("413 Request Entity Too Large", status=413),
    ],
)
def test_question_that_is_too_large(way: str, response: Respond) -> None:
    """A 413, page or not, is about the length of the chat."""
    error = fail(way, response)
    check_error(error, HTTPStatusError)
    assert "longer than the server takes" in error.reason
    assert "Shorten" in error.hint


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"Server": "cloudflare", "CF-RAY": "8c1"}, "Cloudflare"),
        ({"cf-ray": "8c1"}, "Cloudflare"),
        ({"Server": "squid/5.7"}, "Squid"),
        ({"x-amzn-waf-action": "challenge"}, "firewall"),
    ],
)
@pytest.mark.parametrize("status", [401, 403, 200, 503])
def test_page_of_what_stands_before_the_space(
    headers: Mapping[str, str], name: str, status: int
) -> None:
    """It is named, and neither a token nor patience with a sleeping Space is advised."""
    shown = page("Just a moment...", status=status)
    error = fail(
        "sync", Respond(status=status, body=shown.body, content_type=HTML, headers=headers)
    )
    check_error(error, HTTPStatusError if status in (401, 403) else SpaceUnavailable)
    assert name in error.reason and "Just a moment..." in error.reason
    assert "token" not in error.hint and "asleep" not in error.hint


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("status", [400, 402, 405, 408, 410, 414, 418, 421, 431, 451])
def test_page_of_a_question_that_is_wrong(way: str, status: int) -> None:
    """Its status is told, with its title; it is none of a Space that sleeps."""
    error = fail(way, page("Header Fields Too Large", status=status))
    check_error(error, HTTPStatusError)
    assert f"HTTP {status}" in error.reason and "Header Fields Too Large" in error.reason
    assert "asleep" not in error.hint


@pytest.mark.parametrize("body", ["<html><title>WiFi</title>", "log in", ""])
def test_network_that_wants_a_login(body: str) -> None:
    """511 is not the Space's."""
    error = fail("sync", Respond(status=511, body=body, content_type=HTML))
    check_error(error, HTTPStatusError)
    assert "the network wants a login" in error.reason
    assert "browser" in error.hint


def test_page_that_refuses() -> None:
    """A page that nobody is known by may be the Space's, or not."""
    error = fail("sync", page("Access Denied", status=403))
    check_error(error, AuthenticationError)
    assert "Access Denied" in error.reason
    assert "token=" in error.hint and "proxy or firewall" in error.hint
