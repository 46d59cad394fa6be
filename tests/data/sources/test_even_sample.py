"""Samples of a set are spread over all of it."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mitlgan.data.sources.even_sample import evenly_spaced, one_of_each


@given(st.integers(0, 2000), st.integers(2, 70))
def test_a_sample_reaches_from_the_first_to_the_last_in_even_steps(total: int, count: int) -> None:
    sample = evenly_spaced(range(total), count)
    assert len(sample) == min(total, count)
    assert sample[:1] == list(range(total))[:1]
    assert sample[-1:] == list(range(total))[-1:]
    gaps = {after - before for before, after in itertools.pairwise(sample)}
    assert min(gaps, default=1) >= 1
    assert max(gaps, default=1) - min(gaps, default=1) <= 1


@given(st.integers(65, 400), st.floats(0, 1))
def test_the_share_of_a_kind_does_not_depend_on_which_kind_comes_first(total: int, share: float) -> None:
    first = round(share * total)
    for values in ([True] * first + [False] * (total - first), [False] * (total - first) + [True] * first):
        assert abs(sum(evenly_spaced(values, 64)) - 64 * first / total) <= 1.5


@given(st.integers(65, 400), st.integers(2, 9), st.integers(0, 50))
def test_one_of_each_group_is_of_every_position_about_as_often(count: int, length: int, start: int) -> None:
    chosen = one_of_each([range(length)] * count + [[]], start)
    assert len(chosen) == count
    assert all(abs(chosen.count(position) - count / length) <= 4 for position in range(length))
