"""Differentiable augmentation: the critic sees augmented images only, real and generated, and gradients flow through the augmentation.

Color, translation and cutout are those of DiffAugment (Zhao et al. 2020, section 3 and its code). The objective gets augmented images, so a
gradient penalty is taken at them, too, as DiffAugment's authors take R1.

Holes and what a translation uncovers are 0: mid-gray, and half-transparent white in images with alpha, which real pictures do not contain. If they
were transparent, a shifted object would look like one that is placed there, and the generator could learn the shifts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mitlgan.runtime.distributed import gather_rows
from mitlgan.runtime.randomness import ALONE, BatchShare, draw_integers, draw_uniform, random_generator

if TYPE_CHECKING:
    from mitlgan.recipe import AugmentRecipe

MAX_TRANSLATION = 0.125
"""Share of the image's side."""
CUTOUT = 0.5
"""Side of the hole as a share of the image's side."""

DEFAULT_TARGET = 0.6
DEFAULT_SPEED_KIMG = 500.0
MAX_PROBABILITY = 0.8
"""Largest automatic probability: below it, Karras et al. 2020 (section 2.1, figure 3) saw no augmentation leak into generated images."""
ADAPTATION_INTERVAL = 4
"""Critic updates between two adaptations (their section 3)."""


class DiffAugment:
    """The augmentation of a recipe's [augment]; without that table, images stay as they are.

    Args:
        recipe: The table, or None.
        seed: The run's seed.
        share: This process's rows of the batch.
    """

    def __init__(self, recipe: AugmentRecipe | None, seed: int, share: BatchShare = ALONE) -> None:
        self.transforms = [] if recipe is None else [name for name in TRANSFORMS if name in recipe.policy]
        self.is_adaptive = recipe is not None and recipe.probability == "auto"
        self.fixed_probability = None if recipe is None or recipe.probability == "auto" else recipe.probability
        self.target = (recipe and recipe.target) or DEFAULT_TARGET
        self.speed_kimg = (recipe and recipe.speed_kimg) or DEFAULT_SPEED_KIMG
        self.seed, self.share = seed, share

    def __call__(self, images: Tensor, purpose: str, update: int, probability: float) -> Tensor:
        """Apply each transform to each image with a probability.

        Args:
            images: (N, C, H, W) in [-1, 1], with 1, 3 or, premultiplied, 4 channels.
            purpose: Separates the random numbers of different uses at the same update.
            update: Number of the update.
            probability: Used if the recipe's probability is automatic.

        Returns:
            Images of the same shape; those that no transform was applied to are bit-equal.
        """
        probability = self.fixed_probability or probability
        for name in self.transforms:
            # One transform does not change the random numbers of another.
            rng = random_generator(self.seed, f"augment {name} of {purpose}", update, self.share)
            is_applied = draw_uniform((len(images), 1, 1, 1), rng) < probability
            images = TRANSFORMS[name](images, is_applied.to(images.device), rng)
        return images

    def is_adaptation_due(self, update: int) -> bool:
        """Whether the probability is adapted in this critic update; its number alone decides, so that a resume does the same."""
        return self.is_adaptive and (update + 1) % ADAPTATION_INTERVAL == 0

    def next_probability(self, probability: float, sign: float, batch: int) -> float:
        """Return the probability after one adaptation towards the target sign.

        Args:
            probability: Before the adaptation.
            sign: See `overfitting_sign`.
            batch: Real images of one update, over all ranks.
        """
        step = ADAPTATION_INTERVAL * batch / (self.speed_kimg * 1000)
        return min(max(probability + (step if sign > self.target else -step if sign < self.target else 0.0), 0.0), MAX_PROBABILITY)


