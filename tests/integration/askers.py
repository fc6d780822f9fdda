"""One question to a Space, asked in each of the ways that a program may ask it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from qwen72b import AsyncClient, Client, Qwen72BError, Retry

__all__ = ["ASKERS", "ONCE", "Answer", "Asker", "check_error"]

ONCE = Retry(attempts=1)


@dataclass
class Answer:
    """What came of a question."""

    chunks: list[str] = field(default_factory=list)
    text: str = ""
    error: Qwen72BError | None = None

    @property
    def shown(self) -> str:
        """What a program that prints chunks has shown."""
        return "".join(self.chunks)


Asker = Callable[..., Answer]


def _blocking(url: str, *, question: Any = "Hi", **options: Any) -> Answer:
    answer = Answer()
    with Client(url, **options) as client:
        stream = client.stream(question)
        try:
            answer.chunks.extend(iter(stream))
        except Qwen72BError as error:
            answer.error = error
        answer.text = stream.text
    return answer


def _looping(backend: str) -> Asker:
    async def talk(url: str, question: Any, options: dict[str, Any]) -> Answer:
        answer = Answer()
        async with AsyncClient(url, **options) as client:
            stream = client.stream(question)
            try:
                async for chunk in stream:
                    answer.chunks.append(chunk)  # what came before an error counts
            except Qwen72BError as error:
                answer.error = error
            answer.text = stream.text
        return answer

    def ask(url: str, *, question: Any = "Hi", **options: Any) -> Answer:
        return anyio.run(talk, url, question, options, backend=backend)

    return ask


ASKERS = {"sync": _blocking, "asyncio": _looping("asyncio"), "trio": _looping("trio")}


def check_error(error: Qwen72BError | None, kind: type[Qwen72BError], partial: str = "") -> None:
    """Check what every error promises: its kind, what had come, words, and that it pickles."""
    assert type(error) is kind, repr(error)
    assert error.partial == partial
    assert error.reason and isinstance(error.hint, str)
    assert " object at 0x" not in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.__dict__) == (str(error), error.__dict__)
