"""Which inputs of a Space sampling goes to."""

from __future__ import annotations

from typing import Any

import pytest

from qwen72b.gateway.sampling import match_inputs


@pytest.mark.parametrize(
    ("inputs", "labels"),
    [
        ({}, {}),
        (
            {"Temperature": 0.7, "Top-p (nucleus sampling)": 0.95, "Max new tokens": 512},
            {
                "temperature": "Temperature",
                "top_p": "Top-p (nucleus sampling)",
                "max_tokens": "Max new tokens",
            },
        ),
        (
            {"temperature": 1, "top_p": 1, "max_tokens": 99},
            {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_tokens"},
        ),
        (
            {"Maximum output tokens": 9, "Nucleus": 1.0},
            {"max_tokens": "Maximum output tokens", "top_p": "Nucleus"},
        ),
        # What is called something else, or is no number, or is there twice.
        ({"Room temperature": 20, "Top picks": 3, "Max steps": 3, "Tokens": 3}, {}),
        ({"Temperature": "hot", "Max tokens": True, "Top P": None}, {}),
        ({"Temperature": 0.7, "Temperature of the judge": 0.1}, {}),
    ],
)
def test_labels(inputs: dict[str, Any], labels: dict[str, str]) -> None:
    """An input is found by what its label begins with, if it is a number and the only one."""
    assert match_inputs(inputs) == labels
