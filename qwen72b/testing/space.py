"""
`FakeSpace`, a scripted Space on loopback: what a test says to it and asks of it.

Strategy: the routes and refusals of a real Gradio server (`routes`); in front
of them the faults that a test has ordered (`app`), behind them the scripts of
its answers (`script`), and beside them a `record` of what the client did.

Above 300 lines: mostly the docstrings of the one public class.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .app import App
from .dialect import ChatFormat, Dialect, Protocol, find_dialect
from .functions import Functions, ScriptedFunctions
from .http11 import Request
from .job import Job
from .layout import Layout
from .record import Ordered, Record
from .response import Respond
from .server import Server
from .settings import Settings, Shape
from .steps import Step
from .transcript import Transcript

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FakeSpace"]


class FakeSpace(Settings):
    """
    A scripted Gradio Space on 127.0.0.1.

    Args:
        gradio: The version that it speaks as, or a `Dialect` of one's own.
        protocol: Another protocol than the version's.
        prefix: Another prefix than the version's.
        chat: Another form of the chatbot's value than the version's usual one.
        layout: What is on the page.
        shape: How streams are framed.
        auth: A user and a password, for a Space with a login.
        token: A token, for a private Space: asked for on every request.
        token_status: The status without it.
        sticky: Give each client a cookie, and know a session only by its own.
        max_size: How many jobs may be joined and not finished.
        clean: Clean the indentation of every text as Gradio's chatbot does.
        tls: A server's context, to speak https.

    Attributes:
        config: What ``/config`` gives; a plain dictionary, to be changed at will.
        dialect: How it speaks.
        layout: What is on the page.
        shape: How streams are framed; may be replaced at any time, as may the
            settings that bear an argument's name.

    Example:
        >>> from qwen72b.testing import FakeSpace
        >>> with FakeSpace(gradio="5.25.2") as space:
        ...     space.answer("Hel", "lo!")
        ...     print(Client(space.url).ask("Hi"))
        Hello!
    """

    def __init__(
        self,
        gradio: str | Dialect = "4.36.1",
        *,
        protocol: Protocol | None = None,
        prefix: str | None = None,
        chat: ChatFormat | None = None,
        layout: Layout | None = None,
        shape: Shape | None = None,
        auth: tuple[str, str] | None = None,
        token: str | None = None,
        token_status: int = 404,
        sticky: bool = False,
        max_size: int | None = None,
        clean: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        dialect = find_dialect(gradio) if isinstance(gradio, str) else gradio
        traits: dict[str, Any] = {"protocol": protocol, "prefix": prefix, "chat": chat}
        given = {name: trait for name, trait in traits.items() if trait is not None}
        dialect = replace(dialect, **given)
        super().__init__(
            dialect=dialect,
            layout=Layout() if layout is None else layout,
            shape=Shape() if shape is None else shape,
            auth=auth,
            token=token,
            token_status=token_status,
            sticky=sticky,
            max_size=max_size,
            clean=clean,
        )
        self._tls = tls
        self._app = App(self, Record(), tls)
        self._server = Server(self._app.handle, self._app.leave, lambda: self._app.record.notify())
        self.config = self.layout.config(dialect, self.url)

    @classmethod
    def from_transcript(cls, folder: str | Path, *, timing: bool = False) -> Self:
        """
        Play a recorded conversation, again for each client that asks for it.

        Args:
            folder: The recording of a scenario; see `qwen72b.testing.transcript`.
            timing: Keep the recorded pauses; by default there are none.

        Returns:
            A Space that keeps the recording's config, statuses, headers, chunk
            borders and end, whatever it is asked. It records requests, no jobs.

        Example:
            >>> with FakeSpace.from_transcript("recordings/single") as space:
            ...     print(Client(space.url).ask("Hi"))
            One single reply, not streamed.
        """
        recorded = Transcript(folder, timing=timing)
        space = cls(recorded.dialect)
        space.config = recorded.config
        space.fault("join", recorded.join, times=None)
        space.fault("stream", recorded.stream, times=None)
        return space

    @classmethod
    def from_config(cls, config: dict[str, Any], functions: Functions | None = None) -> Self:
        """
        Be the Space of a recorded ``/config``, whose functions give scripted outputs.

        States and chains are the client's and the app's business: each function
        gives what is scripted, whatever it gets (``jobs`` tells what that was).

        Args:
            config: What ``GET /config`` of a Space gave.
            functions: By number or ``api_name``: what a function gives, as a list
                of its outputs for each time that it yields; steps may stand
                between. Or a callable that takes the `Job` and gives that. A
                function that is not here gives null for each output.

        Example:
            >>> with FakeSpace() as first:
            ...     config = first.config
            >>> with FakeSpace.from_config(config, {"model_chat": [["", [["Hi", "Hello!"]], ""]]}) as space:
            ...     print(Client(space.url).ask("Hi"))
            Hello!
        """
        space = cls(config["version"])
        space.config = config
        space.answer(ScriptedFunctions(config, functions or {}))
        return space

    # What the test says

    def answer(
        self,
        *steps: str | Step | Callable[[Job], Iterable[str | Step]],
        times: int | None = None,
        delay: float = 0.0,
    ) -> None:
        """
        Script the answer of the next jobs.

        What a real server adds is added: an estimation before, ``process_starts``
        with the first text, the completion and the end after it.

        Args:
            steps: Text (each piece is an event of its own) and steps; or one
                callable, which takes the `Job` and gives such steps.
            times: For so many jobs; None: for all jobs from now on that are not
                covered by a script with a number.
            delay: Seconds between two pieces of text.

        Example:
            >>> with FakeSpace() as space:
            ...     space.answer("Hel", "lo!")
            ...     print(Client(space.url).ask("Hi"))
            Hello!
        """
        self._app.record.order_answer(Ordered(steps, times, delay=delay))

    def stream(
        self,
        *steps: str | Step | Callable[[Job], Iterable[str | Step]],
        times: int | None = None,
    ) -> None:
        """
        Script the whole stream of the next jobs: nothing is added but the body's end.

        Args:
            steps: As for `answer`.
            times: As for `answer`.

        Example:
            >>> with FakeSpace() as space:
            ...     space.stream(Message("process_starts"), "Hello!", Complete(), CloseStream())
            ...     print(Client(space.url).ask("Hi"))
            Hello!
        """
        self._app.record.order_answer(Ordered(steps, times, whole=False))

    def fault(self, where: str, *steps: Step, times: int | None = 1) -> None:
        """
        Script what the next requests of a kind meet instead of their answer.

        After it the connection goes on if the last step is `Respond` or `Proceed`
        (after ``connect``: if no step has ended it), and otherwise ends.

        Args:
            where: ``connect`` (before TLS and before any request), ``config``,
                ``join``, ``stream``, ``login``, ``other``, or a method and path
                such as ``"GET /api/spaces/owner/name"``.
            steps: What happens.
            times: For so many requests, then as usual; None: for all.

        Example:
            >>> with FakeSpace() as space:
            ...     space.fault("join", Respond(status=503), times=1)
            ...     reply = Client(space.url).ask("Hi", retry=Retry(base=0))
            ...     print(len([request for request in space.requests if request.method == "POST"]))
            2
        """
        self._app.record.order_fault(where, Ordered(steps, times))

    def route(self, method: str, path: str, *responses: Respond) -> None:
        """
        Answer a path of its own: the responses in turn, the last one for ever.

        Args:
            method: Such as ``"GET"``.
            path: Without a query.
            responses: What to answer; at least one.

        Example:
            >>> with FakeSpace() as space:
            ...     space.route("GET", "/health", Respond(body="fine"))
            ...     print(urllib.request.urlopen(f"{space.url}/health").read())
            b'fine'
        """
        *passing, last = responses
        turns = [Ordered((response,), 1) for response in passing]
        self._app.record.order_fault(f"{method} {path}", *turns, Ordered((last,), None), anew=True)

    def hub(self, space: str, *stages: str) -> None:
        """
        Play the Hub as well: ``GET /api/spaces/{owner}/{name}`` tells the stages in turn.

        Args:
            space: ``"owner/name"``.
            stages: Such as ``"SLEEPING", "BUILDING", "RUNNING"``; the last one stays.

        Example:
            >>> with FakeSpace() as space:
            ...     space.hub("owner/name", "SLEEPING", "RUNNING")
            ...     told = urllib.request.urlopen(f"{space.url}/api/spaces/owner/name")
            ...     print(json.load(told)["runtime"]["stage"])
            SLEEPING
        """
        bodies = [{"id": space, "runtime": {"stage": stage}} for stage in stages]
        self.route("GET", f"/api/spaces/{space}", *(Respond(body=body) for body in bodies))

    def refuse(self, refusing: bool = True) -> None:
        """
        Refuse connections (the port is closed), or accept them again.

        Example:
            >>> with FakeSpace() as space:
            ...     space.refuse()
            ...     Client(space.url).ask("Hi", retry=Retry(attempts=1))
            Traceback (most recent call last):
            qwen72b.errors.ConnectFailed: ...
        """
        self._server.refuse(refusing)

    def reset(self) -> None:
        """
        Forget scripts, faults, requests and jobs; connections stay open.

        Example:
            >>> with FakeSpace() as space:
            ...     reply = Client(space.url).ask("Hi")
            ...     space.reset()
            ...     print(space.jobs)
            []
        """
        self._app.record = Record()

    # What the client did

    @property
    def url(self) -> str:
        """The Space's address, without a slash at its end."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._server.port}"

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in order."""
        return list(self._app.record.requests)

    @property
    def jobs(self) -> list[Job]:
        """All jobs so far, in order."""
        return list(self._app.record.jobs)

    @property
    def connections(self) -> int:
        """How many connections have been accepted."""
        return self._server.connections

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return self._server.open_connections

    def wait_for_request(self, phase: str, count: int = 1, timeout: float = 5.0) -> Request:
        """
        Wait until a request of a kind has come.

        Args:
            phase: As `fault`'s ``where``, without ``connect``.
            count: Which of them, counted from 1.
            timeout: Seconds.

        Returns:
            The request.

        Raises:
            TimeoutError: If it has not come.

        Example:
            >>> with FakeSpace() as space:
            ...     reply = Client(space.url).ask("Hi")
            ...     print(space.wait_for_request("join").method)
            POST
        """
        return self._app.record.wait_for_request(phase, count, timeout)

    def wait_for_job(self, state: str = "finished", count: int = 1, timeout: float = 5.0) -> Job:
        """
        Wait until so many jobs are in a state.

        Args:
            state: One of `Job.state`'s.
            count: How many.
            timeout: Seconds.

        Returns:
            The last of them.

        Raises:
            TimeoutError: If there are fewer.

        Example:
            >>> with FakeSpace() as space:
            ...     reply = Client(space.url).ask("Hi")
            ...     print(space.wait_for_job("finished").query)
            Hi
        """
        return self._app.record.wait_for_job(state, count, timeout)

    def wait_for_disconnect(self, count: int = 1, timeout: float = 5.0) -> Job:
        """
        Wait until clients have hung up on so many jobs before the end; give the last.

        Example:
            >>> with FakeSpace() as space:
            ...     space.answer("Hel", Gate(), "lo!")
            ...     with Client(space.url).stream("Hi") as stream:
            ...         print(next(stream))
            ...     print(space.wait_for_disconnect().state)
            Hel
            cancelled
        """
        return self.wait_for_job("cancelled", count, timeout)

    def wait_until_idle(self, timeout: float = 5.0) -> None:
        """
        Wait (seconds) until no connection is open.

        Example:
            >>> with FakeSpace() as space:
            ...     with Client(space.url) as client:
            ...         reply = client.ask("Hi")
            ...     space.wait_until_idle()
            ...     print(space.open_connections)
            0
        """
        self._app.record.wait(lambda: self.open_connections == 0, timeout, "end of all connections")

    # Closing

    def close(self, timeout: float = 5.0) -> None:
        """
        End at once: no connection, thread or socket stays. May be called again.

        Args:
            timeout: Seconds that a script's own callable may still take.

        Raises:
            RuntimeError: If it does not return.

        Example:
            >>> space = FakeSpace()
            >>> space.close()
        """
        self._app.record.closing = True
        self._server.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.close()
        if error is None and self._app.record.failure is not None:
            raise RuntimeError("a script of this FakeSpace failed") from self._app.record.failure
