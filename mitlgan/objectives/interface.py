"""What the training loop asks of an objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

Stats = dict[str, Tensor]


@dataclass(frozen=True)
class TrainingFailure:
    """What the numbers of one iteration say is wrong.

    Attributes:
        text: In words.
        collapsed: Whether it is the generator's collapse.
    """

    text: str
    collapsed: bool = False


@dataclass(frozen=True)
class Divergence:
    """How far the numbers of one iteration lie beyond what they reach in a training that is in order.

    Attributes:
        times: As a multiple: below 1 all is well, and single iterations of a sound training may pass it; infinite where a number is.
        text: In words.
    """

    ratio: float
    text: str


CRITIC_DOMINATES = TrainingFailure("the critic tells real from generated without an error, so the generator learns nothing")
GENERATOR_DOMINATES = TrainingFailure("the critic takes every generated image for real while its own loss explodes", collapsed=True)


class Objective(Protocol):
    """Both losses and their constraint.

    Attributes:
        critic_steps: Critic updates for one generator update.
        refuses_batchnorm: Whether the critic may not have BatchNorm.
    """

    critic_steps: int
    refuses_batchnorm: bool

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """Give the critic's loss.

        Args:
            critic: Images (N, C, H, W) to scores (N,).
            real: (N, C, H, W) in [-1, 1].
            fake: The same shape; no gradient flows into it.
            rng: Source of every random number that the loss itself draws.
            update: Number of this critic update in the run, from 0; a lazy penalty falls due by it alone, so that a resume needs no more.

        Returns:
            A scalar to descend, and detached scalars to log: `score_real`, `score_fake`, `wasserstein` (their difference) and
            `penalty` (unweighted), as far as the objective has them, and whatever else it wants to be seen. A lazy penalty's are
            absent where it was not due.
        """
        ...

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """Give the generator's loss.

        Args:
            critic: Its parameters get no gradient.
            fake: (N, C, H, W) with gradient.
            real: (N, C, H, W) in [-1, 1]; only relativistic losses look at it.

        Returns:
            A scalar to descend, and detached scalars to log.
        """
        ...

    def after_critic_step(self, critic: nn.Module) -> None:
        """Restore the constraint on the critic, after each step of its optimiser."""
        ...

    def diagnose(self, numbers: Mapping[str, float]) -> TrainingFailure | None:
        """Say what one iteration's statistics show to be wrong; only what stays for many is believed.

        Args:
            numbers: All statistics of the iteration, both losses among them.
        """
        ...

    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """Say how far losses and scores have left the scale that the objective has by itself; only what stays is believed.

        Args:
            numbers: All statistics of the iteration, both losses among them.
            diameter: The largest distance of two images, 2 sqrt(C H W): what a critic of slope 1 can tell them apart by.
        """
        ...
