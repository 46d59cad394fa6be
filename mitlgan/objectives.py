"""Objectives: what critic and generator minimise, and the constraint that comes with it.

The training loop knows none of them apart. It calls, `critic_steps` times, `critic_loss`, steps the critic's optimiser, and calls
`after_critic_step` (weight clipping lives there); then `generator_loss` once. Everything that an objective may need is in these
arguments: real and fake images for relativistic losses, the critic itself for penalties, and its own random numbers for interpolation
and noisy labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from mitlgan.errors import UsageError

if TYPE_CHECKING:
    from mitlgan.recipe import AnyObjective, LsganRecipe, MinimaxRecipe, ObjectiveRecipe, WganClipRecipe

Stats = dict[str, Tensor]


@dataclass(frozen=True)
class Symptom:
    """What the numbers of one iteration say is wrong.

    Attributes:
        text: In words.
        collapsed: Whether it is the generator's collapse.
    """

    text: str
    collapsed: bool = False


CRITIC_WON = Symptom("the critic tells real from generated without an error, so the generator learns nothing")
GENERATOR_WON = Symptom("the critic takes every generated image for real while its own loss explodes", collapsed=True)

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
            `penalty` (unweighted), as far as the objective has them, and whatever else it wants to be seen.
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

    def symptom(self, numbers: Mapping[str, float]) -> Symptom | None:
        """Say what one iteration's statistics show to be wrong; only what stays for many is believed.

        Args:
            numbers: All statistics of the iteration, both losses among them.
        """
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
        return self.penalty_weight * penalty - wasserstein, {
            **_stats(score_real, score_fake),
            **_passed(score_real, score_fake),
            "penalty": penalty.detach(),
        }

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """-E[D(fake)]; see `Objective`."""
        with without_parameter_gradients(critic):
            return -critic(fake).float().mean(), {}

    def after_critic_step(self, critic: nn.Module) -> None:
        """Nothing: the penalty is the constraint."""

    def symptom(self, numbers: Mapping[str, float]) -> Symptom | None:
        """None is known of a Wasserstein estimate's level."""
        return None


class WganClip:
    """Wasserstein loss with weight clipping (Arjovsky et al. 2017, algorithm 1).

    The labels are signs: a score is descended times +1 for generated, -1 for real images.

    Args:
        recipe: `clip` and `critic_steps`.
    """

    refuses_batchnorm = False

    def __init__(self, recipe: WganClipRecipe) -> None:
        self.clip = recipe.clip
        self.critic_steps = recipe.critic_steps

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> tuple[Tensor, Stats]:
        """E[D(fake)] - E[D(real)], real and fake in batches of their own; see `Objective`."""
        score_real, score_fake = _scores(critic, real, fake)
        wasserstein = score_real.mean() - score_fake.mean()
        return -wasserstein, {**_stats(score_real, score_fake), **_passed(score_real, score_fake)}

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """-E[D(fake)]; see `Objective`."""
        with without_parameter_gradients(critic):
            return -critic(fake).float().mean(), {}

    @torch.no_grad()
    def after_critic_step(self, critic: nn.Module) -> None:
        """Clip every weight, those of BatchNorm too, as the authors' code does."""
        for parameter in critic.parameters():
            parameter.clamp_(-self.clip, self.clip)

    def symptom(self, numbers: Mapping[str, float]) -> Symptom | None:
        """None is known of a Wasserstein estimate's level."""
        return None


class Minimax:
    """The first GAN's loss (Goodfellow et al. 2014, equation 1), non-saturating for the generator, on logits.

    Args:
        recipe: Labels and `critic_steps`.
    """

    refuses_batchnorm = False

    def __init__(self, recipe: MinimaxRecipe) -> None:
        self.recipe = recipe
        self.critic_steps = recipe.critic_steps

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> tuple[Tensor, Stats]:
        """BCE(real, 1) + BCE(fake, 0), in batches of their own; see `Objective`. Probabilities are D(x) and D(G(z))."""
        score_real, score_fake = _scores(critic, real, fake)
        label_real, label_fake = labels(self.recipe, score_real, rng)
        loss = functional.binary_cross_entropy_with_logits(score_real, label_real)
        loss = loss + functional.binary_cross_entropy_with_logits(score_fake, label_fake)
        probabilities = {"probability_real": score_real.detach().sigmoid().mean(), "probability_fake": score_fake.detach().sigmoid().mean()}
        return loss, {**_stats(score_real, score_fake), **probabilities, "fakes_passed": (score_fake.detach() > 0).float().mean()}

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """BCE(fake, 1): -E[log D(G(z))]; see `Objective`."""
        with without_parameter_gradients(critic):
            return functional.softplus(-critic(fake).float()).mean(), {}

    def after_critic_step(self, critic: nn.Module) -> None:
        """Nothing constrains the critic."""

    def symptom(self, numbers: Mapping[str, float]) -> Symptom | None:
        """Either side's flat victory: both losses then stay where no gradient comes from."""
        if numbers["probability_real"] > 0.99 and numbers["probability_fake"] < 0.01:
            return CRITIC_WON
        if numbers["generator_loss"] < 0.01 and numbers["critic_loss"] > 4.0:
            return GENERATOR_WON
        return None


