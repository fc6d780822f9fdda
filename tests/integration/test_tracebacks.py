"""What a script that fails prints: one cause, no frames of ours, what to do."""

from __future__ import annotations

import copyreg
import gc
import pickle
import socket
import subprocess
import sys
import threading
import weakref
from typing import Any

import anyio
import pytest
import requests
from timing import AMPLE, PATIENCE

from qwen72b import (
    AsyncClient,
    Client,
    ConnectFailed,
    HTTPStatusError,
    Qwen72BError,
    RequestTimeout,
    Timeout,
)
from qwen72b.testing import FakeSpace, Respond, Stall

URL = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "code",
    [
        "qwen72b.Client(url).ask('Hi')",
        "list(qwen72b.Client(url).stream('Hi'))",
        "next(qwen72b.Client(url).stream('Hi'))",
        "qwen72b.Client(url).conversation().ask('Hi')",
        "qwen72b.Client(url).status()",
        "anyio.run(qwen72b.AsyncClient(url).ask, 'Hi')",
        "anyio.run(qwen72b.AsyncClient(url).status)",
    ],
)
def test_script_prints_one_cause(code: str) -> None:
    """The system's words once, then the caller's line and the error."""
    script = f"import anyio, qwen72b\nurl = {URL!r}\n{code}\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    lines = done.stderr.splitlines()
    assert lines[0] == "ConnectionRefusedError: [Errno 111] Connection refused"
    assert lines[-1].startswith("qwen72b.errors.ConnectFailed: 127.0.0.1:9 did not accept")
    assert "qwen72b serve" in lines[-1]
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.count("qwen72b/") <= 3
    if "anyio" not in code:
        assert len(lines) <= 15


def test_cause_is_the_systems_own() -> None:
    """What requests and urllib3 wrapped is what the error was made from, with nothing around it."""
    for url, kind in ((URL, ConnectionRefusedError), ("http://no.invalid", socket.gaierror)):
        with Client(url, retry=None) as client, pytest.raises(ConnectFailed) as caught:
            client.ask("Hi")
        cause = caught.value.__cause__
        assert type(cause) is kind
        assert cause.__cause__ is cause.__context__ is cause.__traceback__ is None
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_notebooks_are_told_in_one_line() -> None:
    """Every error has IPython's hook."""
    for kind in (Qwen72BError, ConnectFailed):
        error = kind("It broke.", hint="Mend it.")
        assert error._render_traceback_() == [f"{kind.__name__}: It broke. Mend it."]


def test_answer_that_is_late_has_no_frames_either() -> None:
    """So it is in the middle of an answer."""
    with FakeSpace() as space, Client(space.url) as client:
        space.answer("Hel", Stall())
        with pytest.raises(RequestTimeout) as caught:
            client.ask("Hi", timeout=Timeout(total=AMPLE))
    assert caught.value.partial == "Hel"
    assert len(caught.traceback) <= 2


def rebuilt(error: Exception, frames: Any) -> Exception:
    return error.with_traceback(frames)


@pytest.mark.parametrize("backend", [None, "asyncio", "trio"])
@pytest.mark.parametrize("phase", ["config", "join", "stream"])
def test_failed_stream_holds_no_response(
    backend: str | None, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that failed, and its errors, hold no frames of ours, and with them no connection."""
    # As tblib does, which Dask loads.
    monkeypatch.setitem(
        copyreg.dispatch_table,
        HTTPStatusError,
        lambda error: (rebuilt, (HTTPStatusError(error.reason), error.__traceback__)),
    )
    came: list[weakref.ref[requests.Response]] = []
    held: list[object] = []

    def note(response: requests.Response, **_: Any) -> None:
        came.append(weakref.ref(response))

    def ask(url: str, session: requests.Session) -> None:
        with Client(url, session=session, retry=None) as client:
            stream = client.stream("Hi")
            with pytest.raises(HTTPStatusError) as caught:
                stream.result()
            held.extend((stream, caught.value))

    async def ask_async(url: str, session: requests.Session) -> None:
        async with AsyncClient(url, session=session, retry=None) as client:
            stream = client.stream("Hi")
            with pytest.raises(HTTPStatusError) as caught:
                await stream.result()
            held.extend((stream, caught.value))

    with FakeSpace() as space, requests.Session() as session:
        session.hooks["response"].append(note)
        space.fault(phase, Respond(status=418), times=None)
        if backend is None:
            ask(space.url, session)
        else:
            anyio.run(ask_async, space.url, session, backend=backend)
    for thread in threading.enumerate():
        # One may guard the connection of a caller's session, and has not ended yet.
        if thread.name.startswith("qwen72b"):
            thread.join(PATIENCE)
    gc.collect()
    assert came
    assert not [response for made in came if (response := made()) is not None]
