"""The evolutionary objective: three mutations of the generator, of which the fittest stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mitlgan.objectives.build import OBJECTIVES
from mitlgan.objectives.interface import Statistic, Stats
from mitlgan.objectives.minimax import Minimax
from mitlgan.objectives.score_stats import without_parameter_gradients
from mitlgan.recipe.schema.objectives import EvolutionaryRecipe
from mitlgan.runtime.distributed import mean_over_ranks

MUTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "minimax": lambda score: -functional.softplus(score).mean(),
    "heuristic": lambda score: functional.softplus(-score).mean(),
    "least_squares": lambda score: (score.sigmoid() - 1).square().mean(),
}
"""Losses of the scores of generated images (N,), as logits (Wang et al. 2018, equations 2 to 4)."""


@OBJECTIVES.register(EvolutionaryRecipe)
class Evolutionary(Minimax):
    """E-GAN (Wang et al. 2018) with one parent and three mutations; the critic learns as in the first GAN.

    Args:
        recipe: `diversity_weight`, labels and `critic_steps`.
    """

    statistics: ClassVar[Mapping[str, Statistic]] = {
        **Minimax.statistics,
        **{
            f"mutation_{name}": Statistic(f"Chosen: {name.replace('_', ' ')}", "1 where this mutation was the fittest; its mean is how often.")
            for name in MUTATIONS
        },
        "fitness": Statistic("Fitness of the chosen child", "Quality and weighted diversity."),
        "fitness_quality": Statistic("Fitness of quality", "Mean probability that the critic gives the child's pictures; higher is better."),
        "fitness_diversity": Statistic("Fitness of diversity", "Minus the logarithm of the critic's gradient norm; higher is more spread out."),
    }

    def __init__(self, recipe: EvolutionaryRecipe) -> None:
        super().__init__(recipe)
        self.diversity_weight = recipe.diversity_weight

    def mutations(self, critic: nn.Module) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Return the three losses."""

        def loss_of(score_loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
            def loss(fake: Tensor) -> Tensor:
                with without_parameter_gradients(critic):
                    return score_loss(critic(fake).float())

            return loss

        return {name: loss_of(score_loss) for name, score_loss in MUTATIONS.items()}

    def fitness(self, critic: nn.Module, fake: Tensor, real: Tensor) -> Stats:
        """Return E[D(fake)] - gamma log |grad_D (-E[log D(real)] - E[log(1 - D(fake))])| (equations 6 to 8), over the batches of all ranks."""
        parameters = [parameter for parameter in critic.parameters() if parameter.requires_grad]
        with torch.enable_grad():
            score_fake = critic(fake.detach()).float()
            loss = functional.softplus(-critic(real).float()).mean() + functional.softplus(score_fake).mean()
            gradients = torch.autograd.grad(loss, parameters)
        quality = mean_over_ranks(score_fake.detach().sigmoid().mean())
        whole = mean_over_ranks(torch.cat([gradient.float().flatten() for gradient in gradients]))  # the norm is of the mean, no mean of norms
        norm = torch.stack([part.square().sum() for part in torch.split(whole, [gradient.numel() for gradient in gradients])]).sum().sqrt()
        diversity = -norm.clamp_min(1e-12).log()
        return {"fitness": quality + self.diversity_weight * diversity, "fitness_quality": quality, "fitness_diversity": diversity}
