"""Whatever is passed for a public parameter is taken, or refused in one typed line."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import anyio
import pytest

from qwen72b import AsyncClient, Client, Journal, Qwen72BError, Qwen_Qwen_2_72B, Retry, Timeout
from qwen72b.notebook import show
from qwen72b.testing import FakeSpace


class OfTheCaller(Exception):
    """What an object of the caller's raises; it may pass."""


def _raise(*_: Any, **__: Any) -> Any:
    raise OfTheCaller


def raising(method: str, base: type = object) -> Any:
    """Make an object, one of whose methods raises."""
    made = type("Raising", (base,), {method: _raise, "__hash__": base.__hash__})
    return made("a") if base is str else made()


def nested(kind: type, depth: int) -> Any:
    """Nest containers."""
    value: Any = kind()
    for _ in range(depth):
        value = {"a": value} if kind is dict else kind([value])
    return value


def cyclic(kind: type) -> Any:
    """Make a container that holds itself."""
    value: Any = kind()
    if kind is dict:
        value["a"] = value
    else:
        value.append(value)
    return value


class Text(str):
    """A text with methods of its own."""

    __repr__ = _raise
    strip = _raise


class Number(int):
    """A number with methods of its own."""

    __repr__ = _raise


VALUES: dict[str, Callable[[], Any]] = {
    "huge": lambda: 10**5000,
    "huge negative": lambda: -(10**5000),
    "large": lambda: 2**63,
    "zero": lambda: 0,
    "negative": lambda: -1,
    "nan": lambda: float("nan"),
    "infinite": lambda: float("inf"),
    "most": lambda: 1.7e308,
    "least": lambda: 5e-324,
    "decimal": lambda: Decimal("sNaN"),
    "fraction": lambda: Fraction(1, 3),
    "complex": lambda: 1j,
    "true": lambda: True,
    "bytes": lambda: b"\xff",
    "bytearray": lambda: bytearray(b"a"),
    "memoryview": lambda: memoryview(b"a"),
    "empty": lambda: "",
    "blank": lambda: " \t\n",
    "surrogate": lambda: "a\ud800",
    "nul": lambda: "a\0b",
    "url of a surrogate": lambda: "http://a\ud800",
    "url of a nul": lambda: "http://a\0b",
    "url without an end": lambda: "http://[::1",
    "url with a huge port": lambda: "http://h:" + "9" * 5000,
    "url of many dots": lambda: "http://" + "a." * 5000,
    "url in fullwidth": lambda: "http://ａ℀b",
    "format": lambda: "%s{0}%n",
    "long": lambda: "x" * 200_000,
    "right to left": lambda: "\u202e\x1b]52;c;YQ==\x07",
    "text": lambda: Text("a"),
    "number": lambda: Number(7),
    "deep list": lambda: nested(list, 3000),
    "deep tuple": lambda: nested(tuple, 3000),
    "deep dict": lambda: nested(dict, 3000),
    "deeper list": lambda: nested(list, 100_000),
    "cyclic list": lambda: cyclic(list),
    "cyclic dict": lambda: cyclic(dict),
    "dict of a cycle": lambda: {"a": cyclic(list)},
    "dict of a deep list": lambda: {"a": nested(list, 3000)},
    "dict of a huge number": lambda: {"a": 10**5000},
    "dict of huge keys": lambda: {10**5000: "a"},
    "dict of a surrogate": lambda: {"a\ud800": "b\ud800"},
    "dict of nan": lambda: {"a": float("nan")},
    "dict of bytes": lambda: {b"a": b"b"},
    "dict of an object": lambda: {"a": raising("__repr__")},
    "dict of a long key": lambda: {"x" * 200_000: object()},
    "list of a surrogate": lambda: ["a\ud800"],
    "list of an object": lambda: [raising("__repr__")],
    "list of none": lambda: [None],
    "message": lambda: [{"role": 10**5000, "content": "a"}],
    "message of a long role": lambda: [{"role": "x" * 200_000, "content": "a"}],
    "message of a surrogate": lambda: [{"role": "\ud800", "content": "a"}],
    "message of nothing": lambda: [{"role": raising("__repr__"), "content": raising("__str__")}],
    "message of a deep text": lambda: [{"role": "user", "content": nested(list, 3000)}],
    "message of a cycle": lambda: [{"role": "user", "content": cyclic(list)}],
    "message of a text": lambda: [{"role": Text("user"), "content": Text("a")}],
    "item": lambda: [{"id": 10**5000, "prompt": "a"}],
    "item of an object": lambda: [{"id": raising("__repr__"), "prompt": "a"}],
    "item of a long id": lambda: [{"id": ["x"] * 100_000, "prompt": "a"}],
    "pair": lambda: ("a", 10**5000),
    "pair of surrogates": lambda: ("\ud800", "\ud800"),
    "pair of nuls": lambda: ("\0", "\0"),
    "set": lambda: {1},
    "range": lambda: range(2),
    "generator": lambda: (each for each in [1]),
    "function": lambda: _raise,
    "type": lambda: type,
    "module": lambda: os,
    "object": object,
    **{
        f"object {name}": lambda name=name: raising(name)  # type: ignore[misc]
        for name in ("__repr__", "__str__", "__eq__", "__iter__", "__bool__", "__len__", "__hash__")
        + ("__fspath__", "__index__", "__float__", "__getattr__", "__call__")
    },
    **{
        f"text {name}": lambda name=name: raising(name, str)  # type: ignore[misc]
        for name in ("__repr__", "__str__", "__eq__", "__len__", "__contains__", "lower", "encode")
    },
    **{
        f"mapping {name}": lambda name=name: raising(name, dict)  # type: ignore[misc]
        for name in ("__repr__", "__iter__", "items", "keys", "__getitem__", "__len__")
    },
}

