"""The token and the prompt reach the Space's own origin, and nobody and nothing else."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from askers import ASKERS, ONCE
from timing import SHORT

from qwen72b import AsyncClient, Client, InvalidOption, Qwen72BError, Retry
from qwen72b.testing import Close, FakeSpace, Reset, Respond, Stall, page, redirect

TOKEN = "hf_verySecretToken123"
PROMPT = "my very private question"
PHASES = ["config", "join", "stream"]


@pytest.fixture
def other() -> Iterator[FakeSpace]:
    """Another host, as far as a client can tell: another port."""
    with FakeSpace() as space:
        yield space


def seen(space: FakeSpace) -> str:
    """Return all that a server was sent, as text."""
    return "\n".join(
        f"{request.method} {request.target} {list(request.header_list)} {request.body!r}"
        for request in space.requests
    )


def test_token_is_on_every_request() -> None:
    """Every request to the Space carries the token, in the header that its proxy takes away."""
    with FakeSpace(token=TOKEN) as space, Client(space.url, token=f" {TOKEN}\n") as client:
        assert client.ask(PROMPT)
        for request in space.requests:
            assert request.headers["x-hf-authorization"] == f"Bearer {TOKEN}"


def test_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_TOKEN is the default; False is none."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with FakeSpace() as space:
        Client(space.url).ask("Hi")
        assert TOKEN in seen(space)
        space.reset()
        Client(space.url, token=False).ask("Hi")
        Client(space.url, token="").ask("Hi")
        assert TOKEN not in seen(space)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("own_session", [False, True])
def test_redirect_elsewhere(phase: str, status: int, own_session: bool, other: FakeSpace) -> None:
    """A redirect to another origin is not followed; nothing reaches that origin."""
    with FakeSpace() as space, requests.Session() as session:
        space.fault(phase, redirect(f"{other.url}/there", status), times=None)
        error = ASKERS["sync"](
            space.url,
            question=PROMPT,
            token=TOKEN,
            retry=ONCE,
            session=session if own_session else None,
        ).error
        assert isinstance(error, Qwen72BError)
        assert not other.requests
        assert TOKEN not in str(error) and PROMPT not in str(error)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("status", [307, 308])
def test_redirect_within_the_space(phase: str, status: int) -> None:
    """A 307 or 308 within the origin is followed, with the method and the body."""
    with FakeSpace(token=TOKEN) as space:
        target = {"config": "/config", "join": "/queue/join"}.get(phase)
        if target is None:
            pytest.skip("the target would have to know the session hash")
        space.fault(phase, redirect(target, status), times=1)
        assert ASKERS["sync"](space.url, token=TOKEN, question=PROMPT).text
        assert space.jobs[0].query == PROMPT


@pytest.mark.parametrize("phase", PHASES)
def test_redirects_without_end(phase: str) -> None:
    """A redirect in a circle ends."""
    with FakeSpace() as space:
        space.fault(phase, redirect("/config", 307), times=None)
        space.fault("config", redirect("/config", 307), times=None)
        assert isinstance(ASKERS["sync"](space.url, retry=ONCE).error, Qwen72BError)
        assert len(space.requests) < 20


@pytest.mark.parametrize(
    "target", ["//evil.invalid/x", "http://[bad", "javascript:1", "\\\\evil", " "]
)
def test_odd_redirects(target: str) -> None:
    """Whatever a redirect names, it is an error or stays at home."""
    with FakeSpace() as space:
        space.fault("join", redirect(target, 307), times=None)
        assert isinstance(ASKERS["sync"](space.url, retry=ONCE).error, Qwen72BError)


def test_netrc_never_replaces_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A .netrc entry for the host does not come instead of, or beside, the token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with FakeSpace(token=TOKEN) as space:
        assert ASKERS["sync"](space.url, token=TOKEN).text
        assert "authorization" not in space.requests[0].headers


def test_session_auth_does_not_replace_the_token() -> None:
    """The auth of the caller's own session does not replace the token either."""
    with FakeSpace(token=TOKEN) as space, requests.Session() as session:
        session.auth = ("user", "password")
        assert ASKERS["sync"](space.url, token=TOKEN, session=session).text


FAULTS: list[tuple[str, Any]] = [
    ("config", Respond(status=500, body="oops")),
    ("config", page("Sleeping", 503)),
    ("join", Respond(status=401)),
    ("join", Respond(body="not json")),
    ("join", Reset()),
    ("stream", Close()),
    ("stream", Respond(status=429, headers={"Retry-After": "99"})),
    ("stream", Stall()),
    ("connect", Reset()),
    ("refuse", None),
]


