"""
Who is measured? Ways to read the same answer, each as its users would write it.

Every peer is a class made of a server's URL. A blocking one has ``stream``, an
iterator of text; an async one ``stream``, an async iterator, and ``close``. A
peer keeps the answer's text, as its user would; imports happen when it is made.
``fresh`` tells that threads do not share it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

__all__ = ["ASYNC", "BLOCKING", "IMPORTS", "PEERS"]


def _payload(question: str, session_hash: str) -> dict[str, Any]:
    return {
        "data": [question, [], "You are a helpful assistant."],
        "event_data": None,
        "fn_index": 0,
        "trigger_id": 11,
        "session_hash": session_hash,
    }


def _fold(data: str | bytes) -> list[str] | None:
    """Take one message; None is the end of the answer."""
    message = json.loads(data)
    if message["msg"] == "process_completed":
        return None
    if message["msg"] != "process_generating":
        return []
    edits = message["output"]["data"][1]
    return [value for op, _, value in (edits if len(edits[0]) == 3 else ()) if op == "append"]


class Ours:
    """``qwen72b.Client``."""

    fresh = False

    def __init__(self, url: str) -> None:
        from qwen72b import Client

        self.client = Client(url)

    def stream(self, question: str) -> Iterator[str]:
        return iter(self.client.stream(question))

    def close(self) -> None:
        self.client.close()


class Hand:
    """requests and sseclient-py, in twenty lines."""

    fresh = True

    def __init__(self, url: str) -> None:
        import requests
        import sseclient

        self.url = url
        self.session = requests.Session()
        self.parse = sseclient.SSEClient

    def stream(self, question: str) -> Iterator[str]:
        session_hash = uuid4().hex[:12]
        join = self.session.post(f"{self.url}/queue/join", json=_payload(question, session_hash))
        join.raise_for_status()
        query = {"session_hash": session_hash}
        text = ""
        with self.session.get(f"{self.url}/queue/data", params=query, stream=True) as response:
            for event in self.parse(response).events():
                pieces = _fold(event.data)
                if pieces is None:
                    break
                for piece in pieces:
                    text += piece
                    yield piece

    def close(self) -> None:
        self.session.close()


class Httpx:
    """httpx and httpx-sse."""

    fresh = False

    def __init__(self, url: str) -> None:
        import httpx
        import httpx_sse

        self.url = url
        limits = httpx.Limits(max_connections=2000, max_keepalive_connections=2000)
        self.session = httpx.Client(timeout=60, limits=limits)
        self.connect = httpx_sse.connect_sse

    def stream(self, question: str) -> Iterator[str]:
        session_hash = uuid4().hex[:12]
        join = self.session.post(f"{self.url}/queue/join", json=_payload(question, session_hash))
        join.raise_for_status()
        url = f"{self.url}/queue/data?session_hash={session_hash}"
        text = ""
        with self.connect(self.session, "GET", url) as source:
            for event in source.iter_sse():
                pieces = _fold(event.data)
                if pieces is None:
                    break
                for piece in pieces:
                    text += piece
                    yield piece

    def close(self) -> None:
        self.session.close()


class OpenAI:
    """The openai client on a stream of equal text."""

    fresh = False

    def __init__(self, url: str) -> None:
        import openai

        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=60)

    def stream(self, question: str) -> Iterator[str]:
        text = ""
        messages: Any = [{"role": "user", "content": question}]
        with self.client.chat.completions.create(
            model="m", messages=messages, stream=True
        ) as chunks:
            for chunk in chunks:
                piece = chunk.choices[0].delta.content
                if piece:
                    text += piece
                    yield piece

    def close(self) -> None:
        self.client.close()


class GradioClient:
    """gradio_client, whose outputs are the whole chat each time."""

    fresh = False

    def __init__(self, url: str) -> None:
        from gradio_client import Client

        self.client = Client(url, verbose=False)

    def stream(self, question: str) -> Iterator[str]:
        shown = 0
        for output in self.client.submit(question, [], "", api_name="/model_chat"):
            text = output[1][-1][1] or ""
            if len(text) > shown:
                yield text[shown:]
                shown = len(text)

    def close(self) -> None:
        self.client.close()


class Floor:
    """A socket and ``json``: what the bytes cost at the least."""

    fresh = True

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.sock = socket.create_connection((parts.hostname, parts.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def stream(self, question: str) -> Iterator[str]:
        session_hash = uuid4().hex[:12]
        self.sock.sendall(_raw_join(question, session_hash))
        self.sock.recv(65536)
        self.sock.sendall(_raw_stream(session_hash))
        text, tail = "", b""
        while data := self.sock.recv(65536):
            *blocks, tail = (tail + data).split(b"\n\n")
            for block in blocks:
                pieces = _fold(block[block.index(b"data: ") + 6 :])
                if pieces is None:
                    while not tail.endswith(b"0\r\n\r\n"):
                        tail += self.sock.recv(65536)
                    return
                for piece in pieces:
                    text += piece
                    yield piece

    def close(self) -> None:
        self.sock.close()


class AsyncOurs:
    """``qwen72b.AsyncClient``."""

    fresh = False

    def __init__(self, url: str) -> None:
        from qwen72b import AsyncClient

        self.client = AsyncClient(url)

    def stream(self, question: str) -> AsyncIterator[str]:
        return aiter(self.client.stream(question))

    async def close(self) -> None:
        await self.client.close()


class AsyncHttpx:
    """httpx and httpx-sse, async."""

    fresh = False

    def __init__(self, url: str) -> None:
        import httpx
        import httpx_sse

        self.url = url
        limits = httpx.Limits(max_connections=2000, max_keepalive_connections=2000)
        self.session = httpx.AsyncClient(timeout=60, limits=limits)
        self.connect = httpx_sse.aconnect_sse

    async def stream(self, question: str) -> AsyncIterator[str]:
        session_hash = uuid4().hex[:12]
        join = await self.session.post(
            f"{self.url}/queue/join", json=_payload(question, session_hash)
        )
        join.raise_for_status()
        url = f"{self.url}/queue/data?session_hash={session_hash}"
        text = ""
        async with self.connect(self.session, "GET", url) as source:
            async for event in source.aiter_sse():
                pieces = _fold(event.data)
                if pieces is None:
                    break
                for piece in pieces:
                    text += piece
                    yield piece

    async def close(self) -> None:
        await self.session.aclose()


class AsyncAiohttp:
    """aiohttp, and the lines of its stream."""

    fresh = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.session: Any = None

    async def stream(self, question: str) -> AsyncIterator[str]:
        import aiohttp

        if self.session is None:
            self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        session_hash = uuid4().hex[:12]
        payload = _payload(question, session_hash)
        async with self.session.post(f"{self.url}/queue/join", json=payload) as join:
            await join.json()
        url = f"{self.url}/queue/data?session_hash={session_hash}"
        text = ""
        # An answer of 100,000 characters is one line, beyond the usual limit.
        async with self.session.get(url, read_bufsize=1 << 22) as response:
            async for line in response.content:
                if not line.startswith(b"data: "):
                    continue
                pieces = _fold(line[6:])
                if pieces is None:
                    break
                for piece in pieces:
                    text += piece
                    yield piece

    async def close(self) -> None:
        await self.session.close()


class AsyncOpenAI:
    """The openai client, async."""

    fresh = False

    def __init__(self, url: str) -> None:
        import openai

        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=60)

    async def stream(self, question: str) -> AsyncIterator[str]:
        text = ""
        messages: Any = [{"role": "user", "content": question}]
        async with await self.client.chat.completions.create(
            model="m", messages=messages, stream=True
        ) as chunks:
            async for chunk in chunks:
                piece = chunk.choices[0].delta.content
                if piece:
                    text += piece
                    yield piece

    async def close(self) -> None:
        await self.client.close()


class AsyncGradioClient(GradioClient):
    """gradio_client, its jobs iterated over asynchronously."""

    async def stream(self, question: str) -> AsyncIterator[str]:  # type: ignore[override]
        shown = 0
        job = self.client.submit(question, [], "", api_name="/model_chat")
        async for update in job:
            if update.type != "output" or update.final:
                continue
            text = update.outputs[1][-1][1] or ""
            if len(text) > shown:
                yield text[shown:]
                shown = len(text)

    async def close(self) -> None:  # type: ignore[override]
        self.client.close()


class AsyncFloor:
    """asyncio's streams and ``json``."""

    fresh = True

    def __init__(self, url: str) -> None:
        self.parts = urlsplit(url)

    async def stream(self, question: str) -> AsyncIterator[str]:
        import asyncio

        session_hash = uuid4().hex[:12]
        reader, writer = await asyncio.open_connection(self.parts.hostname, self.parts.port)
        try:
            writer.write(_raw_join(question, session_hash))
            await reader.read(65536)
            writer.write(_raw_stream(session_hash))
            text, tail = "", b""
            while data := await reader.read(65536):
                *blocks, tail = (tail + data).split(b"\n\n")
                for block in blocks:
                    pieces = _fold(block[block.index(b"data: ") + 6 :])
                    if pieces is None:
                        return
                    for piece in pieces:
                        text += piece
                        yield piece
        finally:
            writer.close()

    async def close(self) -> None:
        pass


