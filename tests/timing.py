"""
Durations of the tests, in seconds, and the one factor that stretches them.

Wait on events, not on clocks; where a clock is wanted all the same, take one of
these, which differ in what must happen before it has passed:

* `SHORT`: nothing. Its length is what the test costs, on any machine.
* `AMPLE`: a few steps of the test (a request is answered, text has come), on a
  busy machine, too. It passes once in such a test, and the test costs it.
* `PROMPT`: the end of something that was told to end. It passes in no test that
  succeeds, and is far below the 45 seconds of the default read clock, which
  would end it otherwise.
* `PATIENCE`: whatever else the test waits for. Nor does it pass.

Set ``QWEN72B_TEST_TIMEOUT_FACTOR`` to 5 or so for a slow machine (an emulator,
a debugger, a sanitizer).
"""

from __future__ import annotations

import os

__all__ = ["AMPLE", "FACTOR", "MS", "PATIENCE", "PROMPT", "SHORT"]

FACTOR = float(os.environ.get("QWEN72B_TEST_TIMEOUT_FACTOR", "1"))

MS = FACTOR / 1000

SHORT = 100 * MS
AMPLE = 1_000 * MS
PROMPT = min(10_000 * MS, 30.0)
PATIENCE = 30_000 * MS
