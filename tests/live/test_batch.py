"""A batch through the local Space: a real Gradio server, the real small model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from timing import FACTOR

from qwen72b import Client, Retry
from qwen72b.local import backend, running

pytest.importorskip("gradio", minversion="5.50")
pytest.importorskip("xllamacpp")

# Gradio's own, raised in its threads after each answer (6.31) or join (5.50).
pytestmark = [
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
    pytest.mark.filterwarnings("ignore:'HTTP_422_UNPROCESSABLE_ENTITY' is deprecated"),
]

CITIES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Tokyo", "Delhi", "Quito")


def test_batch_through_the_local_space(tmp_path: Path) -> None:
    """Every prompt is answered by the model, and asked once in two runs."""
    path = tmp_path / "answers.jsonl"
    items = [{"id": city, "prompt": f"In which country is {city}? One word."} for city in CITIES]
    with (
        running(backend("smollm2")) as url,
        Client(url, token=False, timeout=120 * FACTOR, retry=Retry(base=0.05)) as client,
    ):
        for number, _ in enumerate(client.map(items, journal=path, max_in_flight=3), 1):
            if number == 3:
                break
        results = list(client.map(items, journal=path, max_in_flight=3))
    assert [result.id for result in results] == list(CITIES)
    assert all(result.ok and result.reply and result.reply.strip() for result in results)
    assert [result.resumed for result in results[:3]] == [True, True, True]
    assert not all(result.resumed for result in results)
    written = [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert sorted(written) == sorted(CITIES)
