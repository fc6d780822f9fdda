"""Apps that take several steps for an answer, as the browser does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
from scripted import (
    account,
    answered,
    app,
    asked,
    chatbot,
    interface,
    last_question,
    pieces,
    plain,
)


@app()
def two_steps_with_system() -> gr.Blocks:
    """The guide's user and bot; the bot takes a system text and a temperature."""
    with gr.Blocks() as page:
        system = gr.Textbox("S-DEFAULT", label="System prompt", lines=3)
        heat = gr.Slider(0, 1, value=0.25, label="Temperature")
        bot = chatbot(roles=True)
        box = gr.Textbox(show_label=False, placeholder="Say something")

        def user(text: str, history: Any) -> Any:
            return "", asked(history, text, roles=True)

        def answer(history: Any, system: str, heat: float) -> Iterator[Any]:
            said = account(last_question(history), history[:-1], system, heat=heat)
            for text in pieces(said):
                yield answered(history, text)

        box.submit(user, [box, bot], [box, bot], queue=False).then(answer, [bot, system, heat], bot)
    return page


@app()
def success_chain() -> gr.Blocks:
    """A check, the user's turn, the answer in one piece, and the box set free: .success each."""
    with gr.Blocks() as page:
        bot, box = chatbot(), gr.Textbox(label="Message")
        send = gr.Button("Submit", variant="primary")
        kept = gr.State("")

        def check(text: str) -> tuple[str, str]:
            if not text.strip():
                raise gr.Error("Say something first.")
            return text, ""

        def user(text: str, history: Any) -> list[Any]:
            return asked(history, text)

        def answer(history: Any) -> list[Any]:
            return answered(history, account(last_question(history), history[:-1]))

        event = gr.on([send.click, box.submit], check, box, [kept, box])
        event = event.success(user, [kept, bot], bot).success(answer, bot, bot)
        event.then(lambda: gr.update(interactive=True), None, box)
    return page


@app()
def javascript_between() -> gr.Blocks:
    """JavaScript of the page stands before, between and after the functions."""
    with gr.Blocks() as page:
        bot, box = chatbot(), gr.Textbox(label="Message")
        event = box.submit(None, None, None, js="() => {}")
        event = event.then(lambda text, h: ("", asked(h, text)), [box, bot], [box, bot])
        event = event.then(None, None, None, js="() => {}")

        def answer(history: Any) -> Iterator[Any]:
            for text in pieces(account(last_question(history), history[:-1])):
                yield answered(history, text)

        event.then(answer, bot, bot).then(None, None, None, js="() => {}")
    return page


@app()
def multimodal_guide() -> gr.Blocks:
    """The guide's MultimodalTextbox: one step adds the message, one answers."""
    with gr.Blocks() as page:
        bot = chatbot()
        box = gr.MultimodalTextbox(interactive=True, show_label=False)

        def add(history: Any, message: dict[str, Any]) -> Any:
            history = list(history or [])
            for file in message["files"]:
                history = asked(history, str(file))
            if message["text"] is not None:
                history = asked(history, message["text"])
            return history, gr.MultimodalTextbox(value=None, interactive=False)

        def answer(history: Any) -> Iterator[Any]:
            for text in pieces(account(last_question(history), history[:-1])):
                yield answered(history, text)

        event = box.submit(add, [bot, box], [bot, box]).then(answer, bot, bot)
        event.then(lambda: gr.MultimodalTextbox(interactive=True), None, box)
    return page


@app()
def loaded_first() -> gr.Blocks:
    """What the page's load event sets is what the chain reads."""
    with gr.Blocks() as page:
        session = gr.State(None)
        model = gr.Dropdown(choices=["none", "m1"], value="none", label="Model")
        bot, box = chatbot(), gr.Textbox(label="Message")
        page.load(lambda: "S-1", None, session)
        page.load(lambda: gr.update(choices=["m1"], value="m1"), None, model)
        page.load(lambda: answered(asked([], "WRONG"), "a greeting"), None, bot)

        def chat(text: str, history: Any, session: Any, model: str) -> Iterator[Any]:
            if session is None:
                raise gr.Error("The page was not loaded.")
            said = account(text, history, None, session=session, model=model)
            for part in pieces(said):
                yield "", answered(asked(history, text), part)

        box.submit(chat, [box, bot, session, model], [box, bot])
    return page


@app()
def failing_later() -> gr.Blocks:
    """The answer breaks off in the second step, after some text."""
    with gr.Blocks() as page:
        bot, box = chatbot(), gr.Textbox(label="Message")

        def answer(history: Any) -> Iterator[Any]:
            yield answered(history, "Some text")
            raise gr.Error("The model went away.")

        box.submit(lambda t, h: ("", asked(h, t)), [box, bot], [box, bot]).then(answer, bot, bot)
    return page


@app()
def failing_first() -> gr.Blocks:
    """The first step refuses the question."""
    with gr.Blocks() as page:
        bot, box = chatbot(), gr.Textbox(label="Message")

        def user(text: str, history: Any) -> Any:
            raise gr.Error("This question is too rude.")

        box.submit(user, [box, bot], [box, bot]).success(lambda h: answered(h, "WRONG"), bot, bot)
    return page


@app()
def tools_in_order() -> gr.Blocks:
    """A chain whose middle step is a generator that writes no chat."""
    with gr.Blocks() as page:
        bot, box, note = chatbot(), gr.Textbox(label="Message"), gr.State("")
        status = gr.Markdown()

        def search(history: Any) -> Iterator[Any]:
            yield "searching", ""
            yield "found", f"notes on {last_question(history)}"

        def answer(history: Any, note: str) -> Iterator[Any]:
            said = account(last_question(history), history[:-1], None, note=note)
            for part in pieces(said):
                yield answered(history, part)

        event = box.submit(lambda t, h: ("", asked(h, t)), [box, bot], [box, bot])
        event.then(search, bot, [status, note]).then(answer, [bot, note], bot)
    return page


@app()
def multimodal_interface() -> gr.Blocks:
    """A ChatInterface that takes files, with a system text."""

    def reply(message: Any, history: Any, system: str) -> Iterator[str]:
        yield from pieces(account(message["text"], history, system, files=len(message["files"])))

    return interface(
        reply, multimodal=True, additional_inputs=[gr.Textbox("S", label="System message")]
    )


@app()
def plain_interface() -> gr.Blocks:
    """A ChatInterface in the older form, which answers in one piece."""
    return interface(lambda text, history: account(plain(text), history), roles=False)
