"""
The blocking client of one Space.

Above 300 lines: mostly the docstrings of the one public class.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import requests

from ..errors import Qwen72BError, without_frames
from ..messages import Messages, to_prompt
from ..privacy.redaction import hide, hide_url, hide_values
from ..protocol.model import check_model
from ..reply import Reply
from ..retry import Retry
from ..timeout import Timeout, TimeoutLike
from ..transport.descriptors import descriptors_needed
from ..transport.threads import no_thread
from .core import ClientCore
from .stream import Stream

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from typing_extensions import Self

    from ..batch.batch import Batch
    from ..batch.items import Item
    from ..batch.journal import Journal
    from ..batch.progress import Tally
    from .conversation import Conversation
    from .description import Description
    from .status import SpaceStatus

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
        space: ``"owner/name"`` of another Space on the Hub. Where ``base_url``
            is an address of yours in front of it, the Space whose stage is asked.
        token: Hugging Face token for a private Space; by default, for Spaces of the Hub,
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
        endpoint: What of the Space to ask: the public name (``"/chat"``) or the
            number of a function. By default what its page shows to people:
            ``describe`` tells.
        inputs: Values of the Space's other inputs by their labels, such as
            ``{"Temperature": 0.2}``; case and punctuation do not count. The
            others keep the values that the page shows.
        fold: Whether a history or a system text that the Space has no place
            for is folded into the question; else it is an error.

    Raises:
        InvalidOption: If an argument has no usable value.

    Example:
        >>> from qwen72b import Client
        >>> with Client() as client:
        ...     print(client.ask("What is the capital of France?"))
        Paris.
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
        endpoint: str | int | None = None,
        inputs: Mapping[str, Any] | None = None,
        fold: bool = True,
    ) -> None:
        # Before anything else: no frame of ours is to hold a secret bare.
        token, auth, headers = hide(token), hide(auth), hide(headers)
        inputs = hide_values(inputs)
        base_url, space, proxy = hide_url(base_url), hide_url(space), hide_url(proxy)
        self._core = ClientCore(
            base_url,
            space=space,
            token=token,
            auth=auth,
            proxy=proxy,
            timeout=timeout,
            retry=retry,
            session=session,
            headers=headers,
            verify=verify,
            cert=cert,
            wait_for_space=wait_for_space,
            endpoint=endpoint,
            inputs=inputs,
            fold=fold,
        )

    @property
    def base_url(self) -> str:
        """Where the Space is; without a slash at its end."""
        return self._core.base_url

    @property
    def timeout(self) -> Timeout:
        """The limits of each call."""
        return self._core.timeout

    @property
    def retry(self) -> Retry:
        """How stubborn each call is."""
        return self._core.retry

    def stream(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        model: str | None = None,
        timeout: TimeoutLike = None,
        retry: Retry | None = None,
        headers: Mapping[str, str] | None = None,
        endpoint: str | int | None = None,
        inputs: Mapping[str, Any] | None = None,
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
            retry: How stubborn to be in this call.
            headers: Sent with this call's requests, beside the client's; such as
                a visitor's ``X-IP-Token``, whose quota then counts.
            endpoint: As in the client, for this call.
            inputs: As in the client, for this call; added to the client's.

        Returns:
            The answer as it comes; nothing is sent before it is first read.

        Raises:
            InvalidMessages: If a message is missing or malformed.
            ModelNotFound: If ``model`` is something else's name.
            InvalidOption: If ``timeout``, ``retry`` or ``headers`` has no usable
                value.
            InvalidRequest: If the client was closed.

        Example:
            >>> list(Client().stream("Why is the sky blue?"))
            ['Because', ' of', ' the air.']
        """
        if model is not None:
            check_model(model)
        if inputs is not None:
            inputs = hide_values(inputs)
        prompt = to_prompt(messages, system=system)
        return Stream(
            self._core.open(
                prompt,
                timeout=timeout,
                retry=retry,
                headers=headers,
                endpoint=endpoint,
                inputs=inputs,
            )
        )

    def ask(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        model: str | None = None,
        timeout: TimeoutLike = None,
        retry: Retry | None = None,
        headers: Mapping[str, str] | None = None,
        endpoint: str | int | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> Reply:
        """
        Ask the Space and wait for the whole answer.

        Args:
            messages: As in ``stream``.
            system: As in ``stream``.
            model: As in ``stream``.
            timeout: As in ``stream``.
            retry: As in ``stream``.
            headers: As in ``stream``.
            endpoint: As in ``stream``.
            inputs: As in ``stream``.

        Returns:
            The answer: a ``str`` with ``timings`` and ``messages``.

        Raises:
            Qwen72BError: If there is none; ``partial`` has what came.

        Example:
            >>> reply = Client().ask("What is the capital of France?", system="Be brief.")
            >>> print(reply)
            Paris.
        """
        try:
            with self.stream(
                messages,
                system=system,
                model=model,
                timeout=timeout,
                retry=retry,
                headers=headers,
                endpoint=endpoint,
                inputs=inputs,
            ) as stream:
                return stream.result()
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__

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
        stop_on_error: bool | Literal["lasting"] = False,
        max_failures: int | None = None,
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
                result, the error is raised. ``"lasting"``: 20 failures in a
                row for one reason that holds for all, such as a login or a key
                that is refused, and no answer in between; or for any one
                reason, where nothing was answered yet.
            max_failures: How many failures end the batch, as ``stop_on_error``
                does; by default any number is borne.
            system: System text of items that have none of their own.
            timeout: Limits in seconds for each item.

        Returns:
            The results as they come; nothing is sent before the first is
            asked for. A failed item's result holds its error.

        Raises:
            InvalidRequest: If an argument is refused or the client was closed.

        Example:
            >>> questions = ["What is the capital of France?", "And of Italy?"]
            >>> for result in Client().map(questions):
            ...     print(result.reply if result.ok else result.error)
            Paris.
            Rome.
        """
        try:
            with descriptors_needed():
                from ..batch.batch import Batch
                from ..batch.options import BatchOptions
        except RuntimeError as exc:
            # Python 3.13 loads no pools of threads while it is ending.
            raise no_thread(exc) from exc

        self._core.check_open()
        options = BatchOptions(
            executor=executor,
            max_in_flight=max_in_flight,
            rate=rate,
            journal=journal,
            progress=progress,
            ordered=ordered,
            stop_on_error=stop_on_error,
            max_failures=max_failures,
            system=system,
            timeout=timeout,
        )
        return Batch(self._core, items, options)

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

        Example:
            >>> chat = Client().conversation(system="Be brief.")
            >>> print(chat.ask("What is the capital of France?"))
            Paris.
            >>> print(chat.ask("And of Italy?"))
            Rome.
        """
        with descriptors_needed():
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

        Example:
            >>> status = Client().status()
            >>> status.ready, status.stage
            (True, 'RUNNING')
        """
        try:
            with self._core.calling(timeout) as scope:
                return self._core.status(scope)
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__

    def describe(
        self,
        *,
        endpoint: str | int | None = None,
        inputs: Mapping[str, Any] | None = None,
        timeout: TimeoutLike = None,
    ) -> Description:
        """
        Tell what a question will do: the functions, the boxes, what is folded.

        Args:
            endpoint: As in the client, for this call.
            inputs: As in the client, for this call; added to the client's.
            timeout: Limits in seconds for this call.

        Returns:
            The description; ``print`` it.

        Raises:
            EndpointNotFound: If there is nothing to ask, or no rule tells what.
            Qwen72BError: If the Space cannot be read.

        Example:
            >>> Client().describe().endpoint
            '/model_chat'
        """
        try:
            with self._core.calling(timeout) as scope:
                return self._core.describe(scope, endpoint, inputs)
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__

    def close(self) -> None:
        """
        End what the client is at, whose callers get an error, and close its connections.

        A session that the caller brought stays open. From any thread, and in a
        signal handler; idempotent.

        Example:
            >>> client = Client()
            >>> client.ask("What is the capital of France?")
            'Paris.'
            >>> client.close()
        """
        self._core.close()

    def __enter__(self) -> Self:
        self._core.check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._core.close()
        self._core.catch_up()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_core', 'half-built')!s}>"

    def __getstate__(self) -> dict[str, Any]:
        # Copies have connections of their own.
        return {"_core": copy(self._core)}
