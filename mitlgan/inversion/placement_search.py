"""Search for placements by trial: gradients lead neither from a wrong place to the right one nor from an object to its mirror image."""

from __future__ import annotations

import torch
from torch import Tensor

from mitlgan.artifacts.card import Card
from mitlgan.inversion.cost import BATCH, InversionCost
from mitlgan.networks import PLACEMENT_LATENT
from mitlgan.networks.placement import PLACEMENT_DIM
from mitlgan.runtime.randomness import random_generator, sample_normal

TRIAL_SPREADS = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Standard deviations of the changes that are tried."""


def placement_slice(card: Card) -> slice | None:
    """Return where a latent holds the placement's numbers; None if it has none."""
    first = 0
    for name, length in card.latent_dims.items():
        if name == PLACEMENT_LATENT and card.kind == "composer":
            return slice(first, first + length)
        first += length
    return None


@torch.no_grad()
def best_placements(cost: InversionCost, z: Tensor, placement: slice, seed: int, step: int) -> Tensor:
    """Try other placements of latents: mirrored, nearby and random ones.

    Args:
        cost: Decides which is best.
        z: (K, D).
        placement: Where a latent holds the placement's numbers.
        seed: Decides the trials, together with `step`.
        step: See `seed`.

    Returns:
        The best (K, D); they differ from `z` at most in the placement's numbers.
    """
    current = z[:, placement]
    noise = sample_normal((len(TRIAL_SPREADS) + 1, *current.shape), random_generator(seed, "embed/places", step), z.device)
    mirrored = current.clone()
    mirrored[:, PLACEMENT_DIM - 1 :: PLACEMENT_DIM] *= -1
    nearby = [current + spread * change for spread, change in zip(TRIAL_SPREADS, noise, strict=False)]
    trials = z.repeat(len(TRIAL_SPREADS) + 3, 1, 1)  # (T, K, D)
    trials[1:, :, placement] = torch.stack([mirrored, *nearby, noise[-1]])
    values = torch.cat([cost.value(part, cost.render(part), perceptual=False) for part in torch.split(trials.flatten(0, 1), BATCH)])
    best = values.view(len(trials), len(z)).argmin(0)  # of equal ones the first, which is the latent itself
    return trials[best, torch.arange(len(z), device=z.device)]
