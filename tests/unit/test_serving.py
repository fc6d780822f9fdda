"""Where a server of ours listens."""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import closing
from typing import Any

import pytest

from qwen72b import InvalidOption, SpaceUnavailable
from qwen72b.local.serving import ServerThread, base_url_of, listen, wait_for_signal


def test_small_pieces_are_sent_at_once() -> None:
    """Connections do not wait for the acknowledgement of what was sent before."""
    with listen("127.0.0.1", 0, "test") as listener:
        there = socket.create_connection(listener.getsockname())
        here, _ = listener.accept()
        with closing(there), closing(here):
            assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_useless_port(port: int) -> None:
    """A port that is none is told."""
    with pytest.raises(InvalidOption, match="The test cannot listen"):
        listen("127.0.0.1", port, "test")


@pytest.mark.parametrize("host", ["", "192.0.2.1", "a..b", "::g", "*", "x" * 99, "two words"])
def test_useless_address(host: str) -> None:
    """An address that is none of this machine's is told in a line; another port is no help."""
    with pytest.raises(InvalidOption, match="The test cannot listen on ") as caught:
        listen(host, 0, "test")
    assert "an address of this machine" in caught.value.hint
    assert "while" not in str(caught.value)


def test_port_that_is_taken() -> None:
    """Another port helps."""
    with listen("127.0.0.1", 0, "test") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InvalidOption, match=f"127.0.0.1, port {port}: Address") as caught:
            listen("127.0.0.1", port, "test")
    assert str(caught.value).endswith("in use. Choose another port, or 0 for a free one.")


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]")]
)
def test_url(host: str, shown: str) -> None:
    """The URL is one that this machine can go to."""
    with listen("127.0.0.1", 0, "test") as listener:
        port = listener.getsockname()[1]
        assert base_url_of(host, listener) == f"http://{shown}:{port}"


@pytest.mark.parametrize("ignored", [True, False])
def test_end_of_the_terminal(ignored: bool) -> None:
    """A terminal that goes ends the wait, unless nohup has said that it shall not."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:

        def ready() -> None:
            signal.raise_signal(signal.SIGHUP)
            if ignored:
                signal.raise_signal(signal.SIGTERM)

        wait_for_signal(ready)
        assert signal.getsignal(signal.SIGHUP) is (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_stop_does_not_wait_for_an_import() -> None:
    """A Ctrl-C while the app is imported ends at once; that thread then ends without serving."""
    pytest.importorskip("uvicorn")
    imported = threading.Event()
    importing = threading.Event()

    def make_app() -> Any:
        importing.set()
        imported.wait()

    with listen("127.0.0.1", 0, "test") as listener:
        server = ServerThread(make_app, listener, name="test")
        starting = threading.Thread(target=lambda: pytest.raises(SpaceUnavailable, server.start))
        starting.start()
        importing.wait()
        server.stop()
        assert server._thread.is_alive()
        imported.set()
        server._thread.join()
        starting.join()
        assert not server._started
