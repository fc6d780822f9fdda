"""Plans, driven: chains of a Space's functions, from join to answer."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import qwen72b.client.plans
from qwen72b import (
    AsyncClient,
    Client,
    EndpointNotFound,
    GenerationFailed,
    InvalidOption,
    StreamInterrupted,
)
from qwen72b.testing import Fail, FakeSpace, Gate, Job, Log, Outputs, Respond, Step

PAGES = Path(__file__).parent.parent / "data" / "pages"
HISTORY = [
    {"role": "user", "content": "u"},
    {"role": "assistant", "content": "a"},
    {"role": "user", "content": "q"},
]
Ask = Callable[..., Any]


def page(name: str, version: str = "5.50.0") -> Any:
    return json.loads((PAGES / f"{version}.json").read_text())[name]


def number(config: Any, name: str) -> int:
    (found,) = (d["id"] for d in config["dependencies"] if d.get("api_name") == name)
    return int(found)


def two_steps(**functions: Any) -> FakeSpace:
    """The guide's user and bot; they answer "Hello" if nothing else is scripted."""
    turn = [{"role": "user", "content": "q"}]
    return FakeSpace.from_config(
        page("two_steps_with_system"),
        {
            "user": [["", turn]],
            "answer": [
                [[*turn, {"role": "assistant", "content": text}]] for text in ("Hel", "Hello")
            ],
            **functions,
        },
    )


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask with a client of each kind."""

    def blocking(url: str, messages: Any, options: Any = None, **call: Any) -> Any:
        with Client(url, **(options or {})) as client:
            return client.ask(messages, **call)

    def on_a_loop(url: str, messages: Any, options: Any = None, **call: Any) -> Any:
        async def main() -> Any:
            async with AsyncClient(url, **(options or {})) as client:
                return await client.ask(messages, **call)

        return anyio.run(main, backend=request.param)

    return blocking if request.param == "blocking" else on_a_loop


def test_chain_runs_in_one_session_and_writes_values_back(ask: Ask) -> None:
    """Each function is joined with what the one before gave, under one session hash."""
    with two_steps() as space:
        reply = ask(space.url, HISTORY, system="s")
        user, answer = space.jobs

    assert reply == "Hello"
    assert user.data == ["q", HISTORY[:2]]
    assert answer.data == [[{"role": "user", "content": "q"}], "s", 0.25]
    assert user.session_hash == answer.session_hash
    assert reply.folded == ()
    assert [r.phase for r in space.requests] == ["config", *["join", "stream"] * 2]


def test_next_question_has_a_session_of_its_own() -> None:
    """Nothing that the app keeps for one question is seen by another."""
    with two_steps() as space, Client(space.url) as client:
        client.ask("q")
        client.ask("q")
        sessions = [job.session_hash for job in space.jobs]

    assert sessions[0] == sessions[1] != sessions[2] == sessions[3]


def test_inputs_are_those_of_client_and_call(ask: Ask) -> None:
    """A call's inputs are added to the client's."""
    with two_steps() as space:
        ask(space.url, "q", {"inputs": {"temperature": 1}})
        ask(space.url, "q", {"inputs": {"temperature": 1}}, inputs={"TEMPERATURE": 0})
        ask(space.url, "q", inputs={"System prompt": "x"})
        datas = [job.data for job in space.jobs if job.fn_index == 1]

    assert [data[2] for data in datas] == [1, 0, 0.25]
    assert datas[2][1] == "x"


def test_unknown_input_is_refused_before_anything_is_asked(ask: Ask) -> None:
    """The error lists the inputs."""
    with two_steps() as space:
        with pytest.raises(InvalidOption, match="'Temperature'"):
            ask(space.url, "q", inputs={"Heat": 1})
        assert space.jobs == []


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": True},
        {"endpoint": " / "},
        {"endpoint": 1.5},
        {"inputs": ["x"]},
        {"inputs": {1: 2}},
        {"inputs": {"a": {1, 2}}},
        {"inputs": {"a": float("nan")}},
        {"fold": "no"},
    ],
    ids=str,
)
def test_options_without_a_usable_value_are_refused(options: Any) -> None:
    """At once, by client and call, and without showing a value."""
    with pytest.raises(InvalidOption):
        Client("http://127.0.0.1:9", **options)
    if "fold" not in options:
        with Client("http://127.0.0.1:9") as client, pytest.raises(InvalidOption):
            client.stream("q", **options)


def test_endpoint_ends_a_doubt(ask: Ask) -> None:
    """Of two equal chats the named one is asked, by client or call."""
    with FakeSpace.from_config(page("two_tabs"), {"blue": [["", [["q", "blue!"]]]]}) as space:
        with pytest.raises(EndpointNotFound) as caught:
            ask(space.url, "q")
        assert caught.value.candidates == ("/red", "/blue")
        assert ask(space.url, "q", endpoint="/blue") == "blue!"
        assert ask(space.url, "q", {"endpoint": "red"}, endpoint=1) == "blue!"


def test_plan_options_are_pickled() -> None:
    """A client in another process asks the same."""
    with FakeSpace.from_config(page("two_tabs"), {"blue": [["", [["q", "b"]]]]}) as space:
        client = pickle.loads(pickle.dumps(Client(space.url, endpoint="/blue", fold=False)))
        assert client.ask("q") == "b"
        with pytest.raises(InvalidOption, match="no system text"):
            client.ask("q", system="s")
        client.close()


def test_folded_parts_are_told(ask: Ask) -> None:
    """What the Space has no place for stands in the question, and on the reply."""

    def answer(job: Any) -> Any:
        return [["", [[job.data[0], "x"]], None]]

    with FakeSpace.from_config(page("kept_in_state"), {"chat": answer}) as space:
        reply = ask(space.url, HISTORY, system="s")
        (job,) = space.jobs

    assert job.data == ["System: s\nUser: u\nAssistant: a\nUser: q\nAssistant:", None]
    assert reply.folded == ("system", "history")
    assert reply.messages[-1] == {"role": "assistant", "content": "x"}


def test_failure_of_a_later_step_keeps_what_came(ask: Ask) -> None:
    """A gr.Error in the answering step fails the answer; the text is its partial."""
    turn = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "Some"}]
    script = [[turn], Fail("The model went away.")]
    with two_steps(answer=script) as space, pytest.raises(GenerationFailed) as caught:
        ask(space.url, "q")

    assert (caught.value.reason, caught.value.partial) == ("The model went away.", "Some")


def test_failure_of_the_first_step_ends_the_chain(ask: Ask) -> None:
    """What follows is not called."""
    with two_steps(user=[Fail("Too rude.")]) as space:
        with pytest.raises(GenerationFailed, match=r"Too rude\."):
            ask(space.url, "q")
        assert len(space.jobs) == 1


def test_warning_of_any_step_explains_a_missing_answer(ask: Ask) -> None:
    """The Space's last word is told where no answer came."""
    scripts = {"user": [Log("Slow down.", "warning"), ["", []]], "answer": [[[]]]}
    with two_steps(**scripts) as space, pytest.raises(GenerationFailed, match=r": Slow down\."):
        ask(space.url, "q")


