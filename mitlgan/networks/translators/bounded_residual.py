"""The bounded correction of the fused image."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from mitlgan.images.alpha import expand_per_image


class BoundedResidual(nn.Module):
    """The image and a bounded change of it: clamp(image + scale * change) to [-1, 1].

    Args:
        stages: Image to change, both (N, C, H, W), the change in [-1, 1]; if it starts at zero, so does the correction.
        scale: Largest change of a value.
    """

    def __init__(self, stages: nn.Module, scale: float) -> None:
        super().__init__()
        self.stages = stages
        self.scale = scale

    def forward(self, image: Tensor, share: Tensor | None = None) -> Tensor:
        """Return corrected images (N, C, H, W) in [-1, 1]; shares (N,) in [0, 1] apply only part of the correction."""
        correction = self.residual(image)
        return clamp_image(image + (correction if share is None else expand_per_image(share) * correction))

    def residual(self, image: Tensor) -> Tensor:
        """Return the correction of images (N, C, H, W) before clamping, of the same shape."""
        return cast(Tensor, self.scale * self.stages(image))


def clamp_image(image: Tensor) -> Tensor:
    """Clamp images to [-1, 1], with the gradients that lead back inside."""
    return cast(Tensor, _Clamp.apply(image))


class _Clamp(torch.autograd.Function):
    """Clamp to [-1, 1] that passes the gradients that lead back inside.

    The gradient of `torch.clamp` is zero outside, so a value pushed out by one step would never come back. It is zero here only where descent would
    push the value farther out.
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