class Lsgan:
    """Least squares (Mao et al. 2017, equation 9, with a = 0, b = c = 1).

    Args:
        recipe: Labels and `critic_steps`.
    """

    refuses_batchnorm = False

    def __init__(self, recipe: LsganRecipe) -> None:
        self.recipe = recipe
        self.critic_steps = recipe.critic_steps

    def critic_loss(self, critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> tuple[Tensor, Stats]:
        """E[(D(real) - 1)^2] / 2 + E[D(fake)^2] / 2, in batches of their own; see `Objective`."""
        score_real, score_fake = _scores(critic, real, fake)
        label_real, label_fake = labels(self.recipe, score_real, rng)
        loss = ((score_real - label_real).square().mean() + (score_fake - label_fake).square().mean()) / 2
        return loss, {**_stats(score_real, score_fake), "fakes_passed": (score_fake.detach() > 0.5).float().mean()}

    def generator_loss(self, critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Stats]:
        """E[(D(fake) - 1)^2] / 2; see `Objective`."""
        with without_parameter_gradients(critic):
            return (critic(fake).float() - 1).square().mean() / 2, {}

    def after_critic_step(self, critic: nn.Module) -> None:
        """Nothing constrains the critic."""

    def symptom(self, numbers: Mapping[str, float]) -> Symptom | None:
        """Either side's flat victory: 0.5 is the generator's loss where the critic gives every fake its label."""
        if numbers["critic_loss"] < 0.01 and numbers["generator_loss"] > 0.4:
            return CRITIC_WON
        if numbers["generator_loss"] < 0.01 and numbers["critic_loss"] > 0.4:
            return GENERATOR_WON
        return None


def labels(recipe: MinimaxRecipe | LsganRecipe, like: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Labels of a batch of real and of one of generated images.

    Args:
        recipe: `label_smoothing` (one-sided: 1 becomes 1 - it), `label_noise` (uniform, +-), `label_flips` (share swapped by chance).
        like: (N,) gives number, type and device.
        rng: Draws noise and flips; untouched where there are none.

    Returns:
        Two tensors (N,), in [0, 1].
    """
    real, fake = torch.full_like(like, 1.0 - recipe.label_smoothing), torch.zeros_like(like)
    if recipe.label_noise:
        noise = (torch.rand(2, len(like), generator=rng, device=rng.device).to(like.device) * 2 - 1) * recipe.label_noise
        real, fake = (real + noise[0]).clamp(0, 1), (fake + noise[1]).clamp(0, 1)
    if recipe.label_flips:
        flips = (torch.rand(2, len(like), generator=rng, device=rng.device) < recipe.label_flips).to(like.device)
        real, fake = torch.where(flips[0], fake, real), torch.where(flips[1], real, fake)
    return real, fake


def _scores(critic: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (N,) of both, each batch by itself, so that BatchNorm never sees them mixed."""
    return critic(real).float(), critic(fake.detach()).float()


def _stats(score_real: Tensor, score_fake: Tensor) -> Stats:
    mean_real, mean_fake = score_real.detach().mean(), score_fake.detach().mean()
    return {"score_real": mean_real, "score_fake": mean_fake, "wasserstein": mean_real - mean_fake}


def _passed(score_real: Tensor, score_fake: Tensor) -> Stats:
    """Share of fakes that score above the median real image: Wasserstein scores have no level of their own."""
    return {"fakes_passed": (score_fake.detach() > score_real.detach().median()).float().mean()}


OBJECTIVES: dict[str, Callable[[Any], Objective]] = {"wgan_gp": WganGp, "wgan_clip": WganClip, "minimax": Minimax, "lsgan": Lsgan}


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
