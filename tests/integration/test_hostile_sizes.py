"""What a server sends costs time in proportion to its size: a megabyte of anything ends in time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from askers import ASKERS, ONCE
from raw_server import Last, conversation, raw_server
from timing import MS, PATIENCE, PROMPT

from qwen72b import AsyncClient, Client, Progress, RequestTimeout
from qwen72b.testing import Chunk, Complete, Edits, Event, FakeSpace, Message, Respond, Step

MB = 1_000_000


def filled(unit: str, start: str = "", end: str = "", size: int = MB) -> str:
    """A text of some size, made of the same characters again and again."""
    return start + unit * (size // len(unit)) + end


# What comes as the data of one event.
TEXTS = {
    "string_never_closed": filled('\\"', '"' + "[]" * 201),
    "string_of_backslashes": filled("\\", '"' + "{" * 300),
    "strings_of_brackets": filled('"[",', "["),
    "strings_of_brackets_closed": filled('"[[[\\"",', "[", "1]"),
    "empty_lists": filled("[],", "[", "1]"),
    "empty_objects": filled("{},", "[", "1]"),
    "towers": filled("[" * 50 + "]" * 50 + ",", "[", "1]"),
    "towers_of_objects": filled('{"a":' * 150 + "1" + "}" * 150 + ",", "[", "1]"),
    "openings": filled("["),
    "closings": filled("]"),
    "openings_of_objects": filled('{"a":'),
    "long_integers": filled("9" * 4000 + ",", "[", "1]"),
    "one_long_integer": filled("9"),
    "long_fraction": filled("1", "0."),
    "long_exponent": filled("9", "1e"),
    "names": "{" + ",".join(f'"{number:x}":1' for number in range(80_000)) + "}",
    "escapes": filled("\\ud83d", '"', '"'),
    "nulls": filled("null,", "[", "null]"),
    "white_space": filled(" "),
}


def chat(*turns: Any) -> Message:
    """The next state of the chat, whole or as edits."""
    return Message("process_generating", output={"data": ["", list(turns), ""]}, success=True)


def edits(*edits: Any) -> Edits:
    return Edits([[], list(edits), []])


def nested(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth)


# What comes as one event or many.
SCRIPTS: dict[str, Callable[[], Sequence[Any]]] = {
    "replaced_in_a_long_list": lambda: [
        edits(["add", [1], [None] * 100_000]),
        edits(*(["replace", [1, n], n] for n in range(10_000))),
    ],
    "deleted_from_a_long_list": lambda: [
        edits(["add", [1], [None] * 100_000]),
        edits(*(["delete", [1, n % 3], None] for n in range(10_000))),
    ],
    "added_to_a_long_list": lambda: [
        edits(["add", [1], [None] * 100_000]),
        edits(*(["add", [1, 0], None] for _ in range(10_000))),
    ],
    "added_to_the_chat": lambda: [
        edits(*(["add", [n + 1], ["q", "a"]] for n in range(20_000))),
        edits(*(["delete", [1], None] for _ in range(20_000))),
    ],
    "a_long_text_grows_by_turns": lambda: [
        edits(["add", [1], ["x" * MB, "y" * MB]]),
        edits(*(["append", [1, n % 2], "z"] for n in range(10_000))),
    ],
    "an_answer_grows_by_two_pieces": lambda: [
        edits(["append", [0, 1], "x" * MB]),
        *[edits(*[["append", [0, 1], "z"]] * 2)] * 3000,
    ],
    "an_answer_is_revised": lambda: [
        edits(["append", [0, 1], "x" * MB]),
        *[edits(["append", [0, 1], "z"], ["replace", [0, 0], "q"], ["append", [0, 1], "z"])] * 3000,
    ],
    "an_answer_comes_and_goes": lambda: [
        edits(["append", [0, 1], "x " * (MB // 2)]),
        *[edits(["add", [1], ["q", "a"]]), edits(["delete", [1], None])] * 3000,
    ],
    "an_answer_of_white_space": lambda: [
        edits(["append", [0, 1], " " * MB]),
        *[edits(["replace", [0, 1], " " * n]) for n in range(300)],
    ],
    "an_answer_that_nests": lambda: [
        edits(["replace", [0, 1, *[0] * 90 * n], nested(90)]) for n in range(50)
    ],
    "an_answer_that_nests_in_itself": lambda: [
        edits(["replace", [0, 1, *[0] * n], [[]]]) for n in range(1000)
    ],
    "an_answer_of_many_parts": lambda: [
        edits(["replace", [0, 1], [{"type": "x"}] * 40_000]),
        *[edits(["replace", [0, 0], "q"])] * 3000,
    ],
    "an_answer_of_many_files": lambda: [
        edits(["replace", [0, 1], [{"path": str(n), "url": "u"} for n in range(30_000)]]),
        *[edits(["replace", [0, 1, 0], "x"])] * 3000,
    ],
    "an_answer_of_nothing": lambda: [
        edits(["replace", [0, 1], [None] * 100_000]),
        *[edits(["replace", [0, 1, 0], None])] * 3000,
    ],
    "snapshots_that_differ": lambda: [
        Event(
            json.dumps(
                {
                    "msg": "process_completed",
                    "success": True,
                    "output": {"data": ["", [["Hi", "x\n" * n]], ""]},
                }
            )
        )
        for n in (MB // 4, MB // 4 + 1)
    ],
    "comments": lambda: [Chunk(b":\n" * (MB // 4)), Chunk(b"\n"), Chunk(b":\n\n" * (MB // 6))],
    "blank_lines": lambda: [Chunk(b"\n" * MB)],
    "lines": lambda: [Chunk(b"data:\n" * (MB // 6)), Chunk(b"\n")],
    "small_events": lambda: [Chunk(b"data\n\n" * (MB // 12)), Chunk(b"data: 1\n\n" * (MB // 18))],
    "events_of_two_lines": lambda: [Chunk(b"data\ndata\n\n" * (MB // 22))],
    "estimates": lambda: [Event('{"msg":"estimation","rank":' + "9" * 4000 + "}")] * 250,
    "words_of_a_failure": lambda: [
        Complete({"error": "'" + "in 1 ('" * (MB // 7) + "'"}, success=False)
    ],
    "quota_of_a_failure": lambda: [
        Complete({"error": "quota" + " after" * (MB // 12) + " " * (MB // 2)}, success=False)
    ],
    "progress": lambda: [Message("progress", progress_data=[{"index": 1e308}] * 30_000)],
}


def component(number: int, kind: str = "textbox", **props: Any) -> dict[str, Any]:
    return {"id": number, "type": kind, "props": {"label": f"l{number}", **props}}


def function(
    number: int,
    inputs: Sequence[int],
    outputs: Sequence[int],
    after: int | None = None,
    target: tuple[int, str] = (0, "submit"),
) -> dict[str, Any]:
    """A function that the submit of the first box calls, or another function."""
    return {
        "id": number,
        "inputs": list(inputs),
        "outputs": list(outputs),
        "targets": [] if after is not None else [target],
        "trigger_after": after,
    }


MANY = range(2, 902)

# Pages that do not end, so to say: components and functions.
PAGES: dict[str, Callable[[], tuple[list[Any], list[Any]]]] = {
    "functions": lambda: ([], [function(n, [0, 1], [1]) for n in range(11_000)]),
    "functions_of_boxes": lambda: (
        [component(n) for n in range(2, 8_000)],
        [function(n, [n, 1], [1], target=(n, "submit")) for n in range(2, 8_000)],
    ),
    "labels": lambda: (
        [component(n, label="\ufdfa" * 300) for n in range(2, 800)],
        [function(n, [n, 1], [1], target=(n, "submit")) for n in range(2, 800)],
    ),
    "states": lambda: (
        [component(n, "state") for n in MANY],
        [function(n, [0, 1, *MANY], [1, *MANY]) for n in range(80)],
    ),
    "boxes_of_a_chain": lambda: (
        [component(n) for n in range(2, 98)],
        [
            function(n, [0, 1, *range(2, 98)], range(98), n - n % 90 + min(n % 90, 14) - 1)
            if n % 90
            else function(n, [0, 1, *range(2, 98)], range(1, 98))
            for n in range(180)
        ],
    ),
    "settings": lambda: (
        [component(n, "slider") for n in range(2, 14_402)],
        [
            function(n, [0, 1, *range(2 + 900 * n, 902 + 900 * n)], [1], n - 1 if n else None)
            for n in range(16)
        ],
    ),
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    ("way", "endpoint"), [("sync", None), ("asyncio", None), ("trio", "nothing_here")]
)
def test_page_of_thousands(way: str, name: str, endpoint: str | None) -> None:
    """What to ask of a page is found, or not, before the deadline; inputs are, too."""
    components, functions = PAGES[name]()
    page = {
        "version": "5.0.0",
        "protocol": "sse_v3",
        "components": [component(0), component(1, "chatbot"), *components],
        "dependencies": functions,
    }
    inputs = {f"l{number}": 5 for number in range(2, 800)} if name == "settings" else {}
    with FakeSpace() as space:
        space.fault("config", Respond(body=page), times=None)
        # What it answers to such questions is of no concern.
        space.fault("join", Respond(status=400), times=None)
        answer = ASKERS[way](
            space.url, endpoint=endpoint, inputs=inputs, retry=ONCE, timeout=PATIENCE
        )
    assert answer.error is not None and not isinstance(answer.error, RequestTimeout)
    assert len(str(answer.error)) < 10_000


def check(way: str, steps: Sequence[Step]) -> None:
    with FakeSpace() as space:
        space.answer("Hel", *steps, "lo", times=None)
        answer = ASKERS[way](space.url, timeout=PROMPT)
        assert not isinstance(answer.error, RequestTimeout), answer.error
        if answer.error is not None:
            assert str(answer.error)
            # It is known what is wrong with it.
            assert "qwen72b" not in answer.error.hint


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("name", TEXTS)
def test_megabyte_of_one_event(way: str, name: str) -> None:
    """An event is read, passed over or refused, and its call does not run into its deadline."""
    check(way, [Event(TEXTS[name])])


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("name", SCRIPTS)
def test_megabyte_of_what_a_job_says(way: str, name: str) -> None:
    """So are edits, revisions and failures, and as many small events."""
    check(way, SCRIPTS[name]())


@pytest.mark.parametrize("way", ASKERS)
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("phase", ["config", "join"])
def test_megabyte_of_a_response(way: str, phase: str, name: str) -> None:
    """So are a configuration and the answer to the join."""
    with FakeSpace() as space:
        space.fault(phase, Respond(body=TEXTS[name], content_type="application/json"), times=None)
        answer = ASKERS[way](space.url, timeout=PROMPT)
        assert answer.error is not None and not isinstance(answer.error, RequestTimeout)


def test_bars_by_the_thousand() -> None:
    """Of one message's progress bars as many are told as a page can show."""
    bars = Message("progress", progress_data=[{"index": n} for n in range(30_000)])
    with FakeSpace() as space, Client(space.url) as client:
        space.answer(bars, "Hello")
        told = [event for event in client.stream("Hi").events() if isinstance(event, Progress)]
    assert [bar.index for bar in told] == list(range(100))


