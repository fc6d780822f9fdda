"""``qwen72b status`` and ``qwen72b doctor``: how the Space is doing, and what is in the way."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from timing import PATIENCE, SHORT

from qwen72b.cli import main, status
from qwen72b.testing import Fail, FakeSpace, Respond, page

Capture = pytest.CaptureFixture[str]
TOKEN = "hf_not_to_be_seen"


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpace]:
    with FakeSpace("5.25.2") as space:
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        yield space


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once at a Space that is coming up."""
    monkeypatch.setattr(status, "_LOOK_AGAIN", 0.01)


def test_ready_space_is_status_0(space: FakeSpace, capsys: Capture) -> None:
    """A Space that takes questions is told with its version and endpoint."""
    assert main(["status"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == [
        f"{space.url} is ready",
        "Gradio 5.25.2, protocol sse_v3, endpoint /model_chat",
    ]
    assert err == ""
    assert space.jobs == []


def test_status_is_one_json_object(space: FakeSpace, capsys: Capture) -> None:
    """``--json`` gives the fields of ``SpaceStatus``."""
    assert main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ready"], told["stage"], told["version"]) == (True, "RUNNING", "5.25.2")


def test_sleeping_space_is_status_4(space: FakeSpace, capsys: Capture) -> None:
    """A Space that is not up is a report, not an error."""
    space.fault("config", page("Zzz"), times=None)
    assert main(["status"]) == 4
    out, err = capsys.readouterr()
    assert "is not ready: " in out
    assert "Zzz" in out
    assert err == ""


def test_waking_space_is_waited_for(space: FakeSpace, capsys: Capture) -> None:
    """``--wait`` looks again until the Space is up."""
    space.fault("config", page("Zzz"), times=3)
    assert main(["status", "--wait", str(PATIENCE)]) == 0
    assert "is ready" in capsys.readouterr().out


def test_waiting_has_an_end(space: FakeSpace) -> None:
    """When the time is over, the last look counts."""
    space.fault("config", page("Zzz"), times=None)
    assert main(["status", "--wait", str(SHORT)]) == 4


def test_server_that_is_starting_is_waited_for(space: FakeSpace) -> None:
    """A refusal is no reason to give up while there is time, and one when there is not."""
    space.fault("config", Respond(status=500), times=2)
    assert main(["status", "--wait", str(PATIENCE)]) == 0
    space.fault("config", Respond(status=500), times=None)
    assert main(["status", "--wait", str(SHORT)]) == 1


def test_login_is_not_waited_for(space: FakeSpace) -> None:
    """Waiting gives nobody a token."""
    space.auth = ("user", "password")
    assert main(["status", "--wait", str(PATIENCE)]) == 3


def test_error_is_json_too(space: FakeSpace, capsys: Capture) -> None:
    """With ``--json`` a Space that cannot be asked is an object as well."""
    space.fault("config", Respond(status=500), times=None)
    assert main(["status", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["ready"] is False
    assert err.startswith("qwen72b: ")


# Doctor


def lines_of(capsys: Capture) -> dict[str, tuple[str, str]]:
    """Read the report: the verdict and the words of each step."""
    out = capsys.readouterr().out
    rows = [line.split(None, 2) for line in out.splitlines() if line[:4] in ("ok  ", "FAIL")]
    return {name: (verdict, words) for verdict, name, words in rows}


def test_doctor_finds_all_well(
    space: FakeSpace, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is told with what was found, and the token with its length only."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["doctor"]) == 0
    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err
    assert captured.out.endswith("All is well.\n")
    for words in (
        "software  Python 3.",
        f"{space.url} (QWEN72B_BASE_URL)",
        f"from HF_TOKEN, {len(TOKEN)} characters",
        "proxy     none",
        "127.0.0.1 is 127.0.0.1",
        "accepts connections",
        "TLS       not used",
        "Gradio 5.25.2",
        "first text after",
    ):
        assert words in captured.out


def test_doctor_names_the_source_of_the_url(space: FakeSpace, capsys: Capture) -> None:
    """The option is told apart from the variable; a public Space needs no token."""
    assert main(["doctor", "--url", space.url]) == 0
    told = lines_of(capsys)
    assert told["settings"] == ("ok", f"{space.url} (--url)")
    assert told["token"][1].startswith("none")


def test_doctor_finds_a_bad_setting(capsys: Capture) -> None:
    """What cannot be used is the first failure, and the last line."""
    assert main(["doctor", "--url", "nonsense"]) == 2
    told = lines_of(capsys)
    assert told["settings"][0] == "FAIL"
    assert [*told] == ["software", "settings"]


def test_doctor_finds_a_name_that_does_not_exist(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS is told apart from the rest."""

    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert main(["doctor"]) == 6
    told = lines_of(capsys)
    assert told["settings"][1].endswith("(the public Space)")
    assert told["name"][0] == "FAIL"
    assert "--local" in told["name"][1]


@pytest.mark.parametrize("command", ["status", "inspect", "doctor"])
def test_way_out_is_no_option_of_a_command_that_only_looks(command: str, capsys: Capture) -> None:
    """A local Space is started for a question; what only looks at a Space says so."""
    assert main([command, "--url", "http://127.0.0.1:1", "--timeout", "5"]) == 6
    assert "Ask with --local" in "".join(capsys.readouterr())
    assert main([command, "--local"]) == 2


def test_doctor_finds_a_closed_port(space: FakeSpace, capsys: Capture) -> None:
    """A server that is not there is told with its port."""
    space.refuse()
    assert main(["doctor"]) == 6
    verdict, words = lines_of(capsys)["connect"]
    assert verdict == "FAIL"
    assert "Connection refused" in words


def test_doctor_finds_the_proxy(
    space: FakeSpace, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy of the environment is told without its password, and is what is connected to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@127.0.0.1:{port}")
    assert main(["doctor"]) == 6
    captured = capsys.readouterr().out
    assert f"127.0.0.1:{port} (proxy variables" in captured
    assert "secret" not in captured
    assert "FAIL  connect" in captured
    assert "Check the proxy variables" in captured


def test_doctor_finds_a_proxy_that_is_no_url(
    space: FakeSpace, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy variable with nonsense in it is named."""
    monkeypatch.setenv("HTTP_PROXY", "http://:0")
    assert main(["doctor"]) == 2
    assert lines_of(capsys)["proxy"][0] == "FAIL"


def test_doctor_checks_tls(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An unknown authority fails until REQUESTS_CA_BUNDLE names it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with FakeSpace(tls=context) as space:
        assert main(["doctor", "--url", space.url]) == 6
        verdict, words = lines_of(capsys)["TLS"]
        assert verdict == "FAIL"
        assert "REQUESTS_CA_BUNDLE" in words
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        assert main(["doctor", "--url", space.url]) == 0
        assert "certificate trusted" in lines_of(capsys)["TLS"][1]


def test_doctor_finds_a_sleeping_space(space: FakeSpace, capsys: Capture) -> None:
    """A Space that is not up says how to wait for it."""
    space.fault("config", page("Zzz"), times=None)
    assert main(["doctor"]) == 4
    verdict, words = lines_of(capsys)["config"]
    assert verdict == "FAIL"
    assert "--wait" in words


def test_doctor_finds_an_app_that_fails(space: FakeSpace, capsys: Capture) -> None:
    """The last step shows what a question would meet."""
    space.answer(Fail("GPU trouble"))
    assert main(["doctor", "-v"]) == 1
    verdict, words = lines_of(capsys)["answer"]
    assert verdict == "FAIL"
    assert "GPU trouble" in words


def test_doctor_finds_an_app_without_words(space: FakeSpace, capsys: Capture) -> None:
    """An empty answer is trouble, too."""
    space.answer("")
    assert main(["doctor"]) != 0
    assert lines_of(capsys)["answer"][0] == "FAIL"
