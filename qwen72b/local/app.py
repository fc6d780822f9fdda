"""
The page: the public Space's interface, drawn anew.

The order in which components are made gives them their ids, and ids are part
of the wire protocol: with one Markdown header the system textbox is 4, the
chatbot 10, the input 11, as in the public Space. So is the order of the
events: ``model_chat`` is function 0, ``model_chat_1`` 1, ``clear_session`` 2,
``modify_system_session`` 3. What the public Space has not (Stop) comes last.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.context import Context

from qwen72b.errors import Qwen72BError
from qwen72b.local.generation import Backend
from qwen72b.local.notice import notice

__all__ = ["GRADIO_MAJOR", "STYLE", "build"]

DEFAULT_SYSTEM = "You are a helpful assistant."
GRADIO_MAJOR = int(gr.__version__.partition(".")[0])

# The system's fonts: Gradio's come from Google, or with 55 letters of the bold one.
_THEME = gr.themes.Default(
    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)

# On a phone the question is what matters: its field is on the first screen, and
# the system prompt below the chat.
_CSS = """
@media (max-width: 640px) {
    #about p { display: none }
    #about h1 { font-size: 1.1rem }
    #system { order: 1 }
    #chat { height: calc(100dvh - 18rem) !important; min-height: 9rem }
    #actions { flex-wrap: nowrap }
    #actions button { min-width: 0; padding: 0.5rem }
}
"""

# Where these are given has moved with Gradio 6, from the page to what serves it.
STYLE: dict[str, Any] = {"theme": _THEME, "css": _CSS}

_building = threading.Lock()


def build(backend: Backend, concurrency: int) -> gr.Blocks:
    """
    Build the page.

    Args:
        backend: What answers.
        concurrency: How many questions it answers at a time.

    Returns:
        The app, its queue set up.
    """

    def model_chat(query: str, history: list[Any], system: str) -> Iterator[tuple[Any, Any, Any]]:
        """Answer the query; each yield is the whole text so far, as in the public Space."""
        if not (query or "").strip():
            raise gr.Error("Type a message first.", print_exception=False)
        history = history or []
        asked = [*history, {"role": "user", "content": query}]
        messages = [{"role": "system", "content": system or ""}]
        messages += [{"role": turn["role"], "content": _text(turn["content"])} for turn in asked]
        answer = ""
        pieces = backend.stream(messages)
        try:
            shown = False
            for piece in pieces:
                answer += piece
                shown = True
                yield "", [*asked, {"role": "assistant", "content": answer}], system
            if not shown:
                # An answer without any text is one, too.
                yield "", [*asked, {"role": "assistant", "content": ""}], system
        except Qwen72BError as exc:
            # White space alone a Chatbot does not show.
            told = notice(exc, begun=not answer.isspace() and bool(answer))
            raise gr.Error(
                told.words, title=told.title, duration=told.duration, print_exception=False
            ) from exc
        finally:
            pieces.close()  # type: ignore[attr-defined]  # a generator

    with _building:
        # Ids count through the whole process; a second Space in it must get
        # the same ones as the first.
        count, Context.id = Context.id, 0
        try:
            return _draw(backend, model_chat, concurrency)
        finally:
            Context.id = max(count, Context.id)


def _draw(backend: Backend, model_chat: Any, concurrency: int) -> gr.Blocks:
    style = STYLE if GRADIO_MAJOR < 6 else {}
    with gr.Blocks(
        title="Qwen2-72B-Instruct, local Space", analytics_enabled=False, **style
    ) as page:
        gr.Markdown(_header(backend), elem_id="about")
        with gr.Row(elem_id="system"):
            with gr.Column(scale=3):
                system_input = gr.Textbox(value=DEFAULT_SYSTEM, lines=1, label="System")
            with gr.Column(scale=1):
                modify_system = gr.Button("Set system prompt and clear history", scale=2)
            system_state = gr.Textbox(value=DEFAULT_SYSTEM, visible=False)
        # Gradio 5 has two forms of history and warns of its defaults; what is
        # set for it is all that Gradio 6 knows. No share button there: it uploads.
        only_here: dict[str, Any] = (
            {"type": "messages", "allow_tags": True}
            if GRADIO_MAJOR < 6
            else {"buttons": ["copy", "copy_all"]}
        )
        chatbot = gr.Chatbot(label=backend.label, height="42vh", elem_id="chat", **only_here)
        textbox = gr.Textbox(
            lines=1, label="Input", placeholder="Type a message and press Enter", autofocus=True
        )
        with gr.Row(elem_id="actions"):
            clear_history = gr.Button("Clear history")
            submit = gr.Button("Send", variant="primary")
            stop = gr.Button("Stop")

        talk = {
            "fn": model_chat,
            "inputs": [textbox, chatbot, system_state],
            "outputs": [textbox, chatbot, system_input],
            "concurrency_limit": concurrency,
            "concurrency_id": "model_chat",
            "show_progress_on": chatbot,
        }
        answering = [textbox.submit(**talk), submit.click(**talk)]
        clear_history.click(
            fn=clear_session, inputs=[], outputs=[textbox, chatbot], concurrency_limit=40
        )
        modify_system.click(
            fn=modify_system_session,
            inputs=[system_input],
            outputs=[system_state, system_input, chatbot],
            concurrency_limit=40,
        )
        stop.click(fn=None, cancels=answering)
    # The page has a queue; to ask for it would make the whole app once more.
    page.api_open = False
    # One for each answer that waits for its next piece, and Gradio's usual 40 for all
    # else; by default these are all that there are. Set as ``launch`` does it.
    page.max_threads = concurrency + 40
    getattr(page, "_queue", page).max_thread_count = page.max_threads
    # A client has a session for each question, which leaves nothing behind that
    # anybody wants; Gradio keeps 10,000 of them. Set as ``launch`` does it, too.
    page.state_session_capacity = 2 * concurrency + 100
    for block in page.blocks.values():
        _remember_config(block)
    return page


def _remember_config(block: Any) -> None:
    """Have a component describe itself once: Gradio asks it to for each session, at some 0.2 ms."""
    describe = block.get_config
    known: dict[str, Any] = {}

    def get_config(*args: Any) -> dict[str, Any]:
        if args:
            return dict(describe(*args))
        if not known:
            known.update(describe())
        # Whoever gets it writes into it.
        return dict(known)

    block.get_config = get_config


def clear_session() -> tuple[str, list[Any]]:
    """Empty the input and the conversation."""
    return "", []


def modify_system_session(system: str) -> tuple[str, str, list[Any]]:
    """Set the system prompt, and start over with an empty conversation."""
    system = system or DEFAULT_SYSTEM
    return system, system, []


def _header(backend: Backend) -> str:
    return (
        "# Qwen2-72B-Instruct, local Space\n"
        "The interface of the public Space, on a machine of your own. "
        f"The answers come from **{backend.label}**."
    )


def _text(content: Any) -> str:
    """Return the text of a turn: a string (Gradio 5) or a list of parts (Gradio 6)."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")
