"""The recipes of the guide, each with the real tool; ``tox -e recipes`` installs them."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docutils import nodes
from docutils.core import publish_doctree

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from doors import door

import qwen72b
from qwen72b.testing import DEFAULT_ANSWER, FakeSpace

GUIDE = Path(qwen72b.__file__).parent / "guide" / "recipes.rst"

# Those that ask, print the answer and end.
PRINTING = [
    *("ray-1", "ray data-1", "dask bag-1"),
    *("openai-1", "litellm-1", "langchain-1", "langchain-2", "pydantic-ai-1", "smolagents-1"),
]


def _find_recipes() -> dict[str, str]:
    document = publish_doctree(
        GUIDE.read_text("utf-8"),
        settings_overrides={"halt_level": 1, "syntax_highlight": "none", "_disable_config": True},
    )
    return {
        f"{section['names'][0]}-{number}": block.astext()
        for section in document.findall(nodes.section)
        for number, block in enumerate(
            [
                child
                for child in section.children
                if isinstance(child, nodes.literal_block) and "python3" in child["classes"]
            ],
            1,
        )
    }


RECIPES = _find_recipes()


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """The tools keep pools, threads and loops of their own."""


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> Iterator[FakeSpace]:
    with FakeSpace("5.50.0") as space:
        monkeypatch.setenv("QWEN72B_BASE_URL", space.url)
        yield space


@pytest.fixture
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Write a recipe to a file."""
    path = tmp_path / "recipe.py"
    path.write_text(RECIPES[request.param], "utf-8")
    return path


def recipe(name: str) -> Any:
    return pytest.mark.parametrize("script", [name], indirect=True)


def test_every_recipe_is_run() -> None:
    """Each recipe has a test here."""
    mine = {*PRINTING, "ray serve-1", "mcp-1", "fastapi-1", "flask-1", "streamlit-1", "gradio-1"}
    assert set(RECIPES) == mine


@pytest.mark.parametrize("script", PRINTING, indirect=True)
def test_recipe_prints_the_answer(space: FakeSpace, script: Path) -> None:
    """The recipe, as it stands, prints the Space's answer."""
    with door(space.url) as gateway:
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": f"{gateway.url}/v1",
            "OPENAI_API_KEY": "unused",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        done = subprocess.run(
            [sys.executable, str(script)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert DEFAULT_ANSWER in done.stdout


@recipe("ray serve-1")
def test_ray_serve(space: FakeSpace, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app is an upstream for ``qwen72b serve``: it streams as OpenAI's API does."""
    import ray
    import requests
    from ray import serve

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    model = runpy.run_path(str(script))["model"]
    try:
        serve.run(model)
        answer = requests.post(
            "http://127.0.0.1:8000/v1/chat/completions",
            json={"messages": [{"role": "user", "content": "Why?"}], "stream": True},
            timeout=60,
        )
    finally:
        serve.shutdown()
        ray.shutdown()
    assert '"content": "Why?"' in answer.text and answer.text.endswith("data: [DONE]\n\n")


@recipe("mcp-1")
def test_mcp(space: FakeSpace, script: Path) -> None:
    """A host of MCP calls the tool."""
    import anyio
    import mcp

    async def call() -> str:
        made = runpy.run_path(str(script))
        async with made["client"], mcp.Client(made["server"]) as host:
            result = await host.call_tool("ask_qwen", {"question": "Why?"})
            return str(result.content[0].text)

    assert anyio.run(call) == DEFAULT_ANSWER
    assert space.jobs[-1].query == "Why?"


@recipe("fastapi-1")
def test_fastapi(space: FakeSpace, script: Path) -> None:
    """The endpoint streams, and the mounted gateway answers."""
    from fastapi.testclient import TestClient

    made = runpy.run_path(str(script))
    with TestClient(made["app"], base_url="http://localhost") as browser:
        assert browser.get("/ask", params={"question": "Why?"}).text == DEFAULT_ANSWER
        body = {"messages": [{"role": "user", "content": "Why?"}]}
        answer = browser.post("/llm/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == DEFAULT_ANSWER


@recipe("flask-1")
def test_flask(space: FakeSpace, script: Path) -> None:
    """The endpoint streams."""
    made = runpy.run_path(str(script))
    answer = made["app"].test_client().get("/ask", query_string={"question": "Why?"})
    assert answer.text == DEFAULT_ANSWER


@recipe("streamlit-1")
def test_streamlit(space: FakeSpace, script: Path) -> None:
    """The page shows the chat, and the Space gets its turns."""
    from streamlit.testing.v1 import AppTest

    page = AppTest.from_file(str(script), default_timeout=60).run()
    page.chat_input[0].set_value("One?").run()
    page.chat_input[0].set_value("Two?").run()
    assert not page.exception
    shown = [message.markdown[0].value for message in page.chat_message]
    assert shown == ["One?", DEFAULT_ANSWER, "Two?", DEFAULT_ANSWER]
    assert space.jobs[-1].query == "Two?"


@recipe("gradio-1")
def test_gradio(space: FakeSpace, script: Path) -> None:
    """The page answers, as a Space of its own."""
    from gradio_client import Client

    demo = runpy.run_path(str(script))["demo"]
    demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        answer = Client(demo.local_url, verbose=False).predict("Why?", api_name="/chat")
    finally:
        demo.close()
    assert answer == DEFAULT_ANSWER
