"""An answer in a notebook is one output that grows, exact at its end, however that comes."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import IPython
import pytest
from execute_example import EXAMPLE, execute_example, read_answers
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel
from timing import PATIENCE
from traitlets.config import Config

from qwen72b import AsyncClient, Client, GenerationFailed, Qwen72BError, Reply
from qwen72b.notebook import (
    close_fence,
    load_ipython_extension,
    show,
    unload_ipython_extension,
)
from qwen72b.testing import Estimation, Fail, FakeSpace, Gate, Respond, Snapshot, Stall


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace("5.25.2", chat="messages") as space:
        space.answer("Hel", "lo")
        yield space


@pytest.fixture
def client(space: FakeSpace) -> Iterator[Client]:
    with Client(space.url) as client:
        yield client


class Page:
    """What a notebook's frontend sees: the outputs, each with all that it showed."""

    def __init__(self) -> None:
        self.outputs: list[list[str]] = []
        self.names: list[str] = []
        self.now = 0.0
        self.times: list[float] = []
        self.at_first: Callable[[], None] = list

    def display(self, data: dict[str, str], *, raw: bool, display_id: str, update: bool) -> None:
        assert raw
        assert data["text/markdown"] == data["text/plain"]
        if not update:
            self.outputs.append([])
            self.names.append(display_id)
        self.outputs[self.names.index(display_id)].append(data["text/markdown"])
        self.times.append(self.now)
        at_first, self.at_first = self.at_first, list
        at_first()

    def paced(self, pieces: Iterable[str], seconds: float) -> Iterator[str]:
        """Give pieces of text so many seconds apart."""
        for piece in pieces:
            yield piece
            self.now += seconds


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    """A notebook whose clock the test sets."""
    page = Page()
    shell = SimpleNamespace(kernel=object(), execution_count=1)
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.display.display", page.display)
    monkeypatch.setattr("qwen72b.notebook.display.monotonic", lambda: page.now)
    return page


def test_one_output_grows(page: Page) -> None:
    """Text that comes slowly is drawn piece by piece, in one output."""
    reply = show(page.paced(["a", "b", "c"], 1.0))
    assert page.outputs == [["a", "ab", "abc"]]
    assert reply == "abc"
    assert isinstance(reply, Reply)


@pytest.mark.parametrize("pieces_per_second", [7, 10, 11, 99, 1000, 9999])
def test_at_most_ten_drawings_a_second(page: Page, pieces_per_second: int) -> None:
    """However fast text comes, no second sees more than ten drawings, and the last is whole."""
    show(page.paced("x" * 3 * pieces_per_second, 1 / pieces_per_second))
    assert page.outputs[0][-1] == "x" * 3 * pieces_per_second
    for begin in page.times:
        assert sum(begin <= time <= begin + 1 for time in page.times) <= 10


def test_first_text_is_drawn_at_once(space: FakeSpace, client: Client, page: Page) -> None:
    """Text is not held back for events before it that drew nothing; what comes soon after is."""
    gate = Gate()
    space.answer("Hel", gate, "l", "o")
    page.at_first = gate.open
    show(client.stream("Hi", timeout=PATIENCE))
    assert page.outputs == [["Hel", "Hello"]]


def test_nothing_is_drawn_of_nothing(page: Page) -> None:
    """An answer without text makes no output."""
    assert show([]) == ""
    assert page.outputs == []


def test_stream_is_drawn_exactly(space: FakeSpace, client: Client, page: Page) -> None:
    """After text was taken back, the output shows the Space's text and nothing else."""
    gate = Gate()
    space.answer(Snapshot("Thinking..."), gate, Snapshot("The answer is 42."))
    stream = client.stream("Hi")
    next(stream)
    gate.open()
    reply = stream.display()
    assert page.outputs[0][-1] == reply == stream.text == "The answer is 42."
    assert len(page.outputs) == 1
    assert reply.timings is not None
    assert reply.messages[-1]["content"] == "The answer is 42."


