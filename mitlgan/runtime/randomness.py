"""Every random number comes from (seed, purpose, step, rank), so that a resume needs no generator state and no two uses share a stream."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derived_seed(seed: int, purpose: str, step: int = 0, rank: int = 0) -> int:
    """A 63-bit seed for one purpose at one step on one rank."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{step}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def random_generator(seed: int, purpose: str, step: int = 0, rank: int = 0) -> torch.Generator:
    """A CPU generator for one purpose; CPU, so that every device draws the same numbers."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose, step, rank))


def sample_normal(shape: tuple[int, ...], generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers, drawn on the CPU and moved to `device`."""
    drawn = torch.randn(shape, generator=generator)
    if torch.device(device).type == "cuda":
        return drawn.pin_memory().to(device, non_blocking=True)
    return drawn.to(device)
