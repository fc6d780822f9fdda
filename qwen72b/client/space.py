"""
One Space, and what it can be asked.

The configuration, the login, the join, the data, the stream; and the Hub, when
a page for people comes instead of an answer.
"""

from __future__ import annotations

import logging
from time import monotonic, time

import requests

from ..errors import (
    AuthenticationError,
    HTTPStatusError,
    InvalidOption,
    InvalidServerMessage,
    Qwen72BError,
    RequestTimeout,
    SpaceUnavailable,
    StreamInterrupted,
)
from ..privacy.masking import mask
from ..protocol.failure import Refusal, page_error, status_error
from ..protocol.hub import explain, is_passing_stage, read_stage, stage_url
from ..protocol.job import Job
from ..protocol.page import Page, read_page
from ..protocol.plan import Plan
from ..retry import Retry
from ..transport.body import Body
from ..transport.scope import CallScope
from ..transport.translate import blame_proxy
from ..transport.transport import Request, Transport
from .attempts import Attempts
from .net import EXPECTED, reading, unreadable
from .plans import Plans
from .settings import Settings

__all__ = ["Space"]

log = logging.getLogger("qwen72b")

# Seconds between two looks at a Space that is coming up: unless it says how many,
# and within which bounds it may.
_WAKE_LOOK = 5.0
_WAKE_LEAST, _WAKE_MOST = 1.0, 60.0

# Characters of an error's body that are looked at.
_LOOKED_AT = 131072

# Seconds for the body of a refusal, whose status tells already what matters most.
_WORDS = 5.0

# Seconds to wait for the Hub, which only adds to what the Space's page said.
_HUB_PATIENCE = 10.0


class Space:
    """
    A Space, and how it is asked once that is known.

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
        #: How it is asked, once its configuration was read.
        self.plans = Plans(lambda scope: self.read_page(scope, waiting=settings.wait_for_space))

    def close(self) -> None:
        """Close the connections, if they are our own."""
        self._transport.close()

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

    def join(self, scope: CallScope, plan: Plan, job: Job) -> None:
        """
        Queue a job.

        Args:
            scope: The call that it belongs to.
            plan: How the Space is asked.
            job: The job, which learns its event id.

        Raises:
            Qwen72BError: If the Space does not take it.
        """
        doing = "joining the queue"
        request = Request("POST", plan.join_path, doing, payload=job.payload)
        text = self._fetch(scope, request)
        try:
            job.receive_join(text)
        except EXPECTED:
            raise
        except Exception as exc:
            raise unreadable(exc) from exc

    def upload(self, scope: CallScope, plan: Plan, job: Job) -> None:
        """
        Send the data that an ``sse`` queue asked for.

        Args:
            scope: The call that it belongs to.
            plan: How the Space is asked.
            job: The job; its ``upload`` is taken.

        Raises:
            Qwen72BError: If the Space does not take them.
        """
        payload, job.upload = job.upload, None
        with scope.keeping_hang_up():
            self._fetch(scope, Request("POST", plan.data_path, "sending the data", payload=payload))

    def open_stream(self, scope: CallScope, plan: Plan, job: Job) -> Body:
        """
        Open the stream of a job.

        Args:
            scope: The call that it belongs to.
            plan: How the Space is asked.
            job: The job.

        Returns:
            The body of the stream.

        Raises:
            Qwen72BError: If the Space does not open it.
        """
        first = plan.protocol.stream_first
        request = Request(
            "GET",
            plan.join_path if first else plan.data_path,
            "opening the stream",
            query=job.query,
            accept="text/event-stream",
        )
        response = self._transport.send(scope, request)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code == 200 and kind == "text/event-stream":
            scope.deadlines.listen()
            return Body(response, scope)
        self._read(scope, response, request.doing)
        raise InvalidServerMessage(
            f"the Space's stream has the content type {mask(kind) or 'none'!r}, not text/event-stream."
        )

    def read_page(self, scope: CallScope, *, waiting: float | None = None) -> Page:
        """
        Log in if need be, read the configuration, and wait for a Space that is coming up.

        Args:
            scope: The call that needs it.
            waiting: Seconds to wait at most; ``None`` waits for nothing.

        Returns:
            The page that it describes.

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
                with reading():
                    found = read_page(text)
                return found
            except SpaceUnavailable as error:
                left = give_up - monotonic()
                coming = error.stage is None or is_passing_stage(error.stage)
                if left <= 0 or not coming:
                    raise
                log.warning("%s Waiting up to %.0f s more.", error.reason, left)
                asked = _WAKE_LOOK if error.retry_after is None else error.retry_after
                scope.sleep(min(left, max(_WAKE_LEAST, min(asked, _WAKE_MOST))))

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
            if 300 <= error.status_code < 400:
                # Measured on 4.44 to 6.31: to the page itself.
                raise InvalidOption(
                    "this Space has no login of its own.", hint="Leave auth= out."
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
        refused = response.status_code != 200
        if refused:
            scope.deadlines.start("words", _WORDS)
        try:
            text = self._transport.read(response, scope, doing=doing)
        except (InvalidServerMessage, StreamInterrupted, RequestTimeout):
            if not refused or scope.cancelled or scope.deadlines.expired():
                raise
            # Its status tells more, and whether to ask again, than how its body fails.
            text = ""
        finally:
            scope.deadlines.stop("words")
        if response.status_code == 200 and text.startswith("{"):
            return text
        # Masked before anything is cut, since half a secret is known for none.
        refusal = Refusal(
            response.status_code,
            mask(response.reason or ""),
            response.headers,
            mask(text[:_LOOKED_AT]),
            time(),
        )
        if response.status_code == 200 and not refusal.is_page:
            return text
        ok = response.status_code == 200
        error = page_error(refusal) if ok else status_error(refusal, doing)
        proxy = self._transport.proxy_for(response.url)
        if proxy is not None:
            error = blame_proxy(error, response.status_code, proxy)
        raise self._explained(scope, error)

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
