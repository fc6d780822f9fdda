"""Systems that lack what POSIX has: imports, questions, chats and batches go without it."""

from __future__ import annotations

import errno
import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from timing import PATIENCE

from qwen72b import Client
from qwen72b.testing import FakeSpace

# As Windows has it, and more: what is missing where.
WITHOUT = """
import os, select, signal, socket, sys
for name in ("fcntl", "grp", "pwd", "readline", "resource", "termios", "tty", "pty"):
    sys.modules[name] = None
for module, names in (
    (os, "register_at_fork fork getuid geteuid"),
    (socket, "MSG_DONTWAIT"),
    (signal, "SIGALRM SIGHUP SIGUSR1 SIGUSR2 setitimer alarm"),
    (select, "poll epoll"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""

IMPORTS = """
import importlib, pkgutil, qwen72b
apart = ("qwen72b.local.", "qwen72b.gateway", "qwen72b.integrations", "qwen72b.testing",
         "qwen72b.transport.socks", "qwen72b.__main__")
for found in pkgutil.walk_packages(qwen72b.__path__, "qwen72b."):
    if not found.name.startswith(apart):
        importlib.import_module(found.name)
"""

ASK = """
import qwen72b
with qwen72b.Client(URL) as client:
    assert client.ask("Hi") == "re: Hi"
    assert "".join(client.stream("Hi")) == "re: Hi"
    for _ in range(2):
        results = list(client.map(["a", "b"], journal="answers.jsonl"))
        assert [result.reply for result in results] == ["re: a", "re: b"]
    assert all(result.resumed for result in results)
"""

ASYNC = """
import anyio, qwen72b
async def main():
    async with qwen72b.AsyncClient(URL) as client:
        assert await client.ask("Hi") == "re: Hi"
        assert [result.ok async for result in client.map(["a"])] == [True]
anyio.run(main)
"""

COMMAND = """
from qwen72b.cli import main
assert main(["chat", "--save", "--url", URL]) == 0
assert main(["--url", URL, "Hi"]) == 0
assert main(["batch", "prompts.jsonl", "-o", "out.jsonl", "--url", URL]) == 0
assert main(["doctor", "--url", URL]) == 0
"""


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer(lambda job: [f"re: {job.query}"])
        yield space


@pytest.mark.parametrize("code", [IMPORTS, ASK, ASYNC, COMMAND])
def test_what_posix_has_is_not_needed(
    space: FakeSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Without fcntl, forks, termios, SIGHUP and non-blocking receives, all works as ever."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "prompts.jsonl").write_text('"a"\n')
    done = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT}\nURL = {space.url!r}\n{code}"],
        cwd=tmp_path, input="One\n" if code == COMMAND else "", capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if code == COMMAND:
        assert "re: One" in done.stdout
        (chat,) = (tmp_path / "qwen72b" / "chats").iterdir()
        assert json.loads(chat.read_text())[-1]["content"] == "re: One"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_file_system_without_locks_is_told_of(
    space: FakeSpace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    """Lustre and CIFS may have no flock: a warning, and on."""

    def flock(*_: Any) -> None:
        raise OSError(number, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with Client(space.url) as client:
        (result,) = client.map(["a"], journal=tmp_path / "answers.jsonl")
    assert result.ok
    assert "cannot be locked here" in caplog.text
