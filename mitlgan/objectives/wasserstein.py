"""Wasserstein objectives: gradient penalty, and weight clipping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mitlgan.objectives.build import OBJECTIVES
from mitlgan.objectives.divergence_limits import score_divergence, slope_divergence
from mitlgan.objectives.interface import Divergence, Objective, Statistic, Stats
from mitlgan.objectives.penalties import gradient_penalty, penalty_is_due
from mitlgan.objectives.score_stats import (
    SCORE_STATISTICS,
    fooling_rate,
    score_separately,
    score_stats,
    score_together,
    without_parameter_gradients,
)
from mitlgan.objectives.separate_updates import separate_losses
from mitlgan.recipe.schema.objectives import WganClipRecipe, WganGpRecipe


@OBJECTIVES.register(WganGpRecipe)
class WganGp(Objective):
    """Wasserstein loss with gradient penalty (Gulrajani et al. 2017, equation 3), the objective of the thesis.

    Args:
        recipe: `penalty_weight` (lambda), `penalty_every` and `critic_steps`.
    """

    statistics: ClassVar[Mapping[str, Statistic]] = {
        **SCORE_STATISTICS,
        "penalty": Statistic("Gradient penalty", "Unweighted; near 0 where the critic keeps its constraint."),
    }

    def __init__(self, recipe: WganGpRecipe) -> None:
        super().__init__(recipe)
        self.penalty_weight = recipe.penalty_weight
        self.penalty_every = recipe.penalty_every

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """Return E[D(fake)] - E[D(real)] + lambda E[(|grad D(mix)| - 1)^2]."""
        fake = fake.detach()
        score_real, score_fake = score_together(critic, torch.cat([real, fake])).chunk(2)
        wasserstein = score_real.mean() - score_fake.mean()
        stats = _critic_stats(score_real, score_fake)
        if not penalty_is_due(update, self.penalty_every):
            return -wasserstein, stats
        penalty = gradient_penalty(critic, real, fake, rng)
        return self.penalty_every * self.penalty_weight * penalty - wasserstein, {**stats, "penalty": penalty.detach()}

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """Return -E[D(fake)]."""
        with without_parameter_gradients(critic):
            return -critic(fake).float().mean(), {}

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """See `slope_divergence`."""
        return slope_divergence(numbers, diameter, self.penalty_weight)


@OBJECTIVES.register(WganClipRecipe)
class WganClip(Objective):
    """Wasserstein loss with weight clipping (Arjovsky et al. 2017, algorithm 1).

    The labels are signs: a score is descended times +1 for generated, -1 for real images.

    Args:
        recipe: `clip` and `critic_steps`.
    """

    statistics = SCORE_STATISTICS

    def __init__(self, recipe: WganClipRecipe) -> None:
        super().__init__(recipe)
        self.clip, self.separate_updates = recipe.clip, recipe.separate_updates

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """Return E[D(fake)] - E[D(real)] over separate batches."""
        score_real, score_fake = score_separately(critic, real, fake)
        wasserstein = score_real.mean() - score_fake.mean()
        return -wasserstein, _critic_stats(score_real, score_fake)

    def critic_losses(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> Iterator[tuple[Tensor, Stats]]:
        """Yield the sum of both losses, or each for an update of its own; weights are clipped after both."""
        if self.separate_updates:
            return separate_losses(critic, real, fake, lambda score: -score.mean(), lambda score: score.mean(), _critic_stats)
        return iter([self.critic_loss(critic, real, fake, rng, update)])

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """Return -E[D(fake)]."""
        with without_parameter_gradients(critic):
            return -critic(fake).float().mean(), {}

    @torch.no_grad()
    def after_critic_step(self, critic: nn.Module) -> None:
        """Clip every trainable weight, those of BatchNorm too, as the authors' code does."""
        for parameter in critic.parameters():
            if parameter.requires_grad:
                parameter.clamp_(-self.clip, self.clip)

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """See `score_divergence`."""
        return score_divergence(numbers)


def _critic_stats(score_real: Tensor, score_fake: Tensor) -> Stats:
    return {**score_stats(score_real, score_fake), **fooling_rate(score_real, score_fake)}
