"""The relativistic pairing objective, whose critic compares a real with a generated image in place of judging either."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.objectives.divergence_limits import gap_divergence
from mitlgan.objectives.interface import CRITIC_DOMINATES, GENERATOR_DOMINATES, Divergence, Stats, TrainingFailure
from mitlgan.objectives.penalties import penalty_is_due, squared_gradient_norms
from mitlgan.objectives.score_stats import score_stats, without_parameter_gradients

if TYPE_CHECKING:
    from mitlgan.recipe import RelativisticRecipe

CERTAIN_MARGIN = 9.0
"""A gap of scores that calls generated images real once in 10,000 times: sigmoid(-9) = 1e-4."""


class Relativistic:
    """Relativistic pairing loss with zero-centred penalties at real and at generated images.

    Jolicoeur-Martineau 2018 (section 4) has the loss, Huang et al. 2024 ("The GAN is dead; long live the GAN!", equations 1 to 3) the penalties
    with it, without which it need not converge. Both sides descend softplus: each wants its own image to score above its partner.

    Args:
        recipe: `r1_weight`, `r2_weight`, `penalty_every` and `critic_steps`.
    """

    refuses_batchnorm = True  # the penalties are per sample

    def __init__(self, recipe: RelativisticRecipe) -> None:
        self.r1_weight, self.r2_weight = recipe.r1_weight, recipe.r2_weight
        self.penalty_every = recipe.penalty_every
        self.critic_steps = recipe.critic_steps

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """E[softplus(D(fake) - D(real))] + R1 E[|grad D(real)|^2] / 2 + R2 E[|grad D(fake)|^2] / 2; see `Objective`.

        Both squared slopes come from one backward pass, and both are told even where one has no weight.
        """
        penalised = bool(self.r1_weight or self.r2_weight) and penalty_is_due(update, self.penalty_every)
        images = torch.cat([real.detach(), fake.detach()]).requires_grad_(penalised)  # (2N, C, H, W)
        # A penalty's derivatives are second ones, which half precision spoils.
        with torch.autocast(images.device.type, enabled=False) if penalised else nullcontext():
            scores = critic(images.float() if penalised else images).float()  # (2N,)
            score_real, score_fake = scores.chunk(2)
            loss = functional.softplus(score_fake - score_real).mean()
            stats = {**score_stats(score_real, score_fake), "fakes_passed": (score_fake.detach() > score_real.detach()).float().mean()}
            if penalised:
                r1, r2 = (slopes.mean() for slopes in squared_gradient_norms(scores, images).chunk(2))
                loss = loss + self.penalty_every * (self.r1_weight * r1 + self.r2_weight * r2) / 2
                stats |= {"r1": r1.detach(), "r2": r2.detach()}
        return loss, stats

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """E[softplus(D(real) - D(fake))]; see `Objective`."""
        with torch.no_grad():
            score_real = critic(real).float()
        with without_parameter_gradients(critic):
            return functional.softplus(score_real - critic(fake).float()).mean(), {}

    def after_critic_step(self, critic: nn.Module) -> None:
        """Nothing: the penalties are the constraint."""

    def diagnose(self, numbers: Mapping[str, float]) -> TrainingFailure | None:
        """A gap of scores that no pair contradicts. Levels say nothing: only differences enter the loss."""
        if numbers["wasserstein"] > CERTAIN_MARGIN and numbers["fakes_passed"] == 0:
            return CRITIC_DOMINATES
        if numbers["wasserstein"] < -CERTAIN_MARGIN and numbers["fakes_passed"] == 1:
            return GENERATOR_DOMINATES
        return None

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """See `strains.gap_strain`."""
        return gap_divergence(numbers, min((weight for weight in (self.r1_weight, self.r2_weight) if weight), default=0.0))