def test_queue_is_shown_until_text_comes(space: FakeSpace, client: Client, page: Page) -> None:
    """While others are before it the output says so, in the place of the answer."""
    gate = Gate()
    space.answer(Estimation(rank=3, size=4, eta=12.3), gate, "Hello")

    page.at_first = gate.open
    show(client.stream("Hi"))
    waiting, *_, last = page.outputs[0]
    assert waiting == "*3 before you in the queue, about 12 s.*"
    assert last == "Hello"


def test_failed_answer_stays_on_the_page(space: FakeSpace, client: Client, page: Page) -> None:
    """When an answer fails half-way, what had come is drawn and the error is raised."""
    space.answer("Hel", Fail("out of memory"))
    with pytest.raises(GenerationFailed):
        show(client.stream("Hi"))
    assert page.outputs == [["Hel"]]


def test_interrupt_stops_the_stream(space: FakeSpace, client: Client, page: Page) -> None:
    """Ctrl-C hangs up at once, leaves the text on the page, and is raised."""
    space.answer("Hel", Stall())
    stream = client.stream("Hi")

    def interrupt() -> None:
        raise KeyboardInterrupt

    page.at_first = interrupt
    with pytest.raises(KeyboardInterrupt):
        show(stream)
    assert page.outputs == [["Hel", "Hel"]]
    assert stream.closed
    assert space.wait_for_disconnect().query == "Hi"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_stream_is_drawn(space: FakeSpace, page: Page, backend: str) -> None:
    """An async stream and an async iterable of text are drawn the same."""

    async def pieces() -> AsyncIterator[str]:
        yield "Hel"
        yield "lo"

    async def draw() -> None:
        async with AsyncClient(space.url) as client:
            reply = await client.stream("Hi").display()
            assert reply == "Hello"
            assert reply.messages[-1]["content"] == "Hello"
        assert await show(pieces()) == "Hello"

    anyio.run(draw, backend=backend)
    assert [output[-1] for output in page.outputs] == ["Hello", "Hello"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_async_stream_is_stopped(space: FakeSpace, page: Page, backend: str) -> None:
    """A cancelled task hangs up and leaves the text on the page."""
    gate = Gate()
    space.answer("Hel", gate)

    async def draw() -> None:
        async with AsyncClient(space.url) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(show, client.stream("Hi"))
            await anyio.to_thread.run_sync(gate.wait_reached)
            while not page.outputs:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    anyio.run(draw, backend=backend)
    assert page.outputs == [["Hel"]]
    space.wait_for_disconnect()


def test_reply_is_not_drawn_twice(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cell that drew a reply does not draw it as its value too; a later cell does."""
    reply = show(["Hello"])
    format_output = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    formatted = partial(format_output.display_formatter.format, reply)
    assert formatted() == ({}, {})
    monkeypatch.setattr(IPython.get_ipython(), "execution_count", 2)
    assert formatted()[0]["text/markdown"] == "Hello"


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda reply: pickle.loads(pickle.dumps(reply))]
)
def test_copies_of_a_drawn_reply_are_plain_replies(page: Page, copied: Any) -> None:
    """A reply that was drawn is copied and pickled as any other."""
    reply = show(["Hello"])
    assert type(copied(reply)) is Reply
    assert copied(reply) == "Hello"
    assert json.dumps(reply) == '"Hello"'


def test_without_a_notebook_text_is_printed(
    space: FakeSpace, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a plain interpreter the text is printed, and cannot steer the terminal."""
    space.answer("Hel", "lo\x1b[2J\n\tyou", times=1)
    assert client.stream("Hi").display() == "Hello\x1b[2J\n\tyou"
    assert capsys.readouterr().out == "Hello\\x1b[2J\n\tyou\n"


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("", ""),
        ("no fence", "no fence"),
        ("```", "```\n```"),
        ("```python\nprint(1)", "```python\nprint(1)\n```"),
        ("```python\nprint(1)\n", "```python\nprint(1)\n```"),
        ("```python\nprint(1)\n```", "```python\nprint(1)\n```"),
        ("```\na\n```\nb\n```\nc", "```\na\n```\nb\n```\nc\n```"),
        ("````md\n```\na", "````md\n```\na\n````"),
        ("```\na\n````", "```\na\n````"),
        ("~~~\n```", "~~~\n```\n~~~"),
        ("~~~ a`b\nc", "~~~ a`b\nc\n~~~"),
        ("```code``` in a line", "```code``` in a line"),
        ("in a ``` line", "in a ``` line"),
        ("```\na\n```b", "```\na\n```b\n```"),
        ("1. First\n\n   ```sh\n   ls", "1. First\n\n   ```sh\n   ls\n   ```"),
        ("- ```sh\n  ls", "- ```sh\n  ls\n  ```"),
        ("> ```\n> a", "> ```\n> a\n> ```"),
    ],
)
def test_open_fence_is_closed_for_drawing(text: str, closed: str) -> None:
    """A code block that is still being written is drawn as one."""
    assert close_fence(text) == closed


