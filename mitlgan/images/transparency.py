"""Premultiplied pictures for those who look at them: with straight alpha, as PNG has it, and over the squares by which people know transparency."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

MIN_SOLID_ALPHA = 64
"""Alpha from which on 8 bits of premultiplied light say what the colour is; below, its neighbours' colour is as likely, and leaves no halo."""


def unpremultiply(pixels: Tensor) -> Tensor:
    """Premultiplied pixels with straight alpha: colour = light / alpha.

    Where little or nothing is seen of a colour, it is that of what is near: a viewer that interpolates or resizes may mix colours without regard to
    alpha, which would draw a dark or bright halo. Within what rounding allows, so that on any colour the picture is what it was, to 1 of 255.

    Args:
        pixels: uint8 (N, 4, H, W), premultiplied RGB and alpha; colour above its alpha is cut to it. Those of one or three channels stay as they are.

    Returns:
        uint8, of the same shape.
    """
    if pixels.shape[1] != 4:
        return pixels
    alpha = pixels[:, 3:].float()
    light = torch.minimum(pixels[:, :3].float(), alpha)
    scale = 255 / alpha.clamp_min(1)
    clearest = alpha.amax((2, 3), keepdim=True).clamp(1, MIN_SOLID_ALPHA)  # (N, 1, 1, 1)
    solid = alpha >= clearest
    near = _spread(light * scale, alpha * solid)
    allowed = near.clamp((light - 0.5) * scale, (light + 0.5) * scale)
    colours = torch.where(solid, light * scale, torch.where(alpha > 0, allowed, near)).round().clamp(0, 255)
    return torch.cat([colours, alpha], dim=1).to(torch.uint8)


def on_checkerboard(pixels: Tensor) -> Tensor:
    """Premultiplied uint8 (N, 4, H, W) over grey squares, (N, 3, H, W)."""
    height, width = pixels.shape[2:]
    cell = max(2, width // 8)
    squares = (torch.arange(height)[:, None] // cell + torch.arange(width)[None] // cell) % 2
    board = 188 + 24 * squares  # (H, W)
    alpha = pixels[:, 3:].int()
    return (torch.minimum(pixels[:, :3].int(), alpha) + (255 - alpha) * board // 255).to(torch.uint8)


def _spread(colours: Tensor, weights: Tensor) -> Tensor:
    """Colours (N, 3, H, W) where weights (N, 1, H, W) are above 0; elsewhere, means of ever larger squares around.

    Push and pull of the lumigraph (Gortler et al. 1996, section 3.4).
    """
    known = weights > 0
    if known.all() or max(weights.shape[2:]) == 1:
        return torch.where(known, colours, 0)
    total = functional.avg_pool2d(weights, 2, ceil_mode=True)
    mean = functional.avg_pool2d(colours * weights, 2, ceil_mode=True) / torch.where(total > 0, total, 1)
    around = functional.interpolate(_spread(mean, total), size=weights.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(known, colours, around)
