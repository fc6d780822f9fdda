"""A server that repeats what it was sent makes no error and no log show a secret."""

from __future__ import annotations

import base64
import gc
import html
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from askers import ASKERS, ONCE
from timing import PROMPT

from qwen72b import Client, HTTPStatusError, InvalidOption, Qwen72BError, StreamInterrupted
from qwen72b.cli import main
from qwen72b.testing import Close, Fail, FakeSpace, Log, Respond, Send, page

SECRET = 'pa"ss&w0rd/of-some <length>'
TOKEN = "hf_verySecretToken123"

# Where a server may repeat a secret.
ECHOES: dict[str, tuple[str, Any]] = {
    "body": ("config", lambda s: Respond(status=500, body=f"you sent {s}")),
    "json": ("join", lambda s: Respond(status=422, body={"detail": [s, {"input": s}]})),
    "title": ("config", lambda s: page(f"No {s}!", 503)),
    "phrase": ("join", lambda s: Respond(status=404, reason="x" * 80 + quote(s))),
    "cut": ("join", lambda s: Respond(status=500, body="x" * 1990 + s)),
    "header": ("stream", lambda s: Respond(status=403, headers={"X-Echo": quote(s)})),
    "name": ("stream", lambda s: Respond(status=403, headers={f"X-{quote(s, '')}": "1"})),
    "location": ("join", lambda s: Respond(status=302, headers={"Location": f"/x/{quote(s)}"})),
    "type": ("stream", lambda s: Respond(content_type=f"text/{quote(s, '')}")),
    "form": ("join", lambda s: Respond(status=500, body=f"a=b&password={quote(s, '')}")),
    "page": ("config", lambda s: Respond(status=401, body=f"<html><p>{html.escape(s)}")),
    "status": ("config", lambda s: Send(f"HTTP/1.1 {quote(s)}\r\n\r\n".encode())),
    "version": ("config", lambda s: Respond(body={"dependencies": [], "version": s})),
    "dialect": (
        "config",
        lambda s: Respond(body={"dependencies": [], "version": "3", "protocol": "ws" + s}),
    ),
    "app": ("answer", lambda s: Fail(f"Incorrect key: {s}")),
}


def given(kind: str) -> tuple[str, dict[str, Any]]:
    """Tell a secret, and how a client is given it."""
    if kind == "token":
        return TOKEN, {"token": TOKEN}
    if kind == "header":
        return TOKEN, {"headers": {"Authorization": f"Bearer {TOKEN}"}}
    if kind == "cookie":
        return TOKEN, {"headers": {"Cookie": f"a=b; session={TOKEN}"}}
    if kind == "input":
        return SECRET, {"inputs": {"API key": SECRET}}
    return SECRET, {"auth": ("user", SECRET)}


def shown(error: Qwen72BError) -> str:
    """Return all that a program may show of an error."""
    link: BaseException | None = error
    texts = []
    while link is not None:
        texts += [str(link), repr(link), repr(link.__dict__)]
        link = link.__cause__
    texts += traceback.format_exception(error)
    texts.append(repr(pickle.loads(pickle.dumps(error)).__dict__))
    return "\n".join(texts)


