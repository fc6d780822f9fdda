"""Apps whose answer is more, or less, than one growing text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr
from scripted import account, answered, app, asked, chatbot, interface, pieces


@app()
def update_without_value() -> gr.Blocks:
    """After the answer the Chatbot is told to look otherwise, not to hold something else."""
    with gr.Blocks() as page:
        bot, box = chatbot(), gr.Textbox(label="Message")

        def chat(text: str, history: Any) -> Iterator[Any]:
            yield gr.update(label="thinking")
            for said in pieces(account(text, history)):
                yield gr.update(value=answered(asked(history, text), said))
            yield gr.update(label="done")

        box.submit(chat, [box, bot], bot)
    return page


@app()
def no_answer() -> gr.Blocks:
    """The app warns, and gives the chat back as it was."""
    with gr.Blocks() as page:
        bot, box = chatbot(), gr.Textbox(label="Message")

        def chat(text: str, history: Any) -> Any:
            gr.Info("One moment.")
            gr.Warning("The model is overloaded.")
            return "", history

        box.submit(chat, [box, bot], [box, bot])
    return page


@app()
def question_only() -> gr.Blocks:
    """The app shows the question and no answer."""
    with gr.Blocks() as page:
        bot, box = chatbot(), gr.Textbox(label="Message")
        box.submit(lambda t, h: ("", asked(h, t)), [box, bot], [box, bot])
    return page


@app()
def empty_answer() -> gr.Blocks:
    """The assistant says nothing, in so many words."""
    with gr.Blocks() as page:
        bot, box = chatbot(), gr.Textbox(label="Message")
        box.submit(lambda t, h: ("", answered(asked(h, t), "")), [box, bot], [box, bot])
    return page


@app()
def several_messages() -> gr.Blocks:
    """A tool's message, and two messages of the answer."""
    with gr.Blocks() as page:
        bot, box = chatbot(roles=True), gr.Textbox(label="Message")

        def chat(text: str, history: Any) -> Iterator[Any]:
            shown = asked(history, text, roles=True)
            tool = {"role": "assistant", "content": "", "metadata": {"title": "Search"}}
            for said in pieces("one two three"):
                yield [*shown, {**tool, "content": said}]
            shown = [*shown, {**tool, "content": "one two three"}]
            for said in pieces("First part."):
                yield answered(shown, said)
            shown = answered(shown, "First part.")
            for said in pieces(account(text, history)):
                yield answered(shown, said)

        box.submit(chat, [box, bot], bot)
    return page


@app()
def with_file() -> gr.Blocks:
    """The answer has a text and a file."""
    path = Path(mkdtemp()) / "notes.txt"
    path.write_text("notes")

    with gr.Blocks() as page:
        bot, box = chatbot(roles=True), gr.Textbox(label="Message")

        def chat(text: str, history: Any) -> Iterator[Any]:
            shown = answered(asked(history, text, roles=True), account(text, history))
            yield shown
            file: Any = {"path": str(path)}
            yield [*shown, {"role": "assistant", "content": file}]

        box.submit(chat, [box, bot], bot)
    return page


@app(since=5)
def thinking_interface() -> gr.Blocks:
    """A ChatInterface that thinks aloud before it answers."""

    def reply(text: str, history: Any) -> Iterator[Any]:
        thought = {"role": "assistant", "content": "", "metadata": {"title": "Thinking"}}
        for part in pieces("let me see"):
            thought["content"] = part
            yield [thought]
        for part in pieces(account(text, history)):
            yield [thought, {"role": "assistant", "content": part}]

    return interface(reply)


@app()
def two_texts_out() -> gr.Blocks:
    """A function of a page without a Chatbot writes its answer beside a status."""
    with gr.Blocks() as page:
        box = gr.Textbox(label="Your question")
        status, out = gr.Textbox(label="Status"), gr.Textbox(label="Answer")

        def chat(text: str) -> Iterator[Any]:
            yield "working", gr.update()
            for said in pieces(account(text)):
                yield "working", said
            yield "done", gr.update()

        gr.Button("Go").click(chat, box, [status, out])
    return page


@app(since=5)
def browser_state() -> gr.Blocks:
    """A setting lies in the browser's storage."""
    with gr.Blocks() as page:
        saved = gr.BrowserState({"tone": "kind"})
        bot, box = chatbot(), gr.Textbox(label="Message")

        def chat(text: str, history: Any, saved: Any) -> Any:
            said = account(text, history, None, tone=(saved or {}).get("tone"))
            return "", answered(asked(history, text), said), saved

        box.submit(chat, [box, bot, saved], [box, bot, saved])
    return page
