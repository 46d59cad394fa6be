"""Labels of real and generated images, with optional smoothing, noise and flips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mitlgan.runtime.randomness import draw_uniform

if TYPE_CHECKING:
    from mitlgan.recipe import EvolutionaryRecipe, LsganRecipe, MinimaxRecipe


def noisy_labels(recipe: MinimaxRecipe | EvolutionaryRecipe | LsganRecipe, like: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return labels for a batch of real images and for one of generated images.

    Args:
        recipe: `label_smoothing` (one-sided: 1 becomes 1 minus it), `label_noise` (uniform, +-), `label_flips` (share swapped at random).
        like: (N,); the labels get its length, type and device.
        rng: Draws noise and flips; unused if the recipe has neither.

    Returns:
        Two tensors (N,), in [0, 1].
    """
    real, fake = torch.full_like(like, 1.0 - recipe.label_smoothing), torch.zeros_like(like)
    if recipe.label_noise:
        noise = (draw_uniform((2, len(like)), rng, dim=1).to(like.device) * 2 - 1) * recipe.label_noise
        real, fake = (real + noise[0]).clamp(0, 1), (fake + noise[1]).clamp(0, 1)
    if recipe.label_flips:
        flips = (draw_uniform((2, len(like)), rng, dim=1) < recipe.label_flips).to(like.device)
        real, fake = torch.where(flips[0], fake, real), torch.where(flips[1], real, fake)
    return real, fake
