"""
What came out? Medians, ratios, and the machine that they are true for.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
from importlib import metadata
from pathlib import Path
from typing import Any

from peers import ASYNC

__all__ = ["Results", "machine", "write_table"]

_VERSIONS = (
    "qwen72b requests urllib3 sseclient-py anyio httpx httpx-sse aiohttp openai gradio_client"
)

# Ratios are to these: what a user would write otherwise.
_REFERENCES = {False: "hand-written", True: "httpx async"}


def machine() -> dict[str, str]:
    """Describe the machine and what is installed on it."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _VERSIONS.split())
    return {
        "cpu": f"{os.cpu_count()} x {cpu}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f} at the start",
        "versions": versions,
    }


class Results:
    """
    All figures of a run.

    Args:
        where: What `machine` says.
    """

    def __init__(self, where: dict[str, str]) -> None:
        self.machine = where
        self.figures: dict[str, dict[str, list[dict[str, Any]]]] = {}

    def add(self, title: str, peer: str, found: dict[str, Any]) -> None:
        """Keep what one measurement found."""
        self.figures.setdefault(title, {}).setdefault(peer, []).append(found)

    def median(self, title: str, peer: str, figure: str) -> float | None:
        """Give a figure's median over the repeats, if it was ever measured."""
        runs = self.figures.get(title, {}).get(peer, [])
        values = [run[figure] for run in runs if run.get(figure) is not None]
        return statistics.median(values) if values else None

    def exponent(self, peer: str) -> float | None:
        """Tell how the CPU time grows with the answer's length, from the two longest."""
        lengths = sorted(
            int(title.split()[1]) for title in self.figures if title.startswith("length")
        )
        points = [(n, self.median(f"length {n}", peer, "cpu")) for n in lengths]
        known = [(n, cost * n) for n, cost in points if cost]
        if len(known) < 2:
            return None
        (one, cheap), (other, dear) = known[-2:]
        return math.log(dear / cheap) / math.log(other / one)

    def to_json(self) -> dict[str, Any]:
        """Give everything, the single runs included."""
        return {"machine": self.machine, "runs": self.figures}


# A row: its words, the measurement, the figure, what to multiply it by, its unit.
_ROWS = [
    ("construct", "construct", "construct", 1e3, "ms"),
    ("first delta", "first", "plain_first", 1e3, "ms"),
    ("first delta, later calls", "first", "plain_later", 1e3, "ms"),
    ("first delta, round trip 50 ms", "first", "slow_first", 1e3, "ms"),
    ("the same, later calls", "first", "slow_later", 1e3, "ms"),
    ("requests, first call", "first", "first_requests", 1, ""),
    ("connections, first call", "first", "first_connections", 1, ""),
    ("requests, later calls", "first", "later_requests", 1, ""),
    ("connections, later calls", "first", "later_connections", 1, ""),
    ("CPU per question", "question", "cpu", 1e3, "ms"),
    ("added latency, median", "latency", "median", 1e3, "ms"),
    ("added latency, p99", "latency", "p99", 1e3, "ms"),
    ("CPU per delta, an event a chunk", "burst, one event per chunk", "cpu", 1e6, "us"),
    ("CPU per delta, 50 events a chunk", "burst, 50 events per chunk", "cpu", 1e6, "us"),
    *[
        (f"CPU per token of {length:,}", f"length {length}", "cpu", 1e6, "us")
        for length in (1_000, 10_000, 100_000)
    ],
    ("memory for 100,000 tokens", "length 100000", "memory", 1 / 2**20, "MB"),
    *[
        row
        for count in (1, 50, 200, 1_000)
        for row in (
            (f"{count:,} streams, wall", f"streams {count}", "wall", 1, "s"),
            (f"{count:,} streams, age of a piece, p99", f"streams {count}", "p99", 1e3, "ms"),
            (f"{count:,} streams, CPU", f"streams {count}", "cpu", 1, "s"),
            (f"{count:,} streams, complete", f"streams {count}", "complete", 1, ""),
            (f"{count:,} streams, threads", f"streams {count}", "threads", 1, ""),
            (f"{count:,} streams, memory", f"streams {count}", "memory", 1 / 2**20, "MB"),
        )
    ],
    ("cancel returns", "cancel", "returned", 1e3, "ms"),
    ("the server sees it", "cancel", "seen", 1e3, "ms"),
    ("exit with an open stream", "exit", "exit", 1, "s"),
    ("exit by Ctrl-C", "Ctrl-C", "exit", 1, "s"),
    ("longest gap of the event loop", "gap", "gap", 1e3, "ms"),
]


def write_table(results: Results) -> str:
    """Write the results as text: ratios first, absolute figures second."""
    lines = [f"{name}: {value}" for name, value in results.machine.items()]
    imports = results.figures.get("import", {})
    bare = results.median("import", "bare Python", "time") or 0.0
    if imports:
        lines += ["", "import time beyond bare Python, ms"]
        for name in imports:
            taken = results.median("import", name, "time") or 0.0
            lines.append(f"  {name:24}{(taken - bare) * 1e3:8.0f}")
    for asynchronous in (False, True):
        measured = {name for peers in results.figures.values() for name in peers}
        names = [name for name in _order(measured) if (name in ASYNC) is asynchronous]
        if not names:
            continue
        reference = _REFERENCES[asynchronous]
        kind = "async" if asynchronous else "blocking, and streams in threads"
        width = max(map(len, names)) + 2
        head = f"{'':36}" + "".join(f"{name:>{width}}" for name in names)
        lines += ["", f"{kind}: ratio to {reference}; less is better", head]
        lines += _rows(results, names, width, reference)
        lines += ["", f"{kind}: absolute", head]
        lines += _rows(results, names, width, None)
    return "\n".join(lines) + "\n"


def _rows(results: Results, names: list[str], width: int, reference: str | None) -> list[str]:
    lines = []
    for words, title, figure, scale, unit in _ROWS:
        values = {name: results.median(title, name, figure) for name in names}
        if not any(value is not None for value in values.values()):
            continue
        base = values.get(reference) if reference else None
        if reference and (not unit or not base):
            continue
        label = words if reference else f"{words}, {unit}".removesuffix(", ")
        cells = []
        for value in values.values():
            if value is None:
                cells.append("-")
            elif base:
                cells.append(f"{value / base:.2f}")
            else:
                cells.append(
                    f"{value * scale:.3g}" if value * scale < 1000 else f"{value * scale:.0f}"
                )
        lines.append(f"{label:36}" + "".join(f"{cell:>{width}}" for cell in cells))
    if reference is None:
        exponents = [results.exponent(name) for name in names]
        if any(exponents):
            cells = ["-" if found is None else f"{found:.2f}" for found in exponents]
            lines.append(
                f"{'CPU grows with length to the':36}"
                + "".join(f"{cell:>{width}}" for cell in cells)
            )
    return lines


def _order(measured: set[str]) -> list[str]:
    from peers import PEERS

    return [name for name in PEERS if name in measured]
