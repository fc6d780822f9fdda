"""``qwen72b completion``: what the shells offer."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from qwen72b.cli import main

Capture = pytest.CaptureFixture[str]

COMMANDS = {"ask", "chat", "status", "doctor", "serve", "gateway", "completion"}


def script(shell: str, capsys: Capture) -> str:
    assert main(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def run(shell: str, code: str, *argv: str) -> list[str]:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"there is no {shell} here")
    done = subprocess.run([path, *argv, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def bash(capsys: Capture, *words: str) -> set[str]:
    line = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _qwen72b; echo ${{COMPREPLY[@]}}"
    return set(run("bash", script("bash", capsys) + ask, "--norc"))


def test_bash_offers_commands_and_options(capsys: Capture) -> None:
    """The first word may be a command, or an option of a question."""
    assert bash(capsys, "qwen72b", "") >= COMMANDS | {"--json", "--url"}
    assert bash(capsys, "qwen72b", "c") >= {"chat", "completion"}
    assert bash(capsys, "qwen72b", "--no") == {"--no-stream"}


def test_bash_offers_the_options_of_the_command(capsys: Capture) -> None:
    """After a command its own options are offered, and values where they are known."""
    assert bash(capsys, "qwen72b", "status", "--w") == {"--wait"}
    assert bash(capsys, "qwen72b", "completion", "") >= {"bash", "zsh", "fish"}
    assert bash(capsys, "qwen72b", "serve", "--backend", "") == {"smollm2", "echo"}
    assert bash(capsys, "qwen72b", "--url", "") == set()


def test_fish_offers_commands_and_options(capsys: Capture) -> None:
    """Fish offers the same."""
    code = script("fish", capsys)

    def offer(line: str) -> set[str]:
        rows = run("fish", f"{code}\ncomplete -C'{line}' | string split -f1 \\t", "--no-config")
        return set(rows)

    assert offer("qwen72b ") >= COMMANDS
    assert offer("qwen72b --no") == {"--no-stream"}
    assert offer("qwen72b status --w") == {"--wait"}
    assert offer("qwen72b completion ") >= {"bash", "zsh", "fish"}
    assert offer("qwen72b serve --backend ") == {"smollm2", "echo"}


def test_zsh_accepts_the_script(capsys: Capture) -> None:
    """Zsh loads the script and knows the completion."""
    code = script("zsh", capsys)
    told = run("zsh", f"autoload -U compinit; compinit -D\n{code}\necho $_comps[qwen72b]", "-f")
    assert told == ["_qwen72b"]
    for name in COMMANDS:
        assert f"{name})" in code


def test_unknown_shell_is_status_2(capsys: Capture) -> None:
    """Another shell is refused, with the choices."""
    assert main(["completion", "tcsh"]) == 2
    err = capsys.readouterr().err
    assert all(shell in err for shell in ("bash", "zsh", "fish"))
