"""The end that corrects the fused image rather than painting it anew."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from mitlgan.images.alpha import expand_per_image


class BoundedResidual(nn.Module):
    """The image and a bounded change of it: clamp(image + scale * change) to [-1, 1].

    Args:
        stages: Image to change, both (N, C, H, W), the change in [-1, 1]; where it begins at zero, the output begins at the image itself.
        scale: How far a value may be moved.
    """

    def __init__(self, stages: nn.Module, scale: float) -> None:
        super().__init__()
        self.stages = stages
        self.scale = scale

    def forward(self, image: Tensor, share: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to (N, C, H, W) in [-1, 1]; shares (N,) in [0, 1] make that part of the change only."""
        change = self.residual(image)
        return cast(Tensor, _Clamp.apply(image + (change if share is None else expand_per_image(share) * change)))

    def residual(self, image: Tensor) -> Tensor:
        """What is added to images (N, C, H, W) before they are cut, of the same shape."""
        return cast(Tensor, self.scale * self.stages(image))


class _Clamp(torch.autograd.Function):
    """Clamp to [-1, 1] that lets those gradients through which lead back inside.

    That of `torch.clamp` is zero beyond the border, so a value that a step has pushed out, such as black made blacker, would never be told to come
    back. Zero is right only where descent would push it farther out: there it changes no pixel, and lets weights grow for nothing.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp(-1.0, 1.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        outward = ((values > 1.0) & (gradient < 0.0)) | ((values < -1.0) & (gradient > 0.0))  # descent goes against the gradient
        return gradient.masked_fill(outward, 0.0)
