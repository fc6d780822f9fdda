"""The lab app is what the other tests of this folder take it for."""

from __future__ import annotations

import requests
from lab_server import Lab


def test_lab_layout(lab: Lab) -> None:
    """The lab's components and functions have the public Space's ids and names."""
    config = requests.get(f"{lab.base_url}/config", timeout=10).json()
    first = config["dependencies"][0]
    kinds = {component["id"]: component["type"] for component in config["components"]}

    assert config["version"] == lab.gradio
    assert first["targets"] == [[11, "submit"]]
    assert first["inputs"] == [11, 10, 8]
    assert first["outputs"] == [11, 10, 4]
    assert [kinds[number] for number in (4, 8, 10, 11)] == [
        *("textbox", "textbox", "chatbot", "textbox")
    ]
    assert [dependency["api_name"] for dependency in config["dependencies"]] == [
        *("model_chat", "model_chat_1", "clear_session", "modify_system_session")
    ]
