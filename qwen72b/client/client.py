"""
Who opens the connection? The blocking client of one Space.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import requests

from ..errors import InvalidOption, InvalidRequest, Qwen72BError, SpaceUnavailable
from ..messages import Messages, to_prompt
from ..protocol.model import check_model
from ..reply import Reply
from ..retry import Retry
from ..timeout import Timeout, TimeoutLike, to_timeout
from ..transport.deadlines import Deadlines
from ..transport.scope import Call
from ..transport.translate import IO_ERRORS, translate
from .settings import read_settings
from .space import Routes
from .status import SpaceStatus
from .stream import Stream

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from typing_extensions import Self

    from ..batch.driver import Batch
    from ..batch.items import Item
    from ..batch.journal import Journal
    from ..batch.progress import Tally
    from .conversation import Conversation

__all__ = ["Client"]


class Client:
    """
    A Space to chat with.

    Constructing it does no I/O. It may be used from many threads at once, as
    a context manager, or without one; it can be pickled (the session is left
    behind) and used after a fork.

    Args:
        base_url: Where the Space is; by default ``QWEN72B_BASE_URL``, else the
            public Space.
        space: ``"owner/name"`` of another Space on the Hub. With ``base_url``
            it only names the Space whose stage is asked.
        token: Hugging Face token for a private Space; by default
            ``HF_TOKEN``; ``False`` for none. It goes to the Space's own
            origin only.
        auth: User and password of the app's own login.
        proxy: URL of a proxy (``http://``, ``https://``, ``socks5://``,
            ``socks5h://``); by default the environment's.
        timeout: Limits in seconds; a number limits the whole call.
        retry: How stubborn to be.
        session: Your own ``requests.Session``; never changed or closed.
        headers: Sent with every request.
        verify: Certificate check as in requests: ``False``, or a file of
            authorities.
        cert: Client certificate as in requests.
        wait_for_space: Seconds to wait for a Space that is asleep, being
            built or starting; ``None`` raises at once.

    Raises:
        InvalidOption: If an argument has no usable value.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        space: str | None = None,
        token: str | bool | None = None,
        auth: tuple[str, str] | None = None,
        proxy: str | None = None,
        timeout: TimeoutLike = None,
        retry: Retry | None = None,
        session: requests.Session | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str | None = None,
        cert: str | tuple[str, str] | None = None,
        wait_for_space: float | None = None,
    ) -> None:
        self.timeout = to_timeout(timeout, Timeout())
        self.retry = Retry() if retry is None else retry
        if not isinstance(self.retry, Retry):
            raise InvalidOption(f"retry must be a Retry, not {type(retry).__name__}.")
        if session is not None and not isinstance(session, requests.Session):
            raise InvalidOption(
                f"session must be a requests.Session, not {type(session).__name__}."
            )
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
        self.routes = Routes(self._settings, self.retry, session)
        # A signal handler may close the client in the very thread that holds it.
        self._lock = threading.RLock()
        self._streams: WeakSet[Stream] = WeakSet()
        # Those that are no streams.
        self._calls: WeakSet[Call] = WeakSet()
        self._closed = False
        _clients.add(self)

    def _renew(self) -> None:
        """Start afresh in a forked child: connections and streams are the parent's."""
        streams, calls, closed = list(self._streams), list(self._calls), self._closed
        self._begin(self._session)
        self._closed = closed
        for stream in streams:
            stream.disown()
        for call in calls:
            call.disown()

    @property
    def base_url(self) -> str:
        """Where the Space is; without a slash at its end."""
        return self._settings.base_url

    def stream(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        model: str | None = None,
        timeout: TimeoutLike = None,
    ) -> Stream:
        """
        Ask the Space.

        Args:
            messages: The chat as role dicts, the last one the user's; or the
                user's text alone. The list is never changed.
            system: System text; by default that of the messages, else the
                Space's own.
            model: A name of the Space's one model, or ``None``.
            timeout: Limits in seconds for this call.

        Returns:
            The answer as it comes; nothing is sent before it is first read.

        Raises:
            InvalidMessages: If a message is missing or malformed.
            ModelNotFound: If ``model`` is something else's name.
            InvalidOption: If ``timeout`` has no usable value.
            InvalidRequest: If the client was closed.
        """
        check_model(model)
        return self.open(
            Stream(
                self,
                to_prompt(messages, system=system),
                timeout=to_timeout(timeout, self.timeout),
            )
        )

    def ask(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        model: str | None = None,
        timeout: TimeoutLike = None,
    ) -> Reply:
        """
        Ask the Space and wait for the whole answer.

        Args:
            messages: As in ``stream``.
            system: As in ``stream``.
            model: As in ``stream``.
            timeout: As in ``stream``.

        Returns:
            The answer: a ``str`` with ``timings`` and ``messages``.

        Raises:
            Qwen72BError: If there is none; ``partial`` has what came.
        """
        with self.stream(messages, system=system, model=model, timeout=timeout) as stream:
            return stream.result()

    def map(
        self,
        items: Iterable[Item],
        *,
        executor: Executor | None = None,
        max_in_flight: int = 8,
        rate: float | None = None,
        journal: str | os.PathLike[str] | Journal | None = None,
        progress: bool | Callable[[Tally], object] | None = None,
        ordered: bool = True,
        stop_on_error: bool = False,
        system: str | None = None,
        timeout: TimeoutLike = None,
    ) -> Batch:
        """
        Ask many questions, several at once.

        Args:
            items: Texts, lists of messages, or dicts with ``messages`` or
                ``prompt`` and, if you like, ``id`` and ``system``; also the
                lines of an OpenAI batch file. Drawn one by one, as needed.
            executor: Any ``concurrent.futures.Executor``, which stays open; by
                default threads of the batch's own.
            max_in_flight: How many items may be under way at once, over all
                workers. While the Space refuses, it is fewer.
            rate: Items sent per second at most, those sent again included.
            journal: A file of JSON Lines that gets every outcome. Items that
                it has an answer for are not asked again; their results come
                from it, ``resumed``. Items that failed are asked again.
            progress: ``True`` for a line on stderr; or called with a ``Tally``
                after each outcome.
            ordered: Whether results come in the order of the items, or as
                they are there.
            stop_on_error: Whether the first failure ends the batch: after its
                result, the error is raised.
            system: System text of items that have none of their own.
            timeout: Limits in seconds for each item.

        Returns:
            The results as they come; nothing is sent before the first is
            asked for. A failed item's result holds its error.

        Raises:
            InvalidRequest: If an argument is refused or the client was closed.
        """
        from ..batch.driver import Batch

        self._check_open()
        return Batch(
            self,
            items,
            executor=executor,
            max_in_flight=max_in_flight,
            rate=rate,
            journal=journal,
            progress=progress,
            ordered=ordered,
            stop_on_error=stop_on_error,
            system=system,
            timeout=timeout,
        )

    def conversation(
        self, *, system: str | None = None, messages: Messages | None = None
    ) -> Conversation:
        """
        Begin a chat that remembers its turns, or go on with one.

        Args:
            system: System text; by default that of the messages, else the
                Space's own.
            messages: The chat so far as role dicts; it may end with any role.

        Returns:
            The conversation.

        Raises:
            InvalidMessages: If a message is malformed.
        """
        from .conversation import Conversation

        return Conversation(self, system=system, messages=messages)

    def status(self, *, timeout: TimeoutLike = None) -> SpaceStatus:
        """
        Ask how the Space is doing.

        Args:
            timeout: Limits in seconds for this call.

        Returns:
            What it and the Hub say.

        Raises:
            TransportError: If the Space's server cannot be reached.
            ProtocolError: If it is no Space to chat with.
        """
        return self.status_within(self.new_call(timeout))

    def new_call(self, timeout: TimeoutLike) -> Call:
        """
        Begin a call that is no stream.

        Args:
            timeout: Limits in seconds.

        Returns:
            The call; aborting it ends it from any thread.

        Raises:
            InvalidRequest: If the client was closed.
        """
        call = Call(Deadlines(to_timeout(timeout, self.timeout)))
        with self._lock:
            self._check_open()
            self._calls.add(call)
        call.clock.start("total")
        return call

    def status_within(self, call: Call) -> SpaceStatus:
        """
        Ask how the Space is doing, within a call that someone else may end.

        Args:
            call: The call.

        Returns:
            What the Space and the Hub say.

        Raises:
            Qwen72BError: As in ``status``.
        """
        begun = monotonic()
        try:
            found = self.routes.read_endpoint(call)
        except SpaceUnavailable as error:
            return SpaceStatus(
                self.base_url,
                ready=False,
                stage=error.stage,
                latency=monotonic() - begun,
                reason=error.reason,
            )
        except Qwen72BError:
            raise
        except IO_ERRORS as exc:
            raise translate(exc, call, "asking for the status", self.base_url) from exc
        return SpaceStatus(
            self.base_url,
            ready=True,
            stage="RUNNING",
            version=found.version,
            protocol=found.protocol.value,
            endpoint=f"/{found.api_name}" if found.api_name else str(found.fn_index),
            latency=monotonic() - begun,
        )

    def close(self) -> None:
        """
        End what the client is at, whose callers get an error, and close its connections.

        A session that the caller brought stays open.
        """
        with self._lock:
            self._closed = True
            streams, calls = list(self._streams), list(self._calls)
        for stream in streams:
            stream.end("Client.close()")
        for call in calls:
            call.abort()
        self.routes.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}{' closed' if self._closed else ''}>"

    def __getstate__(self) -> dict[str, Any]:
        kept = ("timeout", "retry", "_settings")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin(None)

    def open(self, stream: Stream) -> Stream:
        """
        Take a stream into this client's care.

        Args:
            stream: The stream, not yet begun.

        Returns:
            The same stream.

        Raises:
            InvalidRequest: If the client was closed.
        """
        with self._lock:
            self._check_open()
            self._streams.add(stream)
        return stream

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidRequest("this client was closed.", hint="Make a new Client.")


_clients: WeakSet[Client] = WeakSet()


def _renew_all() -> None:
    for client in list(_clients):
        client._renew()


if hasattr(os, "register_at_fork"):
    # In the child the locks may be held by threads that it does not have, and
    # what it reads from an inherited socket the parent would miss.
    os.register_at_fork(after_in_child=_renew_all)
