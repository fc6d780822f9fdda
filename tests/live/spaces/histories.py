"""Apps that keep, cut or change their history in their own ways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
from scripted import MAJOR, account, answered, app, asked, chatbot, last_question, pieces, plain


@app()
def kept_in_state() -> gr.Blocks:
    """The app has its history in a state; the Chatbot only shows it."""
    with gr.Blocks() as page:
        bot, past, box = chatbot(), gr.State([]), gr.Textbox(label="Message")

        def chat(text: str, past: Any) -> Iterator[Any]:
            for said in pieces(account(text, past)):
                turns = answered(asked(past, text), said)
                yield "", turns, turns

        box.submit(chat, [box, past], [box, bot, past])
    return page


@app()
def state_beside_chatbot() -> gr.Blocks:
    """Two steps take Chatbot and state, but the model sees the state only."""
    with gr.Blocks() as page:
        bot, past = chatbot(), gr.State([])
        box = gr.Textbox(lines=2, label="Input")
        send, clear = gr.Button("🚀 Submit"), gr.Button("🧹 Clear history")

        def add(history: Any, past: Any, text: str) -> Any:
            return asked(history, text), [*past, text]

        def predict(history: Any, past: Any) -> Iterator[Any]:
            for said in pieces(account(past[-1], [[text, None] for text in past[:-1]])):
                yield answered(history, said), past

        event = send.click(add, [bot, past, box], [bot, past])
        event.then(predict, [bot, past], [bot, past]).then(lambda: "", None, box)
        clear.click(lambda: ([], []), None, [bot, past])
    return page


@app()
def copied_on_change() -> gr.Blocks:
    """A state follows each change of the Chatbot, and is what the model sees."""
    with gr.Blocks() as page:
        bot, past, box = chatbot(roles=True), gr.State([]), gr.Textbox(label="Message")
        bot.change(lambda history: history, bot, past)

        def chat(text: str, past: Any) -> Iterator[Any]:
            for said in pieces(account(text, past)):
                yield "", answered(asked(past, text, roles=True), said)

        box.submit(chat, [box, past], [box, bot])
    return page


@app()
def counting() -> gr.Blocks:
    """A state beside the Chatbot that is no history."""
    with gr.Blocks() as page:
        bot, count, box = chatbot(), gr.State(0), gr.Textbox(label="Message")

        def chat(text: str, history: Any, count: int) -> Any:
            said = account(text, history, None, count=count)
            return "", answered(asked(history, text), said), count + 1

        box.submit(chat, [box, bot, count], [box, bot, count])
    return page


@app()
def window() -> gr.Blocks:
    """The app first shows the chat as it was, then only the last turns."""
    with gr.Blocks() as page:
        bot, box = chatbot(), gr.Textbox(label="Message")

        def chat(text: str, history: Any) -> Iterator[Any]:
            yield "", history
            keep = 4 if MAJOR >= 6 else 2
            for said in pieces(account(text, history)):
                yield "", answered(asked(history, text), said)[-keep:]

        box.submit(chat, [box, bot], [box, bot])
    return page


@app()
def new_turn_alone() -> gr.Blocks:
    """The app shows nothing but the new turn."""
    with gr.Blocks() as page:
        bot, box = chatbot(roles=True), gr.Textbox(label="Message")

        def chat(text: str, history: Any) -> Any:
            return answered(asked([], text, roles=True), account(text, history))

        box.submit(chat, [box, bot], bot)
    return page


@app()
def decorated() -> gr.Blocks:
    """The app changes the text of every turn that it shows."""
    with gr.Blocks() as page:
        bot, box = chatbot(roles=True), gr.Textbox(label="Message")

        def chat(text: str, history: Any) -> Iterator[Any]:
            shown = [
                {"role": turn["role"], "content": f"<b>{plain(turn['content'])}</b>"}
                for turn in history
            ]
            yield shown
            for said in pieces(account(text, history)):
                yield [
                    *shown,
                    {"role": "user", "content": f"<b>{text}</b>"},
                    {"role": "assistant", "content": said},
                ]

        box.submit(chat, [box, bot], bot)
    return page


@app()
def greeting() -> gr.Blocks:
    """The page shows a greeting; the app puts its account behind what it got."""
    with gr.Blocks() as page:
        hello = [{"role": "assistant", "content": "Hello!"}] if MAJOR >= 6 else [[None, "Hello!"]]
        bot, box = chatbot(value=hello), gr.Textbox(label="Message")

        def user(text: str, history: Any) -> Any:
            return "", asked([*hello, *(history or [])], text)

        def answer(history: Any) -> Any:
            return answered(history, account(last_question(history), history[1:-1]))

        box.submit(user, [box, bot], [box, bot]).then(answer, bot, bot)
    return page
