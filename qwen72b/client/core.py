"""
What every client of a Space has, whichever side it is used from.

The settings, the Space, the answers that are running and the calls that are no
answers. ``Client`` and ``AsyncClient`` are two shells beside each other on it,
and a batch asks through it.

A signal handler may close it at any point of any code. So what runs stands in
plain dictionaries, which are changed and copied in single steps, and no lock
guards them: who adds something looks afterwards whether the client was closed.

Above 300 lines: mostly the arguments of a client, and what they mean.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import requests

from ..errors import InvalidOption, InvalidRequest, Qwen72BError, SpaceUnavailable
from ..messages import Prompt
from ..protocol.plan import Plan
from ..retry import Retry
from ..timeout import Timeout, TimeoutLike, to_timeout
from ..transport.deadlines import Deadlines
from ..transport.descriptors import descriptors_needed
from ..transport.scope import CallScope
from ..transport.translate import IO_ERRORS, plain_cause, translate
from .answer import Answer
from .headers import checked_headers
from .net import reading
from .options import Asked, CallOptions
from .settings import read_settings
from .space import Space

if TYPE_CHECKING:
    from .description import Description
    from .status import SpaceStatus

__all__ = ["ClientCore"]

_USUAL_TIMEOUT = Timeout()
_USUAL_RETRY = Retry()


class ClientCore:
    """
    A client without a face.

    Args:
        base_url: As in ``Client``, as all others.
        space: See there.
        token: See there.
        auth: See there.
        proxy: See there.
        timeout: See there.
        retry: See there.
        session: See there.
        headers: See there.
        verify: See there.
        cert: See there.
        wait_for_space: See there.
        endpoint: See there.
        inputs: See there.
        fold: See there.

    Raises:
        InvalidOption: If an argument has no usable value.
    """

    def __init__(
        self,
        base_url: str | None,
        *,
        space: str | None,
        token: str | bool | None,
        auth: tuple[str, str] | None,
        proxy: str | None,
        timeout: TimeoutLike,
        retry: Retry | None,
        session: requests.Session | None,
        headers: Mapping[str, str] | None,
        verify: bool | str | None,
        cert: str | tuple[str, str] | None,
        wait_for_space: float | None,
        endpoint: str | int | None,
        inputs: Mapping[str, Any] | None,
        fold: bool,
    ) -> None:
        self.timeout = to_timeout(timeout, _USUAL_TIMEOUT)
        self.retry = _USUAL_RETRY if retry is None else _checked_retry(retry)
        if session is not None and not isinstance(session, requests.Session):
            raise InvalidOption(
                f"session must be a requests.Session, not {type(session).__name__}."
            )
        self.asked = Asked(endpoint, {} if inputs is None else inputs, fold)
        self._settings = read_settings(
            base_url,
            space=space,
            token=token,
            auth=auth,
            proxy=proxy,
            headers=headers,
            verify=verify,
            cert=cert,
            wait_for_space=wait_for_space,
        )
        self._begin(session)

    def _begin(self, session: requests.Session | None) -> None:
        """Set up what is not pickled."""
        self._session = session
        self._space = Space(self._settings, self.retry, session)
        self._answers: dict[Answer, bool] = {}
        # The scopes of calls that are no answers.
        self._scopes: dict[CallScope, bool] = {}
        # Closed from outside, perhaps by a signal handler.
        self._stopped: deque[Answer] = deque()
        self._closed = False
        _cores.add(self)

    def renew(self) -> None:
        """Start afresh in a forked child: connections and answers are the parent's."""
        answers, scopes, closed = list(self._answers), list(self._scopes), self._closed
        self._begin(self._session)
        self._closed = closed
        for answer in answers:
            answer.disown()
        for scope in scopes:
            scope.disown()

    @property
    def base_url(self) -> str:
        """Where the Space is; without a slash at its end."""
        return self._settings.base_url

    def open(
        self,
        prompt: Prompt,
        *,
        timeout: TimeoutLike = None,
        retry: Retry | None = None,
        headers: Mapping[str, str] | None = None,
        fallback: Plan | None = None,
        endpoint: str | int | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> Answer:
        """
        Ask the Space; nothing is sent before the answer's first step.

        Args:
            prompt: The question.
            timeout: Limits in seconds for this call.
            retry: How stubborn to be in this call.
            headers: Sent with this call's requests.
            fallback: What to assume if the configuration cannot be read.
            endpoint: As in ``Client``, for this call.
            inputs: As in ``Client``, for this call.

        Returns:
            The answer, not yet begun.

        Raises:
            InvalidOption: If ``timeout``, ``retry`` or ``headers`` has no usable
                value.
            InvalidRequest: If the client was closed.
        """
        if self._stopped:
            self.catch_up()
        limits = self.timeout if timeout is None else to_timeout(timeout, self.timeout)
        asked = self.asked
        if endpoint is not None or inputs is not None:
            asked = asked.given(endpoint, inputs)
        options = CallOptions(
            limits,
            self.retry if retry is None else _checked_retry(retry),
            {} if headers is None else checked_headers(headers),
            fallback,
            asked,
        )
        answer = Answer(self._space, prompt, options, self._leave)
        self._answers[answer] = True
        if self._closed:
            self._leave(answer, False)
            self.check_open()
        return answer

    def _leave(self, answer: Answer, unfinished: bool) -> None:
        if self._answers.pop(answer, False) and unfinished:
            self._stopped.append(answer)

    def catch_up(self) -> None:
        """Do what closing leaves for later, since a signal handler may be who closes."""
        while True:
            try:
                answer = self._stopped.popleft()
            except IndexError:
                return
            answer.finish()

    @contextmanager
    def calling(self, timeout: TimeoutLike) -> Iterator[CallScope]:
        """
        Make a call that is no answer.

        Args:
            timeout: Limits in seconds.

        Yields:
            Its scope; cancelling it ends the call from any thread.

        Raises:
            InvalidRequest: If the client was closed.
        """
        scope = CallScope(Deadlines(to_timeout(timeout, self.timeout)))
        self._scopes[scope] = True
        try:
            self.check_open()
            scope.deadlines.start("total")
            yield scope
        finally:
            self._scopes.pop(scope, None)

    def status(self, scope: CallScope) -> SpaceStatus:
        """
        Ask how the Space is doing.

        Args:
            scope: The call.

        Returns:
            What the Space and the Hub say.

        Raises:
            TransportError: If the Space's server cannot be reached.
            ProtocolError: If it is no Space to chat with.
        """
        with descriptors_needed():
            from .status import SpaceStatus
        begun = monotonic()
        try:
            found = self.describe(scope)
        except SpaceUnavailable as error:
            return SpaceStatus(
                self.base_url,
                ready=False,
                stage=error.stage,
                latency=monotonic() - begun,
                reason=error.reason,
            )
        return SpaceStatus(
            self.base_url,
            ready=True,
            stage="RUNNING",
            version=found.version,
            protocol=found.protocol,
            endpoint=found.endpoint,
            latency=monotonic() - begun,
            plan=found.line,
        )

    def describe(
        self,
        scope: CallScope,
        endpoint: str | int | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> Description:
        """
        Tell what a question will do; the configuration is read for it.

        Args:
            scope: The call.
            endpoint: As in ``Client.describe``.
            inputs: As in ``Client.describe``.

        Returns:
            The description.

        Raises:
            Qwen72BError: If the Space cannot be read, or not be asked.
        """
        asked = self.asked.given(endpoint, inputs)
        try:
            page = self._space.read_page(scope)
        except Qwen72BError:
            raise
        except IO_ERRORS as exc:
            found_out = translate(exc, scope, "reading the Space's page", self.base_url)
            raise found_out from plain_cause(exc)
        with descriptors_needed():
            from ..protocol.choose import choose
            from .description import describe
        with reading():
            plan = choose(page, endpoint=asked.endpoint, inputs=asked.inputs)
        return describe(self.base_url, page, plan, asked.inputs)

    def close(self, by: str = "Client.close()") -> None:
        """
        End what the client is at, whose callers get an error, and close its connections.

        From any thread and at any point; idempotent.

        Args:
            by: Who does it, for the error's words.
        """
        self._closed = True
        for answer in list(self._answers):
            answer.close(by)
        for scope in list(self._scopes):
            scope.cancel()
        self._space.close()

    def check_open(self) -> None:
        """
        Refuse to go on with a closed client.

        Raises:
            InvalidRequest: If it was closed.
        """
        if self._closed:
            raise InvalidRequest("this client was closed.", hint="Make a new Client.")

    def __repr__(self) -> str:
        if not hasattr(self, "_closed"):
            return "half-built"
        return f"{self.base_url}{' closed' if self._closed else ''}"

    def __getstate__(self) -> dict[str, Any]:
        kept = ("timeout", "retry", "asked", "_settings")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin(None)


def _checked_retry(retry: Retry) -> Retry:
    if not isinstance(retry, Retry):
        raise InvalidOption(f"retry must be a Retry, not {type(retry).__name__}.")
    return retry


_cores: WeakSet[ClientCore] = WeakSet()


def _renew_all() -> None:
    for core in list(_cores):
        core.renew()


if hasattr(os, "register_at_fork"):
    # In the child the locks may be held by threads that it does not have, and
    # what it reads from an inherited socket the parent would miss.
    os.register_at_fork(after_in_child=_renew_all)
