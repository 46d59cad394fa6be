"""What the training loop, the comparison and the report ask of an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

Stats = dict[str, Tensor]


class Statistic(NamedTuple):
    """How a report shows a logged statistic: its title, and one sentence on how to read it."""

    title: str
    hint: str


@dataclass(frozen=True)
class TrainingFailure:
    """A failure that the statistics of one iteration point to.

    Attributes:
        text: The failure in words.
        collapsed: Whether the generator collapsed.
    """

    text: str
    collapsed: bool = False


@dataclass(frozen=True)
class Divergence:
    """How far the statistics of one iteration exceed the range of a healthy training.

    Attributes:
        ratio: Largest value over its limit. Single iterations of a healthy training may exceed 1; infinite where a statistic is.
        text: The worst statistic in words.
    """

    ratio: float
    text: str


CRITIC_DOMINATES = TrainingFailure("the critic tells real from generated without an error, so the generator learns nothing")
GENERATOR_DOMINATES = TrainingFailure("the critic takes every generated image for real while its own loss explodes", collapsed=True)


class Objective(ABC):
    """Losses of critic and generator, and the constraint on the critic.

    The training loop goes through `critic_losses`, with a step of the critic's optimiser for each, and calls `after_critic_step`, `critic_steps` times;
    then it calls `generator_loss` once. All that an objective may need is in the arguments.

    Attributes:
        statistics: How reports show the statistics that the losses log, by key.
        critic_steps: Critic updates for one generator update.
        penalty_every: Interval of critic updates after which their work repeats: that of a lazy penalty, or 1.
    """

    statistics: ClassVar[Mapping[str, Statistic]]

    def __init__(self, recipe: Any) -> None:
        self.critic_steps: int = recipe.critic_steps
        self.penalty_every: int = 1

    @abstractmethod
    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> tuple[Tensor, Stats]:
        """Return the critic's loss and statistics.

        Args:
            critic: Maps images (N, C, H, W) to scores (N,).
            real: (N, C, H, W) in [-1, 1].
            fake: Same shape; no gradient flows into it.
            rng: Source of every random number that the loss draws.
            update: Index of this critic update in the run, from 0. It alone decides whether a lazy penalty is due, so a resume needs no other state.

        Returns:
            A scalar to minimise, and detached scalars to log: `score_real`, `score_fake`, `wasserstein` (their difference), `penalty` (unweighted)
            where the objective has them, and others. Statistics of a lazy penalty are absent where it was not due.
        """

    def critic_losses(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator, update: int = 0) -> Iterator[tuple[Tensor, Stats]]:
        """Yield a loss and statistics for each step of the critic's optimiser in one update, by default `critic_loss` alone.

        The step is made before the next loss is asked for, so that the next is computed with the new weights.

        Args:
            critic: As of `critic_loss`, like the others.
            real: Real images.
            fake: Generated images.
            rng: Source of random numbers.
            update: Index of this update.
        """
        yield self.critic_loss(critic, real, fake, rng, update)

    @abstractmethod
    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """Return the generator's loss and statistics.

        Args:
            critic: Its parameters get no gradient.
            fake: (N, C, H, W) with gradient.
            real: (N, C, H, W) in [-1, 1]; only relativistic losses use it.

        Returns:
            A scalar to minimise, and detached scalars to log.
        """

    def mutations(self, critic: nn.Module) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Return losses of generated images (N, C, H, W), by name, each of which makes one child of the generator; by default there are none.

        Where there are some, the loop makes an update by each from the same generator, and keeps the child of the greatest `fitness`.

        Args:
            critic: Its parameters get no gradient.
        """
        return {}

    def fitness(self, critic: nn.Module, fake: Tensor, real: Tensor) -> Stats:
        """Return how good a child of the generator is by the batches of all ranks, as `fitness`, and the parts of it; every rank must call this.

        Args:
            critic: Judges it.
            fake: Images of the child, (N, C, H, W).
            real: As many real images.
        """
        raise NotImplementedError

    def after_critic_step(self, critic: nn.Module) -> None:  # noqa: B027
        """Restore the constraint on the critic after each step of its optimiser; by default there is nothing to do."""

    def diagnose(self, numbers: Mapping[str, float]) -> TrainingFailure | None:
        """Return the failure that one iteration's statistics point to; the monitor acts only if it persists.

        Args:
            numbers: All statistics of the iteration, both losses included.
        """
        return None

    @abstractmethod
    def divergence(self, numbers: Mapping[str, float], diameter: float) -> Divergence:
        """Return how far losses and scores exceed the objective's own scale; the monitor acts only if it persists.

        Args:
            numbers: All statistics of the iteration, both losses included.
            diameter: Largest distance of two images, 2 sqrt(C H W): the largest score difference of a critic of slope 1.
        """
