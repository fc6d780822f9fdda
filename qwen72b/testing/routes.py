"""
The routes of a Gradio server, refusals included.

Strategy: what was measured on real servers (Gradio 4.0 to 6.31), in their own
words where a client may read them, for one request at a time. It reads the
fake's settings on each request, so that a test may change them between two.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from .exchange import Body, Framing, Request, write_head
from .job import Job, JobStream, StreamEnded
from .layout import Role
from .script import AwaitData, Estimation, UnexpectedError
from .steps import Respond, Stall, Step, page
from .wire import Connection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .record import Ordered
    from .space import FakeSpace

__all__ = ["Exchange", "Shape"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """
    How the streams look as HTTP and as server-sent events.

    Attributes:
        framing: How the body's end is told; ``length`` wants a Content-Length in `headers`.
        gzip: Compress the body (real servers do not).
        piece: Bytes per piece at most; None: each event is one piece.
        newline: What ends a line.
        bom: Begin with a byte order mark.
        status: The status code.
        content_type: The content type.
        headers: Further headers.
    """

    framing: Framing = "chunked"
    gzip: bool = False
    piece: int | None = None
    newline: str = "\n"
    bom: bool = False
    status: int = 200
    content_type: str = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class Exchange:
    """
    One request and its answer.

    Attributes:
        connection: Where they pass.
    """

    def __init__(self, space: FakeSpace, connection: Connection, request: Request) -> None:
        self.connection = connection
        self._space = space
        self._record = space.record
        self._request = request
        self._replica = request.cookies.get("replica")
        self._cookie: str | None = None

    def play(self, step: Any) -> None:
        """Do one step of a fault."""
        if not isinstance(step, Step):
            raise TypeError(f"a fault is made of steps, not of {step!r}; text belongs into Respond")
        step.run(self)

    def proceed(self) -> None:
        """Answer as a real server would."""
        if not self._admit():
            return
        answers = {
            "config": self._config,
            "join": self._join,
            "stream": self._stream,
            "login": self._login,
        }
        answers.get(self._request.phase, self._other)()

    def _reply(self, status: int, body: Any, **headers: str) -> None:
        extra: dict[str, str | None] = dict(headers)
        if self._cookie is not None:
            extra["set-cookie"] = self._cookie
        Respond(status=status, body=body, headers=extra).run(self)

    def _admit(self) -> bool:
        """Do what stands before the app: the token, the cookies, the login."""
        space, request = self._space, self._request
        if space.token is not None:
            wanted = f"Bearer {space.token}"
            if wanted not in (
                request.headers.get("x-hf-authorization"),
                request.headers.get("authorization"),
            ):
                page("404", space.token_status, "Sorry, we can't find this page.").run(self)
                return False
        if space.sticky and self._replica is None:
            self._replica = uuid.uuid4().hex
            self._cookie = f"replica={self._replica}; Path=/; HttpOnly"
        if space.auth is not None and request.phase != "login" and request.path != "/":
            names = (
                f"access-token-{space.secret[:8]}",
                f"access-token-unsecure-{space.secret[:8]}",
            )
            if not any(request.cookies.get(name) == space.secret for name in names):
                detail: Any = "Not authenticated"
                if space.dialect.deletes == "sequential":
                    detail = {"error": detail, "auth_message": None}
                self._reply(401, {"detail": detail})
                return False
        return True

    def _config(self) -> None:
        self._reply(200, self._space.config)

    def _login(self) -> None:
        space = self._space
        fields = parse_qs(self._request.body.decode())
        given = (fields.get("username", [""])[0], fields.get("password", [""])[0])
        if space.auth is None:
            self._reply(404, {"detail": "Not Found"})
        elif given != space.auth:
            self._reply(400, {"detail": "Incorrect credentials."})
        else:
            name, secret = space.secret[:8], space.secret
            body = b'{"success":true}'
            head = [
                ("content-length", str(len(body))),
                ("content-type", "application/json"),
                (
                    "set-cookie",
                    f"access-token-{name}={secret}; HttpOnly; Path=/; SameSite=none; Secure",
                ),
                (
                    "set-cookie",
                    f"access-token-unsecure-{name}={secret}; HttpOnly; Path=/; SameSite=lax",
                ),
            ]
            self.connection.send(write_head(200, head) + body)

    def _other(self) -> None:
        space, request = self._space, self._request
        if request.path == "/":
            page("Gradio", 200).run(self)
        elif request.path in (space.dialect.join_path, space.dialect.stream_path):
            self._reply(405, {"detail": "Method Not Allowed"})
        elif request.path == space.dialect.prefix + "/cancel" and request.method == "POST":
            self._reply(200, {"success": True})
        else:
            self._reply(404, {"detail": "Not Found"})

    def _dependency(self, fn_index: Any) -> dict[str, Any] | None:
        for position, dependency in enumerate(self._space.config["dependencies"]):
            if str(dependency.get("id", position)) == str(fn_index):
                found: dict[str, Any] = dependency
                return found
        return None

    def _join(self) -> None:
        space = self._space
        try:
            payload = self._request.json()
        except ValueError:
            self._reply(422, {"detail": [{"type": "json_invalid", "msg": "JSON decode error"}]})
            return
        if not isinstance(payload, dict):
            self._reply(422, {"detail": [{"type": "model_attributes_type", "loc": ["body"]}]})
        elif payload.get("fn_index") is None:
            self._reply(400, {"detail": "No function index provided."})
        elif payload.get("session_hash") is None:
            self._reply(400, {"detail": "Session hash not found."})
        elif (dependency := self._dependency(payload["fn_index"])) is None:
            Respond(status=500, body="Internal Server Error").run(self)
        elif space.dialect.stream_first:
            self._take_data(payload, dependency)
        else:
            job = self._new_job(payload["session_hash"], dependency, payload["fn_index"])
            job.take(self._request, self._roles(dependency["inputs"]))
            if self._record.add_job(job, space.max_size):
                self._reply(200, {"event_id": job.event_id})
            else:
                size = space.max_size
                self._reply(
                    503, {"detail": f"Queue is full. Max size is {size} and size is {size}."}
                )

    def _take_data(self, payload: dict[str, Any], dependency: dict[str, Any]) -> None:
        for job in self._record.jobs:
            if job.event_id == payload.get("event_id"):
                job.take(self._request, self._roles(dependency["inputs"]))
                self._reply(200, None)
                # The stream waits for these data in a thread of its own.
                self._space.wake(job)
                return
        self._reply(404, {"detail": "Event not found"})

    def _new_job(self, session_hash: str, dependency: dict[str, Any], fn_index: Any) -> Job:
        return Job(
            session_hash=session_hash,
            event_id=uuid.uuid4().hex,
            fn_index=int(fn_index),
            outputs=self._roles(dependency["outputs"]),
            replica=self._replica if self._space.sticky else None,
        )

    def _roles(self, components: Sequence[int]) -> list[Role | None]:
        roles = self._space.layout.roles()
        return [roles.get(component) for component in components]

    def _stream(self) -> None:
        space, query = self._space, self._request.query
        session_hash = query.get("session_hash", "")
        if space.dialect.stream_first:
            dependency = self._dependency(query.get("fn_index"))
            if dependency is None:
                Respond(status=500, body="Internal Server Error").run(self)
                return
            new = self._new_job(session_hash, dependency, query.get("fn_index"))
            if not self._record.add_job(new, space.max_size):
                self._open_stream(new).message("queue_full")
                self._body.end()
                return
        job = self._start(session_hash)
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
                self._record.leave_job(job, hung_up=self.connection.hung_up)
            job = self._start(session_hash)
        if stream is not None and not stream.closed and not stream.raw:
            stream.close_stream()
        self._body.end()

    def _start(self, session_hash: str) -> Job | None:
        replica = self._replica if self._space.sticky else None
        return self._record.start_job(session_hash, replica, self.connection.number)

    def _refuse_stream(self, session_hash: str) -> None:
        stream = self._open_stream(Job(session_hash, "", 0))
        states = [job.state for job in self._record.jobs if job.session_hash == session_hash]
        # After the end a stream of the same session stays open and silent for ever;
        # once its client has hung up, the session is forgotten.
        if states and not {"cancelled", "waiting"} & set(states):
            Stall().run(stream)
        UnexpectedError().run(stream)

    def _open_stream(self, job: Job) -> JobStream:
        shape = self._space.shape
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
        self.connection.send(write_head(shape.status, list(head.items())))
        self._body = Body(self.connection, shape.framing, gzip=shape.gzip, piece=shape.piece)
        if shape.bom:
            self._body.write(b"\xef\xbb\xbf")
        return self._job_stream(job)

    def _job_stream(self, job: Job) -> JobStream:
        space = self._space
        return JobStream(
            self._body,
            space.dialect,
            job,
            newline=space.shape.newline,
            clean=space.clean,
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
            if self._space.dialect.stream_first:
                AwaitData().run(stream)
            if not self._space.dialect.accepts(job.history):
                stream.fail(None, None, None)
                return
        else:
            stream.raw = True
        said = False
        for step in steps(job) if callable(steps) else rest:
            if said and isinstance(step, str) and ordered.delay:
                self.connection.wait(ordered.delay)
            said = said or isinstance(step, str)
            stream.play(step)
        if ordered.whole and not stream.completed:
            stream.complete()