def _raw_join(question: str, session_hash: str) -> bytes:
    body = json.dumps(_payload(question, session_hash)).encode()
    return (
        b"POST /queue/join HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(body), body)
    )


def _raw_stream(session_hash: str) -> bytes:
    return b"GET /queue/data?session_hash=%s HTTP/1.1\r\nhost: x\r\n\r\n" % session_hash.encode()


BLOCKING: dict[str, Any] = {
    "qwen72b": Ours,
    "hand-written": Hand,
    "httpx": Httpx,
    "openai": OpenAI,
    "gradio_client": GradioClient,
    "floor": Floor,
}
ASYNC: dict[str, Any] = {
    "qwen72b async": AsyncOurs,
    "httpx async": AsyncHttpx,
    "aiohttp": AsyncAiohttp,
    "openai async": AsyncOpenAI,
    "gradio_client async": AsyncGradioClient,
    "floor async": AsyncFloor,
}
PEERS = BLOCKING | ASYNC

# What each imports, for the time that takes.
IMPORTS = {
    "bare Python": "",
    "qwen72b": "import qwen72b",
    "qwen72b, Client": "from qwen72b import Client",
    "qwen72b, AsyncClient": "from qwen72b import AsyncClient",
    "hand-written": "import requests, sseclient",
    "httpx": "import httpx, httpx_sse",
    "aiohttp": "import aiohttp",
    "gradio_client": "import gradio_client",
    "openai": "import openai",
}
