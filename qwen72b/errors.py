"""
The exception tree: all that can go wrong.

The axis is whose fault it is, because that is what decides what to do next::

    Qwen72BError             never raised itself
      InvalidRequest         the caller's, before any I/O; also a ValueError
        InvalidMessages      a chat message is not one
        ModelNotFound        this Space has one model
        InvalidOption        a URL, token, timeout or other setting
      TransportError         the network's
        ConnectFailed        DNS, refused, TLS or proxy; also a ConnectionError
        RequestTimeout       one of the five clocks ran out; also a TimeoutError
        StreamInterrupted    the answer was cut; also a ConnectionError
        HTTPStatusError      a status that the protocol has no use for
          AuthenticationError  401 or 403
          RateLimited          429
      ProtocolError          the Space broke the protocol
        EndpointNotFound     it has no chat function
        UnsupportedProtocol  it runs Gradio 3
        InvalidServerMessage what it sent makes no sense
        InvalidDiff          its edits do not fit the answer
      SpaceError             the Space kept the protocol and said no
        SpaceUnavailable     sleeping, building, paused or broken
        QueueFull            too many people wait
        QuotaExceeded        the GPU quota is used up
        GenerationFailed     the app raised

Every error carries ``partial`` (the text received before it), ``hint`` (what
to do about it), ``retry_after`` (seconds to wait, where that is known) and, as ``__cause__``, the exception that it translates.

Above 300 lines: the tree is one, and half of it is docstrings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from .privacy.masking import mask, shown_headers

__all__ = [
    "AuthenticationError",
    "ConnectFailed",
    "EndpointNotFound",
    "GenerationFailed",
    "HTTPStatusError",
    "InvalidDiff",
    "InvalidMessages",
    "InvalidOption",
    "InvalidRequest",
    "InvalidServerMessage",
    "ModelNotFound",
    "ProtocolError",
    "QueueFull",
    "QuotaExceeded",
    "Qwen72BError",
    "RateLimited",
    "RequestTimeout",
    "SpaceError",
    "SpaceUnavailable",
    "StreamInterrupted",
    "TransportError",
    "UnsupportedProtocol",
]


def _restore(cls: type[Qwen72BError], args: tuple[Any, ...], state: dict[str, Any]) -> Qwen72BError:
    """Rebuild a pickled error without running its ``__init__``."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _words(text: str) -> str:
    """Take out of a sentence what is secret, and what cannot be printed: lone surrogates."""
    printable = text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
    return mask(printable, own=True)


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}..."


# Characters of a sentence about what the caller passed.
_MOST_WORDS = 800

# What ends a sentence, and what may stand behind that.
_ENDS = (".", "!", "?", "\u2026", ":", "\u3002", "\uff01", "\uff1f")
_CLOSING = "\"')]}`*\u2019\u201d\u00bb\u300d\uff09"


def told(reason: str, hint: str) -> str:
    """
    Put a reason and a hint together: two sentences, also where the reason is a Space's bare words.

    Args:
        reason: What happened.
        hint: What to do about it; may be empty.
    """
    if not hint:
        return reason
    reason = reason.rstrip()
    end = "" if not reason or reason.rstrip(_CLOSING).endswith(_ENDS) else "."
    return f"{reason}{end} {hint}".lstrip()


E = TypeVar("E", bound="Qwen72BError")


def without_frames(error: E) -> E:
    """
    Have an error's traceback begin anew, where it is raised next.

    It says what happened and what to do; the frames in which that was found
    out would bury it. The log tells what was sent and what came.

    Args:
        error: The error, on its way to the caller.
    """
    return error.with_traceback(None)


class Qwen72BError(Exception):
    """
    The base of every error of this package; never raised itself.

    Args:
        reason: What happened, in one sentence.
        hint: What the caller can do about it; may be empty.
        partial: The part of the answer that had arrived.
        retry_after: Seconds to wait before asking again, as the server said or
            its words tell; ``None`` if they do not.

    Example:
        >>> try:
        ...     Client().ask("Write a poem.")
        ... except Qwen72BError as error:
        ...     print("So far:", error.partial, "Then:", error.reason)
        So far: Roses are red, Then: GPU out of memory
    """

    def __init__(
        self,
        reason: str,
        *,
        hint: str = "",
        partial: str = "",
        retry_after: float | None = None,
    ) -> None:
        # One string only: OSError, a base of some of these, reads two
        # arguments as errno and strerror.
        # What a server said may be in it, and in that what it was sent.
        reason = _words(reason)
        super().__init__(reason)
        self.reason = reason
        self.hint = _words(hint)
        self.partial = partial
        self.retry_after = retry_after

    def __str__(self) -> str:
        return told(self.reason, self.hint)

    def _render_traceback_(self) -> list[str]:
        """Tell IPython what to show: what happened and what to do, without frames of ours."""
        return [f"{type(self).__name__}: {self}"]

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), (self.reason,), self.__dict__.copy())

    def __copy__(self) -> Qwen72BError:
        # Without frames, which hold connections. What copyreg knows comes before
        # __reduce__, and tblib, which Dask loads, has told it to keep them.
        return _restore(type(self), (self.reason,), self.__dict__.copy())


