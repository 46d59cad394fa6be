"""Objectives: what critic and generator minimise, and the constraint that comes with it.

The training loop knows none of them apart. It calls, `critic_steps` times, `critic_loss`, steps the critic's optimiser, and calls
`after_critic_step` (weight clipping lives there); then `generator_loss` once. Everything that an objective may need is in these
arguments: real and fake images for relativistic losses, the critic itself for penalties, and its own random numbers for interpolation
and noisy labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.errors import UsageError
from mitlgan.objectives.classic import Lsgan, Minimax, noisy_labels
from mitlgan.objectives.interface import CRITIC_DOMINATES, GENERATOR_DOMINATES, Divergence, Objective, Stats, TrainingFailure
from mitlgan.objectives.penalties import gradient_penalty
from mitlgan.objectives.relativistic import Relativistic
from mitlgan.objectives.wasserstein import WganClip, WganGp

if TYPE_CHECKING:
    from mitlgan.recipe import AnyObjective

__all__ = [
    "CRITIC_DOMINATES",
    "GENERATOR_DOMINATES",
    "Divergence",
    "Lsgan",
    "Minimax",
    "Objective",
    "Relativistic",
    "Stats",
    "TrainingFailure",
    "WganClip",
    "WganGp",
    "build",
    "check_critic",
    "gradient_penalty",
    "noisy_labels",
]

OBJECTIVES: dict[str, Callable[[Any], Objective]] = {
    "wgan_gp": WganGp,
    "wgan_clip": WganClip,
    "minimax": Minimax,
    "lsgan": Lsgan,
    "relativistic": Relativistic,
}


def build(recipe: AnyObjective) -> Objective:
    """Build the objective of a recipe.

    Raises:
        UsageError: There is none of that kind.
    """
    if recipe.kind not in OBJECTIVES:
        raise UsageError(f"objective.kind: there is no {recipe.kind!r}; choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[recipe.kind](recipe)


def check_critic(recipe: AnyObjective, critic: nn.Module) -> None:
    """Refuse a critic that contradicts the objective; one built on the meta device will do, so that nothing need be allocated.

    Raises:
        UsageError: The critic has BatchNorm and the objective's penalty is per sample.
    """
    if build(recipe).refuses_batchnorm and any(isinstance(module, _BatchNorm) for module in critic.modules()):
        raise UsageError(f"critic.kind: BatchNorm mixes samples, but the penalty of {recipe.kind} is per sample; choose a critic without it")
