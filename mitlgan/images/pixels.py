"""Converts pixels: uint8 and floats, color and grey, premultiplied alpha on a plain color."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def composite_on(premultiplied: NDArray[np.uint8], backdrop: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Composite objects on a plain color: P + (255 - A) * c / 255.

    Args:
        premultiplied: (N, 4, H, W) uint8, no color above its alpha.
        backdrop: Red, green, blue, each 0 to 255.

    Returns:
        (N, 3, H, W) uint8.
    """
    transparency = 255 - premultiplied[:, 3]  # (N, H, W)
    result = np.empty((len(premultiplied), 3, *premultiplied.shape[2:]), dtype=np.uint8)
    for channel, value in enumerate(backdrop):
        backdrop_light = transparency
        if value != 255:  # rounded; at most 255 - A, so the sum never wraps
            backdrop_light = np.take(((np.arange(256) * value + 127) // 255).astype(np.uint8), transparency)
        np.add(premultiplied[:, channel], backdrop_light, out=result[:, channel])
    return result


def to_grayscale(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the brightness of RGB pixels, (N, 3, H, W) uint8, by ITU-R 601's weights, rounded: (N, 1, H, W)."""
    weighted: NDArray[np.uint32] = np.einsum("nchw,c->nhw", colors.astype(np.uint32), np.array([299, 587, 114], dtype=np.uint32))
    grey: NDArray[np.uint8] = ((weighted + 500) // 1000).astype(np.uint8)[:, None]
    return grey


def to_float(pixels: torch.Tensor) -> torch.Tensor:
    """Convert uint8 pixels to float32 in [-1, 1], same shape."""
    return pixels.float().mul_(2 / 255).sub_(1)


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Convert floats in [-1, 1] to uint8 pixels, rounded and clamped, same shape."""
    return images.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).byte()