class InvalidRequest(Qwen72BError, ValueError):
    """
    The caller asked for something that cannot be; nothing was sent.

    Example:
        >>> try:
        ...     Client().ask("")
        ... except InvalidRequest as error:
        ...     print(error.reason)
        the question is empty.
    """

    def __init__(self, reason: str, *, hint: str = "", **data: Any) -> None:
        # Names and labels of the caller's may have any length.
        super().__init__(_shortened(reason), hint=_shortened(hint), **data)


class InvalidMessages(InvalidRequest):
    """
    A chat message is missing or malformed.

    Args:
        index: Position of the message in the caller's list, from 0; ``None``
            if the fault is in no single message.

    Example:
        >>> try:
        ...     Client().ask([{"role": "user", "content": "Hi"}, {"role": "poet"}])
        ... except InvalidMessages as error:
        ...     print("It is message", error.index)
        It is message 1
    """

    def __init__(self, reason: str, *, index: int | None = None, **data: Any) -> None:
        super().__init__(reason, **data)
        self.index = index


class ModelNotFound(InvalidRequest):
    """
    The Space serves one model, and this is not its name.

    Example:
        >>> try:
        ...     Client().ask("Hi", model="gpt-4o")
        ... except ModelNotFound as error:
        ...     print(error.reason)
        this Space does not serve the model 'gpt-4o'.
    """


class InvalidOption(InvalidRequest):
    """
    A setting (URL, token, timeout, proxy, ...) has no usable value.

    Example:
        >>> try:
        ...     Client(timeout=-1)
        ... except InvalidOption as error:
        ...     print(error.reason)
        the timeout total=-1 is not a positive number of seconds.
    """


class TransportError(Qwen72BError):
    """
    The network's fault.

    Example:
        >>> try:
        ...     Client("http://127.0.0.1:9").ask("Hi", retry=Retry(attempts=1))
        ... except TransportError as error:
        ...     print("The network:", type(error).__name__)
        The network: ConnectFailed
    """


class ConnectFailed(TransportError, ConnectionError):
    """
    No connection came about.

    Args:
        stage: What failed: ``"dns"``, ``"tcp"``, ``"tls"`` or ``"proxy"``.

    Example:
        >>> try:
        ...     Client("http://127.0.0.1:9").ask("Hi", retry=Retry(attempts=1))
        ... except ConnectFailed as error:
        ...     print(error.stage)
        tcp
    """

    def __init__(self, reason: str, *, stage: str = "tcp", **data: Any) -> None:
        super().__init__(reason, **data)
        self.stage = stage


class RequestTimeout(TransportError, TimeoutError):
    """
    One of the clocks of ``Timeout`` ran out.

    Args:
        phase: Which: ``"connect"``, ``"read"``, ``"queue"``, ``"first_token"``
            or ``"total"``.

    Example:
        >>> try:
        ...     Client().ask("Hi", timeout=0.1)
        ... except RequestTimeout as error:
        ...     print(error.phase)
        total
    """

    def __init__(self, reason: str, *, phase: str = "total", **data: Any) -> None:
        super().__init__(reason, **data)
        self.phase = phase


class StreamInterrupted(TransportError, ConnectionError):
    """
    The answer was cut before its end; ``partial`` holds what had come.

    Example:
        >>> try:
        ...     Client().ask("Write a poem.")
        ... except StreamInterrupted as error:
        ...     print(error.partial)
        Roses are red,
    """


class HTTPStatusError(TransportError):
    """
    The Space answered with a status that stands for a failure.

    Args:
        status_code: The HTTP status.
        headers: The response's headers, without the values of cookies and
            tokens, and without users, passwords and queries of URLs.
        body: The beginning of the response's body, as text.

    Example:
        >>> try:
        ...     Client().ask("Hi")
        ... except HTTPStatusError as error:
        ...     print(error.status_code, error.body)
        418 I am a teapot.
    """

    def __init__(
        self,
        reason: str,
        *,
        status_code: int = 0,
        headers: Mapping[str, str] | None = None,
        body: str = "",
        **data: Any,
    ) -> None:
        super().__init__(reason, **data)
        self.status_code = status_code
        self.headers: dict[str, str] = shown_headers(headers or {})
        self.body = mask(body)


class AuthenticationError(HTTPStatusError):
    """
    The Space wants a login or a token, or refuses the one it got (401, 403).

    Example:
        >>> try:
        ...     Client(token="hf_wrong").ask("Hi")
        ... except AuthenticationError as error:
        ...     print(error.status_code)
        401
    """


