"""
Executors: what it means where one loses an item, or takes no more.
"""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, CancelledError, Executor
from contextlib import suppress

from ..errors import StreamInterrupted

__all__ = ["failure", "is_gone", "is_loss", "loss", "refusal"]


def is_loss(error: BaseException | None) -> bool:
    """
    Tell whether a future's exception means that the executor lost the item.

    Args:
        error: The exception; ``None`` if there is none.

    Returns:
        Whether the executor itself failed, such as a pool whose worker was
        killed; not so for what callers' code raised.
    """
    # Dask is not imported for its names.
    of_dask = type(error).__module__.partition(".")[0] in ("distributed", "dask")
    return of_dask or isinstance(error, (BrokenExecutor, CancelledError))


def loss(cause: BaseException | None = None) -> StreamInterrupted:
    """
    Make the error of an item that an executor lost.

    Args:
        cause: What the executor says.

    Returns:
        The error.
    """
    hint = "Run it again. If it alone is lost each time, it may be what ends the workers."
    return _error("the executor lost the item", cause, hint)


def failure(cause: BaseException) -> StreamInterrupted:
    """
    Make the error of an item whose executor did what none should.

    Args:
        cause: What the executor says, or what is wrong with what it gave.

    Returns:
        The error.
    """
    return _error("the executor failed", cause, "Run it again.")


def refusal(cause: BaseException | None = None) -> StreamInterrupted:
    """
    Make the error of a batch whose executor takes no more.

    Args:
        cause: What the executor says.

    Returns:
        The error.
    """
    hint = "Run it again with a new executor; a journal goes on where it stopped."
    return _error("the executor takes no more items", cause, hint)


def is_gone(executor: Executor | None) -> bool:
    """
    Tell whether an executor is that of a Dask client that is closed.

    What is given to one that is about to close is neither done nor refused, ever.

    Args:
        executor: The executor.

    Returns:
        Whether it is; ``False`` if that cannot be told.
    """
    # ``ClientExecutor`` has no public name for its client.
    status = getattr(getattr(executor, "_client", None), "status", None)
    return status in ("closing", "closed")


def _error(words: str, cause: BaseException | None, hint: str) -> StreamInterrupted:
    if cause is not None:
        said = ""
        # An exception of somebody's may have no words at all.
        with suppress(Exception):
            said = " ".join(str(cause)[:200].split())
        words += f": {type(cause).__name__}: {said}".rstrip(": .")
    error = StreamInterrupted(f"{words}.", hint=hint)
    error.__cause__ = cause
    return error
