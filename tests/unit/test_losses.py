"""What becomes of items that an executor lost, told the time."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest

from qwen72b.batch.losses import Losses


def run(window: int, items: int, poison: Iterable[int], seed: int = 1) -> dict[int, int | None]:
    """
    Ask on workers that some items end, with all that is under way there.

    Returns:
        How often each item was sent; ``None`` for those that failed.
    """
    losses, poison, draw = Losses(), set(poison), Random(seed)
    waiting, again, running = list(range(items)), list[int](), dict[int, float]()
    sent: dict[int, int | None] = dict.fromkeys(range(items), 0)
    now = 0.0
    while waiting or again or running:
        while (again or waiting) and len(running) < window and not losses.holds(len(running)):
            item = (again or waiting).pop(0)
            running[item] = now
            sent[item] += 1  # type: ignore[operator]
        now += 1
        bad = poison & set(running)
        ended = list(running) if bad else [draw.choice(list(running))]
        for item in ended:
            count = len(running)
            when = running.pop(item)
            if not bad:
                losses.settled(item)
            elif losses.lost(item, when, count, now):
                again.append(item)
            else:
                losses.settled(item)
                sent[item] = None
    assert not losses.holds(10**9)
    return sent


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("poison", [(0,), (17,), (63,), (3, 4, 90), (99,)])
@pytest.mark.parametrize("window", [1, 2, 8, 64, 200])
def test_only_what_ends_the_workers_fails(window: int, poison: tuple[int, ...], seed: int) -> None:
    """It is found after a few losses, and no other item fails for it."""
    sent = run(window, 100, poison, seed)
    assert {item for item, times in sent.items() if times is None} == set(poison)


def test_items_of_a_worker_that_was_lost_go_again() -> None:
    """One loss of many items is no more than that, and ends with their outcomes."""
    losses = Losses()
    assert all(losses.lost(item, sent=1.0, in_flight=8 - item, now=2.0) for item in range(4))
    assert losses.holds(4) and not losses.holds(3)
    for item in range(4):
        assert losses.holds(4)
        losses.settled(item)
    assert not losses.holds(10**9)


def test_item_that_is_lost_alone_goes_again_at_first() -> None:
    """With a window of one each loss is alone, and the first ones may be chance."""
    losses = Losses()
    assert [losses.lost(0, sent=now, in_flight=1, now=now + 0.5) for now in (1.0, 2.0, 3.0)] == [
        True,
        True,
        False,
    ]
