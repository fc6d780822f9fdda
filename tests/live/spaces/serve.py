"""
All apps of this folder on one port, each under its name.

Run as a subprocess; it prints one line of JSON on stdout once it serves, and
ends when its stdin does, so that a test run that dies leaves no server behind.
"""

from __future__ import annotations

import json
import socket
import sys
import threading

# Gradio prints too; the line on stdout is for the fixture alone.
_announcements, sys.stdout = sys.stdout, sys.stderr

import answers  # noqa: F401  # these four register their apps
import boxes  # noqa: F401
import chains  # noqa: F401
import gradio as gr
import histories  # noqa: F401
import uvicorn
from fastapi import FastAPI
from scripted import APPS


def main() -> None:
    """Serve until stdin ends."""
    server_app = FastAPI()
    for name, build in APPS.items():
        server_app = gr.mount_gradio_app(server_app, build(), path=f"/{name}")
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(server_app, log_level="warning", timeout_graceful_shutdown=1)
    )

    def watch_stdin() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=watch_stdin, daemon=True).start()
    facts = {"gradio": gr.__version__, "port": listener.getsockname()[1], "apps": sorted(APPS)}
    print(json.dumps(facts), file=_announcements, flush=True)
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
