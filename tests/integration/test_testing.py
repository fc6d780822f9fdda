"""FakeSpace speaks as a real Space, and remembers what its client did."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from qwen72b.testing import FakeSpace, words

VERSIONS = ["4.12.0", "4.19.2", "4.36.1", "4.44.1", "5.25.2", "5.50.0", "6.0.2"]


def connect(space: FakeSpace) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", int(space.url.rpartition(":")[2]), timeout=5)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> Any:
    connection.request(method, path, None if body is None else json.dumps(body))
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def payload(query: str = "Hi", history: Any = (), **fields: Any) -> dict[str, Any]:
    return {
        "data": [query, list(history), "Be brief."],
        "event_data": None,
        "fn_index": 0,
        "trigger_id": 11,
        "session_hash": "abc",
        **fields,
    }


def messages(body: bytes) -> Iterator[dict[str, Any]]:
    for event in body.decode().split("\n\n")[:-1]:
        yield json.loads(event.removeprefix("data: "))


def chat(space: FakeSpace, **fields: Any) -> list[dict[str, Any]]:
    connection = connect(space)
    try:
        status, answer = ask(connection, "POST", space.dialect.join_path, payload(**fields))
        assert status == 200 and len(answer["event_id"]) == 32
        connection.request("GET", space.dialect.stream_path + "?session_hash=abc")
        return list(messages(connection.getresponse().read()))
    finally:
        connection.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_answer_comes_as_the_version_says_it(version: str) -> None:
    """Every version gives its protocol's messages in their order."""
    with FakeSpace(version) as space:
        space.answer(*words("Hello to you"))
        said = chat(space)
    names = [message["msg"] for message in said]
    usual = ["estimation", "process_starts", *["process_generating"] * 3, "process_completed"]
    assert names == usual + ["close_stream"] * (space.dialect.protocol == "sse_v3")
    final = said[5]["output"]["data"][1]
    assert "Hello to you" in json.dumps(final)
    assert said[2]["output"]["data"][1] == space.dialect.turns([], "Hi", "Hello")
    second = said[3]["output"]["data"]
    if space.dialect.diffs:
        assert second == [[], [["append", space.dialect.text_path(final), " to"]], []]
    else:
        assert second[1] == space.dialect.turns([], "Hi", "Hello to")


def test_requests_are_recorded() -> None:
    """A test sees what its client sent, and on which connection."""
    with FakeSpace() as space:
        chat(space, query="Why?")
        job = space.wait_for_job("finished")
    assert [request.phase for request in space.requests] == ["join", "stream"]
    assert {request.connection for request in space.requests} == {1}
    assert (job.query, job.history, job.system) == ("Why?", [], "Be brief.")
    assert space.connections == 1
