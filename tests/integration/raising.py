"""
Ends batches by a signal handler that raises, at random moments.

    python raising.py ROUNDS

Prints in how many rounds the handler raised.
"""

from __future__ import annotations

import random
import signal
import sys
from contextlib import suppress

from qwen72b import Client
from qwen72b.testing import FakeSpace


class Enough(Exception):
    """What the handler raises."""


raised = 0


def give_up(*_: object) -> None:
    global raised
    raised += 1
    raise Enough


def end_somewhere(client: Client, seconds: float) -> None:
    """Run a batch that the handler ends, unless it is done by then."""
    batch = client.map(["a", "b", "c", "d", "e"], max_in_flight=3)
    with suppress(Enough):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        for _ in batch:
            pass
        signal.setitimer(signal.ITIMER_REAL, 0)
    batch.close()


def main() -> None:
    # What Python cannot raise, as in a weak reference's callback, it writes.
    sys.unraisablehook = lambda unraisable: None
    signal.signal(signal.SIGALRM, give_up)
    with FakeSpace() as space, Client(space.url) as client:
        space.answer(lambda job: [job.query])
        for _ in range(int(sys.argv[1])):
            end_somewhere(client, random.uniform(1e-5, 0.008))
        assert [result.reply for result in client.map(["x", "y"])] == ["x", "y"]
    print(raised)


if __name__ == "__main__":
    main()
