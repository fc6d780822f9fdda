"""The pace of a batch: window, pause and rate, told the time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

import pytest

from qwen72b import InvalidOption
from qwen72b.batch.pace import LONGEST_PAUSE, Pace


def test_window_full_waits_for_an_end() -> None:
    """As many items as the window holds may be under way, and no more."""
    pace = Pace(2, None)
    assert pace.delay(0, 0.0) == 0
    assert pace.delay(1, 0.0) == 0
    assert pace.delay(2, 0.0) is None


def test_refusal_halves_the_window_once_for_all_that_went_before() -> None:
    """Items that went together and are refused together are one sign."""
    pace = Pace(8, None)
    for _ in range(3):
        pace.refused(0.0, sent=1.0, now=2.0)
    assert pace.window == 4
    pace.refused(0.0, sent=2.5, now=3.0)
    assert pace.window == 2


def test_refusals_leave_a_window_of_one() -> None:
    """However often the Space refuses, one item may be under way."""
    pace = Pace(3, None)
    for now in range(1, 9):
        pace.refused(0.0, sent=float(now), now=float(now))
    assert pace.window == 1


def test_answers_widen_the_window_by_one_per_windowful() -> None:
    """A windowful of answers adds one, up to the largest window."""
    pace = Pace(4, None)
    pace.refused(0.0, sent=1.0, now=1.0)
    assert pace.window == 2
    for _ in range(3):
        pace.answered()
    assert pace.window == 3
    for _ in range(100):
        pace.answered()
    assert pace.window == 4


def test_pause_holds_everything_back() -> None:
    """Nothing goes before the pause that the Space asked for is over."""
    pace = Pace(4, None)
    pace.refused(3.0, sent=1.0, now=10.0)
    assert pace.delay(0, 10.0) == 3.0
    assert pace.paused(11.0) == 2.0
    assert pace.delay(0, 13.0) == 0


def test_pause_has_an_end() -> None:
    """A Space that asks for a day is asked again sooner."""
    pace = Pace(4, None)
    pace.refused(86400.0, sent=1.0, now=0.0)
    assert pace.paused(0.0) == LONGEST_PAUSE


def test_shorter_pause_does_not_end_a_longer_one() -> None:
    """The longest pause that was asked for holds."""
    pace = Pace(4, None)
    pace.refused(9.0, sent=1.0, now=0.0)
    pace.refused(1.0, sent=1.0, now=0.0)
    assert pace.paused(0.0) == 9.0


@pytest.mark.parametrize("rate", [0.5, 3, 40, 2000])
def test_rate_is_never_exceeded(rate: float) -> None:
    """In any time no more items go than the rate gives, and about as many."""
    pace = Pace(1000, rate)
    now = 100.0
    count = 0
    while count < 200:
        delay = pace.delay(0, now)
        assert delay is not None
        if delay == 0:
            pace.sent()
            count += 1
        now += delay
    burst = max(1.0, rate * 0.1)
    assert count - burst == pytest.approx((now - 100.0) * rate, abs=burst + 1e-6)
    assert count <= (now - 100.0) * rate + burst + 1e-6


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "8", None])
def test_window_is_a_count(most: object) -> None:
    """A window that is no count of at least 1 is refused."""
    with pytest.raises(InvalidOption, match="max_in_flight"):
        Pace(most, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0, -1.0, float("inf"), float("nan"), "3", True])
def test_rate_is_positive(rate: object) -> None:
    """A rate that is no positive number is refused."""
    with pytest.raises(InvalidOption, match="rate"):
        Pace(8, rate)  # type: ignore[arg-type]


def simulate(
    is_busy: Callable[[float], bool],
    *,
    slots: int = 8,
    most: int = 8,
    takes: float = 0.5,
    seed: int = 1,
    lasts: float = 600.0,
    watch: Callable[[float, int], None] = lambda now, window: None,
) -> float:
    """Answer for some time; give what part of a Space that is always free is answered."""
    pace = Pace(most, None, draw=Random(seed).random)
    vary = Random(seed + 1).uniform
    now, answered, taken, running = 0.0, 0, 0, list[tuple[float, float, bool]]()
    while now < lasts:
        while pace.delay(len(running), now) == 0:
            pace.sent()
            fine = not is_busy(now) and taken < slots
            taken += fine
            heappush(running, (now + (takes * vary(0.8, 1.2) if fine else 0.02), now, fine))
        delay = pace.delay(len(running), now)
        steps = [end for end, *_ in running[:1]]
        now = min(steps if delay is None else [*steps, now + delay])
        if running and running[0][0] <= now:
            _, sent, fine = heappop(running)
            answered += fine
            taken -= fine
            if fine:
                pace.answered(sent)
            else:
                pace.refused(None, sent, now)
            watch(now, pace.window)
    return answered / (lasts / takes * slots)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("seconds", [5, 20, 60])
def test_space_that_is_busy_half_the_time_gives_most_of_the_rest(seconds: int, seed: int) -> None:
    """Four fifths or more of what it has to give are answered."""
    begun = Random(seed).uniform(0, 2 * seconds)

    def is_busy(now: float) -> bool:
        return (now + begun) % (2 * seconds) < seconds

    assert simulate(is_busy, seed=seed) > 0.5 * 4 / 5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("busy", [2, 5, 20, 60])
@pytest.mark.parametrize(("most", "takes"), [(8, 0.5), (64, 0.5), (8, 2.0), (64, 2.0), (200, 1.0)])
def test_window_is_soon_back(most: int, takes: float, busy: int, seed: int) -> None:
    """Ten seconds after a Space is free again, nine tenths of the window are back."""
    free = 10.0 + busy
    back: list[float] = []

    def watch(now: float, window: int) -> None:
        if now >= free and window >= 0.9 * most:
            back.append(now - free)

    simulate(
        lambda now: 10 <= now < free,
        slots=most,
        most=most,
        takes=takes,
        seed=seed,
        lasts=free + 10,
        watch=watch,
    )
    assert back


def test_answer_that_was_under_way_does_not_end_the_trouble() -> None:
    """Only what went after the last refusal shows that the Space takes items again."""
    pace = Pace(8, None, draw=lambda: 1.0)
    for when in (1.0, 2.0, 3.0, 4.0):
        pace.refused(None, sent=when, now=when)
    assert pace.window == 1
    pace.answered(sent=3.5)
    assert pace.window == 2
    pace.answered(sent=4.5)
    assert pace.window == 8


def test_pauses_follow_what_they_wait_for() -> None:
    """A trouble of minutes is looked at every four seconds, one of seconds each second."""
    pace = Pace(8, None, draw=lambda: 1.0)
    now, pauses, signs = 0.0, [], []
    while now < 60:
        pace.refused(None, sent=now, now=now)
        pauses.append(pace.paused(now))
        signs.append(pace.signs)
        now += pace.paused(now) + 0.01
    assert pauses[:5] == pytest.approx([0, 0.5, 1, 1, 1])
    assert max(pauses) == pauses[-1] == pytest.approx(4)
    # What comes within the time of a doubled pause counts once.
    assert signs[:3] == [1, 2, 3]
    assert 20 < sum(pauses[: signs.index(8)]) < 40


@pytest.mark.parametrize(("chance", "part"), [(0.1, 0.85), (0.5, 0.4)])
def test_space_that_refuses_by_chance_is_not_left_alone(chance: float, part: float) -> None:
    """Refusals between answers do not stop the others."""
    draw = Random(2).random
    assert simulate(lambda now: draw() < chance) > part


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_space_with_few_places_is_kept_busy(slots: int) -> None:
    """The window finds what a Space takes at once."""
    assert simulate(lambda now: False, slots=slots) > 0.9


def test_pauses_of_many_batches_differ() -> None:
    """A pause that nobody asked for is drawn, so that not all come back together."""
    pauses = set()
    for seed in range(9):
        pace = Pace(8, None, base=1.0, draw=Random(seed).random)
        pace.refused(None, sent=1.0, now=1.0)
        assert pace.paused(1.0) == 0
        pace.refused(None, sent=2.0, now=2.0)
        assert 0.5 <= pace.paused(2.0) <= 1.0
        pauses.add(pace.paused(2.0))
    assert len(pauses) == 9
