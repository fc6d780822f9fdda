"""The command line with a local Space of its own: ``--local`` and ``serve``."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from timing import FACTOR

pytest.importorskip("gradio", minversion="5.50")

# Seconds after which a wait is a failure; nothing here takes as long.
PATIENCE = 120 * FACTOR


def start(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "qwen72b", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*argv: str) -> tuple[int, str, str]:
    with start(*argv) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def read_line(stream: Any) -> str:
    line: str = stream.readline()
    return line.rstrip("\n")


def test_local_space_lives_for_one_answer() -> None:
    """``--local`` starts a Space, streams from it, and says who stands in for whom."""
    assert run("--local", "--backend", "echo", "Hello there") == (
        0,
        "Hello there\n",
        "qwen72b: An echo, standing in for Qwen2-72B-Instruct.\n",
    )


def test_local_space_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is not asked for this machine; ``-q`` leaves the answer alone."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert run("-q", "--backend", "echo", "Hello there") == (0, "Hello there\n", "")


def test_small_model_answers() -> None:
    """The main job: a right answer of the small model, which is named on standard error."""
    pytest.importorskip("xllamacpp")
    status, out, err = run("--local", "What is the capital of France?")
    assert status == 0
    assert "Paris" in out
    assert "SmolLM2-135M-Instruct, standing in for Qwen2-72B-Instruct" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_served_space_is_asked_by_its_address(number: signal.Signals) -> None:
    """``serve`` prints its address, serves others until it is told to stop, and stops cleanly."""
    with start("serve", "--port", "0", "--backend", "echo") as process:
        try:
            address = read_line(process.stdout)
            assert address.startswith("http://127.0.0.1:")
            assert run("--url", address, "Hello there") == (0, "Hello there\n", "")
            assert run("status", "--url", address)[0] == 0
            assert run("doctor", "--url", address)[0] == 0
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, "")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["qwen72b", "qwen72b"]


def test_ctrl_c_while_a_model_is_loaded() -> None:
    """Ctrl-C in the middle of a load ends the command in good order."""
    pytest.importorskip("xllamacpp")
    with start("--local", "Hi") as process:
        try:
            assert "standing in" in read_line(process.stderr)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")


def test_broken_model_file_is_told(tmp_path: Path) -> None:
    """A file that only begins like a model is status 2."""
    pytest.importorskip("xllamacpp")
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    status, out, err = run("--gguf", str(path), "Hi")
    assert (status, out) == (2, "")
    assert "cannot load the model" in err


def test_taken_port_is_told() -> None:
    """A port that is in use is one line, and status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = run("serve", "--backend", "echo", "-q", "--port", str(port))
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert str(port) in err


def test_missing_model_file_is_told() -> None:
    """A GGUF file that is not there is one line, and status 2."""
    status, out, err = run("--gguf", "/does/not/exist.gguf", "Hi")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "/does/not/exist.gguf" in err
