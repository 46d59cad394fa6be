"""Layers resized to the composition's size."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from mitlgan.images.alpha import within_alpha

ANTIALIASED_METHODS = ("bilinear", "bicubic")
TORCH_MODES = {"bilinear": "bilinear", "bicubic": "bicubic", "area": "area", "nearest": "nearest-exact"}


def resize_image(image: Tensor, size_px: int, method: str) -> Tensor:
    """Resize images, with antialiasing except for `nearest`.

    All channels of RGBA are resampled the same way: it is premultiplied, so transparent pixels add no color.

    Args:
        image: (N, C, H, W) in [-1, 1]; four channels are premultiplied RGB and alpha; color above alpha is cut to it.
        size_px: New height and width; images of that size stay as they are.
        method: Key of `TORCH_MODES`.

    Returns:
        (N, C, size_px, size_px) in [-1, 1], no color above alpha.
    """
    if image.shape[-1] == size_px:
        return image
    options = {"align_corners": False, "antialias": True} if method in ANTIALIASED_METHODS else {}
    resized = functional.interpolate(within_alpha(image.float()), size=(size_px, size_px), mode=TORCH_MODES[method], **options)
    return within_alpha(resized).to(image.dtype)  # bicubic overshoots
