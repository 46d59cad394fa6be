"""Random numbers derived from (seed, purpose, step, rank), so that a resume needs no generator state and no two uses share a stream."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derived_seed(seed: int, purpose: str, step: int = 0, rank: int = 0) -> int:
    """Return a 63-bit seed for one purpose at one step on one rank."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{step}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def random_generator(seed: int, purpose: str, step: int = 0, rank: int = 0) -> torch.Generator:
    """Return a CPU generator for one purpose; on the CPU, so that numbers do not depend on the device."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose, step, rank))


def sample_normal(shape: tuple[int, ...], generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Return standard normal numbers, drawn on the CPU and moved to `device`."""
    sample = torch.randn(shape, generator=generator)
    if torch.device(device).type == "cuda":
        return sample.pin_memory().to(device, non_blocking=True)
    return sample.to(device)
