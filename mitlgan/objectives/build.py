"""Objectives by recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.errors import UsageError
from mitlgan.objectives.interface import Objective, Statistic
from mitlgan.recipe.registry import Registry

if TYPE_CHECKING:
    from mitlgan.recipe import AnyObjective

OBJECTIVES: Registry[type[Objective]] = Registry("mitlgan.objectives", "objective.kind")


def build(recipe: AnyObjective) -> Objective:
    """Build the objective of a recipe."""
    return OBJECTIVES[type(recipe)](recipe)


def check_critic(recipe: AnyObjective, critic: nn.Module) -> None:
    """Refuse a critic that contradicts the objective; the critic may be on the meta device.

    Raises:
        UsageError: The critic has BatchNorm and the objective's penalty is per sample.
    """
    if recipe.has_per_sample_penalty and any(isinstance(module, _BatchNorm) for module in critic.modules()):
        raise UsageError(f"critic.kind: BatchNorm mixes samples, but the penalty of {recipe.kind} is per sample; choose a critic without it")


def all_statistics() -> dict[str, Statistic]:
    """Return how reports show the statistics of all objectives, by key."""
    return {key: statistic for objective in OBJECTIVES for key, statistic in objective.statistics.items()}