def test_load_events_come_first_and_may_fail(ask: Ask) -> None:
    """What they write is what the chain reads; a failure of theirs is none of the question's."""
    config = page("loaded_first")
    loads = [d["id"] for d in config["dependencies"] if d["targets"][0][1] == "load"]
    session, model = loads[:2]
    functions = {
        session: [Fail(None)],
        model: [[{"__type__": "update", "value": "m1"}]],
        "chat": [["", [["q", "a"]]]],
    }
    with FakeSpace.from_config(config, functions) as space:
        assert ask(space.url, "q") == "a"
        assert [job.fn_index for job in space.jobs] == [session, model, number(config, "chat")]
        assert space.jobs[-1].data == ["q", [], None, "m1"]


def test_hanging_up_in_any_step_ends_the_chain() -> None:
    """Closing while the first function runs leaves nothing running, and calls no second."""
    gate = Gate()
    with two_steps(user=[gate, ["", []]]) as space, Client(space.url) as client:
        stream = client.stream("q")
        errors: list[BaseException] = []

        def read() -> None:
            try:
                stream.result()
            except StreamInterrupted as error:
                errors.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        space.wait_for_job("running")
        stream.close()
        space.wait_for_disconnect()
        reader.join()
        gate.open()
        assert len(space.jobs) == len(errors) == 1


