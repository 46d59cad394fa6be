"""The endless order in which training takes pictures from a pack."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mitlgan.errors import DataError


class IndexSampler:
    """Endless order of pictures: a new permutation each epoch, without replacement across all ranks.

    Its position is a pure function of (seed, rank, step), so a resume needs no state. Where an epoch ends within a batch, the next permutation goes on
    (and a set smaller than a batch is repeated within it).

    Args:
        count: Pictures in the set.
        batch: Pictures per step and rank.
        seed: Not negative.
        rank: This process.
        world: Number of processes.
    """

    PURPOSE = 0x5A3D  # keeps this stream apart from others of the same seed

    def __init__(self, count: int, batch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if count < 1 or batch < 1 or not 0 <= rank < world:
            raise DataError(f"sampler: needs count >= 1, batch >= 1 and 0 <= rank < world, not {count}, {batch}, {rank}, {world}")
        self.count, self.batch, self.seed, self.rank, self.world = count, batch, seed, rank, world
        self._permutation = lru_cache(maxsize=2)(self._draw)

    def _draw(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, self.PURPOSE, epoch]).permutation(self.count)

    def indices(self, step: int) -> NDArray[np.int64]:
        """Which pictures this rank takes at `step` (0, 1, ...): (batch,) int64."""
        start = (step * self.world + self.rank) * self.batch
        positions = np.arange(start, start + self.batch)
        chosen = np.empty(self.batch, dtype=np.int64)
        for epoch in range(start // self.count, (start + self.batch - 1) // self.count + 1):
            of_epoch = positions // self.count == epoch
            chosen[of_epoch] = self._permutation(epoch)[positions[of_epoch] % self.count]
        return chosen