@pytest.mark.parametrize(("place", "step"), FAULTS, ids=str)
def test_token_is_in_no_error(
    place: str, step: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither errors, nor their tracebacks with all local variables, nor logs show the token."""
    caplog.set_level(logging.DEBUG)
    with FakeSpace() as space:
        if place == "refuse":
            space.refuse()
        else:
            space.fault(place, step, times=None)
        client = Client(space.url, token=TOKEN, retry=ONCE, timeout=5 * SHORT)
        with pytest.raises(Qwen72BError) as caught:
            client.ask(PROMPT)
        error = caught.value
        shown = [
            str(error),
            repr(error),
            repr(error.__dict__),
            repr(client),
            repr(client.__dict__),
            "".join(traceback.format_exception(error)),
            "".join(
                traceback.TracebackException.from_exception(error, capture_locals=True).format()
            ),
            repr(pickle.loads(pickle.dumps(error)).__dict__),
            pickle.dumps(error).decode("latin-1"),
            caplog.text,
            *capfd.readouterr(),
        ]
        for text in shown:
            assert TOKEN not in text
        client.close()
        del caught, error


def test_prompt_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Neither prompts nor answers are logged at INFO or above."""
    caplog.set_level(logging.INFO)
    with FakeSpace() as space:
        space.fault("join", Respond(status=429))
        space.answer("a very private answer")
        assert ASKERS["sync"](space.url, question=PROMPT, retry=Retry(base=0.0)).text
    assert "private" not in caplog.text


@pytest.mark.parametrize(
    "token", ["hf_a\nb", "hf_ö", "hf a", "hf_\x00", "hf_\x7f", 7, True, b"hf_a"], ids=repr
)
def test_token_that_no_header_can_carry(token: Any) -> None:
    """A token that cannot be sent is refused before any I/O, without being shown."""
    with pytest.raises(InvalidOption) as caught:
        Client("http://127.0.0.1:1", token=token)
    text = "".join(traceback.format_exception(caught.value))
    assert str(token) not in str(caught.value)
    assert "hf_" not in "".join(line for line in text.splitlines() if line.startswith("qwen72b"))


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_repr_shows_no_secret(make: Any) -> None:
    """repr, str, vars and the repr of a copy show neither token nor login nor headers."""
    client = make(
        "http://127.0.0.1:1",
        token=TOKEN,
        auth=("user", "pass-word"),
        headers={"X-Key": "key-value"},
    )
    for shown in (client, copy.copy(client), pickle.loads(pickle.dumps(client))):
        for text in (repr(shown), str(shown), f"{shown}"):
            assert "Secret" not in text and "pass-word" not in text and "key-value" not in text


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pass-word@host",
        "http://pass-word@host",
        "ftp://user:pass-word@host",
        "//u:pass-word@h",
    ],
)
def test_secrets_in_the_base_url(url: str) -> None:
    """A base_url that holds a user or a password is refused, without showing it."""
    with pytest.raises(InvalidOption) as caught:
        Client(url)
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "ftp://host",
        "http://",
        "http://h:99999",
        "http://h/?q=1",
        "http://h/#f",
        "http://h h",
        7,
    ],
)
def test_impossible_base_url(url: Any) -> None:
    """A base_url that is none is refused before any I/O."""
    with pytest.raises(InvalidOption):
        Client(url)


def test_proxy_password_is_not_shown() -> None:
    """The password of a proxy's URL is in no error."""
    with pytest.raises(InvalidOption) as caught:
        Client("http://127.0.0.1:1", proxy="nonsense://user:pass-word@host")
    assert "pass-word" not in str(caught.value)
    error = ASKERS["sync"](
        "http://space.invalid", proxy="http://user:pass-word@127.0.0.1:1", retry=ONCE
    ).error
    assert "pass-word" not in str(error)
    assert "pass-word" not in "".join(traceback.format_exception(error))


def test_headers_of_the_caller() -> None:
    """The caller's headers go with every request; those of the protocol stay."""
    with FakeSpace() as space:
        Client(space.url, headers={"X-Key": "value", "User-Agent": "mine"}).ask("Hi")
        for request in space.requests:
            assert request.headers["x-key"] == "value"
            assert request.headers["user-agent"] == "mine"
            assert request.headers["origin"] == space.url
            assert request.headers["referer"] == f"{space.url}/"


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nY: b"}, {"X\n": "a"}, {"": "a"}, {"X": 7}, {7: "a"}], ids=str
)
def test_headers_that_cannot_be(headers: Any) -> None:
    """Headers that would break the request are refused before any I/O."""
    with pytest.raises(InvalidOption):
        Client("http://127.0.0.1:1", headers=headers)


def test_hub_learns_nothing(monkeypatch: pytest.MonkeyPatch, other: FakeSpace) -> None:
    """The Hub is asked without token, prompt, referer and the caller's headers."""
    monkeypatch.setenv("HF_ENDPOINT", other.url)
    other.hub("owner/name", "PAUSED")
    with FakeSpace() as space:
        space.fault("join", page("Paused", 503), times=None)
        error = ASKERS["sync"](
            space.url,
            space="owner/name",
            question=PROMPT,
            token=TOKEN,
            headers={"X-Key": "key-value"},
            retry=ONCE,
        ).error
        assert error.stage == "PAUSED"
        assert len(other.requests) == 1
        for secret in (TOKEN, PROMPT, "key-value", space.url):
            assert secret not in seen(other)


def test_cookies_stay_with_the_space(other: FakeSpace) -> None:
    """A replica's cookie is kept for the Space."""
    with FakeSpace(sticky=True) as space, Client(space.url) as client:
        assert client.ask("Hi")
        assert client.ask("Hi")


def test_login() -> None:
    """A Space with a login is logged in to, and its cookie goes with the join and the stream."""
    with FakeSpace(auth=("user", "pass-word")) as space:
        assert ASKERS["sync"](space.url, auth=("user", "pass-word")).text
        error = ASKERS["sync"](space.url, auth=("user", "wrong-word")).error
        assert error is not None and "wrong-word" not in str(error)
        assert ASKERS["sync"](space.url).error.status_code == 401
