"""The relativistic pairing objective: the critic compares real with generated images."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.objectives.build import OBJECTIVES
from mitlgan.objectives.divergence_limits import gap_divergence
from mitlgan.objectives.interface import CRITIC_DOMINATES, GENERATOR_DOMINATES, Divergence, Objective, Statistic, Stats, TrainingFailure
from mitlgan.objectives.penalties import penalty_is_due, squared_gradient_norms
from mitlgan.objectives.score_stats import SCORE_STATISTICS, score_stats, score_together, without_parameter_gradients
from mitlgan.recipe.schema.objectives import RelativisticRecipe

CERTAIN_MARGIN = 9.0
"""Score difference at which a generated image counts as real with a probability of 1e-4 = sigmoid(-9)."""


@OBJECTIVES.register(RelativisticRecipe)
class Relativistic(Objective):
    """Relativistic pairing loss with zero-centred penalties at real and at generated images.

    The loss is that of Jolicoeur-Martineau 2018 (section 4), the penalties are those of Huang et al. 2024 ("The GAN is dead; long live the GAN!",
    equations 1 to 3), without which it need not converge. Each side minimises softplus: its own image should score above the other's.

    Args:
        recipe: `r1_weight`, `r2_weight`, `penalty_every` and `critic_steps`.
    """

    statistics: ClassVar[Mapping[str, Statistic]] = {
        **SCORE_STATISTICS,
        "r1": Statistic("Squared slope at real pictures (R1)", "Unweighted; where the game ends it is 0."),
        "r2": Statistic("Squared slope at generated pictures (R2)", "Read it like R1."),
    }

    def __init__(self, recipe: RelativisticRecipe) -> None:
        super().__init__(recipe)
        self.r1_weight, self.r2_weight = recipe.r1_weight, recipe.r2_weight
        self.penalty_every = recipe.penalty_every

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """Return E[softplus(D(fake) - D(real))] + R1 E[|grad D(real)|^2] / 2 + R2 E[|grad D(fake)|^2] / 2.

        Both squared gradient norms come from one backward pass; both are logged even if one has weight 0.
        """
        has_penalty = bool(self.r1_weight or self.r2_weight) and penalty_is_due(update, self.penalty_every)
        images = torch.cat([real.detach(), fake.detach()]).requires_grad_(has_penalty)  # (2N, C, H, W)
        # The penalty's second derivatives need float32.
        with torch.autocast(images.device.type, enabled=False) if has_penalty else nullcontext():
            scores = score_together(critic, images.float() if has_penalty else images)  # (2N,)
            score_real, score_fake = scores.chunk(2)
            loss = functional.softplus(score_fake - score_real).mean()
            stats = {**score_stats(score_real, score_fake), "fakes_passed": (score_fake.detach() > score_real.detach()).float().mean()}
            if has_penalty:
                r1, r2 = (slopes.mean() for slopes in squared_gradient_norms(scores, images).chunk(2))
                loss = loss + self.penalty_every * (self.r1_weight * r1 + self.r2_weight * r2) / 2
                stats |= {"r1": r1.detach(), "r2": r2.detach()}
        return loss, stats

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """Return E[softplus(D(real) - D(fake))]."""
        with torch.no_grad():
            score_real = critic(real).float()
        with without_parameter_gradients(critic):
            return functional.softplus(score_real - critic(fake).float()).mean(), {}

    def diagnose(self, numbers: Mapping[str, float]) -> TrainingFailure | None:
        """Return which side wins every pair by a wide margin; score levels say nothing, since only differences enter the loss."""
        if numbers["wasserstein"] > CERTAIN_MARGIN and numbers["fakes_passed"] == 0:
            return CRITIC_DOMINATES
        if numbers["wasserstein"] < -CERTAIN_MARGIN and numbers["fakes_passed"] == 1:
            return GENERATOR_DOMINATES
        return None

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """See `gap_divergence`."""
        return gap_divergence(numbers, min((weight for weight in (self.r1_weight, self.r2_weight) if weight), default=0.0))
