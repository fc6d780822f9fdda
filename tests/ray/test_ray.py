"""Batches on a real Ray cluster of this machine; ``tox -e ray`` runs them."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, wait
from pathlib import Path
from time import sleep
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

# Before Ray, which reads the variables that it sets.
from kills import kill_drivers  # isort: split

import ray
from ray.cluster_utils import Cluster
from timing import PATIENCE

from qwen72b import Client
from qwen72b.batch import RayExecutor
from qwen72b.testing import FakeSpace, Job, Pause


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """Ray keeps files open in a process that was connected."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield cluster
    cluster.shutdown()


@pytest.fixture
def space() -> Iterator[FakeSpace]:
    with FakeSpace() as space:
        space.answer(echo)
        yield space


def echo(job: Job) -> Iterator[Any]:
    """Answer with the question."""
    yield f"re: {job.query}"


def slow_echo(job: Job) -> Iterator[Any]:
    """Do, after a while, so that there is always something in flight."""
    yield Pause(0.05)
    yield f"re: {job.query}"


def test_calls_run_and_nothing_is_left(cluster: Cluster) -> None:
    """Results, exceptions and lambdas pass; no thread and no connection stays."""
    before = set(threading.enumerate())
    with RayExecutor(cluster.address) as executor:
        assert list(executor.map(pow, range(9), range(9))) == [n**n for n in range(9)]
        assert executor.submit(lambda: os.getpid()).result(PATIENCE) != os.getpid()
        assert type(executor.submit(int, "x").exception(PATIENCE)) is ValueError
    assert set(threading.enumerate()) == before
    assert not ray.is_initialized()


def test_lost_process_is_replaced(cluster: Cluster) -> None:
    """What it had fails, and the next call starts another."""
    with RayExecutor(cluster.address, processes=1) as executor:
        running = executor.submit(sleep, 10 * PATIENCE)
        assert isinstance(executor.submit(lambda: os._exit(3)).exception(PATIENCE), BrokenExecutor)
        assert isinstance(running.exception(PATIENCE), BrokenExecutor)
        assert executor.submit(pow, 2, 3).result(PATIENCE) == 8


def test_cancelled_call_is_not_waited_for(cluster: Cluster) -> None:
    """Whether it runs or waits, it is done for its caller at once."""
    with RayExecutor(cluster.address, max_workers=1) as executor:
        futures = [executor.submit(sleep, 3) for _ in range(3)]
        assert all(future.cancel() for future in futures)
        assert wait(futures, timeout=PATIENCE).done == set(futures)


def test_connection_of_the_caller_is_left_open(cluster: Cluster) -> None:
    """A driver that is connected stays so."""
    ray.init(cluster.address, log_to_driver=False)
    try:
        with RayExecutor() as executor:
            assert executor.submit(pow, 2, 3).result(PATIENCE) == 8
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_other_version_on_the_workers_is_told(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call says so, and no other is taken."""
    monkeypatch.setattr("qwen72b.batch.rayexecutor.__version__", "0.0.1")
    with RayExecutor(cluster.address) as executor:
        error = executor.submit(pow, 2, 3).exception(PATIENCE)
        assert isinstance(error, BrokenExecutor) and "and not 0.0.1" in str(error)
        with pytest.raises(BrokenExecutor):
            executor.submit(pow, 2, 3)


def test_missing_package_on_the_workers_is_told(cluster: Cluster, tmp_path: Path) -> None:
    """The same, where they do not have it."""
    code = "import sys; sys.modules['qwen72b'] = None"
    (tmp_path / "sitecustomize.py").write_text(code, "utf-8")
    environment = {"env_vars": {"PYTHONPATH": str(tmp_path)}}
    ray.init(cluster.address, log_to_driver=False, runtime_env=environment)
    try:
        with RayExecutor() as executor:
            error = executor.submit(pow, 2, 3).exception(PATIENCE)
            assert isinstance(error, BrokenExecutor) and "No module named 'qwen72b" in str(error)
    finally:
        ray.shutdown()


def test_workers_answer_and_the_token_is_in_no_log(cluster: Cluster, space: FakeSpace) -> None:
    """Each process makes one client, with the driver's token, which Ray writes nowhere."""
    with (
        Client(space.url, token="hf_verysecret") as client,
        RayExecutor(cluster.address, max_workers=8) as executor,
    ):
        results = list(client.map(map(str, range(40)), executor=executor))
        folder = Path(ray.nodes()[0]["ObjectStoreSocketName"]).parents[1]
    assert [result.reply for result in results] == [f"re: {number}" for number in range(40)]
    assert {r.headers["x-hf-authorization"] for r in space.requests} == {"Bearer hf_verysecret"}
    logs = [path.read_bytes() for path in (folder / "logs").rglob("*") if path.is_file()]
    assert logs
    assert not any(b"hf_verysecret" in log for log in logs)


def test_command_has_the_cluster_ask(cluster: Cluster, space: FakeSpace, tmp_path: Path) -> None:
    """``--ray`` answers as the threads of the command do."""
    (tmp_path / "prompts.jsonl").write_text("".join(f'"q{n}"\n' for n in range(40)), "utf-8")
    command = ["batch", "prompts.jsonl", "-o", "answers.jsonl", "--ray"]
    done = subprocess.run(
        [sys.executable, "-m", "qwen72b", *command, cluster.address, "--url", space.url],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "40 prompts: 40 answered, 0 failed" in done.stderr


def test_killed_drivers_lose_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """Each item is answered once over all runs, and Ray ends what the drivers started."""
    kill_drivers("ray", cluster.address, tmp_path, kills=3)


def test_examples_do_what_they_show(
    cluster: Cluster, space: FakeSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the docstrings run as they stand."""
    space.answer("Because", " of", " the air.", times=None)
    monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(
        RayExecutor, "RayExecutor", globs={"Client": Client}
    ):
        runner.run(example)
    assert runner.summarize() == (0, runner.tries)
    assert runner.tries >= 6


# The last, since Ray tells all later drivers of a node that died, where they print.
def test_node_is_lost_in_the_middle(cluster: Cluster, space: FakeSpace) -> None:
    """What it had goes again on the other, and every item is answered."""
    space.answer(slow_echo)
    second = cluster.add_node(num_cpus=1)
    results = []
    with (
        Client(space.url, token=False) as client,
        RayExecutor(cluster.address, max_workers=16) as executor,
    ):
        for result in client.map(
            map(str, range(1_200)), executor=executor, max_in_flight=16, ordered=False
        ):
            results.append(result)
            if len(results) == 400:
                cluster.remove_node(second, allow_graceful=False)
    assert {result.reply for result in results} == {f"re: {number}" for number in range(1_200)}
    assert len(results) == 1_200
    assert any(result.tries > 1 for result in results)
