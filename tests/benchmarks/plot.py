"""
How does it look? Latency, and cost against length, in one picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt
from peers import PEERS
from report import Results

__all__ = ["draw"]


def draw(results: Results, path: Path) -> None:
    """Draw what was measured."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    _draw_latency(results, left)
    _draw_length(results, right)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _style(name: str) -> dict[str, Any]:
    # Ours stands out; blocking and async of a family share a colour.
    family = name.removesuffix(" async")
    colours = {
        "qwen72b": "tab:red",
        "hand-written": "tab:blue",
        "httpx": "tab:orange",
        "aiohttp": "tab:green",
        "openai": "tab:purple",
        "gradio_client": "tab:brown",
        "floor": "tab:gray",
    }
    return {"color": colours[family]}


def _draw_latency(results: Results, axes: Any) -> None:
    names = [name for name in PEERS if results.median("latency", name, "median")]
    medians = [(results.median("latency", name, "median") or 0) * 1e3 for name in names]
    tails = [(results.median("latency", name, "p99") or 0) * 1e3 for name in names]
    places = range(len(names))
    axes.barh(places, medians, color=[_style(name)["color"] for name in names])
    axes.plot(tails, places, "k|", markersize=9, label="99th percentile")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("ms from the server's send to the caller (log)")
    axes.set_title("Added latency per delta, one every 20 ms")
    if names:
        axes.legend(loc="lower right")


def _draw_length(results: Results, axes: Any) -> None:
    lengths = sorted(int(title.split()[1]) for title in results.figures if title[:6] == "length")
    for name in PEERS:
        costs = [results.median(f"length {length}", name, "cpu") for length in lengths]
        points = [(length, cost * 1e6) for length, cost in zip(lengths, costs, strict=True) if cost]
        if points:
            dashes = "--" if name.endswith("async") else "-"
            axes.plot(*zip(*points, strict=True), dashes, marker="o", label=name, **_style(name))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("tokens in the answer (log)")
    axes.set_ylabel("µs of CPU per token (log)")
    axes.set_title("Cost of a token against the answer's length")
    if lengths:
        axes.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.14))