Call = Callable[[str, Any], Any]
DOORS: dict[str, Call] = {}

OPTIONS = [
    "space",
    "token",
    "auth",
    "proxy",
    "timeout",
    "retry",
    "session",
    "headers",
    "verify",
    "cert",
    "wait_for_space",
    "endpoint",
    "inputs",
    "fold",
]
OF_A_CALL = ["system", "model", "timeout", "retry", "headers", "endpoint", "inputs"]
OF_A_TURN = ["timeout", "retry", "headers"]
OF_A_BATCH = [
    "executor",
    "max_in_flight",
    "rate",
    "journal",
    "progress",
    "ordered",
    "stop_on_error",
    "system",
    "timeout",
]
ONCE = {"retry": Retry(attempts=1), "timeout": 5}


def _client(url: str, **options: Any) -> None:
    with Client(url, **{**ONCE, **options}) as client:
        client.ask("Hi")


async def _ask_async(url: str, options: dict[str, Any], call: Any) -> Any:
    async with AsyncClient(url, **{**ONCE, **options}) as client:
        return await call(client)


def _async_client(url: str, **options: Any) -> None:
    anyio.run(_ask_async, url, options, lambda client: client.ask("Hi"))


def _with_client(call: Callable[[Client], Any]) -> Callable[[str], Any]:
    def run(url: str) -> Any:
        with Client(url, **ONCE) as client:
            return call(client)

    return run


def _with_async(call: Any) -> Callable[[str], Any]:
    return lambda url: anyio.run(_ask_async, url, {}, call)


async def _collect(batch: Any) -> list[Any]:
    return [result async for result in batch]


def _provider(url: str, **options: Any) -> None:
    asked = {"model": None, "messages": "Hi", "base_url": url, **options}
    made = Qwen_Qwen_2_72B.create_completion(asked.pop("model"), asked.pop("messages"), **asked)
    # Where something else would be asked, that it is taken is enough.
    if "proxy" not in options and asked["base_url"] == url:
        list(made)


def _provide_async(url: str, **options: Any) -> None:
    asked = {"model": None, "messages": "Hi", "base_url": url, **options}

    async def run() -> None:
        made = Qwen_Qwen_2_72B.create_async_generator(
            asked.pop("model"), asked.pop("messages"), **asked
        )
        if "proxy" not in options and asked["base_url"] == url:
            async for _ in made:
                pass
        else:
            await made.aclose()

    anyio.run(run)


