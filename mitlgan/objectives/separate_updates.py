"""One update of the critic on real images, then one on generated images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from mitlgan.objectives.interface import Stats


def separate_losses(
    critic: nn.Module,
    real: Tensor,
    fake: Tensor,
    real_loss: Callable[[Tensor], Tensor],
    fake_loss: Callable[[Tensor], Tensor],
    stats: Callable[[Tensor, Tensor], Stats],
) -> Iterator[tuple[Tensor, Stats]]:
    """Yield the loss of real images, and after the critic has learned from it that of generated images, with the statistics of both.

    Args:
        critic: Maps images (N, C, H, W) to scores (N,).
        real: (N, C, H, W) in [-1, 1].
        fake: Same shape.
        real_loss: Scores of real images to a loss.
        fake_loss: Scores of generated images to a loss.
        stats: Both scores to statistics; those of real images are from before the first update.
    """
    score_real = critic(real).float()
    yield real_loss(score_real), {}
    score_fake = critic(fake.detach()).float()
    yield fake_loss(score_fake), stats(score_real.detach(), score_fake.detach())
