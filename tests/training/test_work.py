"""The work of a run and its length are inverse to each other, at each size and with the critic's own time."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import tiny_runs

from mitlgan.recipe import as_dict, ladder_steps, parse_recipe
from mitlgan.training.work import Stretch, TrainingCost, run_kimg_for, run_work

COSTS = (TrainingCost(2.0, 0.5), TrainingCost(8.0, 3.0))


def stretches(first: float | None, second: float | None, *, is_ladder: bool = True) -> list[Stretch]:
    """A run of 4 kimg at 8 px and, of a ladder, 6 more at 16 px."""
    tree = as_dict(tiny_runs.recipe("bg", Path("none.npy")))
    tree["training"] |= {"kimg": 4.0} | ({} if first is None else {"critic_first_kimg": first})
    if not is_ladder:
        return [Stretch(parse_recipe(tree, "tiny"), COSTS[0])]
    del tree["training"]["kimg"]
    grown = {"size_px": 16, "kimg": 6.0, "coarse_widths": [3], "fine_width": 2} | ({} if second is None else {"critic_first_kimg": second})
    steps = ladder_steps(parse_recipe({**tree, "size_px": 16, "grow": [{"size_px": 8, "kimg": 4.0}, grown]}, "tiny"))
    return [Stretch(step, cost) for step, cost in zip(steps, COSTS, strict=True)]


@pytest.mark.parametrize(
    ("first", "second", "kimg", "work"),
    [
        (None, None, 3.0, 6.0),
        (None, None, 6.0, 8.0 + 16.0),
        (1.0, None, 0.5, 0.25),
        (1.0, None, 4.0, 0.5 + 6.0),
        (1.0, 2.0, 5.0, 6.5 + 3.0),
        (1.0, 2.0, 10.0, 6.5 + 6.0 + 32.0),
        (1.0, 2.0, 11.0, 6.5 + 6.0 + 40.0),  # beyond its end
        (5.0, 7.0, 10.0, 2.0 + 18.0),  # whose generator never learns
    ],
)
def test_a_run_costs_first_the_critics_own_time_and_then_both_at_each_size(first: float | None, second: float | None, kimg: float, work: float) -> None:
    run = stretches(first, second)
    assert run_work(run, kimg) == pytest.approx(work)
    assert run_kimg_for(run, work) == pytest.approx(kimg)


@pytest.mark.parametrize("is_ladder", [False, True])
@pytest.mark.parametrize("first", [None, 1.0, 4.0, 9.0])
@pytest.mark.parametrize("second", [None, 1.0, 6.0])
def test_length_and_work_are_inverse(is_ladder: bool, first: float | None, second: float | None) -> None:
    run = stretches(first, second, is_ladder=is_ladder)
    works = [run_work(run, tenth / 10) for tenth in range(130)]
    assert [run_kimg_for(run, work) for work in works] == pytest.approx([tenth / 10 for tenth in range(130)])
    assert works == sorted(works)
