"""The executor over Ray, on a stand-in for Ray; ``tests/ray`` has the real one."""

from __future__ import annotations

import pickle
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import closing
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from timing import PATIENCE

from qwen72b import Client, ConnectFailed, InvalidOption
from qwen72b.batch import RayExecutor
from qwen72b.cli import main
from qwen72b.testing import FakeSpace


class RayError(Exception):
    """As Ray's."""


class RayTaskError(RayError):
    """What a function raised."""

    def __init__(self, cause: BaseException) -> None:
        self.cause = cause


class TaskCancelledError(RayError):
    """A call that was taken back."""


class ActorDiedError(RayError):
    """A call whose process is no more."""

    def __init__(self, words: str = "its worker process has died", *, init: bool = False) -> None:
        super().__init__(words)
        self.actor_init_failed = init


class Die(BaseException):
    """Ends a process, where a function raises it."""


class Call:
    """A reference to what a call will give."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def future(self) -> Future[Any]:
        return self._future


class Actor:
    """A process with threads, as far as our executor knows it."""

    def __init__(self, ray: FakeRay, kind: type, options: dict[str, Any], words: Any) -> None:
        self._pool = ThreadPoolExecutor(options["max_concurrency"])
        self._died: ActorDiedError | None = None
        ray.pools.append(self._pool)
        try:
            self._worker = kind(*words)
        except RuntimeError as exc:
            self._died = ActorDiedError(str(exc), init=True)
        self.call = SimpleNamespace(remote=self._start)

    def _start(self, call: bytes) -> Call:
        return Call(self._pool.submit(self._run, call))

    def _run(self, call: bytes) -> Any:
        if self._died:
            raise self._died
        try:
            return self._worker.call(call)
        except Exception as exc:
            raise RayTaskError(exc) from exc
        except Die:
            self._died = ActorDiedError()
            raise self._died from None


class FakeRay(SimpleNamespace):
    """The module ``ray``."""

    def __init__(self) -> None:
        names = (RayError, RayTaskError, TaskCancelledError)
        super().__init__(
            exceptions=SimpleNamespace(**{kind.__name__: kind for kind in names}),
            cloudpickle=pickle,
            connected=False,
            actors=[],
            pools=[],
            taken_back=0,
            refuses=None,
        )

    def is_initialized(self) -> bool:
        return self.connected

    def init(self, address: str | None, **settings: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.connected = True

    def shutdown(self) -> None:
        self.connected = False

    def nodes(self) -> list[dict[str, Any]]:
        some, none = {"CPU": 2.0}, {"memory": 1.0}
        return [
            {"Alive": alive, "Resources": has} for alive in (1, 0) for has in (some, some, none)
        ]

    def remote(self, kind: type) -> Any:
        def options(**settings: Any) -> Any:
            def start(*words: Any) -> Actor:
                self.actors.append(settings)
                return Actor(self, kind, settings, words)

            return SimpleNamespace(remote=start)

        return SimpleNamespace(options=options)

    def cancel(self, call: Call) -> None:
        self.taken_back += 1
        raise RayError("it runs already")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield fake
    for pool in fake.pools:
        pool.shutdown()


def die() -> None:
    raise Die


def test_calls_are_spread_over_a_process_a_node(ray: FakeRay) -> None:
    """There are as many processes as nodes with a CPU, whose threads have room for all calls."""
    with RayExecutor(max_workers=5) as executor:
        assert isinstance(executor, Executor)
        assert list(executor.map(pow, range(9), range(9))) == [n**n for n in range(9)]
        assert repr(executor) == "<RayExecutor open, 0 pending>"
    assert [settings["max_concurrency"] for settings in ray.actors] == [3, 3]
    assert {settings["num_cpus"] for settings in ray.actors} == {0.1}
    assert repr(executor) == "<RayExecutor shut down, 0 pending>"
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(pow, 2, 3)


def test_what_a_function_raises_passes(ray: FakeRay) -> None:
    """The exception is the function's own, and says where it was raised."""
    with RayExecutor() as executor:
        error = executor.submit(int, "x").exception(PATIENCE)
    assert type(error) is ValueError
    assert isinstance(error.__cause__, RayTaskError)


