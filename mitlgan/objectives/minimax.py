"""The minimax objective, non-saturating."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

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
from mitlgan.recipe.schema.objectives import EvolutionaryRecipe, MinimaxRecipe


@OBJECTIVES.register(MinimaxRecipe)
class Minimax(Objective):
    """The first GAN's loss (Goodfellow et al. 2014, equation 1), non-saturating for the generator, on logits.

    Args:
        recipe: Labels and `critic_steps`.
    """

    statistics: ClassVar[Mapping[str, Statistic]] = {
        "probability_real": Statistic("D(x)", "Mean probability that the critic gives real pictures; 0.5 is a draw."),
        "probability_fake": Statistic("D(G(z))", "The same of generated pictures."),
        **SCORE_STATISTICS,
        **VERDICT_STATISTICS,
    }

    def __init__(self, recipe: MinimaxRecipe | EvolutionaryRecipe) -> None:
        super().__init__(recipe)
        self.recipe = recipe

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """Return BCE(real, 1) + BCE(fake, 0) over separate batches; the probabilities logged are D(x) and D(G(z))."""
        score_real, score_fake = score_separately(critic, real, fake)
        label_real, label_fake = noisy_labels(self.recipe, score_real, rng)
        loss = functional.binary_cross_entropy_with_logits(score_real, label_real)
        loss = loss + functional.binary_cross_entropy_with_logits(score_fake, label_fake)
        return loss, self._critic_stats(score_real, score_fake)

    def critic_losses(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> Iterator[tuple[Tensor, Stats]]:
        """Yield the sum of both losses, or each for an update of its own."""
        if not self.recipe.separate_updates:
            yield self.critic_loss(critic, real, fake, rng, update)
            return
        label_real, label_fake = noisy_labels(self.recipe, real.new_zeros(len(real)), rng)
        yield from separate_losses(
            critic, real, fake, lambda score: functional.binary_cross_entropy_with_logits(score, label_real),
            lambda score: functional.binary_cross_entropy_with_logits(score, label_fake), self._critic_stats,
        )  # fmt: skip

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """Return BCE(fake, 1) = -E[log D(G(z))]."""
        with without_parameter_gradients(critic):
            return functional.softplus(-critic(fake).float()).mean(), {}

    def diagnose(self, numbers: Mapping[str, float]) -> TrainingFailure | None:
        """Return which side has won outright, after which no gradient is left."""
        if numbers["probability_real"] > 0.99 and numbers["probability_fake"] < 0.01:
            return CRITIC_DOMINATES
        if numbers["generator_loss"] < 0.01 and numbers["critic_loss"] > 4.0:
            return GENERATOR_DOMINATES
        return None

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """See `loss_divergence`."""
        return loss_divergence(numbers)

    def _critic_stats(self, score_real: Tensor, score_fake: Tensor) -> Stats:
        probabilities = {"probability_real": score_real.detach().sigmoid().mean(), "probability_fake": score_fake.detach().sigmoid().mean()}
        verdicts = verdict_stats(score_real, score_fake, 0.0, with_accuracy=bool(self.recipe.log_accuracy))
        return {**score_stats(score_real, score_fake), **probabilities, **verdicts}
