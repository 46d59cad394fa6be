"""Snapshots: budgets are kept, the validation pictures choose, means are those of the seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mitlgan.compare.snapshots import Snapshot, best_within_budget, mean_curve, mean_over_seeds


def point(kimg: float, validation: float | None) -> Snapshot:
    numbers = None if validation is None else {"fd": validation, "kid": validation / 100}
    return Snapshot(kimg, kimg * 10, kimg * 7, kimg / 2, Path(f"{kimg}"), validation, numbers)


TRAINING = [point(1.02, 9.0), point(5.01, 4.0), point(10.02, 6.0), point(20.03, 2.0)]


@pytest.mark.parametrize(("budget", "best"), [(1, 1.02), (5, 5.01), (10, 5.01), (19, 5.01), (20, 20.03), (99, 20.03)])
def test_the_best_snapshot_within_a_budget(budget: float, best: float) -> None:
    assert best_within_budget(TRAINING, budget, "kimg", iteration=0.05).kimg == best


def test_other_axes_and_what_a_first_snapshot_passes() -> None:
    assert best_within_budget(TRAINING, 51, "seconds", iteration=0.0).kimg == 5.01
    assert best_within_budget(TRAINING, 69, "cpu-seconds", iteration=0.0).kimg == 5.01
    assert best_within_budget(TRAINING, 3, "macs", iteration=0.0).kimg == 5.01
    assert best_within_budget(TRAINING, 0.5, "kimg", iteration=0.1).kimg == 1.02  # nothing is within: the first
    assert best_within_budget([point(3, None)], float("inf"), "kimg", iteration=0.0).kimg == 3


def test_the_snapshot_kept_for_a_budget_counts_however_long_its_last_iteration_took() -> None:
    assert best_within_budget(TRAINING, 5.0, "kimg", iteration=0.005).kimg == 5.01, "twice the mean"
    assert best_within_budget(TRAINING, 5.0102, "kimg", iteration=0.005).kimg == 5.01, "the budget was rounded down"
    late = [point(1.02, 9.0), point(5.01, 8.0), point(5.06, 4.0)]
    assert best_within_budget(late, 5.0, "kimg", iteration=0.02).kimg == 5.01, (
        "one snapshot is kept for a budget, and no other within reach of it counts"
    )
    assert best_within_budget(late, 4.0, "kimg", iteration=0.02).kimg == 1.02, "never a budget later"


def test_means_and_spreads_are_over_seeds() -> None:
    found = mean_over_seeds([{"fd": 1.0, "kid": 2.0, "kid_std": 9.0}, {"fd": 3.0, "kid": 2.0, "kid_std": 9.0}])
    assert found == {"fd": 2.0, "fd_std": pytest.approx(np.sqrt(2)), "kid": 2.0, "kid_std": 0.0}
    assert mean_over_seeds([{"fd": 1.0, "kid_std": 9.0}]) == {"fd": 1.0, "kid_std": 9.0}


def test_curves_are_means_over_trainings() -> None:
    rows = mean_curve([[point(1, 4.0), point(2, 2.0)], [point(1, 6.0), point(2, 3.0), point(3, 1.0)]])
    assert [(row["kimg"], row["fd"], row["seeds"]) for row in rows] == [(1, 5.0, 2), (2, 2.5, 2)]
    assert rows[0]["fd_std"] == pytest.approx(np.sqrt(2))
    assert rows[0]["kid"] == pytest.approx(0.05)
    assert (rows[1]["seconds"], rows[1]["cpu_seconds"]) == (20, 14)
    assert mean_curve([[point(1, None)]]) == []
