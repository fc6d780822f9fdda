"""
Look for inputs that break a promise: ``tox -e fuzz``, or ``python tests/fuzz``.

    python tests/fuzz                       a minute, as in CI
    python tests/fuzz --seconds 3600        an hour, by hand
    python tests/fuzz edits conversation    these targets only
    python tests/fuzz --planted             faults are planted, and must be found

Each round draws some hundred inputs for each target (hypothesis, which makes the
input small that fails), and now and then measures what inputs of twice the size
cost. The seed is printed; ``--seed`` repeats a run.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import sys
import traceback
from collections.abc import Sequence
from time import monotonic

import costs
import planted
import targets  # noqa: F401  # fills the registry
from registry import TARGETS, prepared

# Costs are the same for all seeds, and take long to measure.
COSTS_EVERY = 20

# Seconds within which a planted fault is to be found.
PATIENCE = 120.0


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz; return 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(names())}")
    parser.add_argument("--seconds", type=float, default=60.0, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--planted", action="store_true", help="find the faults of planted.py")
    args = parser.parse_args(argv)
    if unknown := set(args.targets) - set(names()):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    print(f"seed {args.seed}", flush=True)
    # What the log warns of is what is looked for.
    logging.getLogger("qwen72b").setLevel(logging.ERROR)
    if args.planted:
        return find_planted(args.seed, args.targets or names())
    chosen = args.targets or names()
    found, rounds = fuzz(chosen, args.seed, monotonic() + args.seconds)
    if found:
        print(found, file=sys.stderr)
        return 1
    print(f"nothing found: {rounds} rounds of {', '.join(chosen)}")
    return 0


def names() -> list[str]:
    """All targets."""
    return [*TARGETS, "costs"]


def fuzz(chosen: Sequence[str], number: int, until: float) -> tuple[str, int]:
    """Run rounds until something is found or time is up; return what, and how many."""
    rounds = 0
    for turn in itertools.count():
        for name in chosen:
            if turn and monotonic() >= until:
                return "", rounds
            if name == "costs" and turn % COSTS_EVERY and len(chosen) > 1:
                continue
            rounds += 1
            check = costs.check if name == "costs" else prepared(name, number + rounds)
            try:
                check()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                told = "".join(traceback.format_exception(error))
                return f"{name}, seed {number}, round {rounds}:\n{told}", rounds


def find_planted(number: int, chosen: Sequence[str]) -> int:
    """Plant each fault in turn; return 1 if one is not found."""
    missed = 0
    for fault in planted.FAULTS:
        if fault.target not in chosen:
            continue
        begun = monotonic()
        with fault.planted():
            found, rounds = fuzz([fault.target], number, begun + PATIENCE)
        words = "found" if found else "NOT FOUND"
        took = monotonic() - begun
        print(f"{fault.name}: {words} by {fault.target}, {rounds} rounds, {took:.1f} s", flush=True)
        missed += not found
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
