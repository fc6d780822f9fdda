"""
Record of a fake Space: what was ordered, and what has happened.

Strategy: one condition guards it all and announces every change, so that a
test waits on what happens and never on the clock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from .http11 import Request
from .job import Job

__all__ = ["DEFAULT_ANSWER", "Ordered", "Record", "words"]

DEFAULT_ANSWER = "Hello! This is a fake Space; it says the same to everyone."
"""What a `FakeSpace` without a script says, word by word."""

_T = TypeVar("_T")

_PLACES = ("connect", "config", "join", "stream", "login", "other")


def words(text: str) -> list[str]:
    """
    Cut a text into words, as a model's tokens: joined they are the text again.

    Example:
        >>> words("Hello, dear Space")
        ['Hello,', ' dear', ' Space']
    """
    first, *others = text.split(" ")
    return [first, *(" " + word for word in others)]


@dataclass
class Ordered:
    """
    A script, and for how many more requests or jobs it stands.

    Attributes:
        steps: The script, or what makes one for a job; may be given as the only step.
        times: For so many; None is for ever.
        whole: What a server adds of its own is added.
        delay: Seconds between pieces of text.
    """

    steps: tuple[Any, ...] | Callable[[Job], Iterable[Any]]
    times: int | None
    whole: bool = True
    delay: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.steps, tuple) and len(self.steps) == 1 and callable(self.steps[0]):
            self.steps = self.steps[0]


class Record:
    """Scripts to come, requests and jobs that were."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.requests: list[Request] = []
        self.jobs: list[Job] = []
        self.failure: BaseException | None = None
        self.closing = False
        self._faults: dict[str, deque[Ordered]] = {}
        self._answers: deque[Ordered] = deque()
        # The script of jobs that have none of their own.
        self._standing = Ordered(tuple(words(DEFAULT_ANSWER)), None)

    def notify(self) -> None:
        """Have everyone who waits look again."""
        with self.changed:
            self.changed.notify_all()

    def order_answer(self, ordered: Ordered) -> None:
        """Keep the script of jobs to come."""
        with self.changed:
            if ordered.times is None:
                self._standing = ordered
            else:
                self._answers.append(ordered)

    def order_fault(self, place: str, *ordered: Ordered, anew: bool = False) -> None:
        """
        Keep the scripts of requests to come.

        Raises:
            ValueError: If there is no such place.
        """
        if place not in _PLACES and " /" not in place:
            raise ValueError(f"{place!r} is none of {_PLACES}, nor a method and path")
        with self.changed:
            waiting = self._faults.setdefault(place, deque())
            if anew:
                waiting.clear()
            waiting.extend(ordered)

    def next_answer(self) -> Ordered:
        """Take the script of the next job."""
        with self.changed:
            return _take(self._answers) or self._standing

    def next_fault(self, *places: str) -> tuple[Any, ...] | None:
        """Take the script of a request, if there is one."""
        with self.changed:
            for place in places:
                ordered = _take(self._faults.get(place))
                if ordered is not None:
                    assert isinstance(ordered.steps, tuple)
                    return ordered.steps
        return None

    def add_request(self, request: Request) -> None:
        """Keep a request."""
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    def add_job(self, job: Job, max_size: int | None = None) -> bool:
        """Keep a job, unless too many are open."""
        with self.changed:
            busy = sum(other.state in ("waiting", "running") for other in self.jobs)
            if max_size is not None and busy >= max_size:
                return False
            self.jobs.append(job)
            self.changed.notify_all()
        return True

    def start_job(self, session_hash: str, replica: str | None, connection: int) -> Job | None:
        """Take a session's next waiting job."""
        wanted = (session_hash, replica, "waiting")
        with self.changed:
            for job in self.jobs:
                if (job.session_hash, job.replica, job.state) == wanted:
                    job.state, job.connection = "running", connection
                    self.changed.notify_all()
                    return job
        return None

    def finish_job(self, job: Job) -> None:
        """Note that a completion is on its way; before it is, so that no client can be faster."""
        self._turn(job, "finished")

    def leave_job(self, job: Job, *, hung_up: bool) -> None:
        """Note that a stream has ended, if a completion was not sent before."""
        # A Space that is closed hangs up on its clients, not they on it.
        self._turn(job, "cancelled" if hung_up and not self.closing else "broken")

    def leave_connection(self, connection: int) -> None:
        """Note that a client has hung up."""
        for job in list(self.jobs):
            if job.connection == connection:
                self.leave_job(job, hung_up=True)

    def wait(self, found: Callable[[], _T | None], timeout: float, what: str) -> _T:
        """
        Wait until something is found.

        Args:
            found: Asked at every change; gives a false value until then.
            timeout: Seconds.
            what: Named in the error.

        Raises:
            TimeoutError: If it is not found; tells what did happen.
        """
        with self.changed:
            result = self.changed.wait_for(found, timeout)
            if not result:
                jobs = ", ".join(job.state for job in self.jobs)
                seen = ", ".join(f"{request.method} {request.target}" for request in self.requests)
                raise TimeoutError(
                    f"no {what} within {timeout} s; requests: [{seen}]; jobs: [{jobs}]"
                )
        return result

    def wait_for_request(self, phase: str, count: int, timeout: float) -> Request:
        """Wait for a request, as `FakeSpace.wait_for_request` says."""

        def found() -> Request | None:
            hits = [r for r in self.requests if phase in (r.phase, f"{r.method} {r.path}")]
            return hits[count - 1] if len(hits) >= count else None

        return self.wait(found, timeout, f"request {count} of {phase}")

    def wait_for_job(self, state: str, count: int, timeout: float) -> Job:
        """Wait for jobs in a state, as `FakeSpace.wait_for_job` says."""

        def found() -> Job | None:
            hits = [job for job in self.jobs if job.state == state]
            return hits[count - 1] if len(hits) >= count else None

        return self.wait(found, timeout, f"job {count} that is {state}")

    def _turn(self, job: Job, state: Any) -> None:
        with self.changed:
            if job.state == "running":
                job.state = state
                job.cancelled_at = time.monotonic() if state == "cancelled" else None
                self.changed.notify_all()


def _take(waiting: deque[Ordered] | None) -> Ordered | None:
    if not waiting:
        return None
    ordered = waiting[0]
    if ordered.times is not None:
        ordered.times -= 1
        if not ordered.times:
            waiting.popleft()
    return ordered
