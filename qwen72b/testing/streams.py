"""
Streams of a Gradio server: what they carry, job after job, until their end.

How is a request for a stream answered? Strategy: one stream serves the jobs of
its session in turn; each is told by its script, with what a real server adds
around it.
"""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from typing import Any

from .http11 import Body, write_head
from .job import Job
from .jobstream import JobStream, StreamEnded
from .record import Ordered, Record
from .script import AwaitData, Estimation, UnexpectedError
from .settings import Settings
from .steps import Stall
from .wire import Connection

__all__ = ["StreamReply"]


class StreamReply:
    """
    Answer to one request for a stream.

    Args:
        settings: How the Space looks and speaks.
        record: Its scripts and jobs.
        connection: Where the answer goes.
        cookie: What the client is given to keep, or None.
    """

    def __init__(
        self, settings: Settings, record: Record, connection: Connection, cookie: str | None
    ) -> None:
        self._settings = settings
        self._record = record
        self._connection = connection
        self._cookie = cookie

    def refuse(self, job: Job) -> None:
        """Say that the queue is full, and end."""
        self._open_stream(job).message("queue_full")
        self._body.end()

    def run(self, session_hash: str, replica: str | None) -> None:
        """
        Tell all jobs of a session, and end.

        Args:
            session_hash: The session's.
            replica: The client's cookie, with sticky sessions.
        """
        start = partial(self._record.start_job, session_hash, replica, self._connection.number)
        job = start()
        if job is None:
            self._refuse_stream(session_hash)
            return
        stream: JobStream | None = None
        while job is not None:
            try:
                # The head is part of it: a client may hang up before that, too.
                stream = self._open_stream(job) if stream is None else self._job_stream(job)
                self._tell(stream, self._record.next_answer())
            except StreamEnded:
                return
            finally:
                self._record.leave_job(job, hung_up=self._connection.hung_up)
            job = start()
        if stream is not None and not stream.closed and not stream.raw:
            stream.close_stream()
        self._body.end()

    def _refuse_stream(self, session_hash: str) -> None:
        stream = self._open_stream(Job(session_hash, "", 0))
        states = [job.state for job in self._record.jobs if job.session_hash == session_hash]
        # After the end a stream of the same session stays open and silent for ever;
        # once its client has hung up, the session is forgotten.
        if states and not {"cancelled", "waiting"} & set(states):
            Stall().run(stream)
        UnexpectedError().run(stream)

    def _open_stream(self, job: Job) -> JobStream:
        shape = self._settings.shape
        head: dict[str, str] = {"server": "uvicorn", "content-type": shape.content_type}
        if shape.gzip:
            head["content-encoding"] = "gzip"
        if shape.framing == "chunked":
            head["transfer-encoding"] = "chunked"
        elif shape.framing == "close":
            head["connection"] = "close"
        if self._cookie is not None:
            head["set-cookie"] = self._cookie
        head |= shape.headers
        self._connection.send(write_head(shape.status, list(head.items())))
        self._body = Body(self._connection, shape.framing, gzip=shape.gzip, piece=shape.piece)
        if shape.bom:
            self._body.write(b"\xef\xbb\xbf")
        return self._job_stream(job)

    def _job_stream(self, job: Job) -> JobStream:
        settings = self._settings
        return JobStream(
            self._body,
            settings.dialect,
            job,
            newline=settings.shape.newline,
            clean=settings.clean,
            finished=self._record.finish_job,
            ended=partial(self._record.leave_job, hung_up=False),
        )

    def _tell(self, stream: JobStream, ordered: Ordered) -> None:
        job, steps = stream.job, ordered.steps
        rest: Any = () if callable(steps) else steps
        if ordered.whole:
            waiting = list(takewhile(lambda step: isinstance(step, Estimation), rest))
            for step in waiting or [Estimation()]:
                stream.play(step)
            rest = rest[len(waiting) :]
            if self._settings.dialect.stream_first:
                AwaitData().run(stream)
            if not self._settings.dialect.accepts(job.history):
                stream.fail(None, None, None, None)
                return
        else:
            stream.raw = True
        said = False
        for step in steps(job) if callable(steps) else rest:
            if said and isinstance(step, str) and ordered.delay:
                self._connection.wait(ordered.delay)
            said = said or isinstance(step, str)
            stream.play(step)
        if ordered.whole and not stream.completed:
            stream.complete()