class RateLimited(HTTPStatusError):
    """
    Too many requests (429); ``retry_after`` says how long to wait, if the server did.

    Example:
        >>> try:
        ...     Client(retry=Retry(attempts=1)).ask("Hi")
        ... except RateLimited as error:
        ...     print("Ask again in", error.retry_after, "seconds.")
        Ask again in 30.0 seconds.
    """

    def __init__(self, reason: str, *, status_code: int = 429, **data: Any) -> None:
        super().__init__(reason, status_code=status_code, **data)


class ProtocolError(Qwen72BError):
    """
    The Space broke the protocol, or speaks one that is unknown here.

    Example:
        >>> try:
        ...     Client().ask("Hi")
        ... except ProtocolError as error:
        ...     print("No chat Space, or a broken one:", type(error).__name__)
        No chat Space, or a broken one: InvalidServerMessage
    """


class EndpointNotFound(ProtocolError):
    """
    The Space has nothing that takes a question, or no rule tells which of several.

    Args:
        candidates: What could be asked, by the name to give as ``endpoint``.

    Example:
        >>> try:
        ...     Client(endpoint="/chat").ask("Hi")
        ... except EndpointNotFound as error:
        ...     print(error.candidates[0])
        /model_chat
    """

    def __init__(
        self,
        reason: str,
        *,
        candidates: Sequence[str] = (),
        hint: str = "",
        partial: str = "",
    ) -> None:
        super().__init__(reason, hint=hint, partial=partial)
        self.candidates = tuple(map(mask, candidates))


class UnsupportedProtocol(ProtocolError):
    """
    The Space runs Gradio 3, whose queue speaks WebSocket.

    Example:
        >>> try:
        ...     Client().ask("Hi")
        ... except UnsupportedProtocol as error:
        ...     print(error.reason)
        the Space runs Gradio 3.50.2, whose queue speaks WebSocket.
    """


class InvalidServerMessage(ProtocolError):
    """
    A message of the Space has a shape that the protocol does not allow.

    Example:
        >>> try:
        ...     Client().ask("Hi")
        ... except InvalidServerMessage as error:
        ...     print("Not Gradio, or broken:", error)
        Not Gradio, or broken: the Space's answer to the join is not JSON: ...
    """


class InvalidDiff(ProtocolError):
    """
    An edit of the Space does not fit the value that it edits.

    Example:
        >>> try:
        ...     Client().ask("Write a poem.")
        ... except InvalidDiff as error:
        ...     print(error.partial)
        Roses are red,
    """


class SpaceError(Qwen72BError):
    """
    The Space kept the protocol and refused or failed.

    Example:
        >>> try:
        ...     Client().ask("Hi")
        ... except SpaceError as error:
        ...     print("The Space says:", error.reason)
        The Space says: GPU out of memory
    """


class SpaceUnavailable(SpaceError):
    """
    The Space itself is not running.

    Args:
        stage: The Hub's word for its state, such as ``"SLEEPING"``,
            ``"BUILDING"``, ``"PAUSED"`` or ``"RUNTIME_ERROR"``; ``None`` if
            unknown.
        status_code: HTTP status of the page that came instead of an answer;
            ``None`` if there was none, as where its app says that it cannot
            answer for now.

    Example:
        >>> try:
        ...     Client().ask("Hi")
        ... except SpaceUnavailable as error:
        ...     print(error.reason)
        the Space answered with a page instead of data: Paused (HTTP 503).
    """

    def __init__(
        self,
        reason: str,
        *,
        stage: str | None = None,
        status_code: int | None = None,
        **data: Any,
    ) -> None:
        super().__init__(reason, **data)
        self.stage = None if stage is None else mask(stage)
        self.status_code = status_code


class QueueFull(SpaceError):
    """
    The Space takes no more jobs for now; ``retry_after`` may say for how long.

    Example:
        >>> try:
        ...     Client(retry=Retry(attempts=1)).ask("Hi")
        ... except QueueFull as error:
        ...     print(error.reason)
        the Space's queue is full.
    """


class QuotaExceeded(SpaceError):
    """
    The GPU quota of this caller is used up; ``retry_after`` may say for how long.

    Example:
        >>> try:
        ...     Client().ask("Hi")
        ... except QuotaExceeded as error:
        ...     print("Ask again in", error.retry_after, "seconds.")
        Ask again in 3600.0 seconds.
    """


class GenerationFailed(SpaceError):
    """
    The Space's app raised while it worked on the job.

    Args:
        title: The title that the app gave its error (Gradio 5.25 and later);
            ``None`` if it gave none.

    Example:
        >>> try:
        ...     Client().ask("Write a poem.")
        ... except GenerationFailed as error:
        ...     print(error.reason, "after", error.partial)
        GPU out of memory after Roses are red,
    """

    def __init__(self, reason: str, *, title: str | None = None, **data: Any) -> None:
        super().__init__(reason, **data)
        self.title = None if title is None else mask(title)
