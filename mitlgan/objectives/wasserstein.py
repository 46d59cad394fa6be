"""Wasserstein objectives: gradient penalty, and weight clipping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mitlgan.objectives.divergence_limits import score_divergence, slope_divergence
from mitlgan.objectives.interface import Divergence, Stats, TrainingFailure
from mitlgan.objectives.penalties import gradient_penalty, penalty_is_due
from mitlgan.objectives.score_stats import fooling_rate, score_separately, score_stats, without_parameter_gradients

if TYPE_CHECKING:
    from mitlgan.recipe import WganClipRecipe, WganGpRecipe


class WganGp:
    """Wasserstein loss with gradient penalty (Gulrajani et al. 2017, equation 3), the objective of the thesis.

    Args:
        recipe: `penalty_weight` (lambda), `penalty_every` and `critic_steps`.
    """

    refuses_batchnorm = True  # the penalty is per sample

    def __init__(self, recipe: WganGpRecipe) -> None:
        self.penalty_weight = recipe.penalty_weight
        self.penalty_every = recipe.penalty_every
        self.critic_steps = recipe.critic_steps

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """E[D(fake)] - E[D(real)] + lambda E[(|grad D(mix)| - 1)^2]; see `Objective`."""
        fake = fake.detach()
        # One forward for both: without BatchNorm the scores are those of two, and the second launch is saved.
        score_real, score_fake = critic(torch.cat([real, fake])).float().chunk(2)
        wasserstein = score_real.mean() - score_fake.mean()
        stats = {**score_stats(score_real, score_fake), **fooling_rate(score_real, score_fake)}
        if not penalty_is_due(update, self.penalty_every):
            return -wasserstein, stats
        penalty = gradient_penalty(critic, real, fake, rng)
        return self.penalty_every * self.penalty_weight * penalty - wasserstein, {**stats, "penalty": penalty.detach()}

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """-E[D(fake)]; see `Objective`."""
        with without_parameter_gradients(critic):
            return -critic(fake).float().mean(), {}

    def after_critic_step(self, critic: nn.Module) -> None:
        """Nothing: the penalty is the constraint."""

    def diagnose(self, numbers: Mapping[str, float]) -> TrainingFailure | None:
        """None is known of a Wasserstein estimate's level."""
        return None

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """See `strains.slope_strain`."""
        return slope_divergence(numbers, diameter, self.penalty_weight)


class WganClip:
    """Wasserstein loss with weight clipping (Arjovsky et al. 2017, algorithm 1).

    The labels are signs: a score is descended times +1 for generated, -1 for real images.

    Args:
        recipe: `clip` and `critic_steps`.
    """

    refuses_batchnorm = False

    def __init__(self, recipe: WganClipRecipe) -> None:
        self.clip = recipe.clip
        self.critic_steps = recipe.critic_steps

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """E[D(fake)] - E[D(real)], real and fake in batches of their own; see `Objective`."""
        score_real, score_fake = score_separately(critic, real, fake)
        wasserstein = score_real.mean() - score_fake.mean()
        return -wasserstein, {**score_stats(score_real, score_fake), **fooling_rate(score_real, score_fake)}

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """-E[D(fake)]; see `Objective`."""
        with without_parameter_gradients(critic):
            return -critic(fake).float().mean(), {}

    @torch.no_grad()
    def after_critic_step(self, critic: nn.Module) -> None:
        """Clip every weight that trains, those of BatchNorm too, as the authors' code does."""
        for parameter in critic.parameters():
            if parameter.requires_grad:
                parameter.clamp_(-self.clip, self.clip)

    def diagnose(self, numbers: Mapping[str, float]) -> TrainingFailure | None:
        """None is known of a Wasserstein estimate's level."""
        return None

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """See `strains.score_strain`."""
        return score_divergence(numbers)
