"""The sampler's properties, for any sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitlgan.data.pack.index_sampler import IndexSampler
from mitlgan.errors import DataError

counts, batches, worlds, seeds = st.integers(1, 60), st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**31)


def all_ranks(count: int, batch: int, seed: int, world: int, steps: int) -> np.ndarray:
    samplers = [IndexSampler(count, batch, seed, rank, world) for rank in range(world)]
    return np.concatenate([sampler.indices(step) for step in range(steps) for sampler in samplers])


@given(counts, batches, seeds, worlds)
def test_every_epoch_takes_every_picture_once_across_ranks(count: int, batch: int, seed: int, world: int) -> None:
    steps = -(-3 * count // (batch * world))
    order = all_ranks(count, batch, seed, world, steps)
    for epoch in range(3):
        assert sorted(order[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(counts, batches, seeds, worlds, st.integers(0, 10**9))
def test_position_is_a_function_of_seed_rank_and_step(count: int, batch: int, seed: int, world: int, step: int) -> None:
    walked = IndexSampler(count, batch, seed, world - 1, world)
    walked.indices(3)
    found = walked.indices(step)
    assert found.dtype == np.int64
    assert found.shape == (batch,)
    assert (found == IndexSampler(count, batch, seed, world - 1, world).indices(step)).all()
    assert ((found >= 0) & (found < count)).all()


def test_ranks_see_different_pictures() -> None:
    order = all_ranks(1000, 10, 3, 4, 5)
    assert len(set(order)) == 200


def test_epochs_and_seeds_differ() -> None:
    first = IndexSampler(50, 50, 1)
    assert first.indices(0).tolist() != first.indices(1).tolist()
    assert first.indices(0).tolist() != IndexSampler(50, 50, 2).indices(0).tolist()
    assert first.indices(0).tolist() != list(range(50))


def test_fewer_pictures_than_a_batch_are_repeated_within_it() -> None:
    found = IndexSampler(3, 8, 0).indices(0)
    assert sorted(np.bincount(found).tolist()) in ([2, 3, 3],)


def test_the_order_is_what_it_always_was() -> None:
    """A resume by a later version must go on in the same order: this pins the law."""
    assert IndexSampler(10, 4, 7).indices(0).tolist() == IndexSampler(10, 4, 7, 0, 1).indices(0).tolist()
    expected = np.random.default_rng([7, 0x5A3D, 0]).permutation(10)[:4]
    assert IndexSampler(10, 4, 7).indices(0).tolist() == expected.tolist()


@pytest.mark.parametrize("arguments", [(0, 1, 0), (1, 0, 0), (1, 1, 0, 1, 1), (1, 1, 0, -1, 1)])
def test_senseless_arguments(arguments: tuple[int, ...]) -> None:
    with pytest.raises(DataError):
        IndexSampler(*arguments)
