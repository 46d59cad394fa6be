"""The least-squares objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from mitlgan.objectives.build import OBJECTIVES
from mitlgan.objectives.divergence_limits import loss_divergence
from mitlgan.objectives.interface import CRITIC_DOMINATES, GENERATOR_DOMINATES, Divergence, Objective, Statistic, Stats, TrainingFailure
from mitlgan.objectives.noisy_labels import noisy_labels
from mitlgan.objectives.score_stats import (
    SCORE_STATISTICS,
    VERDICT_STATISTICS,
    score_separately,
    score_stats,
    verdict_stats,
    without_parameter_gradients,
)
from mitlgan.objectives.separate_updates import separate_losses
from mitlgan.recipe.schema.objectives import LsganRecipe


@OBJECTIVES.register(LsganRecipe)
class Lsgan(Objective):
    """Least squares (Mao et al. 2017, equation 9, with a = 0, b = c = 1).

    Args:
        recipe: Labels and `critic_steps`.
    """

    statistics: ClassVar[Mapping[str, Statistic]] = {**SCORE_STATISTICS, **VERDICT_STATISTICS}

    def __init__(self, recipe: LsganRecipe) -> None:
        super().__init__(recipe)
        self.recipe = recipe

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """Return E[(D(real) - 1)^2] / 2 + E[D(fake)^2] / 2 over separate batches."""
        score_real, score_fake = score_separately(critic, real, fake)
        label_real, label_fake = noisy_labels(self.recipe, score_real, rng)
        loss = ((score_real - label_real).square().mean() + (score_fake - label_fake).square().mean()) / 2
        return loss, self._critic_stats(score_real, score_fake)

    def critic_losses(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> Iterator[tuple[Tensor, Stats]]:
        """Yield the sum of both losses, or each for an update of its own."""
        if not self.recipe.separate_updates:
            yield self.critic_loss(critic, real, fake, rng, update)
            return
        label_real, label_fake = noisy_labels(self.recipe, real.new_zeros(len(real)), rng)
        yield from separate_losses(
            critic, real, fake, lambda score: (score - label_real).square().mean() / 2, lambda score: (score - label_fake).square().mean() / 2,
            self._critic_stats,
        )  # fmt: skip

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """Return E[(D(fake) - 1)^2] / 2."""
        with without_parameter_gradients(critic):
            return (critic(fake).float() - 1).square().mean() / 2, {}

    def diagnose(self, numbers: Mapping[str, float]) -> TrainingFailure | None:
        """Return which side has won outright; the generator's loss is 0.5 if the critic gives every fake its label."""
        if numbers["critic_loss"] < 0.01 and numbers["generator_loss"] > 0.4:
            return CRITIC_DOMINATES
        if numbers["generator_loss"] < 0.01 and numbers["critic_loss"] > 0.4:
            return GENERATOR_DOMINATES
        return None

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """See `loss_divergence`."""
        return loss_divergence(numbers)

    def _critic_stats(self, score_real: Tensor, score_fake: Tensor) -> Stats:
        verdicts = verdict_stats(score_real, score_fake, 0.5, with_accuracy=bool(self.recipe.log_accuracy))
        return {**score_stats(score_real, score_fake), **verdicts}
