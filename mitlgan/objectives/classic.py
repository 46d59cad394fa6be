"""Classic objectives, which label real and fake: minimax and least squares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.objectives.divergence_limits import loss_divergence
from mitlgan.objectives.interface import CRITIC_DOMINATES, GENERATOR_DOMINATES, Divergence, Stats, TrainingFailure
from mitlgan.objectives.score_stats import score_separately, score_stats, without_parameter_gradients

if TYPE_CHECKING:
    from mitlgan.recipe import LsganRecipe, MinimaxRecipe


class Minimax:
    """The first GAN's loss (Goodfellow et al. 2014, equation 1), non-saturating for the generator, on logits.

    Args:
        recipe: Labels and `critic_steps`.
    """

    refuses_batchnorm = False

    def __init__(self, recipe: MinimaxRecipe) -> None:
        self.recipe = recipe
        self.critic_steps = recipe.critic_steps

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """BCE(real, 1) + BCE(fake, 0), in batches of their own; see `Objective`. Probabilities are D(x) and D(G(z))."""
        score_real, score_fake = score_separately(critic, real, fake)
        label_real, label_fake = noisy_labels(self.recipe, score_real, rng)
        loss = functional.binary_cross_entropy_with_logits(score_real, label_real)
        loss = loss + functional.binary_cross_entropy_with_logits(score_fake, label_fake)
        probabilities = {"probability_real": score_real.detach().sigmoid().mean(), "probability_fake": score_fake.detach().sigmoid().mean()}
        return loss, {**score_stats(score_real, score_fake), **probabilities, "fakes_passed": (score_fake.detach() > 0).float().mean()}

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """BCE(fake, 1): -E[log D(G(z))]; see `Objective`."""
        with without_parameter_gradients(critic):
            return functional.softplus(-critic(fake).float()).mean(), {}

    def after_critic_step(self, critic: nn.Module) -> None:
        """Nothing constrains the critic."""

    def diagnose(self, numbers: Mapping[str, float]) -> TrainingFailure | None:
        """Either side's flat victory: both losses then stay where no gradient comes from."""
        if numbers["probability_real"] > 0.99 and numbers["probability_fake"] < 0.01:
            return CRITIC_DOMINATES
        if numbers["generator_loss"] < 0.01 and numbers["critic_loss"] > 4.0:
            return GENERATOR_DOMINATES
        return None

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """See `strains.loss_strain`."""
        return loss_divergence(numbers)


class Lsgan:
    """Least squares (Mao et al. 2017, equation 9, with a = 0, b = c = 1).

    Args:
        recipe: Labels and `critic_steps`.
    """

    refuses_batchnorm = False

    def __init__(self, recipe: LsganRecipe) -> None:
        self.recipe = recipe
        self.critic_steps = recipe.critic_steps

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """E[(D(real) - 1)^2] / 2 + E[D(fake)^2] / 2, in batches of their own; see `Objective`."""
        score_real, score_fake = score_separately(critic, real, fake)
        label_real, label_fake = noisy_labels(self.recipe, score_real, rng)
        loss = ((score_real - label_real).square().mean() + (score_fake - label_fake).square().mean()) / 2
        return loss, {**score_stats(score_real, score_fake), "fakes_passed": (score_fake.detach() > 0.5).float().mean()}

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """E[(D(fake) - 1)^2] / 2; see `Objective`."""
        with without_parameter_gradients(critic):
            return (critic(fake).float() - 1).square().mean() / 2, {}

    def after_critic_step(self, critic: nn.Module) -> None:
        """Nothing constrains the critic."""

    def diagnose(self, numbers: Mapping[str, float]) -> TrainingFailure | None:
        """Either side's flat victory: 0.5 is the generator's loss where the critic gives every fake its label."""
        if numbers["critic_loss"] < 0.01 and numbers["generator_loss"] > 0.4:
            return CRITIC_DOMINATES
        if numbers["generator_loss"] < 0.01 and numbers["critic_loss"] > 0.4:
            return GENERATOR_DOMINATES
        return None

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """See `strains.loss_strain`."""
        return loss_divergence(numbers)


def noisy_labels(recipe: MinimaxRecipe | LsganRecipe, like: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Labels of a batch of real and of one of generated images.

    Args:
        recipe: `label_smoothing` (one-sided: 1 becomes 1 - it), `label_noise` (uniform, +-), `label_flips` (share swapped by chance).
        like: (N,) gives number, type and device.
        rng: Draws noise and flips; untouched where there are none.

    Returns:
        Two tensors (N,), in [0, 1].
    """
    real, fake = torch.full_like(like, 1.0 - recipe.label_smoothing), torch.zeros_like(like)
    if recipe.label_noise:
        noise = (torch.rand(2, len(like), generator=rng, device=rng.device).to(like.device) * 2 - 1) * recipe.label_noise
        real, fake = (real + noise[0]).clamp(0, 1), (fake + noise[1]).clamp(0, 1)
    if recipe.label_flips:
        flips = (torch.rand(2, len(like), generator=rng, device=rng.device) < recipe.label_flips).to(like.device)
        real, fake = torch.where(flips[0], fake, real), torch.where(flips[1], real, fake)
    return real, fake