def test_drawn_fence_is_closed_but_the_text_is_not(page: Page) -> None:
    """The fence's end that is drawn is not part of the answer."""
    assert show(page.paced(["```\na", "\nb"], 1.0)) == "```\na\nb"
    assert page.outputs == [["```\na\n```", "```\na\nb\n```"]]


@pytest.fixture
def shell(space: FakeSpace, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """An IPython with the magic, and without a notebook."""
    monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    load_ipython_extension(shell)
    yield shell
    unload_ipython_extension(shell)


def test_printed_text_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Outside a notebook the text of a Space is escaped as the command line escapes it."""
    show(["\x1b]52;c;aGk=\x07", "\u202e", "\x9b"])
    assert capsys.readouterr().out == "\\x1b]52;c;aGk=\\x07\\u202e\\x9b\n"


def test_magic_asks_the_cell(
    shell: InteractiveShell, space: FakeSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cell is the question; the answer is shown, and stored where that is asked for."""
    shell.run_cell_magic("qwen", "-s 'Be brief.' -o answer", "Hi\nthere\n")
    assert capsys.readouterr().out == "Hello\n"
    assert space.jobs[-1].query == "Hi\nthere"
    assert space.jobs[-1].system == "Be brief."
    answer = shell.user_ns["answer"]
    assert type(answer) is Reply
    assert answer == "Hello"
    assert answer.timings.total > 0
    assert [message["role"] for message in answer.messages] == ["system", "user", "assistant"]


def test_magic_keeps_a_conversation(shell: InteractiveShell, space: FakeSpace) -> None:
    """Cells with --keep go on with one conversation; those without stand alone."""
    shell.run_cell_magic("qwen", "--keep --system Brief.", "One")
    shell.run_cell_magic("qwen", "", "Apart")
    shell.run_cell_magic("qwen", "--keep -o answer", "Two")
    asked = [
        (job.query, [message["content"] for message in job.history], job.system)
        for job in space.jobs
    ]
    assert asked[0] == ("One", [], "Brief.")
    assert asked[1][:2] == ("Apart", [])
    assert asked[2] == ("Two", ["One", "Hello"], "Brief.")
    assert len(shell.user_ns["answer"].messages) == 5
    unload_ipython_extension(shell)
    load_ipython_extension(shell)
    shell.run_cell_magic("qwen", "--keep", "Anew")
    assert space.jobs[-1].history == []


def test_magic_goes_where_the_url_says(
    shell: InteractiveShell, space: FakeSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--url names the Space; the client of each address is made once."""
    monkeypatch.setenv("QWEN72B_BASE_URL", "http://127.0.0.1:9")
    for _ in range(2):
        shell.run_cell_magic("qwen", f"--url {space.url}", "Hi")
    assert [request.phase for request in space.requests].count("config") == 1


def test_magic_stores_what_came_of_a_failed_answer(
    shell: InteractiveShell, space: FakeSpace
) -> None:
    """A variable holds the partial text after a failure, and the kept chat goes on."""
    space.answer("Hel", Fail("out of memory"), times=1)
    with pytest.raises(GenerationFailed):
        shell.run_cell_magic("qwen", "--keep -o answer", "Hi")
    assert shell.user_ns["answer"] == "Hel"
    shell.run_cell_magic("qwen", "--keep -o answer", "Again")
    assert shell.user_ns["answer"] == "Hello"
    assert space.jobs[-1].history == []


@pytest.mark.parametrize(
    ("line", "cell", "why"),
    [
        ("--nonsense", "Hi", "unrecognized arguments: --nonsense"),
        ("-s", "Hi", "expected one argument"),
        ("-s 'open", "Hi", "No closing quotation"),
        ("-o 1a", "Hi", "'1a' is no name of a variable"),
        ("-o class", "Hi", "'class' is no name of a variable"),
        ("", " \n", "the cell holds no question"),
    ],
)
def test_magic_refuses_in_one_line(
    shell: InteractiveShell, space: FakeSpace, line: str, cell: str, why: str
) -> None:
    """A wrong option is a usage error, which IPython shows without a traceback."""
    with pytest.raises(UsageError, match=why):
        shell.run_cell_magic("qwen", line, cell)
    assert space.requests == []


DOWN = Respond(
    status=503, headers={"Content-Type": "text/html"}, body="<html><title>Paused</title></html>"
)


@pytest.mark.parametrize(
    ("url", "fault", "why"),
    [
        ("http://127.0.0.1:9", None, "--url or QWEN72B_BASE_URL names another"),
        ("http://no-such-host.invalid", None, "--url or QWEN72B_BASE_URL names another"),
        ("nonsense", None, "the address 'nonsense' is not a URL"),
        ("https://huggingface.co/spaces/owner/name", None, "https://OWNER-NAME.hf.space"),
        ("http://user:secret@127.0.0.1:9", None, "Only Python has a login"),
        (None, Respond(status=302, headers={"Location": "http://127.0.0.1:9/x"}), "as --url"),
        (None, Respond(status=401), "Set HF_TOKEN."),
        (None, DOWN, None),
    ],
)
def test_magic_names_its_own_options(
    shell: InteractiveShell, space: FakeSpace, url: str | None, fault: Any, why: str | None
) -> None:
    """What a failure says to do can be done in the cell: no argument of Python's Client is named."""
    if fault is not None:
        space.fault("config", fault, times=None)
    with pytest.raises(Qwen72BError) as caught:
        shell.run_cell_magic("qwen", f"--url {url or space.url}", "Hi")
    shown = str(caught.value)
    assert why is None or why in shown
    assert not [name for name in ("base_url", "space=", "token=") if name in shown]


def test_unloading_twice_does_nothing(shell: InteractiveShell) -> None:
    """The magic goes away with the extension."""
    unload_ipython_extension(shell)
    unload_ipython_extension(shell)
    with pytest.raises(UsageError, match="qwen"):
        shell.run_cell_magic("qwen", "", "Hi")


# In a real kernel


@pytest.fixture(scope="module")
def kernel() -> Iterator[Any]:
    """A kernel, started once; its channels are the client's."""
    manager, channels = start_new_kernel()
    yield SimpleNamespace(manager=manager, channels=channels)
    channels.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def run(kernel: Any, code: str, *, interrupt: bool = False) -> tuple[str, list[str]]:
    """Run a cell, and interrupt the kernel at its first output; give how it ended, and its outputs."""
    asked = kernel.channels.execute(code)
    outputs: dict[str, str] = {}
    while True:
        message = kernel.channels.get_iopub_msg(timeout=PATIENCE)
        if message["parent_header"].get("msg_id") != asked:
            continue
        content = message["content"]
        if "data" in content:
            outputs[content["transient"]["display_id"]] = content["data"]["text/markdown"]
            if interrupt and message["msg_type"] == "display_data":
                kernel.manager.interrupt_kernel()
        elif content.get("execution_state") == "idle":
            break
    while (reply := kernel.channels.get_shell_msg(timeout=PATIENCE))["parent_header"][
        "msg_id"
    ] != asked:
        pass
    answer = reply["content"]
    if "traceback" in answer:
        kernel.traceback = answer["traceback"]
    return answer.get("ename", answer["status"]), list(outputs.values())


@pytest.mark.parametrize(
    ("make", "ask", "error"),
    [("Client", "", "KeyboardInterrupt"), ("AsyncClient", "await ", "CancelledError")],
)
def test_interrupting_the_kernel_stops_the_stream(
    space: FakeSpace, kernel: Any, make: str, ask: str, error: str
) -> None:
    """The stop button ends an answer; the page, the stream and the conversation keep the text."""
    space.answer("Hel", Stall())
    code = f"import qwen72b; chat = qwen72b.{make}({space.url!r}).conversation()"
    assert run(kernel, code) == ("ok", [])
    code = f"stream = chat.stream('Hi'); {ask}stream.display()"
    assert run(kernel, code, interrupt=True) == (error, ["Hel"])
    assert space.wait_for_disconnect().query == "Hi"
    code = "assert stream.closed and stream.text == chat.messages[1]['content'] == 'Hel'"
    assert run(kernel, code) == ("ok", [])
    assert kernel.traceback == [f"{error}: the answer was stopped."]


@pytest.mark.parametrize(
    "code",
    [
        "client.ask('Hi')",
        "list(client.stream('Hi'))",
        "client.conversation().ask('Hi')",
        "client.stream('Hi').display()",
        "await qwen72b.AsyncClient(client.base_url).ask('Hi')",
        "%%qwen --url {url}\nHi",
    ],
)
def test_failure_is_one_line_on_the_page(kernel: Any, code: str) -> None:
    """A cell that fails shows what happened and what to do, and no frames of ours."""
    url = "http://127.0.0.1:9"
    setup = f"%load_ext qwen72b.notebook\nimport qwen72b; client = qwen72b.Client({url!r})"
    assert run(kernel, setup)[0] == "ok"
    assert run(kernel, code.format(url=url))[0] == "ConnectFailed"
    (line,) = kernel.traceback
    assert line.startswith("ConnectFailed: 127.0.0.1:9 did not accept a connection: Connection ref")
    assert "qwen72b serve" in line
    assert "QWEN72B_BASE_URL" in line


def test_example_notebook_runs(
    space: FakeSpace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The example notebook runs from top to end, and each answer is one output."""
    monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
    answers = execute_example(tmp_path)
    assert answers == ["Hello"] * len(space.jobs)
    assert len(answers) == 8


def test_saved_example_holds_one_output_per_answer() -> None:
    """The notebook as it is kept shows a real run."""
    answers = read_answers(EXAMPLE)
    assert len(answers) == 8
    assert all(answer.strip() for answer in answers)


def test_batch_shows_its_progress_on_the_page(space: FakeSpace, kernel: Any) -> None:
    """In a notebook the tally of a batch changes in place, too."""
    code = (
        f"import qwen72b\nclient = qwen72b.Client({space.url!r})\n"
        "_ = list(client.map(['a', 'b'], progress=True)); client.close()"
    )
    asked = kernel.channels.execute(code)
    shown = ""
    while True:
        message = kernel.channels.get_iopub_msg(timeout=PATIENCE)
        if message["parent_header"].get("msg_id") == asked:
            shown += message["content"].get("text", "")
            if message["content"].get("execution_state") == "idle":
                break
    assert shown.startswith("\r")
    assert "2/2 (100%)" in shown.rpartition("\r")[2]
    assert "\x1b" not in shown
