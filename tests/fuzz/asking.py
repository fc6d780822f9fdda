"""A job to tell things to."""

from __future__ import annotations

from qwen72b.messages import Prompt
from qwen72b.protocol.fill import fill
from qwen72b.protocol.job import Job
from qwen72b.protocol.plan import DOCUMENTED, Plan
from qwen72b.protocol.reading import ChatReader, TextReader

__all__ = ["DOCUMENTED", "joined"]


def joined(plan: Plan = DOCUMENTED) -> Job:
    """A job of a plan's last step, joined as ``e``."""
    filled = fill(plan, Prompt("q"))
    step = plan.steps[-1]
    reader = ChatReader(filled.sent, filled.query) if plan.chat else TextReader()
    job = Job(plan, step, filled.data(step), session_hash="x", reader=reader)
    job.receive_join('{"event_id": "e"}')
    return job
