"""When artifacts, snapshots and checkpoints are due: at the update that reaches each multiple of their interval, as exact arithmetic says."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitlgan.recipe import Recipe, load_recipe, with_overrides
from mitlgan.training.counters import Counters
from mitlgan.training.schedule import Position, Schedule, count_intervals

KINDS = ("artifact", "snapshot", "checkpoint")


def recipe(**training: Any) -> Recipe:
    return with_overrides(load_recipe("recommended/bg-32"), **{f"training__{key}": value for key, value in training.items()})


def due_images(schedule: Schedule, kind: str, batch: int, updates: int) -> list[int]:
    """Images after each update at which something is due."""
    is_due: Callable[[Position, Counters], bool] = getattr(schedule, f"is_{kind}_due")
    counters, due = Counters(), []
    for _ in range(updates):
        before = schedule.position(counters)
        counters.iteration += 1
        counters.images_shown += batch
        if is_due(before, counters):
            due.append(counters.images_shown)
    return due


def exact_images(interval_kimg: str, batch: int, updates: int) -> list[int]:
    """The same by fractions: the first update at or after each multiple of the interval; of several, only once."""
    interval = Fraction(interval_kimg) * 1000
    points = range(1, math.floor(batch * updates / interval) + 1)
    return list(dict.fromkeys(math.ceil(interval * point / batch) * batch for point in points))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("interval", "batch", "count"),
    [("0.1", 100, 600), ("0.2", 100, 300), ("0.3", 100, 200), ("1.6", 16, 37), ("0.7", 64, 85), ("0.05", 64, 938), ("2.5", 32, 24), ("60", 7, 1)],
)
def test_none_is_late_or_left_out_over_60_kimg(kind: str, interval: str, batch: int, count: int) -> None:
    updates = math.ceil(60_000 / batch)
    due = due_images(Schedule(recipe(**{f"{kind}_kimg": float(interval)})), kind, batch, updates)
    assert due == exact_images(interval, batch, updates)
    assert len(due) == count


@settings(deadline=None, max_examples=300)
@given(hundredths=st.integers(1, 2_000_000), batch=st.integers(1, 512), skipped=st.integers(0, 200_000), kind=st.sampled_from(KINDS))
def test_any_interval_is_that_of_exact_arithmetic(hundredths: int, batch: int, skipped: int, kind: str) -> None:
    """Intervals of hundredths of an image and more, 200 updates anywhere in a long run."""
    interval = Fraction(hundredths, 100_000)
    schedule = Schedule(recipe(**{f"{kind}_kimg": hundredths / 100_000}))
    is_due: Callable[[Position, Counters], bool] = getattr(schedule, f"is_{kind}_due")
    counters = Counters(images_shown=skipped * batch)
    for _ in range(200):
        before = schedule.position(counters)
        counters.images_shown += batch
        exact = math.floor(Fraction(counters.images_shown, 1000) / interval) > math.floor(Fraction(counters.images_shown - batch, 1000) / interval)
        assert is_due(before, counters) == exact


def test_intervals_that_were_calculated_are_whole_up_to_rounding() -> None:
    assert [count_intervals(point / 10, 0.1 + 0.2) for point in (3, 6, 9)] == [1, 2, 3]  # 0.30000000000000004
    assert [count_intervals(60 * share, 60 / 7) for share in (3 / 7, 1.0)] == [3, 7]
    assert count_intervals(1e7, math.inf) == 0
    assert count_intervals(0.599, 0.2) == 2
