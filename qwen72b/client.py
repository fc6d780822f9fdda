"""
Who opens the connection? The blocking client of one Space.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakSet

import requests

from .body import Body
from .call import Call
from .clocks import Clock, Timeout, TimeoutLike, to_timeout
from .config import Endpoint, check_model, read_config
from .errors import (
    AuthenticationError,
    HTTPStatusError,
    InvalidOption,
    InvalidRequest,
    InvalidServerMessage,
    Qwen72BError,
    RateLimited,
    SpaceUnavailable,
)
from .failures import IO_ERRORS, is_page, page_error, status_error, translate
from .hub import PUBLIC_SPACE, explain, is_passing_stage, read_stage, space_url, stage_url
from .messages import Messages, to_prompt
from .protocol import Job
from .reply import Reply
from .retry import Attempts, Retry
from .stream import Stream
from .transport import Secret, Transport, origin_of

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from typing_extensions import Self

    from .batch import Batch, Item, Journal, Tally
    from .conversation import Conversation

__all__ = ["Client", "SpaceStatus"]

log = logging.getLogger("qwen72b")

# Seconds between two looks at a Space that is coming up.
_WAKE_LOOK = 5.0

# Seconds to wait for the Hub, which only adds to what the Space's page said.
_HUB_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """
    How a Space is doing.

    Args:
        url: Its base URL.
        ready: Whether it takes questions.
        stage: The Hub's word; ``"RUNNING"`` if the Space answers, ``None`` if
            it does not and the Hub does not say.
        version: Gradio's version; empty if unknown.
        protocol: The queue's dialect; empty if unknown.
        endpoint: The chat function's public name or number; empty if unknown.
        latency: Seconds that the Space took to answer.
        reason: What is wrong, if it is not ready.
    """

    url: str
    ready: bool
    stage: str | None
    version: str = ""
    protocol: str = ""
    endpoint: str = ""
    latency: float = 0.0
    reason: str = ""


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
        self._space = _checked_space(space)
        self.base_url = _checked_url(base_url, self._space)
        self.timeout = to_timeout(timeout, Timeout())
        self.retry = Retry() if retry is None else retry
        if not isinstance(self.retry, Retry):
            raise InvalidOption(f"retry must be a Retry, not {type(retry).__name__}.")
        if session is not None and not isinstance(session, requests.Session):
            raise InvalidOption(
                f"session must be a requests.Session, not {type(session).__name__}."
            )
        if wait_for_space is not None:
            # The same rules as for every other limit.
            Timeout(total=wait_for_space)
        self._wait_for_space = wait_for_space
        self._auth = _checked_auth(auth)
        secret = _checked_token(token, self.base_url)
        self._settings: dict[str, Any] = {
            "secret": secret,
            "proxy": _checked_proxy(proxy),
            "verify": _checked_files("verify", verify),
            "cert": _checked_files("cert", cert),
            "headers": _checked_headers(headers),
        }
        self._begin(session)

    def _begin(self, session: requests.Session | None) -> None:
        """Set up what is not pickled."""
        self._session = session
        self._transport = Transport(self.base_url, session=session, **self._settings)
        # A signal handler may close the client in the very thread that holds it.
        self._lock = threading.RLock()
        self._streams: WeakSet[Stream] = WeakSet()
        self._closed = False
        self._endpoint: Endpoint | None = None
        # Set while some thread reads the configuration.
        self._reading: threading.Event | None = None
        _clients.add(self)

    def _renew(self) -> None:
        """Start afresh in a forked child: connections and streams are the parent's."""
        streams, closed = list(self._streams), self._closed
        self._begin(self._session)
        self._closed = closed
        for stream in streams:
            stream.disown()

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
        from .batch.driver import Batch

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
        self._check_open()
        call = Call(Clock(to_timeout(timeout, self.timeout)))
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
            found = self._read_endpoint(call)
        except IO_ERRORS as exc:
            raise translate(exc, call, "asking for the status", self.base_url) from exc
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
            protocol=found.protocol.value,
            endpoint=f"/{found.api_name}" if found.api_name else str(found.fn_index),
            latency=monotonic() - begun,
        )

    def close(self) -> None:
        """
        End the client's open streams, whose readers get an error, and close its connections.

        A session that the caller brought stays open.
        """
        with self._lock:
            self._closed = True
            streams = list(self._streams)
        for stream in streams:
            stream._close("Client.close()")
        self._transport.close()

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
        kept = ("base_url", "timeout", "retry", "_space", "_wait_for_space", "_auth", "_settings")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin(None)

    # What follows is for Stream, which does the talking.

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

    def endpoint(
        self, call: Call, fallback: Endpoint | None, *, instead_of: Endpoint | None = None
    ) -> tuple[Endpoint, bool]:
        """
        Find the Space's chat function; its configuration is read once per client.

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
            found = self._read_endpoint(call, waiting=self._wait_for_space)
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
            return self._auth is not None
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

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidRequest("this client was closed.", hint="Make a new Client.")

    def _read_endpoint(self, call: Call, *, waiting: float | None = None) -> Endpoint:
        """Log in if need be, read the configuration, and wait for a Space that is coming up."""
        give_up = monotonic() + (waiting or 0.0)
        while True:
            try:
                if self._auth is not None:
                    self._login(call, *self._auth)
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
        attempts = Attempts(self.retry, call)
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
        url = stage_url(self.base_url, self._space)
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


_clients: WeakSet[Client] = WeakSet()


def _renew_all() -> None:
    for client in list(_clients):
        client._renew()


if hasattr(os, "register_at_fork"):
    # In the child the locks may be held by threads that it does not have, and
    # what it reads from an inherited socket the parent would miss.
    os.register_at_fork(after_in_child=_renew_all)


def _checked_url(url: str | None, space: str | None) -> str:
    if url is None:
        if space is not None:
            return space_url(space)
        url = os.environ.get("QWEN72B_BASE_URL", "").strip() or space_url(PUBLIC_SPACE)
    if not isinstance(url, str):
        raise InvalidOption(f"base_url must be a str, not {type(url).__name__}.")
    url = url.strip().rstrip("/")
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidOption(
            f"base_url {_without_secrets(url)!r} is not a URL.",
            hint="Pass https://host or http://host:port.",
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidOption(
            "base_url holds a user or a password.", hint='Pass auth=("user", "password") instead.'
        )
    if parts.query or parts.fragment or re.search(r"[\s\\\x00-\x1f]", url):
        raise InvalidOption(
            f"base_url {url!r} has a query, a fragment, a blank or a backslash.",
            hint="Pass the Space's address alone.",
        )
    return url


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # reading it is what checks it
    except ValueError:
        return None
    return parts


def _without_secrets(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//...@", url)[:200]


def _checked_space(space: str | None) -> str | None:
    if space is None:
        return None
    part = r"[A-Za-z0-9][A-Za-z0-9._-]*"
    if not isinstance(space, str) or not re.fullmatch(f"{part}/{part}", space):
        raise InvalidOption(
            f"space={space!r} is not the name of a Space.", hint='Pass "owner/name".'
        )
    return space


def _checked_token(token: str | bool | None, base_url: str) -> Secret | None:
    if token is False:
        return None
    if token is None:
        token = os.environ.get("HF_TOKEN", "")
    if not isinstance(token, str):
        raise InvalidOption("token must be a str, False or None.")
    token = token.strip()
    if not token:
        return None
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        # Without the token: it may be right but for a line end.
        raise InvalidOption(
            "the token holds a character that no header can carry.",
            hint="Copy it again from huggingface.co/settings/tokens.",
        )
    return Secret(token, origin_of(base_url))


def _checked_auth(auth: tuple[str, str] | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    if (
        not isinstance(auth, (tuple, list))
        or len(auth) != 2
        or not all(isinstance(part, str) for part in auth)
    ):
        raise InvalidOption('auth must be ("user", "password").')
    return auth[0], auth[1]


def _checked_files(name: str, value: Any) -> Any:
    """Check paths here; requests says of a missing file that a connection failed."""
    if value is None or (isinstance(value, bool) and name == "verify"):
        return value
    for path in value if isinstance(value, (tuple, list)) else (value,):
        if not isinstance(path, (str, os.PathLike)) or not os.path.exists(path):
            raise InvalidOption(f"{name}: there is no file {path!r}.")
    return value


_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def _checked_proxy(proxy: str | None) -> str | None:
    if proxy is None:
        return None
    if not isinstance(proxy, str):
        raise InvalidOption(f"proxy must be a str, not {type(proxy).__name__}.")
    url = proxy.strip()
    url = url if "://" in url else f"http://{url}"
    parts = _split(url)
    if parts is None or parts.scheme.lower() not in _PROXY_SCHEMES or not parts.hostname:
        raise InvalidOption(
            f"proxy {_without_secrets(proxy)!r} is not the URL of a proxy.",
            hint=f"Its scheme is one of {', '.join(_PROXY_SCHEMES)}.",
        )
    return url


def _checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    checked = dict(headers or {})
    for name, value in checked.items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise InvalidOption(f"the header name {name!r} is malformed.")
        if not isinstance(value, str) or not re.fullmatch(r"[\t\x20-\x7e]*", value):
            # Without the value: it may be a secret.
            raise InvalidOption(f"the value of the header {name!r} is no printable ASCII text.")
    return checked
