"""
App behind the port: it reads requests, plays the ordered faults, and hands on to the routes.

Who answers a connection? Strategy: one call of `App.handle` per connection, in
the connection's own thread; what a script of the test raises is kept for the
test, and the client sees a cut.
"""

from __future__ import annotations

import ssl
from dataclasses import replace

from .http11 import Request, read_request
from .job import Job
from .record import Record
from .routes import Handler
from .settings import Settings
from .steps import Step
from .wire import Connection, ConnectionOver

__all__ = ["App"]


class App:
    """
    The app of a fake Space.

    Args:
        settings: How it looks and speaks.
        record: What was ordered and what has happened.
        tls: A server's context, to speak https.

    Attributes:
        record: May be replaced by a new one; requests that have begun keep theirs.
    """

    def __init__(self, settings: Settings, record: Record, tls: ssl.SSLContext | None) -> None:
        self.record = record
        self._settings = settings
        self._tls = tls
        self._open: dict[int, Connection] = {}

    def leave(self, connection: Connection) -> None:
        """Note that a client has hung up."""
        self.record.leave_connection(connection.number)

    def handle(self, connection: Connection) -> None:
        """Answer the requests of a connection until it ends."""
        self._open[connection.number] = connection
        try:
            greeting = _Greeting(connection)
            for step in self.record.next_fault("connect") or ():
                greeting.play(step)
            if self._tls is not None:
                connection.start_tls(self._tls)
            while self._serve(connection):
                pass
        except ConnectionOver:
            raise
        except Exception as exc:  # noqa: BLE001 - a test's own callable may raise anything
            # The test shall see it (when the Space is closed), and the client a cut.
            self.record.failure = exc
        finally:
            del self._open[connection.number]

    def _serve(self, connection: Connection) -> bool:
        """Answer one request; tell whether the connection goes on."""
        request = read_request(connection)
        request = replace(request, phase=self._phase(request))
        handler = Handler(self._settings, self.record, connection, request, self._wake)
        self.record.add_request(request)
        steps = self.record.next_fault(f"{request.method} {request.path}", request.phase)
        if steps is None:
            handler.proceed()
        else:
            for step in steps:
                handler.play(step)
            if not steps[-1].answers:
                return False
        return request.headers.get("connection", "").lower() != "close"

    def _phase(self, request: Request) -> str:
        dialect = self._settings.dialect
        routes = {
            ("GET", "/config"): "config",
            ("POST", dialect.join_path): "join",
            ("GET", dialect.stream_path): "stream",
            ("POST", "/login"): "login",
        }
        return routes.get((request.method, request.path), "other")

    def _wake(self, job: Job) -> None:
        """Have a job's stream look whether what it waits for has come."""
        connection = self._open.get(job.connection or 0)
        if connection is not None:
            connection.wake()


class _Greeting:
    """What comes before the first request: only bytes and time."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def proceed(self) -> None:
        """Go on to the first request, as it does at the end anyhow."""

    def play(self, step: Step) -> None:
        """Do one step."""
        step.run(self)
