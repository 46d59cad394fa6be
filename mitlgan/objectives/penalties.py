"""Penalties on the critic's slope, and when they are due."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Added under the root of the gradient's squared norm: without it, a gradient of zero has an infinite slope. A norm near 1 does not feel it.
_TINY = 1e-12


def penalty_is_due(update: int, every: int) -> bool:
    """Whether a penalty that is computed at every k-th critic update only, and weighted k times, falls on this one.

    Karras et al. 2020 (StyleGAN2, section 3.1 and appendix B) make it an optimiser step of its own, and slow Adam by k / (k + 1) for the steps more.
    Here it joins the loss of the k-th update, so there are no more steps than before, and nothing to correct.

    It is the last of each k, so that statistics that are written every m-th iteration meet it where k divides m.

    Args:
        update: The critic's update, from 0.
        every: k, at least 1.
    """
    return (update + 1) % every == 0


def squared_gradient_norms(scores: Tensor, images: Tensor) -> Tensor:
    """|grad D(x)|^2 of each image (Mescheder et al. 2018, equation 9, at whichever images are given), differentiable once more.

    Args:
        scores: (N,), computed from `images`, each from its own image only.
        images: (N, C, H, W), with gradient.

    Returns:
        (N,), of the images' type.
    """
    (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)  # (N, C, H, W)
    return slope.flatten(1).square().sum(1)


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
        norm = (squared_gradient_norms(critic(mix), mix) + _TINY).sqrt()  # (N,)
        return (norm - 1).square().mean()
