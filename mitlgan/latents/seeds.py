"""Latents from seeds, layer by layer."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from mitlgan.errors import UsageError
from mitlgan.runtime.randomness import random_generator
from mitlgan.runtime.torch_modes import torch_defaults

SEED_LIMIT = 2**63


@torch_defaults()
def latents_from_seeds(seeds: Sequence[int] | Mapping[str, Sequence[int]], dims: Mapping[str, int]) -> Tensor:
    """Return standard normal latents, one per seed.

    A layer's latent depends only on its seed and its name: foreground 7 of a composer is image 7 of the foreground artifact, whatever the background.

    Args:
        seeds: One seed per image, the same for all layers or by layer.
        dims: Latent length by layer, in order.

    Returns:
        (N, sum of dims), float32, on the CPU.

    Raises:
        UsageError: A layer is unknown or missing, a seed out of range, or the counts differ.
    """
    per_layer = dict(seeds) if isinstance(seeds, Mapping) else dict.fromkeys(dims, seeds)
    _require_all_layers(per_layer, dims)
    if len({len(values) for values in per_layer.values()}) != 1:
        raise UsageError("seeds: every layer needs as many as the others")
    columns = []
    for name, dim in dims.items():
        rows = [
            torch.randn(dim, generator=random_generator(_whole(seed), f"latent/{name}"), dtype=torch.float32, device="cpu") for seed in per_layer[name]
        ]
        columns.append(torch.stack(rows) if rows else torch.empty(0, dim, dtype=torch.float32, device="cpu"))
    return torch.cat(columns, dim=1)


def _require_all_layers(given: Collection[str], layers: Collection[str]) -> None:
    """Check that seeds are given for every layer.

    Args:
        given: Names that have seeds.
        layers: Names that need some.

    Raises:
        UsageError: A name is none of a layer, or a layer is missing; the message names it.
    """
    unknown = [name for name in given if name not in layers]
    if unknown:
        raise UsageError(f"seeds: given for {', '.join(map(str, unknown))}, which no layer is called; the layers are {', '.join(layers)}")
    missing = [name for name in layers if name not in given]
    if missing:
        raise UsageError(f"seeds: none given for {', '.join(missing)}; give some for each of {', '.join(layers)}")


def _whole(seed: int) -> int:
    try:
        number = -1 if isinstance(seed, bool) else operator.index(seed)  # also of numpy and torch; 1.5 is refused, not cut to 1
    except TypeError:
        number = -1
    if not 0 <= number < SEED_LIMIT:
        raise UsageError(f"seed {seed if abs(number) < 10**40 else '...'}: must be a whole number from 0 to 2^63 - 1")
    return number
