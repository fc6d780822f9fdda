"""Green threads: gevent's patched sockets do what is promised; eventlet's are refused."""

from __future__ import annotations

import ssl
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import trustme

from qwen72b.testing import FakeSpace, Stall

GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys, gevent
from qwen72b import Client, Qwen72BError, Timeout

url, ca = sys.argv[1:]

def ended(act, timeout=None):
    with Client(url, timeout=timeout, verify=ca) as client:
        stream = client.stream("hang")
        try:
            for _ in stream:
                if act:
                    gevent.spawn(client.close if act == "client" else stream.close)
        except Qwen72BError as error:
            return type(error).__name__, error.partial
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's certificate, and the file of who signed it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return context, path


def run(code: str, *arguments: str) -> str:
    """Run code as a program of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not find_spec("gevent"), reason="needs gevent")
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print(Client(url, verify=ca).ask('Hi'))", "Hello"),
        # A name, which is looked up in a thread that is none.
        ("print(Client(url.replace('127.0.0.1', 'localhost'), verify=ca).ask('Hi'))", "Hello"),
        (
            """
asked = [gevent.spawn(Client(url, verify=ca).ask, 'Hi') for _ in range(9)]
gevent.joinall(asked)
print({task.value for task in asked})
""",
            "{'Hello'}",
        ),
        ("print([r.reply for r in Client(url, verify=ca).map(['a', 'b'])])", "['Hello', 'Hello']"),
        ("print(*ended('stream'))", "StreamInterrupted Hel"),
        ("print(*ended('client'))", "StreamInterrupted Hel"),
        ("print(*ended(None, 0.5))", "RequestTimeout Hel"),
        ("print(*ended(None, Timeout(read=0.5)))", "RequestTimeout Hel"),
    ],
)
def test_gevent(code: str, said: str, tls: bool, authority: tuple[ssl.SSLContext, Path]) -> None:
    """Questions, clocks and closing are as ever, plain and with TLS."""
    context, ca = authority
    with FakeSpace(tls=context if tls else None) as space:
        space.answer(lambda job: ["Hel", Stall()] if job.query == "hang" else ["Hel", "lo"])
        assert run(GEVENT + code, space.url, str(ca)) == said


@pytest.mark.skipif(not find_spec("eventlet"), reason="needs eventlet")
def test_eventlet_is_refused() -> None:
    """Its sockets are refused in one line; without them it is welcome."""
    refused = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import eventlet; eventlet.monkey_patch()\n"
        "from qwen72b import Client, InvalidOption\n"
        "try: Client('http://127.0.0.1:9')\n"
        "except InvalidOption as error: print(error)"
    )
    assert run(refused).startswith("eventlet has patched the sockets")
    with FakeSpace() as space:
        space.answer("Hello")
        welcome = refused.replace("patch()", "patch(socket=False)") + (
            f"\nprint(Client({space.url!r}).ask('Hi'))"
        )
        assert run(welcome) == "Hello"
