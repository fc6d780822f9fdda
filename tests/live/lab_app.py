"""
A real Gradio app with the public Space's interface and scripted answers.

Run as a subprocess; it runs on every Gradio from 4.19 on. It prints one line of
JSON on stdout once it serves, and ends when its stdin does, so that a test run
that dies leaves no server behind. Beside the Gradio app it serves ``/lab/...``:
what became of a job (``ended``) and a way to let one go on (``open``).
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import os
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

# Read by gradio when it is imported: no calls home, and no proxy in between.
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1", GRADIO_SSR_MODE="False")
for _variable in ("http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(_variable, None)
    os.environ.pop(_variable.upper(), None)

import gradio as gr
import uvicorn
from fastapi import FastAPI
from lab_scripts import (
    DEFAULT_SYSTEM,
    HISTORY_SHAPES,
    Script,
    script_for,
    split_prompt,
)

# Seconds after which a job that nobody stops or lets go on ends by itself.
PATIENCE = 60.0

# Seconds in which Gradio (queueing.py, start_progress_updates) surely looks
# for progress once: it sleeps at most 0.2 s in between.
PROGRESS_POLL = 0.5


class Journal:
    """What became of each job, by the token in its prompt."""

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}
        self.gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    async def ended(self, token: str, patience: float) -> dict[str, str | None]:
        """Return how the job ended, ``None`` if it has not within ``patience`` seconds."""
        deadline = time.monotonic() + patience
        while token not in self.ends and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        return {"end": self.ends.get(token)}

    async def open(self, token: str) -> dict[str, str]:
        self.gates[token].set()
        return {"open": token}


def plain_text(content: Any) -> str | None:
    """Return the text of a message's content: a string, or a list of parts (Gradio 6)."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content)
    return None if content is None else str(content)


def pairs_of(history: list[Any]) -> list[list[str | None]]:
    """Return the turns of a history in either form as (user, assistant) pairs."""
    pairs: list[list[str | None]] = []
    for turn in history:
        if not isinstance(turn, dict):
            pairs.append([plain_text(turn[0]), plain_text(turn[1])])
        elif turn["role"] == "user":
            pairs.append([plain_text(turn["content"]), None])
        else:
            pairs[-1][1] = plain_text(turn["content"])
    return pairs


def gr_error(script: Script) -> Exception:
    options = {"visible": False} if script.failure.endswith("hidden") else {"title": "Lab title"}
    known = inspect.signature(gr.Error.__init__).parameters
    return gr.Error(script.words, **{key: v for key, v in options.items() if key in known})


