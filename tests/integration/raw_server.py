"""A server that says exactly the bytes it is told: for what no `FakeSpace` would say."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from qwen72b.testing import FakeSpace

__all__ = [
    "Answers",
    "Heard",
    "Last",
    "Script",
    "conversation",
    "found",
    "once",
    "raw_server",
    "silent_address",
]

DONE = {
    "msg": "process_completed",
    "event_id": "e",
    "success": True,
    "output": {"data": ["", [["Hi", "Hello"]], ""]},
}


@dataclass
class Heard:
    """
    What came to a raw server.

    Attributes:
        url: Where it is.
        requests: The number of the connection, the method, the path and the whole head of each.
    """

    url: str
    requests: list[tuple[int, str, str, bytes]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [path for _, _, path, _ in self.requests]


class Last(bytes):
    """What is said before hanging up."""


#: Answers a request, told its path and how many came over this connection before
#: it; ``None`` hangs up without a word.
Script = Callable[[str, int], "bytes | None"]


def answer(body: bytes, kind: str = "application/json", head: bytes = b"") -> bytes:
    """Write a whole answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
        kind.encode(),
        len(body),
        head,
        body,
    )


class Answers:
    """The good answers of a small Space, by path."""

    def __init__(self) -> None:
        with FakeSpace("4.12.0") as space:
            self._config = json.dumps(space.config).encode()

    def __call__(self, path: str, head: bytes = b"") -> bytes:
        """Answer a request."""
        if path == "/config":
            return answer(self._config, head=head)
        if path == "/queue/join":
            return answer(b'{"event_id": "e"}', head=head)
        if path == "/queue/data":
            return answer(f"data: {json.dumps(DONE)}\n\n".encode(), "text/event-stream", head)
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def conversation(change: Callable[[str, bytes, int], bytes | None]) -> Script:
    """Change the answers of a small Space, told the path, the answer and how many came before."""
    good = Answers()
    return lambda path, before: change(path, good(path), before)


@contextmanager
def once(said: bytes) -> Iterator[str]:
    """Say this on one connection, whatever comes first, and nothing else; gives host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock, suppress(OSError):
                sock.recv(65536)
                sock.sendall(said)
                sock.shutdown(socket.SHUT_WR)
                # Until the client leaves, lest a reset take the words away.
                while sock.recv(65536):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield "{}:{}".format(*listener.getsockname())
        thread.join()


@contextmanager
def raw_server(
    script: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[Heard]:
    """Serve on loopback, or at another address of this machine; a thread a connection."""
    family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    listener = socket.create_server(address, family=family)
    scheme = "http" if tls is None else "https"
    heard = Heard(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
    open_sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(sock: socket.socket, number: int) -> None:
        with suppress(OSError):
            if tls is not None:
                sock = tls.wrap_socket(sock, server_side=True)
                open_sockets.append(sock)
            with sock, sock.makefile("rb") as reader:
                before = 0
                while head := _read_head(reader):
                    method, target, _ = head.split(b" ", 2)
                    path = target.decode().partition("?")[0]
                    heard.requests.append((number, method.decode(), path, head))
                    said = script(path, before)
                    before += 1
                    if said is None:
                        return
                    sock.sendall(said)
                    if isinstance(said, Last):
                        return

    def accept() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                open_sockets.append(sock)
                thread = threading.Thread(target=serve, args=(sock, len(threads) + 1))
                threads.append(thread)
                thread.start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        listener.close()
        for sock in open_sockets:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for sock in open_sockets:
            sock.close()


def _read_head(reader: object) -> bytes:
    """Read a request, its body too; give its head, or nothing at the end."""
    head = b""
    length = 0
    while line := reader.readline():  # type: ignore[attr-defined]
        head += line
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if line == b"\r\n":
            reader.read(length)  # type: ignore[attr-defined]
            return head
    return b""


@contextmanager
def silent_address() -> Iterator[tuple[str, int]]:
    """An address that answers nothing: nobody accepts, and no more fit in its queue."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting: list[socket.socket] = []
        try:
            while True:
                sock = socket.socket()
                waiting.append(sock)
                sock.settimeout(0.2)
                try:
                    sock.connect(listener.getsockname())
                except TimeoutError:
                    break
            yield listener.getsockname()
        finally:
            for sock in waiting:
                sock.close()


def found(*addresses: Sequence[object]) -> Callable[..., list[object]]:
    """Stand in for ``getaddrinfo``: whatever the name, it has these addresses."""
    listed = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    return lambda *_: listed
