"""``qwen72b gateway``: what it prints, where its key comes from, and what it refuses."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from doors import Door
from terminals import PATIENCE, start

import qwen72b.gateway.asgi
import qwen72b.gateway.server
import qwen72b.local.models
import qwen72b.local.server
import qwen72b.local.serving
from qwen72b.cli import main
from qwen72b.testing import FakeSpace

pytest.importorskip("uvicorn")

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Have nothing served; give what would have been."""
    made: list[Any] = []

    @contextmanager
    def serve(gateway: Any, listener: Any) -> Iterator[None]:
        made.append(gateway)
        yield

    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(qwen72b.gateway.server, "served", serve)
    monkeypatch.setattr(qwen72b.local.serving, "wait_for_signal", lambda ready: ready())
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Note what the app is made of."""
    made: list[dict[str, Any]] = []
    make = qwen72b.gateway.asgi.app

    def app(client: Any, **options: Any) -> Any:
        made.append({"base_url": client.base_url, **options})
        return make(client, **options)

    monkeypatch.setattr(qwen72b.gateway.asgi, "app", app)
    return made


def test_three_lines_are_on_stdout(served: list[Any], asked: list[Any], capsys: Capture) -> None:
    """The address and the two lines for tools are on standard output, and nothing else."""
    assert main(["gateway", "--url", "http://127.0.0.1:9", "--port", "0"]) == 0
    out, err = capsys.readouterr()
    url, *variables = out.splitlines()
    assert url.startswith("http://127.0.0.1:")
    assert variables == [f"OPENAI_BASE_URL={url}/v1", "OPENAI_API_KEY=unused"]
    assert "Ctrl-C stops it" in err
    assert len(served) == 1
    assert asked[0]["base_url"] == "http://127.0.0.1:9"
    assert asked[0]["key"] is None


def test_key_of_the_environment(
    served: list[Any], asked: list[Any], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key comes from the environment, and is not printed."""
    monkeypatch.setenv("QWEN72B_GATEWAY_KEY", " s3cret\n")
    assert main(["gateway", "--url", "http://127.0.0.1:9", "--port", "0"]) == 0
    out, err = capsys.readouterr()
    assert 'OPENAI_API_KEY="$QWEN72B_GATEWAY_KEY"' in out
    assert "s3cret" not in out + err
    assert asked[0]["key"] == "s3cret"


def test_key_of_a_file(
    served: list[Any],
    asked: list[Any],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The key of a file comes before that of the environment, and is not printed."""
    monkeypatch.setenv("QWEN72B_GATEWAY_KEY", "other")
    file = tmp_path / "the key"
    file.write_text("s3cret\n", encoding="utf-8")
    argv = ["--url", "http://127.0.0.1:9", "--port", "0", "--key-file", str(file)]
    assert main(["gateway", *argv]) == 0
    out = capsys.readouterr().out
    assert f"OPENAI_API_KEY=\"$(cat '{file}')\"" in out
    assert "s3cret" not in out
    assert asked[0]["key"] == "s3cret"


@pytest.mark.parametrize(
    "content", [None, b"", b" \n", b"\xff", b"two words", b"k1\nk2\n", b"k" * 5000, b"k\0"]
)
def test_useless_key_file(
    served: list[Any], capsys: Capture, tmp_path: Path, content: bytes | None
) -> None:
    """A key file that is missing, empty or no text is refused, not taken for no key."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    assert main(["gateway", "--url", "http://127.0.0.1:9", "--key-file", str(file)]) == 2
    assert str(file) in capsys.readouterr().err
    assert served == []


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfs3cret\r\n", "s3cret\n".encode("utf-16")])
def test_key_file_of_another_system(
    served: list[Any], asked: list[Any], tmp_path: Path, content: bytes
) -> None:
    """What an editor puts around the key is no part of it."""
    file = tmp_path / "key"
    file.write_bytes(content)
    argv = ["--url", "http://127.0.0.1:9", "--port", "0", "--key-file", str(file)]
    assert main(["gateway", *argv]) == 0
    assert asked[0]["key"] == "s3cret"


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o640, True), (0o604, True)])
def test_key_file_that_others_can_read(
    served: list[Any], capsys: Capture, tmp_path: Path, mode: int, told: bool
) -> None:
    """A key that everybody knows is told, with the command that helps."""
    file = tmp_path / "the key"
    file.write_text("s3cret", encoding="utf-8")
    file.chmod(mode)
    argv = ["--url", "http://127.0.0.1:9", "--port", "0", "--key-file", str(file)]
    assert main(["gateway", *argv]) == 0
    assert (f"Run: chmod 600 '{file}'" in capsys.readouterr().err) is told