def check(text: str, secret: str) -> None:
    """Find no form of a secret, nor what was left of it by a cut."""
    forms = (secret, secret.lower(), quote(secret), quote(secret, ""), html.escape(secret))
    for form in (*forms, secret[:10]):
        assert form not in text
        assert json.dumps(form)[1:-1] not in text


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("kind", ["token", "auth", "header", "cookie", "input"])
def test_errors_show_no_secret(kind: str, echo: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever part of a response repeats it, in whatever form."""
    caplog.set_level(logging.DEBUG)
    secret, options = given(kind)
    place, step = ECHOES[echo]
    with FakeSpace(auth=("user", SECRET) if kind == "auth" else None) as space:
        if place == "answer":
            space.answer(step(secret))
        else:
            space.fault(place, step(secret), times=None)
        if kind == "input" and place != "config":
            # There is no such box, which is found out once the page was read.
            space.fault("config", Respond(status=500, body=secret), times=None)
        answer = ASKERS["sync"](space.url, retry=ONCE, **options)
        assert answer.error is not None
        check(shown(answer.error), secret)
        check(caplog.text, secret)


@pytest.mark.parametrize("way", ASKERS)
def test_secrets_of_the_callers_session(way: str) -> None:
    """What the caller's own session sends is masked, too."""
    with requests.Session() as session, FakeSpace() as space:
        session.headers["X-Api-Key"] = TOKEN
        space.fault("join", Respond(status=500, body=TOKEN))
        answer = ASKERS[way](space.url, session=session, retry=ONCE)
        assert answer.error is not None
        check(shown(answer.error), TOKEN)


PASSWORD = "sup3rS3cret!"


def logins(kind: str, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Give a client the login of joe, in one of the ways that a program may."""
    host = url.partition("://")[2]
    session = requests.Session()
    if kind == "netrc":
        path = folder / "netrc"
        path.write_text(f"machine {host.partition(':')[0]} login joe password {PASSWORD}\n")
        monkeypatch.setenv("NETRC", str(path))
        return {}
    if kind == "proxy":
        return {"proxy": f"http://joe:{quote(PASSWORD)}@{host}"}
    if kind == "variable":
        monkeypatch.setenv("http_proxy", f"http://joe:{PASSWORD}@{host}")
        monkeypatch.setenv("no_proxy", "")
        return {}
    if kind == "header":
        login = base64.b64encode(f"joe:{PASSWORD}".encode()).decode()
        return {"headers": {"Authorization": f"Basic {login}"}}
    if kind == "session":
        session.auth = ("joe", PASSWORD)
    elif kind == "session of bytes":
        session.auth = (b"joe", PASSWORD.encode())
    elif kind == "session's object":
        session.auth = requests.auth.HTTPBasicAuth("joe", PASSWORD)
    elif kind == "session's header":
        session.headers["Authorization"] = f"Bearer {PASSWORD}".encode()
    elif kind == "session's netrc":
        return {"session": session, **logins("netrc", url, folder, monkeypatch)}
    elif kind == "session's proxy":
        session.proxies["http"] = f"http://joe:{PASSWORD}@{host}"
    return {"session": session}


@pytest.mark.parametrize(
    "kind",
    [
        "netrc",
        "proxy",
        "variable",
        "header",
        "session",
        "session of bytes",
        "session's object",
        "session's netrc",
        "session's proxy",
        "session's header",
    ],
)
def test_logins_that_are_repeated(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login is masked in the form in which it was sent, and so is its password."""
    sent = base64.b64encode(f"joe:{PASSWORD}".encode()).decode()
    if kind == "session's header":
        sent = "nothing"
    with FakeSpace() as space:
        for step in ("config", "join"):
            body = f"got Basic {sent} of {PASSWORD}"
            space.fault(step, Respond(status=500, body=body), times=None)
        options = logins(kind, space.url, tmp_path, monkeypatch)
        answer = ASKERS["sync"](space.url, retry=ONCE, **options)
    error = answer.error
    assert isinstance(error, HTTPStatusError)
    assert "got Basic" in error.body
    check(shown(error), PASSWORD)
    assert sent[:16] not in shown(error) or sent == "nothing"


@pytest.mark.parametrize(
    "spelling",
    [
        "tok%2fen%2bwith%3dodd%26chars",
        "tok%252Fen%252Bwith%253Dodd%2526chars",
        "tok\\/en+with=odd\\u0026chars",
        "tok\\u002Fen\\u002bwith\\u003dodd\\u0026chars",
        "tok\\\\/en+with=odd\\\\u0026chars",
        "tok\\x2fen+with=odd\\x26chars",
        "tok&#47;en+with=odd&#38;chars",
        "tok&#x2F;en&#43;with&#x3d;odd&amp;chars",
        "tok/en+with=odd&amp;amp;chars",
        "tok/en%2Bwith=odd&amp;chars",
    ],
)
def test_spellings_of_a_secret(spelling: str) -> None:
    """A secret is masked in whatever way a server writes its characters."""
    with FakeSpace() as space:
        space.fault("config", Respond(status=500, body=f"bad {spelling}, ask"), times=None)
        error = ASKERS["sync"](space.url, token="tok/en+with=odd&chars", retry=ONCE).error
    assert isinstance(error, HTTPStatusError)
    assert error.body == "bad ..., ask"


@pytest.mark.parametrize(
    "spelling",
    [
        "p\u00e4ss w\u00f6rd 1",
        "p%C3%A4ss+w%c3%b6rd+1",
        "p%E4ss%20w%F6rd%201",
        "p&auml;ss w&#246;rd 1",
    ],
)
def test_spellings_beyond_ascii(spelling: str) -> None:
    """Nor is it known by its plain letters alone."""
    password = "p\u00e4ss w\u00f6rd 1"
    with FakeSpace(auth=("user", password)) as space:
        space.fault("config", Respond(status=500, body=f"bad {spelling}, ask"), times=None)
        error = ASKERS["sync"](space.url, auth=("user", password), retry=ONCE).error
    assert isinstance(error, HTTPStatusError)
    assert error.body == "bad ..., ask"


@pytest.mark.parametrize("before", ["", "a", "me:", "user:", "Bearer "])
@pytest.mark.parametrize("behind", ["", "!", ":x"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_secrets_in_base64(before: str, behind: str, encode: Callable[[bytes], bytes]) -> None:
    """A secret is known in Base64, too, wherever in a text it stands."""
    token = "tok>>>en???with>odd?chars"
    sent = encode(f"{before}{token}{behind}".encode()).decode()
    with FakeSpace() as space:
        space.fault("config", Respond(status=500, body=f"bad {sent}, ask"), times=None)
        error = ASKERS["sync"](space.url, token=token, retry=ONCE).error
    assert isinstance(error, HTTPStatusError)
    kept = error.body.removeprefix("bad ").removesuffix(", ask").split("...")
    # What depends on its neighbours is left: a character of it at most.
    assert len(kept) == 2
    assert len(kept[0]) <= len(before) * 4 / 3 + 2
    assert len(kept[1].rstrip("=")) <= len(behind) * 4 / 3 + 2


@pytest.mark.parametrize("change", [str.upper, str.lower])
def test_secrets_in_other_letters(change: Callable[[str], str]) -> None:
    """A secret is known in capitals, and without any, in a header's name as well."""
    sent = change(TOKEN)
    with FakeSpace() as space:
        fault = Respond(status=500, headers={"X-Echo": sent}, body=f"bad {sent}")
        space.fault("config", fault, times=None)
        error = ASKERS["sync"](space.url, token=TOKEN, retry=ONCE).error
    assert isinstance(error, HTTPStatusError)
    assert error.body == "bad ..."
    assert sent not in shown(error)


@pytest.mark.parametrize(
    "secret", ["\\" * 8, "\\" * 60, "ab\\\\\\\\cdefgh", "abcdefg\\\\\\hij", '\\"\\\\"\\abc']
)
@pytest.mark.parametrize(
    "write",
    [str, quote, lambda s: json.dumps(s)[1:-1], lambda s: quote(json.dumps(s)[1:-1]), html.escape],
)
def test_secrets_with_backslashes(secret: str, write: Callable[[str], str]) -> None:
    """Backslashes are masked, however often they were doubled."""
    # Others of this test, which begin alike, are nobody's any more.
    gc.collect()
    login = ("user", secret)
    with FakeSpace(auth=login) as space:
        body = f"bad {write(secret)}, ask"
        space.fault("config", Respond(status=500, body=body), times=None)
        error = ASKERS["sync"](space.url, auth=login, retry=ONCE).error
    assert isinstance(error, HTTPStatusError)
    assert error.body == "bad ..., ask"


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize(
    "secret", ["\\" * 8, "a" * 4000, "-" * 4000, "/" * 8, "a-" * 2000, "%25" * 9]
)
def test_secrets_that_are_nearly_repeated(way: str, secret: str) -> None:
    """What a server makes of them costs time in proportion, whatever the secret is."""
    unit = secret[:7].replace("%", "%25") + "\\u005"
    with FakeSpace() as space:
        body = unit * 20_000 + secret[:-1] * (100_000 // len(secret))
        space.fault("config", Respond(status=500, body=body), times=None)
        answer = ASKERS[way](space.url, headers={"X-Key": secret}, retry=ONCE, timeout=PROMPT)
    assert isinstance(answer.error, HTTPStatusError)


def test_a_secret_that_is_a_word() -> None:
    """Our own sentences keep it, and so do longer words; a server's words do not."""
    login = ("user", "password")
    with FakeSpace(auth=login) as space, Client(space.url, auth=login, retry=ONCE) as client:
        with pytest.raises(InvalidOption, match="holds a user or a password"):
            Client("http://user:p4ss@host")
        body = "passwordless, my_password, a password; q=password&a%20password"
        space.fault("config", Respond(status=500, body=body), times=None)
        with pytest.raises(HTTPStatusError) as caught:
            client.ask("Hi")
    assert caught.value.body == "passwordless, my_password, a ...; q=...&a%20..."


@pytest.mark.parametrize(
    "echo", ["body", "json", "title", "phrase", "version", "dialect", "type", "page", "app"]
)
def test_a_word_that_is_repeated(echo: str) -> None:
    """A server that repeats such a secret finds it masked wherever it says so."""
    word = "correcthorsebattery"
    place, step = ECHOES[echo]
    with FakeSpace(auth=("user", word)) as space:
        if place == "answer":
            space.answer(step(word))
        else:
            fault = step(f" {word}")
            space.fault(place, fault, times=None)
        error = ASKERS["sync"](space.url, auth=("user", word), retry=ONCE).error
    assert error is not None
    assert word not in shown(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Real-IP", "127.0.0.1"),
        ("X-Upstream", "127.0.0.1"),
        ("X-Upstream", "127.0.0.10:8080"),
        ("X-Loc", "connection"),
        ("X-Purpose", "Connection-queue"),
        ("X-Env", "app.example.com/connection"),
        ("Traceparent", "00-connection-01"),
    ],
)
def test_headers_that_are_harmless(name: str, value: str) -> None:
    """What says where or what for, and not who, is left in a sentence."""
    with FakeSpace() as space, Client(space.url, headers={name: value}, retry=ONCE) as client:
        space.fault("join", Close(), times=None)
        with pytest.raises(StreamInterrupted) as caught:
            client.ask("Hi")
        host = space.url.partition("://")[2]
    assert f"the connection to {host} was lost" in str(caught.value)


@pytest.mark.parametrize("name", ["X-Key", "X-Auth", "Authorization", "X-Session", "Api-Key"])
def test_headers_that_name_a_secret(name: str) -> None:
    """A word is a secret where the header's name says so."""
    with FakeSpace() as space:
        space.fault("join", Respond(status=500, body="no opensesame here"))
        error = ASKERS["sync"](space.url, headers={name: "opensesame"}, retry=ONCE).error
    assert isinstance(error, HTTPStatusError)
    assert error.body == "no ... here"


def test_words_that_begin_as_a_secret_does() -> None:
    """What only begins as a secret of plain letters is left as it is."""
    with FakeSpace(auth=("user", "mandolinmandolin")) as space:
        space.fault("config", Respond(status=500, body="no mandolin; mandolinmandolin"))
        error = ASKERS["sync"](space.url, auth=("user", "mandolinmandolin"), retry=ONCE).error
        assert isinstance(error, HTTPStatusError)
        assert error.body == "no mandolin; ..."


def test_headers_of_one_call() -> None:
    """What goes with one call is masked in its error."""
    with FakeSpace() as space, Client(space.url, retry=ONCE) as client:
        space.fault("join", Respond(status=500, body=TOKEN))
        with pytest.raises(HTTPStatusError) as caught:
            client.ask("Hi", headers={"X-IP-Token": TOKEN})
        check(shown(caught.value), TOKEN)


def test_copies_of_a_client_mask_as_well() -> None:
    """A client that came through a pickle knows its secrets, and so do its errors."""
    with FakeSpace() as space:
        client = pickle.loads(pickle.dumps(Client(space.url, token=TOKEN, retry=ONCE)))
        gc.collect()
        space.fault("join", Respond(status=500, body=TOKEN))
        with client, pytest.raises(HTTPStatusError) as caught:
            client.ask("Hi")
        check(shown(caught.value), TOKEN)


def test_what_the_app_logs_while_it_works() -> None:
    """A message to the visitor is masked; the answer is the answer, whatever it says."""
    with FakeSpace() as space, Client(space.url, token=TOKEN) as client:
        space.answer(Log(f"got {TOKEN}"), f"It is {TOKEN}.")
        events = list(client.stream("Hi").events())
        assert f"It is {TOKEN}." in repr(events[-1])
        check(repr([event for event in events if type(event).__name__ == "Logged"]), TOKEN)


def test_content_of_messages_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The debug log shows no secret, even where it was asked for the texts."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("QWEN72B_LOG_CONTENT", "1")
    with FakeSpace() as space:
        space.answer(f"It is {TOKEN}.")
        assert ASKERS["sync"](space.url, token=TOKEN).text == f"It is {TOKEN}."
    assert "It is ..." in caplog.text
    check(caplog.text, TOKEN)


def test_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``-v`` shows no secret either."""
    with FakeSpace() as space:
        monkeypatch.setenv("HF_ENDPOINT", space.url)
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        space.fault("join", Respond(status=500, body=f"bad {TOKEN}", reason=TOKEN))
        monkeypatch.setattr("sys.stdin", io.StringIO())
        assert main(["-v", "Hi"]) != 0
    out, err = capsys.readouterr()
    assert "bad ..." in err
    check(out + err, TOKEN)


def test_a_secret_ends_with_its_client() -> None:
    """What no client has any more is a text like any other."""
    # One that no other test has: asyncio of Python 3.10 holds on to an error of theirs.
    token = "hf_nobodyElsesToken45"
    with FakeSpace() as space:
        client = Client(space.url, token=token)
        client.close()
        del client
        gc.collect()
        space.fault("join", Respond(status=500, body=token))
        error = ASKERS["sync"](space.url, retry=ONCE).error
        assert isinstance(error, HTTPStatusError)
        assert error.body == token


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("Location", "https://u:p4ss@host/x?token=abc", "https://...@host/x?..."),
        ("Location", "/login?next=/&code=abc", "/login?..."),
        ("Location", "//u:p4ss@host/x#access_token=abc", "...@host/x?..."),
        ("Link", '<https://h/a?sig=abc>; rel="next"', '<https://h/a?...>; rel="next"'),
        (
            "X-Upstream",
            "via http://u:p4ss@10.0.0.1:80/a?key=abc",
            "via http://...@10.0.0.1:80/a?...",
        ),
        ("Set-Cookie", "session=abc; Path=/; HttpOnly", "session=...; Path=...; HttpOnly"),
        ("X-CSRF-Token", "abc", "..."),
        ("X-RateLimit-Remaining-Tokens", "12", "12"),
        ("Content-Type", "text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("Date", "Thu, 26 Nov 2026 19:00:00 GMT", "Thu, 26 Nov 2026 19:00:00 GMT"),
    ],
)
def test_headers_of_an_error(header: str, value: str, expected: str) -> None:
    """The headers that an error keeps hold no login, query, cookie or token of anybody."""
    with FakeSpace() as space:
        headers = {header: value}
        kind = value if header == "Content-Type" else None
        space.fault("join", Respond(status=404, body="no", headers=headers, content_type=kind))
        error = ASKERS["sync"](space.url, retry=ONCE).error
    assert isinstance(error, HTTPStatusError)
    found = {name.lower(): text for name, text in error.headers.items()}
    assert found[header.lower()] == expected


@pytest.mark.parametrize("value", ["a" * 60_000, "://" * 20_000, "?" * 60_000, "a@" * 30_000])
def test_long_headers_of_an_error(value: str) -> None:
    """A header as long as may be is shown without being gone through again and again."""
    with FakeSpace() as space:
        headers = {"X-Long": value, "Location": value}
        space.fault("join", Respond(status=404, body="no", headers=headers))
        assert isinstance(ASKERS["sync"](space.url, retry=ONCE, timeout=5).error, HTTPStatusError)