@pytest.mark.parametrize("levels", [4, 150])
def test_file_in_lists_of_lists(levels: int) -> None:
    """A file is found as deep as an app puts it, and not looked for without end."""
    place: Any = {"path": "a.png", "url": "u"}
    for _ in range(levels):
        place = [place]
    with FakeSpace("4.12.0") as space, Client(space.url) as client:
        space.answer(chat(["Hi", place]), "Hello")
        events = [type(event).__name__ for event in client.stream("Hi").events()]
    assert ("Attachment" in events) == (levels == 4)


@pytest.mark.parametrize("way", ["sync", "asyncio"])
def test_fifty_megabytes_of_text(way: str) -> None:
    """One long string, whatever it is about, is an answer."""
    text = '[{"a": [], ' * 4_600_000
    output = {"data": ["", [["Hi", text]], ""]}
    event = Event(json.dumps({"msg": "process_completed", "success": True, "output": output}))
    with FakeSpace("4.12.0") as space:
        space.stream(event)
        answer = ASKERS[way](space.url, timeout=2 * PATIENCE)
        assert answer.error is None and answer.text == text


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"msg": "heartbeat"}\n\n',
        b'data: {"msg": "process_starts", "event_id": "e"}\n\n',
        b"data: {}\n\n",
        b"data\n\n",
        b"data: {\n\n",
        b"data: {\ndata: }\n\n",
        b"data: " + b"[" * 150 + b"]" * 150 + b"\n\n",
    ],
    ids=lambda event: event[:24],
)
@pytest.mark.anyio
async def test_flood_that_brings_nothing(event: bytes) -> None:
    """Other tasks of an event loop have their turn all the time, whatever a flood is made of."""
    flood = event * (MB // len(event))

    def change(path: str, good: bytes, before: int) -> bytes:
        if path != "/queue/data":
            return good
        body = good.partition(b"\r\n\r\n")[2]
        kind = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        return Last(kind + b"Connection: close\r\n\r\n" + flood + body)

    turns, over = 0, False

    async def count() -> None:
        nonlocal turns
        while not over:
            turns += 1
            # Slower than the server, so that something has always come.
            time.sleep(4 * MS)  # noqa: ASYNC251
            await anyio.lowlevel.checkpoint()

    with raw_server(conversation(change)) as server:
        async with AsyncClient(server.url) as client, anyio.create_task_group() as group:
            group.start_soon(count)
            assert await client.ask("Hi") == "Hello"
            over = True
    # At least one for each read, which takes 32 kB.
    assert turns >= MB // 32768
