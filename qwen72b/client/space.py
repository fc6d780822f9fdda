"""
One Space, and what it can be asked.

The configuration, the login, the join, the data, the stream; and the Hub, when
a page for people comes instead of an answer.
"""

from __future__ import annotations

import logging
import threading
from time import monotonic, time

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
from ..protocol.failure import Refusal, page_error, status_error
from ..protocol.hub import explain, is_passing_stage, read_stage, stage_url
from ..protocol.job import Job
from ..retry import Retry
from ..transport.body import Body
from ..transport.latch import Latch
from ..transport.scope import CallScope
from ..transport.transport import Request, Transport
from .attempts import Attempts
from .settings import Settings

__all__ = ["Space"]

log = logging.getLogger("qwen72b")

# Seconds between two looks at a Space that is coming up.
_WAKE_LOOK = 5.0

# Seconds to wait for the Hub, which only adds to what the Space's page said.
_HUB_PATIENCE = 10.0


class Space:
    """
    A Space, and its chat function once that is known.

    Args:
        settings: Where the Space is, and how to reach it.
        retry: How stubborn to be about the configuration.
        session: The caller's session; ``None`` for one of our own.
    """

    def __init__(
        self, settings: Settings, retry: Retry, session: requests.Session | None = None
    ) -> None:
        self.base_url = settings.base_url
        #: Whether the connections are a pool's that others use too.
        self.shares_pool = session is not None
        self._settings = settings
        self._retry = retry
        self._transport = Transport(settings.base_url, session=session, **settings.sending)
        # A signal handler may come in the very thread that holds it.
        self._lock = threading.RLock()
        self._endpoint: Endpoint | None = None
        # Set while some thread reads the configuration.
        self._reading: Latch | None = None

    def close(self) -> None:
        """Close the connections, if they are our own."""
        self._transport.close()

    def endpoint(
        self, scope: CallScope, fallback: Endpoint | None, *, instead_of: Endpoint | None = None
    ) -> tuple[Endpoint, bool]:
        """
        Find the Space's chat function; its configuration is read once.

        Args:
            scope: The call that needs it.
            fallback: What to assume if the configuration cannot be read.
            instead_of: What turned out to be stale.

        Returns:
            The endpoint, and whether it was read just now.

        Raises:
            Qwen72BError: If there is none.
        """
        mine = Latch()
        with self._lock:
            known, reading = self._endpoint, self._reading
            if known is not None and known != instead_of:
                return known, False
            if reading is None:
                self._reading = mine
        try:
            if reading is not None:
                # Another thread reads it. If it fails, this one tries itself.
                scope.wait(reading)
                with self._lock:
                    known = self._endpoint
                if known is not None and known != instead_of:
                    return known, True
            found = self.read_endpoint(scope, waiting=self._settings.wait_for_space)
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

    def join(self, scope: CallScope, endpoint: Endpoint, job: Job) -> None:
        """
        Queue a job.

        Args:
            scope: The call that it belongs to.
            endpoint: The Space's chat function.
            job: The job, which learns its event id.

        Raises:
            Qwen72BError: If the Space does not take it.
        """
        doing = "joining the queue"
        request = Request("POST", endpoint.join_path, doing, payload=job.join_payload())
        job.receive_join(self._fetch(scope, request))

    def upload(self, scope: CallScope, endpoint: Endpoint, job: Job) -> None:
        """
        Send the data that an ``sse`` queue asked for.

        Args:
            scope: The call that it belongs to.
            endpoint: The Space's chat function.
            job: The job; its ``upload`` is taken.

        Raises:
            Qwen72BError: If the Space does not take them.
        """
        payload, job.upload = job.upload, None
        with scope.keeping_hang_up():
            self._fetch(
                scope, Request("POST", endpoint.data_path, "sending the data", payload=payload)
            )

    def open_stream(self, scope: CallScope, endpoint: Endpoint, job: Job) -> Body:
        """
        Open the stream of a job.

        Args:
            scope: The call that it belongs to.
            endpoint: The Space's chat function.
            job: The job.

        Returns:
            The body of the stream.

        Raises:
            Qwen72BError: If the Space does not open it.
        """
        first = endpoint.protocol.stream_first
        request = Request(
            "GET",
            endpoint.join_path if first else endpoint.data_path,
            "opening the stream",
            query=job.stream_query(),
            accept="text/event-stream",
        )
        response = self._transport.send(scope, request)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code == 200 and kind == "text/event-stream":
            scope.deadlines.listen()
            return Body(response, scope)
        self._read(scope, response, request.doing)
        raise InvalidServerMessage(
            f"the Space's stream has the content type {kind or 'none'!r}, not text/event-stream."
        )

    def read_endpoint(self, scope: CallScope, *, waiting: float | None = None) -> Endpoint:
        """
        Log in if need be, read the configuration, and wait for a Space that is coming up.

        Args:
            scope: The call that needs it.
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
                    self._login(scope, *self._settings.auth)
                text = self._fetch_again(
                    scope, Request("GET", "/config", "reading the Space's configuration")
                )
                found = read_config(text)
                log.debug(
                    "%s: Gradio %s, %s, function %d (%s), chat in %s",
                    scope,
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
                scope.sleep(min(left, error.retry_after or _WAKE_LOOK))

    def _login(self, scope: CallScope, user: str, password: str) -> None:
        form = {"username": user, "password": password}
        try:
            self._fetch(scope, Request("POST", "/login", "logging in", form=form))
        except HTTPStatusError as error:
            if error.status_code == 400:
                raise AuthenticationError(
                    "the Space's login refused the user or the password.",
                    status_code=400,
                    headers=error.headers,
                    body=error.body,
                ) from error
            raise

    def _fetch_again(self, scope: CallScope, request: Request) -> str:
        attempts = Attempts(self._retry, scope)
        while True:
            try:
                return self._fetch(scope, request)
            except Qwen72BError as error:
                attempts.pause(error, repeatable=True)

    def _fetch(self, scope: CallScope, request: Request) -> str:
        """Make a request for JSON; return the body of its answer."""
        return self._read(scope, self._transport.send(scope, request), request.doing)

    def _read(self, scope: CallScope, response: requests.Response, doing: str) -> str:
        """Read the body of an answer; a page or another status than 200 is an error."""
        text = self._transport.read(response, scope, doing=doing)
        refusal = Refusal(
            response.status_code, response.reason or "", response.headers, text, time()
        )
        if response.status_code != 200:
            raise self._explained(scope, status_error(refusal, doing))
        if refusal.is_page:
            raise self._explained(scope, page_error(refusal))
        return text

    def _explained(self, scope: CallScope, error: Qwen72BError) -> Qwen72BError:
        """Ask the Hub, once, about a Space that is not up."""
        settings = self._settings
        url = stage_url(settings.hub, settings.base_url, settings.space)
        if not isinstance(error, SpaceUnavailable) or url is None:
            return error
        request = Request("GET", url, "asking the Hub")
        scope.deadlines.start("hub", _HUB_PATIENCE)
        try:
            response = self._transport.send(scope, request)
            text = self._transport.read(response, scope, doing=request.doing)
        except Qwen72BError as exc:
            log.info("The Hub does not say how the Space is doing: %s", exc.reason)
            return error
        finally:
            scope.deadlines.stop("hub")
            # It runs on if no connection came about, and is the Space's.
            scope.deadlines.stop("connect")
        stage = read_stage(text) if response.status_code == 200 else None
        return error if stage is None else explain(error, stage)
