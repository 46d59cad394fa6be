"""Scores of real and generated images, their statistics, and how reports show them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mitlgan.networks.critics.options import BatchDeviation
from mitlgan.objectives.interface import Statistic, Stats
from mitlgan.runtime.distributed import gather_rows

SCORE_STATISTICS = {
    "wasserstein": Statistic("Wasserstein estimate", "Mean score of real minus mean score of generated pictures; it falls as they become alike."),
    "score_real": Statistic("Scores of real pictures", "Their level is arbitrary."),
    "score_fake": Statistic("Scores of generated pictures", "Against those of real ones they tell how far apart the two are."),
    "fakes_passed": Statistic("Fakes that pass as real", "Share per batch; 0.5 is a draw, and above it the critic no longer tells them apart."),
}
"""Statistics that every objective logs."""
VERDICT_STATISTICS = {
    "accuracy": Statistic("Accuracy of the critic", "Share of real and generated pictures that it tells right; 0.5 is a draw."),
}
"""Statistics of objectives whose scores have a level that parts real from generated."""


def score_separately(critic: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores (N,) of both batches, each in its own pass so that BatchNorm never mixes them."""
    return critic(real).float(), critic(fake.detach()).float()


def score_together(critic: nn.Module, images: Tensor) -> Tensor:
    """Return the scores (2N,) of real and then as many generated images, as if each batch had its own pass.

    One pass for both gives that, unless a layer would compare images of one batch with those of the other.

    Args:
        critic: Without BatchNorm.
        images: (2N, C, H, W).
    """
    halves = images.chunk(2)
    if any(isinstance(module, BatchDeviation) and module.mixes(len(halves[0])) for module in critic.modules()):
        return torch.cat([critic(half) for half in halves]).float()
    scores: Tensor = critic(images).float()
    return scores


def score_stats(score_real: Tensor, score_fake: Tensor) -> Stats:
    """Return the mean scores and their difference, detached."""
    mean_real, mean_fake = score_real.detach().mean(), score_fake.detach().mean()
    return {"score_real": mean_real, "score_fake": mean_fake, "wasserstein": mean_real - mean_fake}


def fooling_rate(score_real: Tensor, score_fake: Tensor) -> Stats:
    """Return the share of fakes that score above the median real image of all ranks, since Wasserstein scores have no fixed level.

    The median of an even number of scores is midway between the two in the middle; `Tensor.median` takes the lower one, above which a draw has more
    than half of the fakes.
    """
    return {"fakes_passed": (score_fake.detach() > gather_rows(score_real.detach()).quantile(0.5)).float().mean()}


def verdict_stats(score_real: Tensor, score_fake: Tensor, level: float, *, with_accuracy: bool) -> Stats:
    """Return the share of fakes that pass as real, and the critic's accuracy.

    Args:
        score_real: (N,).
        score_fake: (N,).
        level: Score above which a picture counts as real.
        with_accuracy: Whether the accuracy is returned, too.
    """
    fakes_passed = (score_fake.detach() > level).float().mean()
    accuracy = {"accuracy": ((score_real.detach() > level).float().mean() + 1 - fakes_passed) / 2} if with_accuracy else {}
    return {"fakes_passed": fakes_passed, **accuracy}


@contextmanager
def without_parameter_gradients(module: nn.Module) -> Iterator[None]:
    """Let gradients flow through a network without computing those of its parameters, a third of the backward pass's work.

    It acts on the forward pass, so the backward pass may come after this context.
    """
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
