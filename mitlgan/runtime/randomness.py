"""Random numbers derived from (seed, purpose, step), so that a resume needs no generator state and no two uses share a stream.

Numbers belong to samples, not to ranks: each rank draws those of the whole batch and takes its rows. So any number of ranks sees the same samples with
the same noise, and a run may be resumed by another number of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BatchShare:
    """The rows of a batch that a rank has: equally many for each rank, in their order.

    Attributes:
        rank: Number of the rank, from 0.
        size: Number of ranks.
    """

    rank: int = 0
    size: int = 1

    def whole(self, shape: Sequence[int], dim: int = 0) -> list[int]:
        """Return the shape for the whole batch of a shape for a rank's rows, which are in dimension `dim`."""
        return [length * self.size if index == dim else length for index, length in enumerate(shape)]

    def rows(self, whole: Tensor, dim: int = 0) -> Tensor:
        """Return a rank's rows of a tensor for the whole batch."""
        count = whole.shape[dim] // self.size
        return whole.narrow(dim, self.rank * count, count)


ALONE = BatchShare()


class BatchGenerator(torch.Generator):
    """A CPU generator of the random numbers of a whole batch, of which a rank gets its rows; see `draw_uniform`.

    Attributes:
        share: The rank's rows.
    """

    share: BatchShare = ALONE


def derived_seed(seed: int, purpose: str, step: int = 0) -> int:
    """Return a 63-bit seed for one purpose at one step."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{step}/0".encode(), digest_size=8).digest()  # the 0 was a rank in earlier versions
    return int.from_bytes(digest, "little") >> 1


def random_generator(seed: int, purpose: str, step: int = 0, share: BatchShare = ALONE) -> BatchGenerator:
    """Return a CPU generator for one purpose; on the CPU, so that numbers do not depend on the device."""
    generator = BatchGenerator()
    generator.manual_seed(derived_seed(seed, purpose, step))
    generator.share = share
    return generator


def seed_global_generators(seed: int, device: torch.device) -> None:
    """Seed torch's global random numbers on the CPU and on one device, as `torch.manual_seed` does for all kinds of device.

    That costs half a millisecond per call where torch was built without them, which is a tenth of a small training's step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def share_of(generator: torch.Generator) -> BatchShare:
    """Return the rows that a generator's rank has; those of any other generator are all."""
    return generator.share if isinstance(generator, BatchGenerator) else ALONE


def draw_uniform(shape: Sequence[int], generator: torch.Generator, dim: int = 0) -> Tensor:
    """Return a rank's uniform random numbers in [0, 1), on the generator's device.

    Args:
        shape: Shape of the rank's numbers.
        generator: Its share says which rows of the whole batch these are.
        dim: Dimension of the samples.
    """
    share = share_of(generator)
    return share.rows(torch.rand(share.whole(shape, dim), generator=generator, device=generator.device, dtype=torch.float32), dim)


def draw_integers(low: int, high: int, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return a rank's random integers in [low, high]; see `draw_uniform`."""
    share = share_of(generator)
    return share.rows(torch.randint(low, high + 1, share.whole(shape), generator=generator))


def sample_normal(shape: Sequence[int], generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Return a rank's standard normal numbers, drawn on the CPU and moved to `device`; see `draw_uniform`."""
    share = share_of(generator)
    sample = share.rows(torch.randn(share.whole(shape), generator=generator, dtype=torch.float32))
    if torch.device(device).type == "cuda":
        return sample.pin_memory().to(device, non_blocking=True)
    return sample.to(device)
