"""``qwen72b "prompt"``: what goes to which stream, and with which exit status."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from timing import SHORT

from qwen72b import HTTPStatusError
from qwen72b.cli import main
from qwen72b.cli.exits import exit_status
from qwen72b.testing import (
    Estimation,
    Fail,
    FakeSpace,
    Gate,
    Log,
    Progress,
    Reset,
    Respond,
    Snapshot,
    UnexpectedError,
    page,
)

TOKEN = "hf_not_to_be_seen"


@pytest.fixture(autouse=True)
def no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is piped in."""
    monkeypatch.setattr(sys, "stdin", None)


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        yield space


def pipe_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_answer_alone_goes_to_stdout(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is the answer with one line end, standard error is empty."""
    space.answer("Hel", "lo", "\n\n", "you", "\n\n\n")
    assert main(["Hi there"]) == 0
    assert capsys.readouterr() == ("Hello\n\nyou\n", "")
    assert space.jobs[0].query == "Hi there"


def test_answer_is_written_as_it_comes(space: FakeSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first piece is out while the rest has not been said."""
    gate = Gate()
    space.answer("Hel", gate, "lo")

    class Output(io.StringIO):
        def flush(self) -> None:
            if self.getvalue() == "Hel":
                gate.wait_reached()
                gate.open()

    monkeypatch.setattr(sys, "stdout", Output())
    assert main(["Hi"]) == 0
    assert sys.stdout.getvalue() == "Hello\n"  # type: ignore[attr-defined]  # it is ours


@pytest.mark.parametrize(
    ("argv", "stdin", "query"),
    [
        (["Why", "is", "the sky blue?"], None, "Why is the sky blue?"),
        ([], "piped\n", "piped"),
        (["Sum it up"], "piped\n", "Sum it up\n\npiped"),
        (["Sum it up"], "\n", "Sum it up"),
        (["--", "serve"], None, "serve"),
        (["ask", "chat"], None, "chat"),
        (["-s", "chat", "Hi"], None, "Hi"),
        (["--file", "-", "Sum it up"], "piped", "Sum it up\n\npiped"),
    ],
)
def test_question_is_put_together(
    space: FakeSpace,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    stdin: str | None,
    query: str,
) -> None:
    """The prompt comes first, what is piped in below it; a command's name may be asked."""
    if stdin is not None:
        pipe_in(monkeypatch, stdin)
    assert main(argv) == 0
    assert space.jobs[0].query == query


def test_files_are_put_below_the_prompt(space: FakeSpace, tmp_path: Path) -> None:
    """Each ``--file`` follows after a blank line, without a byte order mark."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1\n", encoding="utf-8-sig")
    two.write_text("zwei ä\n", encoding="utf-8")
    assert main(["Compare", "--file", str(one), "--file", str(two)]) == 0
    assert space.jobs[0].query == "Compare\n\n1\n\nzwei ä"


def test_system_prompt_is_passed_on(space: FakeSpace) -> None:
    """``-s`` is the system text."""
    assert main(["-s", "Be brief.", "Hi"]) == 0
    assert space.jobs[0].system == "Be brief."


def test_events_are_json_lines(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` writes each event as an object with its type."""
    space.answer(Estimation(2, 3, 4.5), Progress(1, 2, "loading"), "Hel", Snapshot("Ho"), "!")
    assert main(["--json", "Hi"]) == 0
    out, err = capsys.readouterr()
    *events, last = [json.loads(line) for line in out.splitlines()]
    assert events == [
        {"type": "queued", "rank": 2, "size": 3, "eta": 4.5},
        {"type": "started", "eta": None},
        {
            "type": "progress",
            "index": 1,
            "length": 2,
            "unit": "steps",
            "fraction": None,
            "description": "loading",
        },
        {"type": "delta", "text": "Hel"},
        {"type": "revised", "text": "o", "offset": 1},
        {"type": "delta", "text": "!"},
    ]
    assert (last["type"], last["text"]) == ("finished", "Ho!")
    assert set(last["timings"]) == {"queue", "first_token", "total"}
    assert err == ""


def test_error_is_the_last_json_line(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``--json`` an error is an object too, with what had come."""
    space.answer("Hel", Fail("GPU trouble"))
    assert main(["--json", "Hi"]) == 1
    out, err = capsys.readouterr()
    last = json.loads(out.splitlines()[-1])
    assert last["type"] == "error"
    assert last["error"] == "GenerationFailed"
    assert last["partial"] == "Hel"
    assert last["exit_status"] == 1
    assert "GPU trouble" in last["message"]
    assert len(err.splitlines()) == 1


def test_error_before_any_request_is_a_json_line_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bad input with ``--json`` is told as JSON."""
    assert main(["--json"]) == 2
    last = json.loads(capsys.readouterr().out)
    assert (last["error"], last["exit_status"]) == ("InvalidOption", 2)


def test_whole_answer_is_exact(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """``--no-stream`` shows no text that was taken back."""
    space.answer("Thinking...", Snapshot("Four"), ".")
    assert main(["--no-stream", "2 + 2?"]) == 0
    assert capsys.readouterr() == ("Four.\n", "")


def test_whole_answer_that_fails_shows_what_came(
    space: FakeSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--no-stream`` loses no text."""
    space.answer("Hel", Fail())
    assert main(["--no-stream", "Hi"]) == 1
    assert capsys.readouterr().out == "Hel\n"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (
            "Here:\n\n```python\nprint(1)\n\nprint(2)\n```\nand ```\nno\n```",
            "print(1)\n\nprint(2)\n",
        ),
        ("~~~~\n```\n~~~~ \n", "```\n"),
        ("1. First\n\n   ```sh\n   ls\n     -l\n   ```\n", "ls\n  -l\n"),
        ("```like this``` and\n````\nleft open\n```", "left open\n```\n"),
    ],
)
def test_first_code_block_is_extracted(
    space: FakeSpace, capsys: pytest.CaptureFixture[str], answer: str, code: str
) -> None:
    """``-x`` writes the first fenced block without its fences and indentation."""
    space.answer(answer)
    assert main(["-x", "Hi"]) == 0
    assert capsys.readouterr() == (code, "")


@pytest.mark.parametrize(
    ("option", "code"), [("-x", "a\n"), ("--last-code", "c\n"), ("--all-code", "a\n\nb\n\nc\n")]
)
def test_code_blocks_can_be_chosen(
    space: FakeSpace, capsys: pytest.CaptureFixture[str], option: str, code: str
) -> None:
    """The first, the last or all code blocks, in list items and quotes, too."""
    space.answer("1. ```\n   a\n   ```\n> ```\n> b\n> ```\n```\nc\n```\n")
    assert main([option, "Hi"]) == 0
    assert capsys.readouterr() == (code, "")


def test_answer_without_code_is_an_error_for_extract(
    space: FakeSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    """``-x`` fails, with empty output, where there is no code block."""
    space.answer("No code.")
    assert main(["-x", "Hi"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "qwen72b: the answer holds no code block. Ask for the whole answer.\n"


def test_what_the_space_says_goes_to_stderr(
    space: FakeSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Words of the Space for its user are a line on standard error, which -q drops."""
    space.answer(Log("Mind\x1b[2J the gap"), "Hello")
    assert main(["Hi"]) == 0
    assert capsys.readouterr() == (
        "Hello\n",
        "qwen72b: the Space says: Mind\\x1b[2J the gap\n",
    )
    assert main(["-q", "Hi"]) == 0
    assert capsys.readouterr() == ("Hello\n", "")


def test_timings_are_told_on_request(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """``-v`` says how long the answer took."""
    assert main(["-v", "Hi"]) == 0
    assert "first text" in capsys.readouterr().err


# Exit statuses


def status_of(space: FakeSpace, capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    """Run; check that there is one line of complaint, without a traceback."""
    status = main([*argv, "Hi"])
    err = capsys.readouterr().err
    assert err.startswith("qwen72b: ")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
    return status, err


def test_failed_job_is_status_1(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """An app that raised is another failure."""
    space.answer(Fail("Out of\nmemory"))
    status, err = status_of(space, capsys)
    assert status == 1
    assert "Out of memory" in err


def test_login_is_status_3(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """A Space that wants a login or a token says how to give one."""
    space.auth = ("user", "password")
    status, err = status_of(space, capsys)
    assert status == 3
    assert "HF_TOKEN" in err


def test_sleeping_space_is_status_4(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """A page instead of data is a Space that is not up; the ways out are named."""
    space.fault("config", page("Your space is in error", 404), times=None)
    status, err = status_of(space, capsys)
    assert status == 4
    assert "--local" in err and "--url" in err and "--wait" in err


def test_gateway_error_is_status_4() -> None:
    """A gateway's status without a page is a Space that is not up, too."""
    assert exit_status(HTTPStatusError("HTTP 502", status_code=502)) == 4


@pytest.mark.parametrize(
    "response",
    [
        Respond(status=429, headers={"Retry-After": "99"}),
        Respond(
            status=503,
            body={"detail": "Queue is full. Max size is 1 and size is 1."},
            headers={"Retry-After": "99"},
        ),
    ],
)
def test_busy_space_is_status_5(
    space: FakeSpace, capsys: pytest.CaptureFixture[str], response: Respond
) -> None:
    """A full queue and a rate limit say when to ask again."""
    space.fault("join", response)
    status, err = status_of(space, capsys)
    assert status == 5
    assert "Ask again in 99 s." in err


def test_quota_is_status_5(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """A used-up GPU quota is a busy Space."""
    space.answer(Fail("You have exceeded your GPU quota (60s requested vs. 0s left)."))
    assert status_of(space, capsys)[0] == 5


def test_cut_answer_is_status_6(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """The text that had come is on standard output, on a line of its own."""
    space.answer("Hel", "lo", Reset())
    assert main(["Hi"]) == 6
    out, err = capsys.readouterr()
    assert out == "Hello\n"
    assert len(err.splitlines()) == 1


def test_unreachable_space_is_status_6(
    space: FakeSpace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no connection comes about, the ways out are named."""
    space.refuse()
    status, err = status_of(space, capsys)
    assert status == 6
    assert "--local" in err and "--url" in err


def test_timeout_is_status_6(space: FakeSpace, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit that ran out says how to raise it."""
    space.answer(Gate())
    status, err = status_of(space, capsys, "--timeout", str(SHORT))
    assert status == 6
    assert "--timeout" in err


def test_interrupt_is_status_130(
    space: FakeSpace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the answer where it is, without a word."""
    space.answer("Hel", Gate())

    class Output(io.StringIO):
        interrupted = False

        def flush(self) -> None:
            if self.getvalue() == "Hel" and not self.interrupted:
                self.interrupted = True
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdout", Output())
    assert main(["Hi"]) == 130
    assert sys.stdout.getvalue() == "Hel\n"  # type: ignore[attr-defined]  # it is ours
    assert capsys.readouterr().err == ""
    space.wait_for_disconnect()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "no prompt"),
        (["--bogus", "Hi"], "--bogus"),
        (["--timeout", "soon", "Hi"], "--timeout"),
        (["--timeout", "nan", "Hi"], "positive number of seconds"),
        (["status", "--wait", "inf"], "positive number of seconds"),
        (["--timeout", "-1", "Hi"], "positive number of seconds"),
        (["--url", "ftp://x", "Hi"], "ftp://x"),
        (["--space", "nonsense", "Hi"], "nonsense"),
        (["--url", "http://a", "--local", "Hi"], "--url and --local"),
        (["--gguf", "x", "--upstream", "y", "Hi"], "--gguf and --upstream"),
        (["--local", "--model", "x", "Hi"], "--model"),
        (["--json", "-x", "Hi"], "-x"),
        (["--file", "/does/not/exist", "Hi"], "No such file"),
        (["serve", "--port", "many"], "--port"),
    ],
)
def test_bad_usage_is_status_2(
    capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    """Bad input is one line that names it, before any request."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert words in err


def test_bytes_that_are_no_text_are_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A binary file, named or piped in, is refused by its name."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\x00")
    assert main(["--file", str(binary)]) == 2
    assert "binary is no text: it holds NUL bytes" in capsys.readouterr().err
    with binary.open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main([]) == 2
    assert "standard input is no text: it holds NUL bytes" in capsys.readouterr().err


def test_bug_is_one_line(
    space: FakeSpace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw is a line, and with -v a traceback."""

    def broken(*_: object) -> str:
        raise RuntimeError("oh dear")

    monkeypatch.setattr("qwen72b.cli.ask.read_question", broken)
    status, err = status_of(space, capsys)
    assert status == 1
    assert "RuntimeError: oh dear" in err
    assert main(["-v", "Hi"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["-v"]])
def test_token_is_never_shown(
    space: FakeSpace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
) -> None:
    """Not even a Space that repeats the token gets it shown."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("QWEN72B_LOG", "debug")
    space.answer(UnexpectedError(f"bad token {TOKEN}"))
    assert main([*options, "Hi"]) != 0
    out, err = capsys.readouterr()
    assert TOKEN not in out + err


def test_log_goes_to_stderr(
    space: FakeSpace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``QWEN72B_LOG`` chooses a level, and the logger is left as it was."""
    log = logging.getLogger("qwen72b")
    before = log.level, list(log.handlers), log.propagate
    monkeypatch.setenv("QWEN72B_LOG", "info")
    space.answer("Thinking...", Snapshot("Four."))
    assert main(["2 + 2?"]) == 0
    assert "qwen72b: warning: " in capsys.readouterr().err
    assert (log.level, list(log.handlers), log.propagate) == before
    monkeypatch.setenv("QWEN72B_LOG", "loud")
    assert main(["2 + 2?"]) == 2
    assert "QWEN72B_LOG" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["serve", "--help"]])
def test_help_and_version_are_status_0(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    """Help and version go to standard output."""
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert out.startswith(("usage: qwen72b", "qwen72b 0."))
    assert err == ""


@pytest.mark.parametrize("words", [["-5+3"], ["-q", "-what?"], ["-5+3", "--no-stream"]])
def test_prompt_that_looks_like_an_option(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """What begins with a dash is taken for an option; the way around is told."""
    assert main(words) == 2
    assert 'A prompt that begins with "-" goes behind --.' in capsys.readouterr().err
    assert main(["--no-such-option"]) == 2


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--no-streem", "Hi"], "Nearest: --no-stream. See qwen72b --help."),
        (["chat", "--lod", "x"], "Nearest: --load. See qwen72b chat --help."),
        (["batch", "a", "-o", "b", "--nonsense"], "--nonsense. See qwen72b batch --help."),
        (["inspect", "http://a", "b"], "unrecognized arguments: b. See qwen72b inspect --help."),
        (["--timeout", "-1", "Hi"], "is not a positive number of seconds. See qwen72b --help."),
    ],
)
def test_unknown_argument(capsys: pytest.CaptureFixture[str], argv: list[str], words: str) -> None:
    """What is near to an option that is misspelt is named, and whose help tells more."""
    assert main(argv) == 2
    assert capsys.readouterr().err.endswith(f"{words}\n")


@pytest.mark.parametrize(
    "argv",
    [
        ["--token", "hf_secret", "Hi"],
        ["Hi", "--hf-token", "hf_secret"],
        ["status", "--token=hf_secret"],
        ["gateway", "--key", "hf_secret"],
    ],
)
def test_secret_on_the_command_line(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    """A token or key has no option, and is not shown; where it comes from is."""
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert "HF_TOKEN" in err or "--key-file" in err
    assert "hf_secret" not in err


def test_prompt_behind_dashes(space: FakeSpace) -> None:
    """Behind -- anything is a prompt."""
    assert main(["--", "-5+3"]) == 0
    assert space.jobs[0].query == "-5+3"


@pytest.mark.parametrize(
    "data",
    [
        "\ufeffcaf\u00e9".encode(),
        "caf\u00e9".encode("utf-16"),
        "caf\u00e9".encode("utf-32"),
        b"\xfe\xff" + "caf\u00e9".encode("utf-16-be"),
    ],
)
def test_byte_order_marks_are_read(
    space: FakeSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    """A mark tells the encoding, and is no part of the prompt: in files and on standard input."""
    (tmp_path / "a").write_bytes(data)
    assert main(["-f", str(tmp_path / "a"), "-f", str(tmp_path / "a")]) == 0
    assert space.jobs[0].query == "caf\u00e9\n\ncaf\u00e9"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
    assert main(["Say:"]) == 0
    assert space.jobs[1].query == "Say:\n\ncaf\u00e9"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"caf\xe9", "is no UTF-8 text: byte 0xe9 at 3"),
        ("caf\u00e9 au lait".encode("utf-16-le") * 9, "UTF-16"),
        (b"PK\x03\x04\x00", "it holds NUL bytes"),
    ],
)
def test_what_is_no_text_is_refused(
    space: FakeSpace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: bytes,
    words: str,
) -> None:
    """Nothing is guessed: in files as on standard input, status 2."""
    (tmp_path / "a").write_bytes(data)
    assert main(["-f", str(tmp_path / "a")]) == 2
    assert words in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
    assert main(["Say:"]) == 2
    assert words in capsys.readouterr().err
    assert space.jobs == []


def test_encoding_that_was_set_is_used(space: FakeSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets PYTHONIOENCODING or a locale says what standard input is."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9"), "latin-1"))
    assert main(["Say:"]) == 0
    assert space.jobs[0].query == "Say:\n\ncaf\u00e9"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n",
        b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
        b"caf\xe9\x01",
    ],
)
def test_no_conversion_helps_a_binary_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    """A picture is no text in another encoding: no command is told that would make one of it."""
    (tmp_path / "a").write_bytes(data)
    assert main(["-f", str(tmp_path / "a")]) == 2
    assert "iconv" not in capsys.readouterr().err
