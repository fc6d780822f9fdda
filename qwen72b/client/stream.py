"""
An answer as it comes: the iterator that ``Client.stream`` returns.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from ..errors import Qwen72BError, without_frames
from ..events import Delta, Event, Revised
from ..reply import Reply
from ..transport.descriptors import descriptors_needed
from .face import AnswerFace

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Stream"]


class Stream(AnswerFace, Iterator[str]):
    """
    The answer to one question, as it comes.

    An iterator of text, and a context manager. Nothing is sent before the
    first ``next()`` or ``with``. Made by ``Client.stream``.

    Leaving a ``for`` loop early, ``close()``, and dropping the last reference
    all hang up, which is what stops the job in the Space.

    Example:
        >>> with Client().stream("Why is the sky blue?") as stream:
        ...     for chunk in stream:
        ...         print(chunk)
        ...         break
        Because
        >>> stream.closed
        True
    """

    def __iter__(self) -> Generator[str, None, None]:
        if self._answer.complete:
            self._check_unread()
        return self._iterate()

    def _iterate(self) -> Generator[str, None, None]:
        pending, handed = self._pending, self._handed
        try:
            while pending or self._step():
                event = pending.popleft()
                if type(event) is Delta and not handed.revised:
                    # _to_chunk, unrolled: this is the path of every piece of text.
                    handed.buffer.add(event.text)
                    yield event.text
                elif not isinstance(event, (Delta, Revised)):
                    continue
                elif chunk := self._to_chunk(event):
                    yield chunk
        finally:
            # Also when the loop around it was left early.
            self.close()

    def __next__(self) -> str:
        while self._pending or self._step():
            chunk = self._to_chunk(self._pending.popleft())
            if chunk:
                return chunk
        raise StopIteration

    def events(self) -> Generator[Event, None, None]:
        """
        Iterate over what happens, instead of over text.

        Yields:
            ``Queued``, ``Started``, ``Delta``, ``Revised``, ``Progress``,
            ``Logged`` and at last ``Finished``.

        Raises:
            Qwen72BError: If the answer fails or is cut; ``partial`` has what came.

        Example:
            >>> for event in Client().stream("What is the capital of France?").events():
            ...     print(type(event).__name__)
            Queued
            Started
            Delta
            Finished
        """
        try:
            while self._pending or self._step():
                event = self._pending.popleft()
                self._to_chunk(event)
                yield event
        finally:
            self.close()

    def result(self, *, progress: bool = False) -> Reply:
        """
        Wait for the end.

        Args:
            progress: Whether to show a tqdm bar meanwhile: the place in the
                queue, the Space's own progress, the characters that came.

        Returns:
            The whole answer.

        Raises:
            Qwen72BError: If the answer fails or is cut; ``partial`` has what came.
            InvalidOption: If a bar is wanted and tqdm is not installed.

        Example:
            >>> Client().stream("What is the capital of France?").result()
            'Paris.'
        """
        if progress:
            with descriptors_needed():
                from ..progress import ProgressBar

                made = ProgressBar()
            with made as bar:
                for event in self.events():
                    bar.take(event)
        try:
            for _ in self.events():
                pass
            return self._answer.reply()
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__

    def display(self) -> Reply:
        """
        Draw the answer as it comes, as one Markdown output of a notebook: ``notebook.show``.

        Returns:
            The whole answer.

        Raises:
            Qwen72BError: If the answer fails or is cut; what came stays on the page.

        Example:
            >>> reply = Client().stream("What is the capital of France?").display()
            Paris.
        """
        with descriptors_needed():
            from ..notebook.display import show

        return show(self)

    def close(self) -> None:
        """
        Hang up, from any thread; a blocked reader wakes and raises; idempotent.

        Example:
            >>> stream = Client().stream("Why is the sky blue?")
            >>> next(stream)
            'Because'
            >>> stream.close()
        """
        self._answer.close()

    def cancel(self) -> None:
        """
        Hang up: the same as ``close``.

        Example:
            >>> stream = Client().stream("Why is the sky blue?")
            >>> stream.cancel()
            >>> stream.closed
            True
        """
        self._answer.close()

    def __enter__(self) -> Self:
        if not self._answer.begun:
            self._step()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._answer.close()

    def __del__(self) -> None:
        # A half-made one, which its class did not make, has nothing to close.
        if hasattr(self, "_answer"):
            self._answer.close("garbage collection")

    def _step(self) -> bool:
        """Get the next events; tell whether there are any."""
        try:
            events = self._answer.step()
        except Qwen72BError as error:
            raise without_frames(error) from error.__cause__
        if events is None:
            return False
        self._pending.extend(events)
        return True

    def _read_batch(self) -> list[Event]:
        """Wait for one network read that brings events; empty at the end."""
        if not self._pending:
            self._step()
        batch = list(self._pending)
        self._pending.clear()
        return batch
