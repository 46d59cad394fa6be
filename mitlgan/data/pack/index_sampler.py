"""The endless order in which training takes pictures from a pack."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mitlgan.errors import DataError


class IndexSampler:
    """Endless order of pictures: a new permutation each epoch, without replacement across all ranks.

    Its position is a pure function of (seed, rank, step), so that a resume needs no state. If an epoch ends within a batch, the next one fills it (and
    a set smaller than a batch is repeated within it).

    Args:
        count: Number of pictures in the set.
        batch: Pictures per step and rank.
        seed: Not negative.
        rank: Rank of this process.
        world: Number of processes.
    """

    STREAM_ID = 0x5A3D  # separates this stream of random numbers from others of the same seed

    def __init__(self, count: int, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if count < 1 or batch < 1 or not 0 <= rank < world:
            raise DataError(f"sampler: needs count >= 1, batch >= 1 and 0 <= rank < world, not {count}, {batch}, {rank}, {world}")
        self.count, self.batch, self.seed, self.rank, self.world = count, batch, seed, rank, world
        self._permutation = lru_cache(maxsize=2)(self._permute)

    def _permute(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, self.STREAM_ID, epoch]).permutation(self.count)

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the pictures of this rank at `step` (0, 1, ...): (batch,) int64."""
        start = (step * self.world + self.rank) * self.batch
        positions = np.arange(start, start + self.batch)
        indices = np.empty(self.batch, dtype=np.int64)
        for epoch in range(start // self.count, (start + self.batch - 1) // self.count + 1):
            in_epoch = positions // self.count == epoch
            indices[in_epoch] = self._permutation(epoch)[positions[in_epoch] % self.count]
        return indices