class Lab:
    """
    The app's functions.

    Args:
        messages: The chatbot wants role dicts instead of pairs.
    """

    def __init__(self, *, messages: bool) -> None:
        self.messages = messages
        self.journal = Journal()

    def turns(self, pairs: list[tuple[str | None, str | None]]) -> list[Any]:
        if not self.messages:
            return [list(pair) for pair in pairs]
        return [
            {"role": role, "content": content}
            for pair in pairs
            for role, content in zip(("user", "assistant"), pair, strict=True)
            if content is not None
        ]

    def model_chat(
        self,
        query: str,
        history: list[Any] | None,
        system: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio asks for it
    ) -> Iterator[tuple[Any, list[Any], str]]:
        """Answer ``query`` as the script says that it names."""
        history = history or []
        script = script_for(query, pairs_of(history), system)
        _, token = split_prompt(query)
        end = "raised"
        try:
            if script.extra == "progress":
                # Gradio polls for progress and sends only the latest.
                progress(0.25, desc="a quarter")
                time.sleep(PROGRESS_POLL)
                progress((2, 4), desc="two of four", unit="bars")
                time.sleep(PROGRESS_POLL)
            for number, value in enumerate(self.values(script, query, token)):
                if script.extra == "log":
                    (gr.Info if number % 2 else gr.Warning)(f"Note {number}")
                box: Any = ""
                if script.extra == "update":
                    box = gr.update(value="", interactive=False) if number < 2 else gr.update()
                yield box, history + value, system
            if script.failure.startswith("gr.Error"):
                raise gr_error(script)
            if script.failure:
                raise ValueError(script.words)
            end = "finished"
        except GeneratorExit:
            end = "closed"
            raise
        finally:
            if token:
                self.journal.ends[token] = end

    def values(self, script: Script, query: str, token: str) -> Iterator[list[Any]]:
        """Yield the new turn, again and again; with "shape", any list of turns."""
        if script.extra == "shape":
            for shape in HISTORY_SHAPES:
                yield self.turns([(query if user is ... else user, bot) for user, bot in shape])
            return
        if script.extra == "endless":
            deadline, answer = time.monotonic() + PATIENCE, ""
            while time.monotonic() < deadline:
                answer += script.text
                yield self.turns([(query, answer)])
                time.sleep(script.delay)
            return
        for number, answer in enumerate(script.snapshots()):
            if number == 1 and script.extra == "gate":
                self.journal.gates[token].wait(PATIENCE)
            if number and script.delay:
                time.sleep(script.delay)
            yield self.turns([(query, answer)])

    def modify_system_session(self, system: str) -> tuple[str, str, list[Any]]:
        system = system or DEFAULT_SYSTEM
        return system, system, []

    def blocks(self, options: argparse.Namespace) -> gr.Blocks:
        """Lay the page as the public Space does: the same components get the same ids."""
        # Gradio before 4.44 has pairs only, 6 has messages only: neither has a choice.
        chooses = "type" in inspect.signature(gr.Chatbot.__init__).parameters
        chatbot_options = {"type": options.type} if options.type and chooses else {}
        calls = {"concurrency_limit": options.concurrency}
        with gr.Blocks() as demo:
            gr.Markdown("<center>A lab in place of Qwen2-72B-Instruct</center>")
            with gr.Row():
                with gr.Column(scale=3):
                    system_input = gr.Textbox(value=DEFAULT_SYSTEM, lines=1, label="System")
                with gr.Column(scale=1):
                    modify_system = gr.Button("Set system prompt and clear history", scale=2)
                system_state = gr.Textbox(value=DEFAULT_SYSTEM, visible=False)
            chatbot = gr.Chatbot(label="lab", **chatbot_options)
            textbox = gr.Textbox(lines=1, label="Input")
            with gr.Row():
                clear_history = gr.Button("Clear history")
                send = gr.Button("Send")
            asks = [textbox, chatbot, system_state]
            answers = [textbox, chatbot, system_input]
            textbox.submit(self.model_chat, inputs=asks, outputs=answers, **calls)
            send.click(self.model_chat, inputs=asks, outputs=answers, **calls)
            clear_history.click(
                lambda: ("", []), outputs=[textbox, chatbot], **calls, api_name="clear_session"
            )
            modify_system.click(
                self.modify_system_session,
                inputs=[system_input],
                outputs=[system_state, system_input, chatbot],
                **calls,
            )
        demo.queue(api_open=False, max_size=options.max_size)
        return demo

    def keeps_indentation(self, demo: gr.Blocks) -> bool:
        """Tell whether this chatbot shows text as it is; most clean its indentation."""
        chatbot = next(b for b in demo.blocks.values() if isinstance(b, gr.Chatbot))
        shown = chatbot.postprocess(self.turns([("q", "a\n    b")]))
        return r"a\n    b" in json.dumps(shown.model_dump())


def is_six() -> bool:
    return int(gr.__version__.split(".")[0]) >= 6


def application(lab: Lab, demo: gr.Blocks, options: argparse.Namespace) -> FastAPI:
    """Return the Gradio app at the root, with the lab's own routes before it."""
    app = FastAPI()
    app.get("/lab/ended/{token}")(lab.journal.ended)
    app.post("/lab/open/{token}")(lab.journal.open)
    settings = {
        "auth": [tuple(options.auth.split(":", 1))] if options.auth else None,
        "show_error": options.show_error,
    }
    known = inspect.signature(gr.mount_gradio_app).parameters
    for name, value in settings.items():
        if name not in known:  # before 4.27 only launch() took it, and set this
            setattr(demo, name, value)
    taken = {name: value for name, value in settings.items() if name in known}
    return gr.mount_gradio_app(app, demo, path="/", **taken)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--type", choices=["tuples", "messages"], help="form of the history")
    parser.add_argument("--auth", help="USER:PASSWORD that the app asks for")
    parser.add_argument("--concurrency", type=int, default=40, help="jobs at once")
    parser.add_argument("--max-size", type=int, help="jobs that may wait")
    parser.add_argument("--show-error", action="store_true", help="show plain exceptions")
    options = parser.parse_args()

    # Gradio prints too; the line on stdout is for the fixture alone.
    announcements, sys.stdout = sys.stdout, sys.stderr
    lab = Lab(messages=is_six() or options.type == "messages")
    demo = lab.blocks(options)
    facts: dict[str, Any] = {
        "gradio": gr.__version__,
        "messages": lab.messages,
        "keeps_indentation": lab.keeps_indentation(demo),
    }
    # A socket that is bound already: no other program can take its port.
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application(lab, demo, options), log_level="warning", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)

    def watch_stdin() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=watch_stdin, daemon=True).start()
    facts["port"] = listener.getsockname()[1]
    print(json.dumps(facts), file=announcements, flush=True)
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
