"""
Routes of a Gradio server, refusals included.

How does a server answer? Strategy: what was measured on real servers (Gradio
4.0 to 6.31), in their own words where a client may read them, for one request
at a time.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

from .http11 import Request, write_head
from .job import Job
from .layout import Role
from .record import Record
from .response import Respond, page
from .settings import Settings
from .steps import Step
from .streams import StreamReply
from .wire import Connection

__all__ = ["Handler"]


class Handler:
    """
    Handler of one request.

    Args:
        settings: How the Space looks and speaks.
        record: Its scripts and jobs.
        connection: Where the answer goes.
        request: The request.
        wake: Has a job's stream look whether what it waits for has come.

    Attributes:
        connection: Where the answer goes.
    """

    def __init__(
        self,
        settings: Settings,
        record: Record,
        connection: Connection,
        request: Request,
        wake: Callable[[Job], None],
    ) -> None:
        self.connection = connection
        self._settings = settings
        self._record = record
        self._request = request
        self._wake = wake
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
        settings, request = self._settings, self._request
        if settings.token is not None:
            wanted = f"Bearer {settings.token}"
            if wanted not in (
                request.headers.get("x-hf-authorization"),
                request.headers.get("authorization"),
            ):
                page("404", settings.token_status, "Sorry, we can't find this page.").run(self)
                return False
        if settings.sticky and self._replica is None:
            self._replica = uuid.uuid4().hex
            self._cookie = f"replica={self._replica}; Path=/; HttpOnly"
        if settings.auth is not None and request.phase != "login" and request.path != "/":
            names = (
                f"access-token-{settings.secret[:8]}",
                f"access-token-unsecure-{settings.secret[:8]}",
            )
            if not any(request.cookies.get(name) == settings.secret for name in names):
                detail: Any = "Not authenticated"
                if settings.dialect.deletes == "sequential":
                    detail = {"error": detail, "auth_message": None}
                self._reply(401, {"detail": detail})
                return False
        return True

    def _config(self) -> None:
        self._reply(200, self._settings.config)

    def _login(self) -> None:
        settings = self._settings
        fields = parse_qs(self._request.body.decode())
        given = (fields.get("username", [""])[0], fields.get("password", [""])[0])
        if settings.auth is None:
            self._reply(404, {"detail": "Not Found"})
        elif given != settings.auth:
            self._reply(400, {"detail": "Incorrect credentials."})
        else:
            name, secret = settings.secret[:8], settings.secret
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
        settings, request = self._settings, self._request
        if request.path == "/":
            page("Gradio", 200).run(self)
        elif request.path in (settings.dialect.join_path, settings.dialect.stream_path):
            self._reply(405, {"detail": "Method Not Allowed"})
        elif request.path == settings.dialect.prefix + "/cancel" and request.method == "POST":
            self._reply(200, {"success": True})
        else:
            self._reply(404, {"detail": "Not Found"})

    def _dependency(self, fn_index: Any) -> dict[str, Any] | None:
        for position, dependency in enumerate(self._settings.config["dependencies"]):
            if str(dependency.get("id", position)) == str(fn_index):
                found: dict[str, Any] = dependency
                return found
        return None

    def _join(self) -> None:
        settings = self._settings
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
        elif settings.dialect.stream_first:
            self._take_data(payload, dependency)
        else:
            job = self._new_job(payload["session_hash"], dependency, payload["fn_index"])
            job.take(self._request, self._roles(dependency["inputs"]))
            if self._record.add_job(job, settings.max_size):
                self._reply(200, {"event_id": job.event_id})
            else:
                size = settings.max_size
                self._reply(
                    503, {"detail": f"Queue is full. Max size is {size} and size is {size}."}
                )

    def _take_data(self, payload: dict[str, Any], dependency: dict[str, Any]) -> None:
        for job in self._record.jobs:
            if job.event_id == payload.get("event_id"):
                job.take(self._request, self._roles(dependency["inputs"]))
                self._reply(200, None)
                # The stream waits for these data in a thread of its own.
                self._wake(job)
                return
        self._reply(404, {"detail": "Event not found"})

    def _new_job(self, session_hash: str, dependency: dict[str, Any], fn_index: Any) -> Job:
        return Job(
            session_hash=session_hash,
            event_id=uuid.uuid4().hex,
            fn_index=int(fn_index),
            outputs=self._roles(dependency["outputs"]),
            replica=self._replica if self._settings.sticky else None,
        )

    def _roles(self, components: Sequence[int]) -> list[Role | None]:
        roles = self._settings.layout.roles()
        return [roles.get(component) for component in components]

    def _stream(self) -> None:
        settings, query = self._settings, self._request.query
        session_hash = query.get("session_hash", "")
        reply = StreamReply(settings, self._record, self.connection, self._cookie)
        if settings.dialect.stream_first:
            dependency = self._dependency(query.get("fn_index"))
            if dependency is None:
                Respond(status=500, body="Internal Server Error").run(self)
                return
            job = self._new_job(session_hash, dependency, query.get("fn_index"))
            if not self._record.add_job(job, settings.max_size):
                reply.refuse(job)
                return
        reply.run(session_hash, self._replica if settings.sticky else None)