def test_stream_of_another_replica_is_asked_again(ask: Ask) -> None:
    """A first message that knows no such session has the GET repeated, and nothing joined anew."""
    with FakeSpace() as space:
        space.answer("Hello")
        lost = Respond(
            headers={"content-type": "text/event-stream"},
            body='data: {"msg": "unexpected_error", "message": "404: Session not found.", '
            '"success": false}\n\n',
        )
        space.fault("stream", lost, times=3)
        assert ask(space.url, "q") == "Hello"
        phases = [request.phase for request in space.requests]

    assert phases == ["config", "join", *["stream"] * 4]


def test_changed_space_is_asked_once_more(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure without a reason, an old configuration is read again; a new plan is tried."""
    monkeypatch.setattr(qwen72b.client.plans, "LOOK_AGAIN", 0.0)
    with two_steps() as space:

        def answer(job: Job) -> list[Step]:
            if space.config["dependencies"] == page("counting")["dependencies"]:
                return [Outputs(["", [["q", "new"]], None])]
            # The Space was deployed anew since the client read what it is.
            space.config = page("counting")
            return [Fail(None)]

        space.answer(answer)
        assert ask(space.url, "q") == "new"
        assert len(space.jobs) == 2


def test_unchanged_space_is_not_asked_again(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same plan would fail the same way; and a young configuration is not doubted."""
    for patience, configs in ((60.0, 1), (0.0, 2)):
        monkeypatch.setattr(qwen72b.client.plans, "LOOK_AGAIN", patience)
        with two_steps(user=[Fail(None)]) as space:
            with pytest.raises(GenerationFailed):
                ask(space.url, "q")
            assert [r.phase for r in space.requests].count("config") == configs
            assert len(space.jobs) == 1


def test_describe_tells_the_plan(ask: Ask) -> None:
    """Without asking anything, blocking and async alike."""
    config = page("interface_settings_outside")
    with FakeSpace.from_config(config) as space:
        with Client(space.url, inputs={"HF token": "hf_secret"}) as client:
            found = client.describe()

        async def main() -> Any:
            async with AsyncClient(space.url, inputs={"HF token": "hf_secret"}) as client:
                return await client.describe()

        assert anyio.run(main) == found
        assert space.jobs == []
    assert (found.history, found.system, found.folded) == ("state", "Persona", ())
    assert found.inputs == {"HF token": "***", "Model": "x"}
    assert found.requests == 8
    assert len(found.steps) == 4
    assert "hf_secret" not in str(found) + json.dumps(found.to_dict())
    assert str(found).isascii()


@pytest.mark.parametrize("value", [-0.1, 1e6, "1", True])
def test_value_outside_the_bounds_is_refused(ask: Ask, value: Any) -> None:
    """A value that a slider does not take is told with its bounds, and nothing is asked."""
    with two_steps() as space:
        [slider] = [each for each in space.config["components"] if each["type"] == "slider"]
        slider["props"].update(minimum=0, maximum=2)
        with pytest.raises(InvalidOption, match="'Temperature'.*from 0 to 2"):
            ask(space.url, "q", inputs={"Temperature": value})
        assert space.jobs == []
        with Client(space.url) as client:
            found = client.describe()
            with pytest.raises(InvalidOption, match="from 0 to 2"):
                client.describe(inputs={"Temperature": value})
    assert found.limits["Temperature"]["maximum"] == 2
    assert "; numbers from 0 to 2" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["limits"] == found.limits


def test_lone_surrogates_of_an_input_are_replaced(ask: Ask) -> None:
    """No UTF-8 can carry them, be they the caller's or the Space's."""
    with two_steps() as space:
        ask(space.url, "q", inputs={"System prompt": "\ud800"})
        assert any("\ufffd" in str(job.data) for job in space.jobs)
