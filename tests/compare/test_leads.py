"""Who is ahead when is read off both curves."""

from __future__ import annotations

import numpy as np
import pytest

from mitlgan.compare.leads import describe_intervals, lead_intervals, lead_sentences
from mitlgan.compare.snapshots import AXES
from mitlgan.report.schema import ArmResult, Cost, StageCost


def rows(*places: tuple[float, float]) -> list[dict[str, float]]:
    return [{"kimg": x, "fd": y} for x, y in places]


def test_who_is_ahead_when() -> None:
    ours, theirs = rows((1, 10), (2, 4), (4, 3)), rows((1, 8), (2, 6), (5, 1))
    found = lead_intervals(ours, theirs, "kimg")
    assert [side for *_, side in found] == ["behind", "ahead", "behind"]
    assert found[0][1] == pytest.approx(1.5)
    assert found[1][1] == pytest.approx(2 + 2 / (5 / 3 - 1 / 2), abs=0.02)
    assert (found[0][0], found[-1][1]) == (1, 4)
    assert describe_intervals(found[:2], "kimg") == "behind from 1 to 1.5 kimg, ahead from 1.5 to 3.71 kimg"


def test_pretraining_moves_us_along_the_axis() -> None:
    ours, theirs = rows((1, 5), (2, 5)), rows((1, 9), (4, 3))
    assert lead_intervals(ours, theirs, "kimg", shift=0) == [(1, 2, "ahead")]
    assert lead_intervals(ours, theirs, "kimg", shift=2) == [(3, 4, "behind")]
    assert lead_intervals(ours, theirs, "kimg", shift=80) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "clause"),
    [
        ((5, 4, 3), (5, 4, 3), "equal from 1 to 3 kimg"),
        ((5, 4, 3), (6, 4, 4), "ahead from 1 to 2 kimg, equal at 2 kimg, ahead from 2 to 3 kimg"),
        ((6, 4, 4), (5, 4, 3), "behind from 1 to 2 kimg, equal at 2 kimg, behind from 2 to 3 kimg"),
        ((5, 4, 3), (6, 4, 2), "ahead from 1 to 2 kimg, behind from 2 to 3 kimg"),
        ((5, 4, 3), (5, 4, 4), "equal from 1 to 2 kimg, ahead from 2 to 3 kimg"),
        ((5, 4, 3), (6, 4, 3), "ahead from 1 to 2 kimg, equal from 2 to 3 kimg"),
        ((5, 4, 3), (5, 5, 3), "ahead from 1 to 3 kimg"),
        ((5, 4, 3), (7, 2, 4), "ahead from 1 to 1.5 kimg, behind from 1.5 to 2.67 kimg, ahead from 2.67 to 3 kimg"),
        ((3,), (4,), "ahead at 1 kimg"),
        ((3,), (3,), "equal at 1 kimg"),
    ],
)
def test_exact_ties_are_no_lead(ours: tuple[float, ...], theirs: tuple[float, ...], clause: str) -> None:
    curves = (rows(*enumerate(values, start=1)) for values in (ours, theirs))
    assert describe_intervals(lead_intervals(*curves, "kimg"), "kimg") == clause


def test_equal_curves_that_were_measured_at_other_places_are_equal() -> None:
    assert lead_intervals(rows((0.1, 0.7), (0.7, 0.1)), rows((0.1, 0.7), (0.3, 0.5), (0.6, 0.2), (0.7, 0.1)), "kimg") == [(0.1, 0.7, "equal")]


@pytest.mark.parametrize(("diverged", "count"), [((), 2), ((1,), 1), ((0,), 0), ((1, 2), 0)])
def test_an_arm_that_diverged_is_never_ahead_or_behind(diverged: tuple[int, ...], count: int) -> None:
    curve = [{**{axis: float(x) for axis in AXES}, "fd": 5.0 - x} for x in range(3)]
    cost = Cost([StageCost("own", 2.0, 1.0)])
    arms = [ArmResult(str(i), f"ARM {i}", "baseline" if i else "composed", evaluations=curve, cost=cost, diverged=i in diverged) for i in range(3)]
    sentences = lead_sentences(arms, "validation")
    assert len(sentences) == count
    assert not any(f"ARM {i}" in sentence for i in diverged for sentence in sentences)


@pytest.mark.parametrize("seed", range(20))
def test_both_sides_tell_the_same_story(seed: int) -> None:
    """Curves of whole numbers tie and touch often; in the middle of each interval the named one is ahead."""
    rng = np.random.default_rng(seed)
    one, other = ([(float(x), float(y)) for x, y in enumerate(rng.integers(0, 4, 8))] for _ in range(2))
    intervals = lead_intervals(rows(*one), rows(*other), "kimg")
    opposite = {"ahead": "behind", "behind": "ahead", "equal": "equal"}
    assert [(a, b, opposite[side]) for a, b, side in lead_intervals(rows(*other), rows(*one), "kimg")] == intervals
    assert (intervals[0][0], intervals[-1][1]) == (0, 7)
    for start, end, side in intervals:
        gaps = [np.subtract(*(np.interp(x, *zip(*curve, strict=True)) for curve in (one, other))) for x in np.linspace(start, end, 13)[1:-1]]
        assert {"ahead" if gap < -1e-9 else "behind" if gap > 1e-9 else "equal" for gap in gaps} == {side}
