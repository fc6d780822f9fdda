"""Apps whose pages have more boxes and buttons than the question's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
from scripted import account, answered, app, asked, chatbot, interface, pieces


@app()
def key_and_url_first() -> gr.Blocks:
    """A password box, a URL and a name stand before the question; only a button asks."""
    with gr.Blocks() as page:
        key = gr.Textbox(label="API key", type="password")
        url = gr.Textbox("https://example.org/v1", label="Base URL")
        name = gr.Textbox("Ann", label="Your name")
        bot = chatbot()
        box = gr.Textbox(label="Ask")
        ask = gr.Button("Send")

        def respond(key: str, url: str, name: str, text: str, history: Any) -> Any:
            said = account(text, history, key=key, url=url, name=name)
            return "", answered(asked(history, text), said)

        ask.click(respond, [key, url, name, box, bot], [box, bot])
        key.submit(lambda key: "saved", key, gr.Textbox(label="Status"))
    return page


@app()
def page_loader() -> gr.Blocks:
    """A URL's own submit writes into the Chatbot too, and stands first."""
    with gr.Blocks() as page:
        url = gr.Textbox(label="Website")
        bot = chatbot()
        box = gr.Textbox(placeholder="Ask about the page")

        def load(url: str, history: Any) -> Any:
            return answered(asked(history, url), "loaded")

        def chat(text: str, history: Any) -> Iterator[Any]:
            for said in pieces(account(text, history)):
                yield "", answered(asked(history, text), said)

        url.submit(load, [url, bot], bot)
        box.submit(chat, [box, bot], [box, bot])
    return page


@app()
def undo_buttons_first() -> gr.Blocks:
    """Buttons that regenerate and undo take the box and the chat, and come first."""
    with gr.Blocks() as page:
        bot = chatbot(roles=True)
        again = gr.Button("🔁 Regenerate")
        undo = gr.Button("↩")
        box = gr.Textbox(show_label=False)
        send = gr.Button("Run")

        def wrong(text: str, history: Any) -> Iterator[Any]:
            yield text, answered(asked(history, text, roles=True), "WRONG")

        def right(text: str, history: Any) -> Any:
            return "", answered(asked(history, text, roles=True), account(text, history))

        again.click(wrong, [box, bot], [box, bot])
        undo.click(wrong, [box, bot], [box, bot], api_name="undo")
        send.click(right, [box, bot], [box, bot])
    return page


@app()
def chinese() -> gr.Blocks:
    """A page in Chinese: system text, temperature, question, send and clear."""
    with gr.Blocks() as page:
        system = gr.Textbox("你是一个助手。", label="系统提示词")
        heat = gr.Slider(0, 2, value=0.5, label="温度")
        bot = chatbot()
        box = gr.Textbox(label="输入")
        clear, send = gr.Button("清空历史"), gr.Button("发送")

        def chat(system: str, text: str, history: Any, heat: float) -> Iterator[Any]:
            for said in pieces(account(text, history, system, heat=heat)):
                yield "", answered(asked(history, text), said)

        clear.click(lambda text, history: ("", []), [box, bot], [box, bot])
        send.click(chat, [system, box, bot, heat], [box, bot])
    return page


@app()
def interface_with_settings() -> gr.Blocks:
    """A form: a prompt, a system text, settings of several kinds; a text and a note come out."""

    def generate(prompt: str, system: str, size: float, pick: str, flag: bool) -> Any:
        return account(prompt, (), system, size=size, pick=pick, flag=flag), "42 tokens"

    return gr.Interface(
        generate,
        [
            gr.Textbox(label="Prompt"),
            gr.Textbox("S-DEFAULT", label="System instructions"),
            gr.Number(7, label="Max new tokens"),
            gr.Dropdown(["a", "b"], value="b", label="Model"),
            gr.Checkbox(True, label="Sample"),
        ],
        [gr.Textbox(label="Response"), gr.Textbox(label="Statistics")],
    )


@app()
def two_systems() -> gr.Blocks:
    """Two models with a system text each: none of the two boxes is the system's."""
    with gr.Blocks() as page:
        one, two = gr.Textbox("S1", label="System A"), gr.Textbox("S2", label="System B")
        a, b = chatbot(label="A"), chatbot(label="B")
        box = gr.Textbox(label="Question for both")

        def both(text: str, one: str, two: str, first: Any, second: Any) -> Any:
            said = account(text, first, [one, two], second=len(second or []))
            return answered(asked(first, text), said), answered(asked(second, text), "WRONG")

        box.submit(both, [box, one, two, a, b], [a, b])
    return page


@app()
def two_tabs() -> gr.Blocks:
    """Two chats of equal rank, in two tabs."""

    def tab(name: str) -> None:
        bot, box = chatbot(), gr.Textbox(label=f"Message for {name}")

        def chat(text: str, history: Any) -> Any:
            return "", answered(asked(history, text), account(text, history, tab=name))

        box.submit(chat, [box, bot], [box, bot], api_name=name)

    with gr.Blocks() as page:
        for name in ("red", "blue"):
            with gr.Tab(name):
                tab(name)
    return page


@app()
def two_texts() -> gr.Blocks:
    """A form with two texts of which nothing tells the question's."""
    return gr.Interface(
        lambda one, two: account(one, (), None, two=two),
        [gr.Textbox(label="Wer"), gr.Textbox("dort", label="Wo")],
        gr.Textbox(label="Antwort"),
        api_name="predict",
    )


@app()
def completion() -> gr.Blocks:
    """The box is the answer, too: no chat."""
    with gr.Blocks() as page:
        box = gr.Textbox(label="Text")
        gr.Button("Complete").click(lambda text: text + " and so on", box, box)
    return page


@app()
def picture() -> gr.Blocks:
    """Nothing takes a text."""
    return gr.Interface(lambda image: "a cat", gr.Image(), gr.Textbox(label="Caption"))


@app()
def unseen() -> gr.Blocks:
    """For programs only: boxes and button are hidden, and the function has a name."""
    with gr.Blocks() as page:
        box = gr.Textbox(visible=False, label="message")
        out = gr.Textbox(visible=False)
        start = gr.Button(visible=False)
        start.click(lambda text: account(text), box, out, api_name="complete")
    return page


@app()
def interface_settings_outside() -> gr.Blocks:
    """A ChatInterface whose further inputs are a persona, a secret and a model."""

    def reply(text: str, history: Any, persona: str, token: str, model: str) -> Iterator[str]:
        yield from pieces(account(text, history, persona, token=token, model=model))

    with gr.Blocks() as page:
        interface(
            reply,
            additional_inputs=[
                gr.Textbox("P", label="Persona"),
                gr.Textbox(label="HF token", type="password"),
                gr.Dropdown(["x", "y"], value="x", label="Model"),
            ],
        )
    return page
