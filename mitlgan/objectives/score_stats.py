"""What all objectives do with scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from mitlgan.objectives.interface import Stats


def score_separately(critic: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (N,) of both, each batch by itself, so that BatchNorm never sees them mixed."""
    return critic(real).float(), critic(fake.detach()).float()


def score_stats(score_real: Tensor, score_fake: Tensor) -> Stats:
    """Mean scores and their difference, detached."""
    mean_real, mean_fake = score_real.detach().mean(), score_fake.detach().mean()
    return {"score_real": mean_real, "score_fake": mean_fake, "wasserstein": mean_real - mean_fake}


def fooling_rate(score_real: Tensor, score_fake: Tensor) -> Stats:
    """Share of fakes that score above the median real image: Wasserstein scores have no level of their own."""
    return {"fakes_passed": (score_fake.detach() > score_real.detach().median()).float().mean()}


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
