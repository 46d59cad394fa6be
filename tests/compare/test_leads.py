"""Who is ahead when is read off both curves."""

from __future__ import annotations

import pytest

from mitlgan.compare.leads import describe_intervals, lead_intervals


def rows(*places: tuple[float, float]) -> list[dict[str, float]]:
    return [{"kimg": x, "fd": y} for x, y in places]


def test_who_is_ahead_when() -> None:
    ours, theirs = rows((1, 10), (2, 4), (4, 3)), rows((1, 8), (2, 6), (5, 1))
    found = lead_intervals(ours, theirs, "kimg")
    assert [ahead for *_, ahead in found] == [False, True, False]
    assert found[0][1] == pytest.approx(1.5)
    assert found[1][1] == pytest.approx(2 + 2 / (5 / 3 - 1 / 2), abs=0.02)
    assert (found[0][0], found[-1][1]) == (1, 4)
    assert describe_intervals(found[:2], "kimg") == "behind from 1 to 1.5 kimg, ahead from 1.5 to 3.71 kimg"


def test_pretraining_moves_us_along_the_axis() -> None:
    ours, theirs = rows((1, 5), (2, 5)), rows((1, 9), (4, 3))
    assert lead_intervals(ours, theirs, "kimg", shift=0) == [(1, 2, True)]
    assert lead_intervals(ours, theirs, "kimg", shift=2) == [(3, 4, False)]
    assert lead_intervals(ours, theirs, "kimg", shift=80) == []
