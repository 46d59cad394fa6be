"""Objectives: what critic and generator minimise, and the constraint that comes with it.

The training loop knows none of them apart. It calls, `critic_steps` times, `critic_loss`, steps the critic's optimiser, and calls
`after_critic_step` (weight clipping lives there); then `generator_loss` once. Everything that an objective may need is in these
arguments: real and fake images for relativistic losses, the critic itself for penalties, and its own random numbers for interpolation
and noisy labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.errors import UsageError

if TYPE_CHECKING:
    from mitlgan.recipe import ObjectiveRecipe

Stats = dict[str, Tensor]

# Added under the root of the gradient's squared norm: without it, a gradient of zero has an infinite slope. A norm near 1 does not feel it.
_TINY = 1e-12


class Objective(Protocol):
    """Both losses and their constraint.

    Attributes:
        critic_steps: Critic updates for one generator update.
        refuses_batchnorm: Whether the critic may not have BatchNorm.
    """

    critic_steps: int
    refuses_batchnorm: bool

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> tuple[Tensor, Stats]:
        """Give the critic's loss.

        Args:
            critic: Images (N, C, H, W) to scores (N,).
            real: (N, C, H, W) in [-1, 1].
            fake: The same shape; no gradient flows into it.
            rng: Source of every random number that the loss itself draws.

        Returns:
            A scalar to descend, and detached scalars to log: `score_real`, `score_fake`, `wasserstein` (their difference) and
            `penalty` (unweighted).
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


class WganGp:
    """Wasserstein loss with gradient penalty (Gulrajani et al. 2017, equation 3), the objective of the thesis.

    Args:
        recipe: `penalty_weight` (lambda) and `critic_steps`.
    """

    refuses_batchnorm = True  # the penalty is per sample

    def __init__(self, recipe: ObjectiveRecipe) -> None:
        self.penalty_weight = recipe.penalty_weight
        self.critic_steps = recipe.critic_steps

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> tuple[Tensor, Stats]:
        """E[D(fake)] - E[D(real)] + lambda E[(|grad D(mix)| - 1)^2]; see `Objective`."""
        fake = fake.detach()
        # One forward for both: without BatchNorm the scores are those of two, and the second launch is saved.
        score_real, score_fake = critic(torch.cat([real, fake])).float().chunk(2)
        wasserstein = score_real.mean() - score_fake.mean()
        penalty = gradient_penalty(critic, real, fake, rng)
        stats = {"score_real": score_real.mean(), "score_fake": score_fake.mean(), "wasserstein": wasserstein, "penalty": penalty}
        return self.penalty_weight * penalty - wasserstein, {name: value.detach() for name, value in stats.items()}

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """-E[D(fake)]; see `Objective`."""
        with without_parameter_gradients(critic):
            return -critic(fake).float().mean(), {}

    def after_critic_step(self, critic: nn.Module) -> None:
        """Nothing: the penalty is the constraint."""


OBJECTIVES: dict[str, Callable[[ObjectiveRecipe], Objective]] = {"wgan_gp": WganGp}


def build(recipe: ObjectiveRecipe) -> Objective:
    """Build the objective of a recipe.

    Raises:
        UsageError: There is none of that kind.
    """
    if recipe.kind not in OBJECTIVES:
        raise UsageError(f"objective.kind: there is no {recipe.kind!r}; choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[recipe.kind](recipe)


def check_critic(recipe: ObjectiveRecipe, critic: nn.Module) -> None:
    """Refuse a critic that contradicts the objective; one built on the meta device will do, so that nothing need be allocated.

    Raises:
        UsageError: The critic has BatchNorm and the objective's penalty is per sample.
    """
    if build(recipe).refuses_batchnorm and any(isinstance(module, _BatchNorm) for module in critic.modules()):
        raise UsageError(
            f"critic.kind: BatchNorm mixes samples, but the penalty of {recipe.kind} is per sample; choose a critic without it"
        )


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """E[(|grad D(x)| - 1)^2] at random points x between real and fake (Gulrajani et al. 2017, equation 3), in float32 even under autocast.

    Args:
        critic: Images (N, C, H, W) to scores (N,), each score of its own image only.
        real: (N, C, H, W).
        fake: The same shape.
        rng: Draws the place between the two, one per sample; on whatever device.

    Returns:
        A scalar without weight. A gradient of zero gives 1, with finite derivatives of any order.

    Raises:
        ValueError: The shapes differ.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real images have shape {tuple(real.shape)}, fake {tuple(fake.shape)}; they must pair up")
    real, fake = real.detach().float(), fake.detach().float()
    share = torch.rand(len(real), *[1] * (real.ndim - 1), generator=rng, device=rng.device).to(real.device)  # (N, 1, 1, 1)
    mix = torch.lerp(fake, real, share).requires_grad_()  # (N, C, H, W)
    with torch.autocast(real.device.type, enabled=False):
        (slope,) = torch.autograd.grad(critic(mix).sum(), mix, create_graph=True)  # each score depends on its own sample only
        norm = (slope.flatten(1).square().sum(1) + _TINY).sqrt()  # (N,)
        return (norm - 1).square().mean()


@contextmanager
def without_parameter_gradients(module: nn.Module) -> Iterator[None]:
    """Let gradients pass through a network without being computed for its parameters: a third of the work of its backward.

    What counts is the moment of the forward, so the backward may come after this context.
    """
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