def test_options_reach_the_gateway(served: list[Any], asked: list[Any], capsys: Capture) -> None:
    """Each option is passed on; a Space's name is an alias of the model's."""
    argv = "--host 127.0.0.2 --port 0 --allow-host a --allow-host b --cors http://c --any-model"
    assert main(["gateway", "--space", "Owner/Name", *argv.split()]) == 0
    assert asked == [
        {
            "base_url": "https://owner-name.hf.space",
            "key": None,
            "hosts": ["localhost", "127.0.0.1", "::1", "127.0.0.2", "a", "b"],
            "cors": ["http://c"],
            "any_model": True,
            "aliases": ["Owner/Name"],
        }
    ]
    assert capsys.readouterr().out.startswith("http://127.0.0.2:")


def test_local_space_behind_it(
    served: list[Any], asked: list[Any], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--local`` starts the local Space behind the gateway."""
    make = qwen72b.local.models.backend

    @contextmanager
    def running(backend: Any) -> Iterator[str]:
        with closing(backend), FakeSpace() as space:
            yield space.url

    monkeypatch.setattr(qwen72b.local.models, "backend", lambda *_, **__: make("echo"))
    monkeypatch.setattr(qwen72b.local.server, "running", running)
    assert main(["gateway", "--local", "--port", "0"]) == 0
    assert asked[0]["base_url"].startswith("http://127.0.0.1:")
    assert "standing in for" in capsys.readouterr().err


def test_two_spaces_are_refused(served: list[Any], capsys: Capture) -> None:
    """It is one Space that is served."""
    assert main(["gateway", "--url", "http://a", "--local", "--port", "0"]) == 2
    assert "two different Spaces" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--host 0.0.0.0", "QWEN72B_GATEWAY_KEY"),
        ("--host 0.0.0.0", "no key"),
        ("--host=", "cannot listen on ''"),
        ("--allow-host http://a", "no name of a host"),
        ("--allow-host *.example.org", "no name of a host"),
        ("--allow-host a..b", "no name of a host"),
        ("--cors *", "no origin"),
        ("--host 192.0.2.1", "cannot listen"),
    ],
)
def test_useless_option(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, argv: str, words: str
) -> None:
    """What cannot work is told before a model is made ready."""

    def backend(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(qwen72b.local.models, "backend", backend)
    assert main(["gateway", "--local", "--port", "0", *argv.split()]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_process(number: signal.Signals) -> None:
    """As a process it answers until it is told to end, and ends well."""
    with FakeSpace() as space:
        env = {**os.environ, "QWEN72B_GATEWAY_KEY": "k"}
        process = start("gateway", "--url", space.url, "--port", "0", env=env)
        try:
            assert process.stdout is not None
            url, base_url, _ = (process.stdout.readline().strip() for _ in range(3))
            answer = Door(url).send("GET", "/v1/models", Authorization="Bearer k")
            assert answer.status == 200
            process.send_signal(number)
            _, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
            process.communicate()
        assert process.returncode == 0
        assert base_url == f"OPENAI_BASE_URL={url}/v1"
        assert "Traceback" not in err
