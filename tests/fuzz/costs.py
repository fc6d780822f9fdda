"""What inputs of twice the size cost: twice as much, or the promise is broken."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

from asking import joined

from qwen72b.client.appendonly import AppendOnlyText
from qwen72b.errors import Qwen72BError
from qwen72b.privacy.masking import Secrets, mask
from qwen72b.protocol import jsontext
from qwen72b.protocol.choose import choose
from qwen72b.protocol.failure import Refusal, status_error
from qwen72b.protocol.joberror import job_error
from qwen72b.protocol.page import read_page
from qwen72b.protocol.sse import EventSplitter
from qwen72b.transport import chunked
from qwen72b.transport.debuglog import shown

# The cost at 2n may be so many times that at n: twice, and what a machine that
# does other things adds. What is quadratic has four.
MOST = 3.2

# Seconds that nothing takes, which need no measuring of ratios.
LONGEST = 5.0

# Seconds below which nothing can be told; and sizes, since what is free of charge
# (``Allowance``) is not in proportion to anything.
LEAST = 0.004
SMALLEST, LARGEST = 65536, 4 * 1024 * 1024

Cost = Callable[[int], Callable[[], object]]


def filled(unit: str, start: str = "", end: str = "") -> Callable[[int], str]:
    return lambda size: start + unit * (size // len(unit)) + end


TEXTS: dict[str, Callable[[int], str]] = {
    "never closed": filled('\\"', '"' + "[]" * 201),
    "backslashes": filled("\\", '"' + "{" * 300),
    "quotes": filled('"', "[" * 201),
    "strings": filled('"[",', "["),
    "lists": filled("[],", "[", "1]"),
    "towers": filled("[" * 50 + "]" * 50 + ",", "[", "1]"),
    "openings": filled("["),
    "digits": filled("9"),
    "numbers": filled("9" * 4000 + ",", "[", "1]"),
    "exponent": filled("9", "1e"),
    "escapes": filled("\\ud83d", '"', '"'),
    "blanks": filled(" "),
}
PAGES = ["<title>", "<title", "<title x", "</title", "<", " ", "a\n", "&#9;", "&amp"]
WORDS = ["in ", "after 1:", "in 1.", "'", "\\", "quota ", "('"]
SECRETS = ["\\" * 8, "/" * 60, "a" * 2000, "a-" * 1000, "\\/" * 20, '"' * 30]
STREAMS = [
    b":\n",
    b":\n\n",
    b"\n",
    b"data\n\n",
    b"data: 1\n\n",
    b"event: x\n",
    b"data\ndata\n\n",
    b"x",
]


def texts(read: Callable[[str], object], write: Callable[[int], str]) -> Cost:
    def prepare(size: int) -> Callable[[], object]:
        text = write(size)
        return lambda: quietly(read, text)

    return prepare


def quietly(read: Callable[[Any], object], data: Any) -> None:
    try:
        read(data)
    except (Qwen72BError, jsontext.NotJSON):
        pass


def page(text: str) -> object:
    refusal = Refusal(
        503, "", {"content-type": "text/html", "retry-after": text}, "<html>" + text, 0.0
    )
    return status_error(refusal, "reading")


def words(text: str) -> object:
    return job_error({"output": {"error": f"'{text}'", "title": text}})


def masked(secret: str, unit: str) -> Cost:
    """A text that nearly repeats a secret, again and again."""

    def prepare(size: int) -> Callable[[], object]:
        text = unit * (size // len(unit))
        known = Secrets([secret])
        return lambda: (known, mask(text))

    return prepare


def event(data: Any, msg: str = "process_generating") -> str:
    return json.dumps({"msg": msg, "success": True, "output": {"data": ["", data, ""]}})


def told(*events: Any) -> Callable[[], object]:
    """A job that is told events."""
    texts = [event(data) for data in events]

    def run() -> None:
        job = joined()
        try:
            for text in texts:
                job.receive_data(text)
        except Qwen72BError:
            # The answer is over.
            pass

    return run


def job(edit: Callable[[int, int], Any], each: int = 1, unit: int = 40) -> Cost:
    """Edits of a list and an answer that are as long as the edits together."""

    def prepare(size: int) -> Callable[[], object]:
        count = size // unit
        first = [["q", "x" * size], [None] * count, ["q", "a"]]
        edits = [edit(number, count) for number in range(count)]
        groups = [edits[at : at + each] for at in range(0, count, each)]
        return told(first, *groups)

    return prepare


EDITS: dict[str, Callable[[int, int], Any]] = {
    "replace": lambda n, count: ["replace", [1, n], n],
    "add": lambda n, count: ["add", [1, count + n], n],
    "add in front": lambda n, count: ["add", [1, 0], n],
    "delete in front": lambda n, count: ["delete", [1, n % 2], None],
    "delete": lambda n, count: ["delete", [1, 0], None],
    "append": lambda n, count: ["append", [2, 1], "x"],
    "append elsewhere": lambda n, count: ["append", [n % 2 * 2, 1], "x"],
    "answers that come and go": lambda n, count: [["delete", [2], None], ["add", [2], ["q", "a"]]][
        n % 2
    ],
}


def nobody(size: int) -> Callable[[], object]:
    """A long chat in which nobody says anything, and grows."""
    count = size // 40
    return told([None] * count, *([["add", [count + n], None]] for n in range(count)))


def stream(unit: bytes) -> Cost:
    def prepare(size: int) -> Callable[[], object]:
        data = unit * (size // len(unit)) + b"\n\n"
        parts = [data[at : at + 4096] for at in range(0, len(data), 4096)]

        def run() -> None:
            splitter = EventSplitter()
            for part in parts:
                splitter.split(part)

        return lambda: quietly(lambda _: run(), None)

    return prepare


def chunks(start: bytes, unit: bytes) -> Cost:
    """A body that comes byte by byte."""

    def prepare(size: int) -> Callable[[], object]:
        data = start + unit * (min(size, 60_000) // len(unit))

        def run() -> None:
            body = chunked.ChunkedDecoder()
            for at in range(len(data)):
                if body.failure is None:
                    body.feed(data[at : at + 1])

        return run

    return prepare


def revisions(size: int) -> Callable[[], object]:
    """A long text whose end is revised again and again."""
    text = "word " * (size // 5)

    def run() -> None:
        handed = AppendOnlyText()
        handed.add(text)
        for _ in range(20):
            handed.revise(" w o r d" * 2, len(text) - 5)

    return run


def boxes(size: int) -> Callable[[], object]:
    """A configuration that names one box again and again."""
    count = size // 8
    box = {"id": 1000, "type": "textbox", "props": {"label": "l" * size, "value": "v" * size}}
    chat = {"id": 1, "type": "chatbot", "props": {}}
    function = {"targets": [[1000]], "inputs": [1, *[1000] * count], "outputs": [1]}
    text = json.dumps(
        {
            "version": "4.0",
            "protocol": "sse_v3",
            "components": [box, chat],
            "dependencies": [function],
        }
    )
    return lambda: quietly(lambda text: joined(choose(read_page(text))).payload, text)


def functions(size: int) -> Callable[[], object]:
    """A configuration of functions that all read and write the same states."""
    count = int((size / 8) ** 0.5)
    states = list(range(2, 2 + count))
    text = json.dumps(
        {
            "version": "5.0",
            "protocol": "sse_v3",
            "components": [
                {"id": 0, "type": "textbox", "props": {}},
                {"id": 1, "type": "chatbot", "props": {}},
                *({"id": number, "type": "state", "props": {}} for number in states),
            ],
            "dependencies": [
                {"targets": [[0, "submit"]], "inputs": [0, 1, *states], "outputs": [1, *states]}
                for _ in range(count)
            ],
        }
    )
    return lambda: quietly(lambda text: choose(read_page(text), endpoint="nothing_here"), text)


def shapes() -> Iterator[tuple[str, Cost]]:
    """All that is measured."""
    for name, write in TEXTS.items():
        yield f"JSON, {name}", texts(jsontext.read_json, write)
        yield f"the log, {name}", texts(shown, lambda size, write=write: '{"msg":' + write(size))  # type: ignore[misc]
    for unit in PAGES:
        yield f"a page of {unit!r}", texts(page, filled(unit))
    for unit in WORDS:
        yield f"the words {unit!r}", texts(words, filled(unit))
    for secret in SECRETS:
        for unit in (secret, secret[:7], secret[:7] + "\\u005c", f"{secret[:-1]} "):
            yield f"the secret {secret[:20]!r} and {unit[:20]!r}", masked(secret, unit)
    for name, edit in EDITS.items():
        yield f"edits: {name}, in one event", job(edit, each=10**9)
        yield f"edits: {name}, two an event", job(edit, each=2)
    for line in STREAMS:
        yield f"a stream of {line!r}", stream(line)
    for start, unit in ((b"1;", b"x"), (b"0\r\n", b"x\n"), (b"0\r\n", b"x"), (b"", b"1\r\nx\r\n")):
        yield (
            f"chunks: {start!r} and {unit!r}",
            chunks(start, unit.encode() if isinstance(unit, str) else unit),
        )
    yield "nobody", nobody
    yield "revisions", revisions
    yield "boxes", boxes
    yield "functions", functions


def check() -> None:
    """Measure every shape at a size where it can be, and at twice that."""
    for name, cost in shapes():
        size = SMALLEST
        while seconds(cost(size)) < LEAST and size < LARGEST:
            size *= 2
        for _ in range(3):
            # Measured again: a machine that is busy makes one of them slow.
            once, twice = seconds(cost(size)), seconds(cost(2 * size))
            if once < LEAST or twice <= MOST * once:
                break
        else:
            raise AssertionError(f"{name}: {once:.4f} s at {size}, {twice:.4f} s at {2 * size}")


def seconds(run: Callable[[], object]) -> float:
    """The shortest of some runs, without the collector's: when it comes is chance."""
    best = float("inf")
    for _ in range(3):
        gc.collect()
        gc.disable()
        try:
            begun = process_time()
            run()
            best = min(best, process_time() - begun)
        finally:
            gc.enable()
        if best > LONGEST:
            raise AssertionError(f"it takes {best:.1f} s")
    return best
