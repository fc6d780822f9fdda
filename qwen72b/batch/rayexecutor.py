"""
Executor over a Ray cluster: ``RayExecutor``.

Strategy: asking is waiting, so calls run in threads of a few worker processes
(Ray's actors, with ``max_concurrency``), and not in Ray's tasks, each of which
has a process of its own while it runs. Measured with 1,200 calls of 0.2 s, 64
at once, on two cores: two actors took 5.1 s, 3.9 s of CPU and 190 MB, tasks of
a hundredth of a CPU 23 s, 29 s of CPU and 3,300 MB in 37 processes.

Results come by Ray's own callbacks, on a thread of Ray's; there is none of
ours. A process that is lost takes its calls with it, whose futures say so; the
next call starts another, wherever there is a place.

What is shipped is one pickle, so that Ray sees no argument and shows none.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

from ..errors import InvalidOption
from ..privacy.redaction import shown
from ..version import __version__
from .rayconnection import connect, release

__all__ = ["RayExecutor"]

P = ParamSpec("P")
T = TypeVar("T")

# Calls at once: the window of most batches, and no burden for two processes.
_CALLS = 64

# Of each process. Where a node gives none, such as the head of a cluster that
# keeps it free, nothing is to run.
_CPUS = 0.1


class RayExecutor(Executor):
    """
    Executor whose calls run on a Ray cluster (PEP 3148).

    For calls that mostly wait, such as those of ``Client.map``: they run in
    threads of a few processes, one a node unless you say how many. The package
    must be installed there, in the same version. A future whose process was
    lost raises ``BrokenExecutor``; the executor goes on. ``cancel()`` takes a
    call back that has not begun; one that has is left to end unheard.

    Args:
        address: Ray's address, such as ``"10.0.0.5:6379"``, ``"ray://head:10001"``
            or ``"auto"``. Without one, what ``RAY_ADDRESS`` says, or else the
            Ray of this machine, which is started if there is none. A
            connection that the process has already is used, and not closed.
        max_workers: Calls at once, over all processes.
        processes: How many there are; as many as nodes that have a CPU if ``None``.
        num_cpus: What each of them asks Ray for.

    Raises:
        InvalidOption: If Ray is not installed, or an argument has no usable value.
        ConnectFailed: If there is no such cluster.

    Example:
        >>> from qwen72b.batch import RayExecutor
        >>> with RayExecutor() as executor:
        ...     with Client().map(["Why is the sky blue?"], executor=executor) as batch:
        ...         print(next(batch).reply)
        Because of the air.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        max_workers: int = _CALLS,
        processes: int | None = None,
        num_cpus: float = _CPUS,
    ) -> None:
        counts = {"max_workers": max_workers}
        if processes is not None:
            counts["processes"] = processes
        for name, count in counts.items():
            if type(count) is not int or count < 1:
                raise InvalidOption(f"{name}={shown(count)} is not a count of at least 1.")
        if type(num_cpus) not in (int, float) or not 0 <= num_cpus < float("inf"):
            raise InvalidOption(f"num_cpus={shown(num_cpus)} is not a number of CPUs.")
        # Held while Ray is told something, which what Ray tells us must not wait for.
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._shut = False
        # Why it takes no more, if so.
        self._broken: BrokenExecutor | None = None
        self._processes: list[_Process] = []
        self._pending: set[Future[Any]] = set()
        self._ray, self._is_ours = connect(address)
        self._count = min(processes or self._count_nodes(), max_workers)
        self._class = self._ray.remote(_Worker).options(
            num_cpus=num_cpus,
            max_concurrency=-(-max_workers // self._count),
            scheduling_strategy="SPREAD",
        )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """
        Have a function called on the cluster.

        Args:
            fn: The function; it, its arguments and its result must fit in a
                pickle, Ray's own, which takes lambdas too.
            args: Its arguments.
            kwargs: The same, by name.

        Returns:
            The future of the result.

        Raises:
            BrokenExecutor: If no process can be started, or Ray was shut down.
            RuntimeError: If this was shut down.

        Example:
            >>> from qwen72b.batch import RayExecutor
            >>> with RayExecutor() as executor:
            ...     executor.submit(pow, 2, 10).result()
            1024
        """
        call = self._ray.cloudpickle.dumps((fn, args, kwargs))
        with self._turn:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._broken is not None:
                raise self._broken
            # Ray itself would start another one.
            if not self._ray.is_initialized():
                raise BrokenExecutor("Ray was shut down")
            process = self._pick()
            reference = process.handle.call.remote(call)
        future: _RayFuture[T] = _RayFuture(partial(self._ray.cancel, reference))
        with self._lock:
            process.calls += 1
            self._pending.add(future)
        reference.future().add_done_callback(partial(self._take, process, future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """
        Take no more calls, and end the processes once they have none. Idempotent.

        Args:
            wait: Whether to wait for that; only then a connection of this
                executor's is closed.
            cancel_futures: Whether to leave what is not done unheard.

        Example:
            >>> from qwen72b.batch import RayExecutor
            >>> executor = RayExecutor()
            >>> executor.shutdown()
        """
        with self._turn, self._lock:
            self._shut = True
            # Ray ends a process that nobody can name, after its last call.
            self._processes.clear()
            pending = list(self._pending)
        if cancel_futures:
            for future in pending:
                future.cancel()
        if not wait:
            return
        wait_for(pending)
        with self._lock:
            is_ours, self._is_ours = self._is_ours, False
        if is_ours:
            release(self._ray)

    def __repr__(self) -> str:
        state = "shut down" if self._shut else "broken" if self._broken else "open"
        return f"<{type(self).__name__} {state}, {len(self._pending)} pending>"

    def _count_nodes(self) -> int:
        nodes = self._ray.nodes()
        return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in nodes) or 1

    def _pick(self) -> _Process:
        """Give the process that has the least to do, a new one where one is missing."""
        with self._lock:
            if len(self._processes) == self._count:
                return min(self._processes, key=lambda process: process.calls)
        process = _Process(self._class.remote(__version__))
        with self._lock:
            self._processes.append(process)
        return process

    def _take(self, process: _Process, future: Future[Any], done: Future[Any]) -> None:
        """Pass on what Ray says of a call; on a thread of Ray's."""
        exceptions = self._ray.exceptions
        error: Any = done.exception()
        if error is not None and not isinstance(error, exceptions.RayTaskError):
            error = self._lose(process, error)
        with self._lock:
            process.calls -= 1
            self._pending.discard(future)
        # It may have been cancelled.
        with suppress(Exception):
            if error is None:
                future.set_result(done.result())
            elif isinstance(error, exceptions.RayTaskError):
                # What the function raised, and where; as pools of processes tell it.
                error.cause.__cause__ = error
                future.set_exception(error.cause)
            else:
                future.set_exception(error)

    def _lose(self, process: _Process, error: Any) -> Any:
        """Do without a process; tell what became of its call."""
        if isinstance(error, self._ray.exceptions.TaskCancelledError):
            return error
        # Where a process cannot even begin, why stands at the end of a traceback,
        # and the next one would not either.
        is_hopeless = getattr(error, "actor_init_failed", False)
        words = "no worker process can be started" if is_hopeless else "the worker process was lost"
        lines = str(error).splitlines() or [""]
        lost = BrokenExecutor(f"{words}: {lines[-1 if is_hopeless else 0]}")
        lost.__cause__ = error
        with self._lock:
            if process in self._processes:
                self._processes.remove(process)
            if is_hopeless:
                self._broken = self._broken or lost
        return lost


@dataclass(eq=False, slots=True)
class _Process:
    """An actor of ours, and how many calls it has."""

    handle: Any
    calls: int = 0


class _RayFuture(Future[T]):
    """
    Future that takes its call back when it is cancelled.

    Args:
        take_back: Does so.
    """

    def __init__(self, take_back: Callable[[], object]) -> None:
        super().__init__()
        self._take_back = take_back
        self._tries = iter((True,))

    def cancel(self) -> bool:
        """Cancel, unless it is done."""
        is_first = next(self._tries, False)
        if not super().cancel():
            return False
        if is_first:
            # Who waits for several futures waits for this word.
            self.set_running_or_notify_cancel()
            with suppress(Exception):
                # Ray may be gone.
                self._take_back()
        return True


class _Worker:
    """
    What runs on the cluster: a process whose threads call.

    Args:
        version: The driver's, of this package.
    """

    def __init__(self, version: str) -> None:
        if version != __version__:
            raise RuntimeError(f"the workers have qwen72b {__version__}, and not {version}")

    def call(self, call: bytes) -> Any:
        """Call a function."""
        function, args, kwargs = pickle.loads(call)
        return function(*args, **kwargs)
