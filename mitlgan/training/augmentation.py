"""Differentiable augmentation: the critic judges changed images only, real and generated ones alike, and the gradient flows through the change.

Colours, place and holes are those of DiffAugment (Zhao et al. 2020, section 3 and its code). What the objective is given are changed images, so a
gradient penalty, too, is taken at changed images, as DiffAugment's authors take R1.

Holes and what a translation uncovers are 0, mid-grey, and in images with alpha half-transparent white: what pictures themselves do not hold. Were it
transparent, a moved object would look like one that stands there, and the generator could learn the moves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mitlgan.runtime.randomness import random_generator

if TYPE_CHECKING:
    from mitlgan.recipe import AugmentRecipe

TRANSLATION = 0.125
"""Largest shift / side of the image."""
CUTOUT = 0.5
"""Side of the hole / side of the image."""

DEFAULT_TARGET = 0.6
DEFAULT_SPEED_KIMG = 500.0
MAX_PROBABILITY = 0.8
"""Largest automatic probability: below it, Karras et al. 2020 (section 2.1, figure 3) saw no augmentation leak into generated images."""
ADAPTATION_INTERVAL = 4
"""Critic updates from one look at overfitting to the next (their section 3)."""


class DiffAugment:
    """What a recipe's [augment] does to images; without one, nothing.

    Args:
        recipe: The table, or None.
        seed: The run's.
        rank: Each rank draws its own numbers.
    """

    def __init__(self, recipe: AugmentRecipe | None, seed: int, rank: int) -> None:
        self.transforms = [] if recipe is None else [name for name in TRANSFORMS if name in recipe.policy]
        self.fixed = None if recipe is None or recipe.probability == "auto" else recipe.probability
        self.adapts = recipe is not None and recipe.probability == "auto"
        self.target = (recipe and recipe.target) or DEFAULT_TARGET
        self.speed_kimg = (recipe and recipe.speed_kimg) or DEFAULT_SPEED_KIMG
        self.seed, self.rank = seed, rank

    def __call__(self, images: Tensor, purpose: str, update: int, probability: float) -> Tensor:
        """Change each image by each transform with a probability.

        Args:
            images: (N, C, H, W) in [-1, 1], with 1, 3 or, premultiplied, 4 channels.
            purpose: Keeps the numbers of one use apart from those of others at the same update.
            update: Number of the update.
            probability: Where the recipe's is automatic.

        Returns:
            Of the same shape, each value of the images themselves with its gradient; an image that is spared is the same to the bit.
        """
        probability = self.fixed or probability
        for name in self.transforms:
            # One transform does not change the random numbers of another.
            rng = random_generator(self.seed, f"augment {name} of {purpose}", update, self.rank)
            chosen = torch.rand(len(images), 1, 1, 1, generator=rng) < probability
            images = TRANSFORMS[name](images, chosen.to(images.device), rng)
        return images

    def is_adaptation_due(self, update: int) -> bool:
        """Whether overfitting is looked at in this critic update; the number alone decides, so that a resume does as well."""
        return self.adapts and (update + 1) % ADAPTATION_INTERVAL == 0

    def next_probability(self, probability: float, sign: float, batch: int) -> float:
        """Move an automatic probability towards where the sign is on target, by `EVERY` updates' share of the recipe's speed.

        Args:
            probability: So far.
            sign: See `overfitting`.
            batch: Real images of one update, over all ranks.
        """
        step = ADAPTATION_INTERVAL * batch / (self.speed_kimg * 1000)
        return min(max(probability + (step if sign > self.target else -step if sign < self.target else 0.0), 0.0), MAX_PROBABILITY)


@torch.no_grad()
def overfitting_sign(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """E[sign(D(real))], the heuristic r_t of Karras et al. 2020 (equation 1), for scores without a zero of their own.

    Theirs is a logit, whose zero lies where real and generated are as likely. A Wasserstein or relativistic score is known up to a shift, so its
    zero is put midway between the medians of real and generated images: the logit's own place where both spread alike, so that their target keeps
    its meaning. Medians, not means: where both have one distribution, however skewed, the sign is then 0. It is 1 where all real images score above
    that place, and does not change with the scores' scale.

    Args:
        critic: Asked in eval mode: dropout would blur it.
        real: (N, C, H, W), as the critic is shown them.
        fake: The same shape.

    Returns:
        A scalar in [-1, 1].
    """
    critic.eval()
    score_real, score_fake = critic(real).float(), critic(fake).float()  # apart: BatchNorm's critics are asked as they are trained
    critic.train()
    return mean_score_sign(score_real, score_fake)


def mean_score_sign(score_real: Tensor, score_fake: Tensor) -> Tensor:
    """The mean sign of real scores above the zero that `overfitting` explains; both are (N,)."""
    zero = (score_real.quantile(0.5) + score_fake.quantile(0.5)) / 2
    return (score_real - zero).sign().mean()


def colour(images: Tensor, chosen: Tensor, rng: torch.Generator) -> Tensor:
    """Brightness +- 0.5, saturation times 0 to 2, contrast times 0.5 to 1.5, on the scale of [-1, 1].

    In premultiplied images the colours of the object itself change, which alpha then weighs again: where nothing stands nothing changes, contrast
    has its centre in the object's mean colour, and colours leave [0, alpha] no further than those of a plain image leave their range.

    Args:
        images: (N, C, H, W).
        chosen: (N, 1, 1, 1), which of them change.
        rng: Draws all numbers.
    """
    drawn = torch.rand(3, len(images), 1, 1, 1, generator=rng).to(images)
    brightness, saturation, contrast = drawn[0] - 0.5, drawn[1] * 2, drawn[2] + 0.5
    light = images[:, :3] + 1  # from black
    cover = (images[:, 3:] + 1) / 2 if images.shape[1] == 4 else torch.ones_like(light[:, :1])  # (N, 1, H, W)
    light = light + brightness * cover
    grey = light.mean(1, keepdim=True)  # (N, 1, H, W)
    light = grey + (light - grey) * saturation
    mean = light.mean(1, keepdim=True).sum((2, 3), keepdim=True) / cover.sum((2, 3), keepdim=True).clamp_min(1e-6)  # (N, 1, 1, 1)
    centre = cover * mean.clamp(-1, 3)  # no further than brightness can bring it: an all but transparent image could have any mean
    light = centre + (light - centre) * contrast
    return torch.where(chosen, torch.cat([light - 1, images[:, 3:]], 1), images)


def translation(images: Tensor, chosen: Tensor, rng: torch.Generator) -> Tensor:
    """A shift by up to an eighth of the side, both ways; see `colour` for the arguments."""
    count, channels, height, width = images.shape
    limits = [int(side * TRANSLATION + 0.5) for side in (height, width)]
    down, right = (_randint(count, -limit, limit, rng, images) * chosen[:, :, 0, 0] for limit in limits)
    rows, columns = _positions(height, images) - down, _positions(width, images) - right  # (N, H) and (N, W): where each pixel comes from
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    moved = images.gather(2, rows.clamp(0, height - 1)[:, None, :, None].expand(-1, channels, -1, width))
    moved = moved.gather(3, columns.clamp(0, width - 1)[:, None, None, :].expand(-1, channels, height, -1))
    return moved * inside


def cutout(images: Tensor, chosen: Tensor, rng: torch.Generator) -> Tensor:
    """A square hole of half the side, its centre anywhere; see `colour` for the arguments."""
    count, _, height, width = images.shape
    within = []
    for side in (height, width):
        hole = int(side * CUTOUT + 0.5)
        first = _randint(count, 0, side - hole % 2, rng, images) - hole // 2
        places = _positions(side, images)
        within.append((places >= first) & (places < first + hole))  # (N, side)
    return images * ~(within[0][:, None, :, None] & within[1][:, None, None, :] & chosen)


TRANSFORMS: dict[str, Callable[[Tensor, Tensor, torch.Generator], Tensor]] = {"colour": colour, "translation": translation, "cutout": cutout}


def _randint(count: int, low: int, high: int, rng: torch.Generator, like: Tensor) -> Tensor:
    """Whole numbers (N, 1) from low to high, both among them."""
    return torch.randint(low, high + 1, (count, 1), generator=rng).to(like.device)


def _positions(side: int, like: Tensor) -> Tensor:
    """0, 1, 2, ..., as (1, side)."""
    return torch.arange(side, device=like.device)[None]
