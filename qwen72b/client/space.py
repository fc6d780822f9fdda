"""
What is asked at each of a Space's routes?

The configuration, the login, the join, the data, the stream; and the Hub, when
a page for people comes instead of an answer.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import Any

import requests

from ..errors import (
    AuthenticationError,
    HTTPStatusError,
    InvalidServerMessage,
    Qwen72BError,
    RateLimited,
    SpaceUnavailable,
)
from ..protocol.config import Endpoint, read_config
from ..protocol.hub import explain, is_passing_stage, read_stage, stage_url
from ..protocol.job import Job
from ..retry import Retry
from ..transport.body import Body
from ..transport.scope import Call
from ..transport.translate import is_page, page_error, status_error
from ..transport.transport import Transport
from .attempts import Attempts
from .settings import Settings

__all__ = ["Routes"]

log = logging.getLogger("qwen72b")

# Seconds between two looks at a Space that is coming up.
_WAKE_LOOK = 5.0

# Seconds to wait for the Hub, which only adds to what the Space's page said.
_HUB_PATIENCE = 10.0


class Routes:
    """
    The routes of one Space, and its chat function once that is known.

    Args:
        settings: Where the Space is, and how to reach it.
        retry: How stubborn to be about the configuration.
        session: The caller's session; ``None`` for one of our own.
    """

    def __init__(
        self, settings: Settings, retry: Retry, session: requests.Session | None = None
    ) -> None:
        self.base_url = settings.base_url
        self._settings = settings
        self._retry = retry
        self._transport = Transport(settings.base_url, session=session, **settings.sending)
        # A signal handler may come in the very thread that holds it.
        self._lock = threading.RLock()
        self._endpoint: Endpoint | None = None
        # Set while some thread reads the configuration.
        self._reading: threading.Event | None = None

    def close(self) -> None:
        """Close the connections, if they are our own."""
        self._transport.close()

    def endpoint(
        self, call: Call, fallback: Endpoint | None, *, instead_of: Endpoint | None = None
    ) -> tuple[Endpoint, bool]:
        """
        Find the Space's chat function; its configuration is read once.

        Args:
            call: The call that needs it.
            fallback: What to assume if the configuration cannot be read.
            instead_of: What turned out to be stale.

        Returns:
            The endpoint, and whether it was read just now.

        Raises:
            Qwen72BError: If there is none.
        """
        mine = threading.Event()
        with self._lock:
            known, reading = self._endpoint, self._reading
            if known is not None and known != instead_of:
                return known, False
            if reading is None:
                self._reading = mine
        try:
            if reading is not None:
                # Another thread reads it. If it fails, this one tries itself.
                call.wait(reading)
                with self._lock:
                    known = self._endpoint
                if known is not None and known != instead_of:
                    return known, True
            found = self.read_endpoint(call, waiting=self._settings.wait_for_space)
        except (HTTPStatusError, SpaceUnavailable, InvalidServerMessage) as error:
            if fallback is None or isinstance(error, (AuthenticationError, RateLimited)):
                raise
            log.info("The Space's /config cannot be read: %s", error.reason)
            return fallback, True
        finally:
            with self._lock:
                if self._reading is mine:
                    self._reading = None
            mine.set()
        with self._lock:
            self._endpoint = found
        return found, True

    def may_be_stale(self, error: Qwen72BError) -> bool:
        """
        Tell whether a refused join may be due to a Space that changed.

        404 and 405 are a moved route, 422 another form of data, 500 a function
        that is gone (measured on 4.12 to 6.31), 401 a login that ran out.

        Args:
            error: Why it was refused.
        """
        if isinstance(error, AuthenticationError):
            return self._settings.auth is not None
        return isinstance(error, (HTTPStatusError, SpaceUnavailable)) and error.status_code in (
            404,
            405,
            422,
            500,
        )

    def join(self, call: Call, endpoint: Endpoint, job: Job) -> None:
        """
        Queue a job.

        Args:
            call: The call that it belongs to.
            endpoint: The Space's chat function.
            job: The job, which learns its event id.

        Raises:
            Qwen72BError: If the Space does not take it.
        """
        doing = "joining the queue"
        text = self._fetch(call, "POST", endpoint.join_path, doing, payload=job.join_payload())
        job.receive_join(text)

    def upload(self, call: Call, endpoint: Endpoint, job: Job) -> None:
        """
        Send the data that an ``sse`` queue asked for.

        Args:
            call: The call that it belongs to.
            endpoint: The Space's chat function.
            job: The job; its ``upload`` is taken.

        Raises:
            Qwen72BError: If the Space does not take them.
        """
        payload, job.upload = job.upload, None
        with call.keeping_hang_up():
            self._fetch(call, "POST", endpoint.data_path, "sending the data", payload=payload)

    def open_stream(self, call: Call, endpoint: Endpoint, job: Job) -> Body:
        """
        Open the stream of a job.

        Args:
            call: The call that it belongs to.
            endpoint: The Space's chat function.
            job: The job.

        Returns:
            The body of the stream.

        Raises:
            Qwen72BError: If the Space does not open it.
        """
        doing = "opening the stream"
        first = endpoint.protocol.stream_first
        response = self._transport.send(
            call,
            "GET",
            endpoint.join_path if first else endpoint.data_path,
            doing=doing,
            query=job.stream_query(),
            accept="text/event-stream",
        )
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code == 200 and kind == "text/event-stream":
            call.clock.listen()
            return Body(response, call)
        text = self._transport.read(response, call, doing=doing)
        if response.status_code != 200:
            raise self._explained(call, status_error(response, text, doing))
        if is_page(response, text):
            raise self._explained(call, page_error(response, text))
        raise InvalidServerMessage(
            f"the Space's stream has the content type {kind or 'none'!r}, not text/event-stream."
        )

    def read_endpoint(self, call: Call, *, waiting: float | None = None) -> Endpoint:
        """
        Log in if need be, read the configuration, and wait for a Space that is coming up.

        Args:
            call: The call that needs it.
            waiting: Seconds to wait at most; ``None`` waits for nothing.

        Returns:
            The endpoint.

        Raises:
            Qwen72BError: If there is none.
        """
        give_up = monotonic() + (waiting or 0.0)
        while True:
            try:
                if self._settings.auth is not None:
                    self._login(call, *self._settings.auth)
                text = self._fetch_again(call, "/config", "reading the Space's configuration")
                found = read_config(text)
                log.debug(
                    "%s: Gradio %s, %s, function %d (%s), chat in %s",
                    call,
                    found.version,
                    found.protocol.value,
                    found.fn_index,
                    found.api_name,
                    found.chat_format.value,
                )
                return found
            except SpaceUnavailable as error:
                left = give_up - monotonic()
                coming = error.stage is None or is_passing_stage(error.stage)
                if left <= 0 or not coming:
                    raise
                log.warning("%s Waiting up to %.0f s more.", error.reason, left)
                call.sleep(min(left, error.retry_after or _WAKE_LOOK))

    def _login(self, call: Call, user: str, password: str) -> None:
        try:
            self._fetch(
                call, "POST", "/login", "logging in", form={"username": user, "password": password}
            )
        except HTTPStatusError as error:
            if error.status_code == 400:
                raise AuthenticationError(
                    "the Space's login refused the user or the password.",
                    status_code=400,
                    headers=error.headers,
                    body=error.body,
                ) from error
            raise

    def _fetch_again(self, call: Call, path: str, doing: str) -> str:
        attempts = Attempts(self._retry, call)
        while True:
            try:
                return self._fetch(call, "GET", path, doing)
            except Qwen72BError as error:
                attempts.pause(error, repeatable=True)

    def _fetch(self, call: Call, method: str, path: str, doing: str, **fields: Any) -> str:
        """Make a request for JSON; return the body of its answer."""
        response = self._transport.send(call, method, path, doing=doing, **fields)
        text = self._transport.read(response, call, doing=doing)
        if response.status_code != 200:
            raise self._explained(call, status_error(response, text, doing))
        if is_page(response, text):
            raise self._explained(call, page_error(response, text))
        return text

    def _explained(self, call: Call, error: Qwen72BError) -> Qwen72BError:
        """Ask the Hub, once, about a Space that is not up."""
        url = stage_url(self._settings.base_url, self._settings.space)
        if not isinstance(error, SpaceUnavailable) or url is None:
            return error
        doing = "asking the Hub"
        call.clock.start("hub", _HUB_PATIENCE)
        try:
            response = self._transport.send(call, "GET", url, doing=doing)
            text = self._transport.read(response, call, doing=doing)
        except Qwen72BError as exc:
            log.info("The Hub does not say how the Space is doing: %s", exc.reason)
            return error
        finally:
            call.clock.stop("hub")
            # It runs on if no connection came about, and is the Space's.
            call.clock.stop("connect")
        stage = read_stage(text) if response.status_code == 200 else None
        return error if stage is None else explain(error, stage)