def test_lost_process_is_replaced(ray: FakeRay) -> None:
    """Its calls fail as those of a broken pool, and the executor goes on."""
    with RayExecutor(processes=1) as executor:
        error = executor.submit(die).exception(PATIENCE)
        assert isinstance(error, BrokenExecutor)
        assert type(error.__cause__) is ActorDiedError
        assert executor.submit(pow, 2, 3).result(PATIENCE) == 8
    assert len(ray.actors) == 2


def test_other_version_on_the_workers_is_told(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no process can be started, nothing more is taken, and why is said."""
    with RayExecutor() as executor:
        monkeypatch.setattr("qwen72b.batch.rayexecutor.__version__", "0.0.1")
        monkeypatch.setattr(
            executor, "_class", SimpleNamespace(remote=lambda _: Actor(ray, *_start_as("9.9")))
        )
        error = executor.submit(pow, 2, 3).exception(PATIENCE)
        assert isinstance(error, BrokenExecutor) and "no worker process can be started" in str(
            error
        )
        with pytest.raises(BrokenExecutor, match=r"the workers have qwen72b 0\.0\.1, and not 9\.9"):
            executor.submit(pow, 2, 3)
        assert "broken" in repr(executor)


def _start_as(version: str) -> tuple[Any, ...]:
    from qwen72b.batch import rayexecutor

    return rayexecutor._Worker, {"max_concurrency": 1}, (version,)


def test_cancelled_call_is_taken_back_once(ray: FakeRay) -> None:
    """Who waits hears of it at once, and what the call gives is left unheard."""
    gate = Event()
    _gates.append(gate)
    with RayExecutor(processes=1) as executor:
        future = executor.submit(wait_for_gate)
        assert future.cancel() and future.cancel() and future.cancelled()
        assert wait([future], timeout=PATIENCE).done == {future}
        with pytest.raises(CancelledError):
            future.result()
        assert ray.taken_back == 1
        gate.set()
        done = executor.submit(pow, 2, 3)
        assert done.result(PATIENCE) == 8
        assert not done.cancel()


_gates: list[Event] = []


def wait_for_gate() -> None:
    assert _gates.pop().wait(PATIENCE)


def test_shutdown_may_leave_calls_unheard(ray: FakeRay) -> None:
    """With cancel_futures nobody waits for what runs, and Ray is left to end it."""
    gate = Event()
    _gates.append(gate)
    executor = RayExecutor()
    future = executor.submit(wait_for_gate)
    executor.shutdown(wait=False)
    assert not future.done() and ray.connected
    executor.shutdown(cancel_futures=True)
    assert future.cancelled() and not ray.connected
    executor.shutdown()
    gate.set()


def test_call_that_ray_cancels_fails(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others take back fails with Ray's own word, and its process stays."""
    with RayExecutor(processes=1) as executor:
        executor.submit(pow, 2, 3).result(PATIENCE)
        (process,) = executor._processes
        failed: Future[Any] = Future()
        failed.set_exception(TaskCancelledError())
        monkeypatch.setattr(process.handle.call, "remote", lambda call: Call(failed))
        assert type(executor.submit(pow, 2, 3).exception(PATIENCE)) is TaskCancelledError
        assert executor._processes == [process]


def test_connection_of_the_caller_is_left_open(ray: FakeRay) -> None:
    """What was connected before stays so."""
    ray.init(None)
    with RayExecutor("10.0.0.1:6379") as executor:
        assert executor.submit(pow, 2, 3).result(PATIENCE) == 8
    assert ray.connected


def test_last_executor_ends_the_connection(ray: FakeRay) -> None:
    """A connection that executors share is there until none uses it."""
    with RayExecutor() as first:
        with RayExecutor() as second:
            second.submit(pow, 2, 3).result(PATIENCE)
        assert ray.connected
        assert first.submit(pow, 2, 3).result(PATIENCE) == 8
    assert not ray.connected


def test_ray_that_was_shut_down_takes_no_more(ray: FakeRay) -> None:
    """No other Ray is started in its place."""
    with RayExecutor() as executor:
        ray.shutdown()
        with pytest.raises(BrokenExecutor, match="shut down"):
            executor.submit(pow, 2, 3)


def test_missing_ray_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without Ray, what to install is said, by the command too."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InvalidOption, match=r"pip install ray \(the extra qwen72b\[ray\]\)"):
        RayExecutor()
    assert main(_command(tmp_path, "auto")) == 2
    assert "pip install ray" in capsys.readouterr().err


def _command(folder: Path, address: str, url: str = "http://127.0.0.1:1") -> list[str]:
    prompts = folder / "prompts.jsonl"
    prompts.write_text('"a"\n"b"\n', "utf-8")
    answers = str(folder / "answers.jsonl")
    return ["batch", str(prompts), "-o", answers, "--url", url, "--ray", address]


@pytest.mark.parametrize(
    ("address", "refusal", "kind", "words"),
    [
        ("nonsense", ValueError("Invalid address"), InvalidOption, "no address"),
        (3, TypeError("not 3"), InvalidOption, "no address"),
        ("ray://h:x", ValueError("pip install ray[client]"), InvalidOption, "Ray's client"),
        (
            "auto",
            RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9.0"),
            InvalidOption,
            "Version mismatch: The cluster was started with: Ray: 2.9.0",
        ),
        ("auto", ConnectionError("Could not find any"), ConnectFailed, "no Ray cluster at auto"),
        (None, RayError("InvalidAuthToken"), ConnectFailed, "as new as this one, its token set"),
        ("tls://u:SECRET12@h", ValueError("SECRET12"), InvalidOption, "no address"),
    ],
)
def test_cluster_that_cannot_be_used(
    address: Any, refusal: Exception, kind: type[Exception], words: str, ray: FakeRay
) -> None:
    """Why is one line of ours, without what may be a password in the address."""
    ray.refuses = refusal
    with pytest.raises(kind, match=words) as caught:
        RayExecutor(address)
    assert "\n" not in str(caught.value) and "SECRET12" not in str(caught.value)


def test_address_that_nobody_has(
    ray: FakeRay, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is not given to Ray, which would look for it for minutes."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ConnectFailed, match=address):
        RayExecutor(f"ray://{address}")
    assert main(_command(tmp_path, address)) == 6
    assert f"no Ray cluster at {address}" in capsys.readouterr().err
    assert not ray.connected


@pytest.mark.parametrize("option", ["--dask", "--ray"])
@pytest.mark.parametrize("address", ["", " "])
def test_empty_address_starts_no_cluster(
    option: str, address: str, ray: FakeRay, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A shell's variable that is not set is a mistake, and not this machine."""
    with pytest.raises(InvalidOption, match="empty"):
        RayExecutor(address)
    assert main([*_command(tmp_path, "auto")[:-2], option, address]) == 2
    assert f"{option} wants an address" in capsys.readouterr().err
    assert not ray.connected


@pytest.mark.parametrize(
    "options",
    [
        {"max_workers": 0},
        {"max_workers": None},
        {"max_workers": True},
        {"processes": 0},
        {"processes": 1.5},
        {"num_cpus": -1},
        {"num_cpus": "1"},
        {"num_cpus": float("nan")},
    ],
)
def test_options_are_checked_before_ray_is_looked_for(options: dict[str, Any]) -> None:
    """An option without a usable value is named."""
    with pytest.raises(InvalidOption, match=next(iter(options))):
        RayExecutor(**options)


def test_command_has_the_cluster_ask(
    ray: FakeRay, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """``--ray`` is an executor of as many calls as ``--workers`` says."""
    with FakeSpace() as space:
        assert main([*_command(tmp_path, "auto", space.url), "--workers", "3"]) == 0
    assert "2 answered" in capsys.readouterr().err
    assert [settings["max_concurrency"] for settings in ray.actors] == [2, 2]
    assert not ray.connected


def test_token_does_not_show(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ray is given is one pickle: no argument of ours to show in a log or a page."""
    given: list[tuple[Any, ...]] = []
    plain: Callable[..., Any] = Actor._start

    def spy(self: Actor, *call: Any) -> Call:
        given.append(call)
        return plain(self, *call)

    monkeypatch.setattr(Actor, "_start", spy)
    with (
        FakeSpace() as space,
        Client(space.url, token="hf_verysecret") as client,
        RayExecutor() as executor,
    ):
        assert all(result.ok for result in client.map(["a", "b"], executor=executor))
    assert [[type(word) for word in call] for call in given] == [[bytes]] * 2
