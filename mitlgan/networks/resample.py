"""Layers of other sizes than the composition's."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from mitlgan.images.alpha import clip_to_alpha

ANTIALIASED_METHODS = ("bilinear", "bicubic")
TORCH_MODES = {"bilinear": "bilinear", "bicubic": "bicubic", "area": "area", "nearest": "nearest-exact"}


def resize_image(image: Tensor, size_px: int, method: str) -> Tensor:
    """A layer at another size.

    Reducing is antialiased, but for `nearest`, which takes pixels as they are. RGBA is premultiplied, so its channels are resampled alike and no
    colour comes out of what is transparent.

    Args:
        image: (N, C, H, W) in [-1, 1]; four channels are premultiplied RGB and alpha, where a generator's colour above its alpha is cut to it.
        size_px: Height and width wanted; a layer that has them stays as it is.
        method: Key of `MODES`.

    Returns:
        (N, C, size_px, size_px) in [-1, 1], no colour above its alpha.
    """
    if image.shape[-1] == size_px:
        return image
    options = {"align_corners": False, "antialias": True} if method in ANTIALIASED_METHODS else {}
    made = functional.interpolate(_within(image.float()), size=(size_px, size_px), mode=TORCH_MODES[method], **options)
    return _within(made).to(image.dtype)  # bicubic overshoots


def _within(image: Tensor) -> Tensor:
    return clip_to_alpha(image.clamp(-1, 1))
