"""
What does ``qwen72b serve --upstream`` cost a prompt? Run by hand: ``python tests/benchmarks/bench_serve.py``.

The CPU of the serving process alone, in milliseconds a prompt, as the system
counts it, beside that of a bare Gradio app of the same shape that yields the
same pieces: what is left is ours. The upstream is a process of its own that
says all at once, or a piece every so many milliseconds; who asks is this process.

* ``cost``: answers of 1 and of 20 pieces that come at once.
* ``slow``: an answer of 20 pieces in a second, after a second of silence.
* ``memory``: the resident memory of the serving process over 5,000 prompts.
* ``rate``: prompts a second by ``concurrency``, of answers that take 4 s.

It takes Linux, and the extra ``local``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qwen72b import Client

WORKERS = 8
WARM = 40


def pieces(count: int) -> list[str]:
    """Make the pieces of an answer."""
    return [f"word{number} " for number in range(count)]


def upstream(pipe: Any, count: int, silence: float, pace: float) -> None:
    """Answer as an OpenAI-compatible server, until killed."""
    texts = [
        "data: "
        + json.dumps({"choices": [{"index": 0, "delta": {"content": it}, "finish_reason": None}]})
        + "\n\n"
        for it in pieces(count)
    ]
    end = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    def chunk(text: str) -> bytes:
        return b"%x\r\n%b\r\n" % (len(text), text.encode())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while asked := await reader.readuntil(b"\r\n\r\n"):
                at = asked.lower().index(b"content-length:")
                await reader.readexactly(int(asked[at + 15 :].split(b"\r\n")[0]))
                await asyncio.sleep(silence)
                if pace:
                    writer.write(head)
                    for text in texts:
                        writer.write(chunk(text))
                        await asyncio.sleep(pace)
                    writer.write(chunk(end) + b"0\r\n\r\n")
                else:
                    whole = b"".join(map(chunk, [*texts, end]))
                    writer.write(head + whole + b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def ours(pipe: Any, port: int, concurrency: int) -> None:
    """Run the local Space, until killed."""
    warnings.simplefilter("ignore")
    from qwen72b.local import backend, running

    made = backend("upstream", upstream=f"http://127.0.0.1:{port}/v1", model="m")
    with running(made, concurrency=concurrency) as url:
        pipe.send(url)
        time.sleep(1e6)


def bare(pipe: Any, count: int, silence: float, pace: float, concurrency: int) -> None:
    """Run a Gradio app of the same shape, whose answers cost it nothing, until killed."""
    warnings.simplefilter("ignore")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI

    from qwen72b.local.serving import listen

    texts = pieces(count)

    def chat(query: str, history: list[Any], system: str) -> Iterator[tuple[Any, Any, Any]]:
        answer = ""
        time.sleep(silence)
        for text in texts:
            answer += text
            said = [{"role": "user", "content": query}, {"role": "assistant", "content": answer}]
            yield "", [*history, *said], system
            time.sleep(pace)

    async def main() -> None:
        roles = {"type": "messages"} if gr.__version__ < "6" else {}
        with gr.Blocks(analytics_enabled=False) as page:
            system = gr.Textbox(label="System")
            state = gr.Textbox(visible=False)
            chatbot = gr.Chatbot(**roles)
            box = gr.Textbox(label="Input")
            box.submit(
                chat, [box, chatbot, state], [box, chatbot, system], concurrency_limit=concurrency
            )
        page.max_threads = concurrency + 40
        getattr(page, "_queue", page).max_thread_count = page.max_threads
        app = gr.mount_gradio_app(FastAPI(), page, path="/", ssr_mode=False)
        listener = listen("127.0.0.1", 0, "bare app")
        pipe.send(f"http://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(app, log_config=None, log_level="critical", ws="none")
        await uvicorn.Server(config).serve(sockets=[listener])

    asyncio.run(main())


@contextmanager
def process(target: Callable[..., None], *args: Any) -> Iterator[tuple[Any, int]]:
    """Run a server in a process of its own; give what it tells, and its id."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=target, args=(there, *args), daemon=True)
    child.start()
    try:
        assert child.pid is not None
        yield here.recv(), child.pid
    finally:
        child.kill()
        child.join()


def cpu(pid: int) -> float:
    """Tell the CPU that a process has used, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Tell the memory of a process, in MB."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def ask(url: str, prompts: int, workers: int = WORKERS) -> float:
    """Ask so many questions; give the seconds that it took."""
    with Client(url, token=False, timeout=600) as client:
        begun = time.perf_counter()
        for result in client.map(
            (f"question {number}" for number in range(prompts)),
            max_in_flight=workers,
            ordered=False,
        ):
            assert result.ok, result.error
        return time.perf_counter() - begun


def cost(url: str, pid: int, prompts: int, workers: int = WORKERS) -> float:
    """Measure the CPU of a prompt, in milliseconds."""
    ask(url, WARM, workers)
    before = cpu(pid)
    ask(url, prompts, workers)
    return (cpu(pid) - before) / prompts * 1e3


def bench_cost(
    prompts: int, *, silence: float = 0.0, pace: float = 0.0, workers: int = WORKERS
) -> None:
    """Compare with the bare app."""
    for count in (20,) if pace else (1, 20):
        with (
            process(upstream, count, silence, pace) as (port, _),
            process(ours, port, 200) as (url, pid),
            process(bare, count, silence, pace, 200) as (bare_url, bare_pid),
        ):
            spent = cost(url, pid, prompts, workers)
            gradio = cost(bare_url, bare_pid, prompts, workers)
            print(
                f"{count:2} pieces, {silence:g} s of silence, {pace:g} s between: serve {spent:.1f} ms "
                f"of CPU a prompt, bare Gradio {gradio:.1f}, ours {spent - gradio:.1f}",
                flush=True,
            )


def bench_memory(prompts: int) -> None:
    """Watch the serving process grow."""
    with process(upstream, 5, 0.0, 0.0) as (port, _), process(ours, port, 200) as (url, pid):
        for done in range(0, prompts, 1000):
            print(f"{done:6} prompts: {memory(pid):.1f} MB resident", flush=True)
            ask(url, 1000)
        print(f"{prompts:6} prompts: {memory(pid):.1f} MB resident", flush=True)


def bench_rate(prompts: int) -> None:
    """See what more answers at a time bring."""
    for concurrency in (40, 100, 200):
        with (
            process(upstream, 20, 1.0, 0.15) as (port, _),
            process(ours, port, concurrency) as (url, pid),
        ):
            ask(url, 40, 400)
            before, seconds = cpu(pid), ask(url, prompts, 400)
            print(
                f"concurrency {concurrency}: {prompts / seconds:.1f} prompts/s, "
                f"{(cpu(pid) - before) / seconds:.2f} cores",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("what", nargs="*", default=["cost"])
    parser.add_argument("--prompts", type=int)
    arguments = parser.parse_args()
    if "cost" in arguments.what:
        bench_cost(arguments.prompts or 400)
    if "slow" in arguments.what:
        bench_cost(arguments.prompts or 200, silence=1.0, pace=0.05, workers=16)
    if "memory" in arguments.what:
        bench_memory(arguments.prompts or 5000)
    if "rate" in arguments.what:
        bench_rate(arguments.prompts or 800)
