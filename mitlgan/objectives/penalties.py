"""Penalties on the critic's gradient, and when lazy ones are due."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mitlgan.runtime.randomness import draw_uniform

# Added to the squared norm under the root, whose derivative is infinite at 0; a norm near 1 does not change.
_TINY = 1e-12


def penalty_is_due(update: int, every: int) -> bool:
    """Whether a lazy penalty, computed at every k-th critic update and weighted k times, is due at this one.

    Karras et al. 2020 (StyleGAN2, section 3.1 and appendix B) make it an extra optimiser step and correct Adam for it. Here it joins the loss of the
    k-th update, so there is nothing to correct. It is the last of each k, so that statistics written every m-th iteration include it if k divides m.

    Args:
        update: Index of the critic update, from 0.
        every: k, at least 1.
    """
    return (update + 1) % every == 0


def squared_gradient_norms(scores: Tensor, images: Tensor) -> Tensor:
    """Return |grad D(x)|^2 of each image (Mescheder et al. 2018, equation 9, at any images), differentiable again.

    Args:
        scores: (N,), each computed from its own image only.
        images: (N, C, H, W), with gradient.

    Returns:
        (N,).
    """
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)  # (N, C, H, W)
    return gradient.flatten(1).square().sum(1)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Return E[(|grad D(x)| - 1)^2] at random points x between real and fake (Gulrajani et al. 2017, equation 3), in float32 even under autocast.

    Args:
        critic: Images (N, C, H, W) to scores (N,), each score of its own image only.
        real: (N, C, H, W).
        fake: The same shape.
        rng: Draws one interpolation weight per sample, on any device.

    Returns:
        An unweighted scalar. A gradient of zero gives 1, with finite derivatives of any order.

    Raises:
        ValueError: The shapes differ.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real images have shape {tuple(real.shape)}, fake {tuple(fake.shape)}; they must pair up")
    real, fake = real.detach().float(), fake.detach().float()
    share = draw_uniform((len(real), *[1] * (real.ndim - 1)), rng).to(real.device)  # (N, 1, 1, 1)
    mix = torch.lerp(fake, real, share).requires_grad_()  # (N, C, H, W)
    with torch.autocast(real.device.type, enabled=False):
        norm = (squared_gradient_norms(critic(mix), mix) + _TINY).sqrt()  # (N,)
        return (norm - 1).square().mean()
