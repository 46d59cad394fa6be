"""Premultiplied alpha: split, composite, cut to what alpha allows, and turned into the straight alpha of PNG."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

MIN_SOLID_ALPHA = 64
"""Alpha from which on 8 bits of premultiplied light say what the colour is; below, its neighbours' colour is as likely, and leaves no halo."""


class PremultipliedLayer(NamedTuple):
    """A layer and its opacity.

    Attributes:
        color: (N, 3, H, W) in [0, 1], premultiplied: nowhere above `alpha`.
        alpha: (N, 1, H, W) in [0, 1].
    """

    color: Tensor
    alpha: Tensor


def expand_per_image(values: Tensor) -> Tensor:
    """Return one value per image (N,) as (N, 1, 1, 1), which broadcasts over images."""
    return values[:, None, None, None]


def clip_to_alpha(image: Tensor) -> Tensor:
    """Cut the color of a premultiplied image (N, 4, H, W) to its alpha; other channel counts stay as they are."""
    if image.shape[1] != 4:
        return image
    return torch.cat([torch.minimum(image[:, :3], image[:, 3:]), image[:, 3:]], dim=1)


def within_alpha(image: Tensor) -> Tensor:
    """Cut images (N, C, H, W) to [-1, 1], and four channels, which are premultiplied, to their alpha as well: what can be seen of them."""
    return clip_to_alpha(image.clamp(-1, 1))


def split_premultiplied(image: Tensor) -> PremultipliedLayer:
    """Return color and alpha of a layer that has its own matte.

    Args:
        image: (N, 4, H, W) in [-1, 1], premultiplied RGB and alpha; color above alpha, which a generator may give, is cut to it.
    """
    shares = (image + 1) / 2
    alpha = shares[:, 3:].clamp(0, 1)
    return PremultipliedLayer(torch.minimum(shares[:, :3].clamp_min(0), alpha), alpha)


def join_premultiplied(layer: PremultipliedLayer) -> Tensor:
    """Return a layer as one image (N, 4, H, W) in [-1, 1]."""
    return torch.cat([layer.color, layer.alpha], dim=1) * 2 - 1


def to_opaque_rgb(image: Tensor) -> Tensor:
    """Return a layer as RGB (N, 3, H, W) in [-1, 1]: alpha is laid on white, gray is repeated."""
    if image.shape[1] == 1:
        return image.expand(-1, 3, -1, -1)
    if image.shape[1] == 3:
        return image
    color, alpha = split_premultiplied(image)
    return 2 * (color + 1 - alpha) - 1


def over(front: PremultipliedLayer, back: Tensor) -> Tensor:
    """Composite a layer over an image: f + (1 - m) b (Porter & Duff 1984, section 4.1).

    Args:
        front: The layer.
        back: (N, 3, H, W) in [-1, 1].

    Returns:
        (N, 3, H, W) in [-1, 1].
    """
    return 2 * (front.color + (1 - front.alpha) * (back + 1) / 2) - 1


def scale_opacity(layer: PremultipliedLayer, strength: Tensor) -> PremultipliedLayer:
    """Multiply a layer's opacity by one factor per image (N,) in [0, 1]."""
    return PremultipliedLayer(layer.color * expand_per_image(strength), layer.alpha * expand_per_image(strength))


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
    light = clip_to_alpha(pixels)[:, :3].float()
    scale = 255 / alpha.clamp_min(1)
    clearest = alpha.amax((2, 3), keepdim=True).clamp(1, MIN_SOLID_ALPHA)  # (N, 1, 1, 1)
    solid = alpha >= clearest
    near = _spread(light * scale, alpha * solid)
    allowed = near.clamp((light - 0.5) * scale, (light + 0.5) * scale)
    colours = torch.where(solid, light * scale, torch.where(alpha > 0, allowed, near)).round().clamp(0, 255)
    return torch.cat([colours, alpha], dim=1).to(torch.uint8)


def lay_on_white(pixels: Tensor) -> Tensor:
    """Composite uint8 (C, H, W) with straight alpha on white, (3, H, W); pixels without alpha stay as they are."""
    if len(pixels) != 4:
        return pixels
    alpha = pixels[3:].float() / 255
    return (pixels[:3].float() * alpha + 255 * (1 - alpha)).round().to(torch.uint8)


def on_checkerboard(pixels: Tensor) -> Tensor:
    """Premultiplied uint8 (N, 4, H, W) over grey squares, (N, 3, H, W)."""
    height, width = pixels.shape[2:]
    cell = max(2, width // 8)
    squares = (torch.arange(height)[:, None] // cell + torch.arange(width)[None] // cell) % 2
    board = 188 + 24 * squares  # (H, W)
    alpha = pixels[:, 3:].int()
    return (clip_to_alpha(pixels)[:, :3].int() + (255 - alpha) * board // 255).to(torch.uint8)


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
