"""The token and the prompt reach the Space's own origin, and nobody and nothing else."""

from __future__ import annotations

import copy
import dataclasses
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

import qwen72b
from qwen72b import (
    AsyncClient,
    Client,
    InvalidOption,
    Qwen72BError,
    Qwen_Qwen_2_72B,
    Retry,
)
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
    """HF_TOKEN is the default for the Hub's own host; False is none."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with FakeSpace() as space:
        monkeypatch.setenv("HF_ENDPOINT", f"{space.url}/")
        Client(space.url).ask("Hi")
        assert TOKEN in seen(space)
        space.reset()
        Client(space.url, token=False).ask("Hi")
        Client(space.url, token="").ask("Hi")
        assert TOKEN not in seen(space)


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("hub", ["", "https://hub.invalid", "other"])
def test_token_of_the_environment_stays_with_the_hub(
    way: str, hub: str, other: FakeSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HF_TOKEN does not go to whoever base_url names; a token that is passed does."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", other.url if hub == "other" else hub)
    with FakeSpace() as space:
        assert ASKERS[way](space.url).text
        assert TOKEN not in seen(space)
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        assert ASKERS[way](None).text
        assert TOKEN not in seen(space)
        assert ASKERS[way](space.url, token=TOKEN).text
        assert TOKEN in seen(space)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://qwen-qwen2-72b-instruct.hf.space", True),
        ("https://owner-name.HF.space/", True),
        ("https://owner-name.hf.space:443", True),
        ("https://huggingface.co", True),
        (None, True),
        ("http://owner-name.hf.space", False),
        ("https://hf.space", False),
        ("https://evilhf.space", False),
        ("https://owner.hf.space.evil.invalid", False),
        ("https://evil.invalid/owner.hf.space", False),
        ("http://huggingface.co", False),
        ("https://huggingface.co:444", False),
        ("http://127.0.0.1:7860", False),
    ],
)
def test_where_the_token_of_the_environment_goes(
    url: str | None, sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To Spaces of the Hub, by TLS, and to the Hub."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    tokens: list[Any] = []

    def send(self: Any, request: Any, **_: Any) -> Any:
        tokens.append(request.headers.get("X-HF-Authorization"))
        raise requests.ConnectionError("not sent")

    monkeypatch.setattr("qwen72b.transport.adapter.Adapter.send", send)
    with Client(url, retry=ONCE) as client, pytest.raises(Qwen72BError):
        client.ask("Hi")
    assert tokens == [f"Bearer {TOKEN}" if sent else None]


SECRET = "hf_veryS3cret"

# What somebody may pass by mistake; the last part of each is the secret.
MISTAKES: list[dict[str, Any]] = [
    {"base_url": f"user:{SECRET}@host:80"},
    {"base_url": f"http://user:pa/{SECRET}@host"},
    {"base_url": f"http://user:pa?{SECRET}@host"},
    {"base_url": f"http://user:{SECRET}@host"},
    {"base_url": f"http:/user:{SECRET}@host"},
    {"base_url": f"http:\\\\user:{SECRET}@host"},
    {"base_url": f"//user:{SECRET}@host"},
    {"base_url": f"user:{SECRET}"},
    {"base_url": f"http://user:{SECRET}"},
    {"base_url": f"http://host/?token={SECRET}"},
    {"base_url": f"http://host/#{SECRET}"},
    {"base_url": f"http://host:port?{SECRET}"},
    {"base_url": f"ftp://{SECRET}@host"},
    {"base_url": SECRET},
    {"proxy": f"nonsense://user:{SECRET}@host:80"},
    {"proxy": f"user:{SECRET}@"},
    {"proxy": f"http://user:pa/{SECRET}@host"},
    {"proxy": f"http://user:pa?{SECRET}@host:x"},
    {"proxy": f"http://:80?token={SECRET}"},
    {"token": f"{SECRET}\n{SECRET}"},
    {"token": f"\u00fc{SECRET}"},
    {"auth": f"user:{SECRET}"},
    {"auth": ("user", SECRET, "more")},
    {"auth": (7, SECRET)},
    {"headers": {f"Authorization: {SECRET}": ""}},
    {"headers": {"X": f"{SECRET}\r\n"}},
    {"headers": [f"X: {SECRET}"]},
    {"headers": [("X", SECRET)]},
    {"headers": {"X": [SECRET]}},
    {"space": f"{SECRET}@x/y", "base_url": "http://host"},
]


def frames(error: BaseException) -> str:
    """A traceback with the local variables of our frames."""
    told = []
    link: BaseException | None = error
    while link is not None:
        told.append(f"{type(link).__name__}: {link} {link!r} {vars(link)}")
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if frame.f_code.co_filename.startswith(str(Path(qwen72b.__file__).parent)):
                told += [f"{name} = {_repr(value)}" for name, value in frame.f_locals.items()]
        link = link.__cause__ or link.__context__
    return "\n".join(told)


def _repr(value: Any) -> str:
    shown = [repr(value)]
    # Error reporters go through the fields of a record, and not by its ``repr``.
    names = getattr(value, "_fields", None) or getattr(value, "__dataclass_fields__", ())
    shown += [repr(getattr(value, name, None)) for name in names]
    return " ".join(shown)


@pytest.mark.parametrize("make", [Client, AsyncClient])
@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_refused_values_are_not_shown(make: Any, mistake: dict[str, Any]) -> None:
    """Neither the message nor a frame of a refusal shows a secret, whatever form it has."""
    with pytest.raises(InvalidOption) as caught:
        make(**mistake)
    assert SECRET not in frames(caught.value)
    assert SECRET not in "".join(
        line for line in traceback.format_exception(caught.value) if "make(**mistake)" not in line
    )


@pytest.mark.parametrize("make", [Client, AsyncClient])
@pytest.mark.parametrize("wrong", [{"base_url": "nonsense"}, {"timeout": "x"}, {"retry": 7}])
def test_secrets_beside_a_refused_value(
    make: Any, wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was passed with it, and HF_TOKEN, is in no frame of ours."""
    monkeypatch.setenv("HF_TOKEN", SECRET)
    options = {"token": SECRET, "auth": ("user", SECRET), "headers": {"X": SECRET}}
    options |= {"proxy": f"http://u:{SECRET}@h"}
    with pytest.raises(InvalidOption) as caught:
        make(**{**options, **wrong})
    assert SECRET not in frames(caught.value)


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("own_session", [False, True])
def test_no_frame_of_a_failure_holds_a_secret(way: str, phase: str, own_session: bool) -> None:
    """Nor is any in the frames of a call that fails."""
    with FakeSpace() as space, requests.Session() as session:
        space.fault(phase, Respond(status=401), times=None)
        error = ASKERS[way](
            space.url,
            token=SECRET,
            headers={"X-Key": SECRET},
            session=session if own_session else None,
            retry=ONCE,
        ).error
    assert error is not None
    assert SECRET not in frames(error)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "proxy",
    [
        f"http://u:{SECRET}@127.0.0.1:1",
        f"http://u:{SECRET}@:80",
        f"u:{SECRET}@h:x",
        "http://[",
        f"127.0.0.1:1?token={SECRET}",
        f"http://127.0.0.1:1/path?key={SECRET}#{SECRET}",
        f"http://127.0.0.1:1?a@{SECRET}",
        f"127.0.0.1:1?a=://{SECRET}",
    ],
)
def test_proxy_of_the_environment_is_not_shown(
    name: str, proxy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy's password is in no message, cause, frame or log."""
    monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("no_proxy", "")
    caplog.set_level(logging.DEBUG)
    error = ASKERS["sync"]("http://space.invalid", retry=ONCE, timeout=5).error
    assert error is not None
    shown = frames(error) + "".join(traceback.format_exception(error)) + str(pickle.dumps(error))
    assert SECRET not in shown
    assert SECRET not in "".join(caplog.messages)


@pytest.mark.parametrize("name", qwen72b.__all__)
def test_half_built_objects_have_a_repr(name: str) -> None:
    """An object whose construction failed can be shown in a traceback."""
    kind = getattr(qwen72b, name)
    # A data class has its fields before it checks them.
    if isinstance(kind, type) and not dataclasses.is_dataclass(kind):
        assert repr(kind.__new__(kind))


@pytest.mark.anyio
async def test_provider_hides_the_key() -> None:
    """Its frames hold none either."""
    for options in ({"base_url": "nonsense"}, {"base_url": f"http://u:{SECRET}@h"}):
        with pytest.raises(InvalidOption) as caught:
            Qwen_Qwen_2_72B.create_async_generator("", [], api_key=SECRET, **options)
        assert SECRET not in frames(caught.value)


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


@pytest.mark.parametrize(
    "hub",
    [
        "http://[::1",
        "hub.test",
        "ftp://hub.test",
        "https://",
        "https://joe:p4ssw0rd!@hub.test:port",
        "https://joe:p4ssw0rd!@[hub",
        "https://hub.test/?key=p4ssw0rd!",
        "https://hub.test/a b",
        "\udc80",
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_hub_that_cannot_be(kind: Any, hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that names no Hub is refused, by its name and without a secret."""
    monkeypatch.setenv("HF_ENDPOINT", hub)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(InvalidOption, match="HF_ENDPOINT") as caught:
        kind("http://127.0.0.1:1")
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    # This test's own frame has it.
    del frames.stack[0]
    assert "p4ssw0rd" not in "".join(frames.format())


@pytest.mark.parametrize("up", [True, False])
def test_hub_with_a_password(
    up: bool, other: FakeSpace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A login in HF_ENDPOINT shows in no frame, error, log or client."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HF_ENDPOINT", other.url.replace("://", "://joe:hubS3cretpw@"))
    other.hub("owner/name", "PAUSED")
    if not up:
        other.refuse()
    texts = []
    with FakeSpace() as space:
        space.fault("config", page("Paused", 503), times=None)
        client = Client(space.url, space="owner/name", retry=ONCE)
        texts += [repr(client), repr(vars(client)), repr(client.__reduce_ex__(4))]
        with client, pytest.raises(Qwen72BError) as caught:
            client.ask("Hi")
        with pytest.raises(InvalidOption) as refused:
            Client(space.url, auth=5)  # type: ignore[arg-type]  # not what it takes
    for error in (caught.value, refused.value):
        frames = traceback.TracebackException.from_exception(error, capture_locals=True)
        texts += [*frames.format(), repr(error.__dict__)]
    assert "hubS3cretpw" not in "\n".join([*texts, caplog.text])
    assert up is (getattr(caught.value, "stage", None) == "PAUSED")


@pytest.mark.parametrize(
    "name",
    [
        "Qwen/Qwen2 72B",
        "Qwen",
        "Qwen\\Qwen2",
        "Qwen/Qwen2/72B",
        "Qwen/Qw\u00e9n",
        "Qwen/Qwen2\n72B",
    ],
)
def test_name_of_a_space_with_a_typo(name: str) -> None:
    """What is but misspelled is shown, so that the slip can be seen."""
    with pytest.raises(InvalidOption) as caught:
        Client(space=name)
    assert f"space={name!r} is not" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        TOKEN,
        f" {TOKEN}",
        f"my {TOKEN}",
        f"Bearer {TOKEN[3:]}",
        f"owner/name?key={TOKEN[3:]}",
        f"joe:{TOKEN[3:]}@host/name",
        f"joe {TOKEN[3:]}{'x' * 300}@host",
        f"https://host/#{TOKEN[3:]}",
    ],
)
@pytest.mark.parametrize("option", ["space", "base_url"])
def test_name_of_a_space_that_is_a_secret(option: str, name: str) -> None:
    """What may be a secret, passed in its place, is not."""
    options: Any = {option: name}
    with pytest.raises(InvalidOption) as caught:
        Client(**options)
    assert TOKEN[3:] not in str(caught.value)