def _doors() -> Iterator[tuple[str, Call]]:
    for name in OPTIONS:
        yield f"Client {name}", lambda url, value, name=name: _client(url, **{name: value})
        yield (
            f"AsyncClient {name}",
            lambda url, value, name=name: _async_client(url, **{name: value}),
        )
    yield "Client base_url", lambda _, value: _client(value)
    yield "AsyncClient base_url", lambda _, value: _async_client(value)
    for way in ("ask", "stream"):
        yield (
            f"{way} messages",
            lambda url, value, way=way: _with_client(lambda c: str(getattr(c, way)(value)))(url),
        )
        for name in OF_A_CALL:
            yield (
                f"{way} {name}",
                lambda url, value, way=way, name=name: _with_client(
                    lambda c: list(getattr(c, way)("Hi", **{name: value}))
                )(url),
            )
    yield "aio ask messages", lambda url, value: _with_async(lambda c: c.ask(value))(url)
    for name in OF_A_CALL:
        yield (
            f"aio ask {name}",
            lambda url, value, name=name: _with_async(lambda c: c.ask("Hi", **{name: value}))(url),
        )
    for name in ("endpoint", "inputs", "timeout"):
        yield (
            f"describe {name}",
            lambda url, value, name=name: _with_client(lambda c: str(c.describe(**{name: value})))(
                url
            ),
        )
        yield (
            f"aio describe {name}",
            lambda url, value, name=name: _with_async(lambda c: c.describe(**{name: value}))(url),
        )
    yield "status timeout", lambda url, value: _with_client(lambda c: c.status(timeout=value))(url)
    yield "map items", lambda url, value: _with_client(lambda c: _results(c.map(value)))(url)
    yield "map item", lambda url, value: _with_client(lambda c: _results(c.map([value])))(url)
    yield "aio map items", lambda url, value: _with_async(lambda c: _collect(c.map(value)))(url)
    for name in OF_A_BATCH:
        yield (
            f"map {name}",
            lambda url, value, name=name: _with_client(
                lambda c: _results(c.map(["Hi"], **{name: value}))
            )(url),
        )
        yield (
            f"aio map {name}",
            lambda url, value, name=name: _with_async(
                lambda c: _collect(c.map(["Hi"], **{name: value}))
            )(url),
        )
    for name in ("system", "messages"):
        yield (
            f"conversation {name}",
            lambda url, value, name=name: _with_client(
                lambda c: c.conversation(**{name: value}).ask("Hi")
            )(url),
        )
        yield (
            f"aio conversation {name}",
            lambda url, value, name=name: _with_async(
                lambda c: c.conversation(**{name: value}).ask("Hi")
            )(url),
        )
    yield (
        "conversation text",
        lambda url, value: _with_client(lambda c: c.conversation().ask(value))(url),
    )
    yield (
        "system of a conversation",
        lambda url, value: _with_client(lambda c: setattr(c.conversation(), "system", value))(url),
    )
    for name in OF_A_TURN:
        yield (
            f"conversation ask {name}",
            lambda url, value, name=name: _with_client(
                lambda c: c.conversation().ask("Hi", **{name: value})
            )(url),
        )
    for name in ("connect", "read", "queue", "first_token", "total"):
        yield (
            f"Timeout {name}",
            lambda url, value, name=name: _client(url, timeout=Timeout(**{name: value})),
        )
    for name in ("attempts", "base", "cap"):
        yield (
            f"Retry {name}",
            lambda url, value, name=name: _client(url, retry=Retry(**{name: value})),
        )
    yield (
        "Journal path",
        lambda url, value: _with_client(lambda c: _results(c.map(["Hi"], journal=Journal(value))))(
            url
        ),
    )
    yield (
        "Journal openai",
        lambda url, value: _with_client(
            lambda c: _results(c.map(["Hi"], journal=Journal("journal", openai=value)))
        )(url),
    )
    for name in ("model", "messages", "proxy", "base_url", "api_key", "timeout", "system"):
        yield f"provider {name}", lambda url, value, name=name: _provider(url, **{name: value})
        yield (
            f"async provider {name}",
            lambda url, value, name=name: _provide_async(url, **{name: value}),
        )
    yield "show", lambda _, value: show(value)


def _results(batch: Any) -> list[Any]:
    results = list(batch)
    for result in results:
        if result.error is not None:
            _check(result.error)
    return results


DOORS.update(_doors())


def _check(error: BaseException) -> None:
    if isinstance(error, OfTheCaller):
        return
    assert isinstance(error, Qwen72BError), repr(error)
    assert str(error).encode()
    assert repr(error).encode()
    assert len(str(error)) < 2000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A Space that answers."""
    with FakeSpace() as space:
        yield space.url


@pytest.mark.parametrize("door", DOORS)
def test_argument(door: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter takes a value, or its refusal is one line that can be printed."""
    monkeypatch.chdir(tmp_path)
    wrong = []
    for name, make in VALUES.items():
        value = make()
        try:
            with (
                contextlib.redirect_stderr(io.StringIO()),
                contextlib.redirect_stdout(io.StringIO()),
            ):
                DOORS[door](url, value)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            # The system's word about a file is passed on, as is said of batches.
            if "ournal" in door and type(error) in (OSError, FileNotFoundError):
                continue
            try:
                _check(error)
            except (AssertionError, UnicodeError) as problem:
                wrong.append(f"{name}: {type(error).__name__} {ascii(str(problem))[:200]}")
    assert not wrong, "\n" + "\n".join(wrong)