@torch.no_grad()
def overfitting_sign(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Return E[sign(D(real))], the heuristic r_t of Karras et al. 2020 (equation 1), for scores that have no natural zero, over all ranks' batches.

    Their score is a logit, which is zero where real and generated images are equally likely. Wasserstein and relativistic scores are known up to a
    shift, so their zero is set midway between the medians of real and generated images. This is the logit's own zero if both spread equally, so their
    target keeps its meaning. Medians, unlike means, make the sign 0 whenever both have the same distribution, however skewed. The sign is 1 if
    all real images score above that zero, and does not depend on the scores' scale.

    Args:
        critic: Evaluated in eval mode, because dropout would add noise.
        real: (N, C, H, W), augmented.
        fake: The same shape, augmented.

    Returns:
        A scalar in [-1, 1].
    """
    critic.eval()
    score_real, score_fake = critic(real).float(), critic(fake).float()  # two batches: critics with BatchNorm are trained so, too
    critic.train()
    return mean_score_sign(gather_rows(score_real), gather_rows(score_fake))


def mean_score_sign(score_real: Tensor, score_fake: Tensor) -> Tensor:
    """Return the mean sign of real scores above the zero that `overfitting_sign` explains; both are (N,)."""
    zero = (score_real.quantile(0.5) + score_fake.quantile(0.5)) / 2
    return (score_real - zero).sign().mean()


def color(images: Tensor, is_applied: Tensor, rng: torch.Generator) -> Tensor:
    """Change brightness by up to 0.5, saturation by a factor of 0 to 2, contrast by a factor of 0.5 to 1.5, on the scale of [-1, 1].

    In premultiplied images the color of the object itself changes and is weighted by alpha again: empty areas stay empty, contrast is centered at the
    object's mean color, and colors leave [0, alpha] no further than those of a plain image leave their range.

    Args:
        images: (N, C, H, W).
        is_applied: (N, 1, 1, 1), the images to change.
        rng: Draws all random numbers.
    """
    random = draw_uniform((3, len(images), 1, 1, 1), rng, dim=1).to(images)
    brightness, saturation, contrast = random[0] - 0.5, random[1] * 2, random[2] + 0.5
    rgb = images[:, :3] + 1  # black is 0
    alpha = (images[:, 3:] + 1) / 2 if images.shape[1] == 4 else torch.ones_like(rgb[:, :1])  # (N, 1, H, W)
    rgb = rgb + brightness * alpha
    gray = rgb.mean(1, keepdim=True)  # (N, 1, H, W)
    rgb = gray + (rgb - gray) * saturation
    mean = rgb.mean(1, keepdim=True).sum((2, 3), keepdim=True) / alpha.sum((2, 3), keepdim=True).clamp_min(1e-6)  # (N, 1, 1, 1)
    center = alpha * mean.clamp(-1, 3)  # the range that brightness can reach: an almost transparent image could have any mean
    rgb = center + (rgb - center) * contrast
    return torch.where(is_applied, torch.cat([rgb - 1, images[:, 3:]], 1), images)


def translation(images: Tensor, is_applied: Tensor, rng: torch.Generator) -> Tensor:
    """Shift by up to an eighth of the side in both directions; see `color` for the arguments."""
    count, channels, height, width = images.shape
    limits = [int(side * MAX_TRANSLATION + 0.5) for side in (height, width)]
    down, right = (_randint(count, -limit, limit, rng, images) * is_applied[:, :, 0, 0] for limit in limits)
    rows, columns = _positions(height, images) - down, _positions(width, images) - right  # (N, H) and (N, W): where each pixel comes from
    is_inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    shifted = images.gather(2, rows.clamp(0, height - 1)[:, None, :, None].expand(-1, channels, -1, width))
    shifted = shifted.gather(3, columns.clamp(0, width - 1)[:, None, None, :].expand(-1, channels, height, -1))
    return shifted * is_inside


def cutout(images: Tensor, is_applied: Tensor, rng: torch.Generator) -> Tensor:
    """Cut a square hole of half the side, centered anywhere; see `color` for the arguments."""
    count, _, height, width = images.shape
    in_hole = []
    for side in (height, width):
        hole = int(side * CUTOUT + 0.5)
        first = _randint(count, 0, side - hole % 2, rng, images) - hole // 2
        positions = _positions(side, images)
        in_hole.append((positions >= first) & (positions < first + hole))  # (N, side)
    return images * ~(in_hole[0][:, None, :, None] & in_hole[1][:, None, None, :] & is_applied)


TRANSFORMS: dict[str, Callable[[Tensor, Tensor, torch.Generator], Tensor]] = {"colour": color, "translation": translation, "cutout": cutout}


def _randint(count: int, low: int, high: int, rng: torch.Generator, like: Tensor) -> Tensor:
    """Return random integers (N, 1) in [low, high]."""
    return draw_integers(low, high, (count, 1), rng).to(like.device)


def _positions(side: int, like: Tensor) -> Tensor:
    """Return 0, 1, 2, ..., as (1, side)."""
    return torch.arange(side, device=like.device)[None]
