"""Sizes of pictures that are written or shown: a whole factor or a size in px, by a named filter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mitlgan.errors import UsageError
from mitlgan.images.alpha import within_alpha
from mitlgan.images.pixels import to_uint8
from mitlgan.runtime.arguments import require_whole

MAX_SIZE_PX = 4096
FILTERS: dict[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class PictureSize(NamedTuple):
    """How large a picture is written.

    Attributes:
        scale: Whole factor.
        size_px: Longer side instead of a factor.
        filter: A name of `FILTERS`. None: nearest for a factor, so that each pixel becomes a square, and bicubic for a size.
    """

    scale: int | None = None
    size_px: int | None = None
    filter: str | None = None

    def target(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of a picture of `width` x `height` px at this size.

        Raises:
            UsageError: Both a factor and a size are given, the filter is unknown, or the result is not from 1 to `MAX_SIZE_PX` px.
        """
        if self.scale is not None and self.size_px is not None:
            raise UsageError("size: cannot go with --scale; give one of them")
        if self.filter is not None and self.filter not in FILTERS:
            raise UsageError(f"filter {self.filter}: is unknown; choose from {', '.join(FILTERS)}")
        longer = max(width, height)
        if self.scale is not None:
            require_scale(self.scale, longer)
        longer_px = self.size_px if self.size_px is not None else (1 if self.scale is None else self.scale) * longer
        if self.size_px is not None and not 1 <= longer_px <= MAX_SIZE_PX:
            raise UsageError(f"size: {longer_px} px is not from 1 to {MAX_SIZE_PX} px")
        return max(1, round(width * longer_px / longer)), max(1, round(height * longer_px / longer))

    @property
    def filter_name(self) -> str:
        """Name of the filter that is used."""
        return self.filter or ("bicubic" if self.size_px is not None else "nearest")


OWN_SIZE = PictureSize()


def require_scale(scale: int, size_px: int) -> None:
    """Check that pictures can be enlarged by a whole factor.

    Args:
        scale: The factor.
        size_px: Longer side of the pictures.

    Raises:
        UsageError: The factor is below 1, or makes more than `MAX_SIZE_PX` of them.
    """
    require_whole("scale", scale, 1, None if scale <= MAX_SIZE_PX else MAX_SIZE_PX)
    if scale * size_px > MAX_SIZE_PX and scale > 1:
        most = f"at most {MAX_SIZE_PX // size_px}" if size_px <= MAX_SIZE_PX else "1"
        raise UsageError(f"scale: {scale} makes {scale * size_px} px of {size_px}, more than {MAX_SIZE_PX} px; give {most}")


def resize_images(images: Tensor, size: PictureSize = OWN_SIZE) -> Tensor:
    """Resize images before they are rounded to 8 bits; a reduction averages, except by `nearest`.

    What is not written at their own size is not seen at another: values outside [-1, 1], and color above alpha, are cut before they reach neighbors.

    Args:
        images: (N, C, H, W) in [-1, 1]. Four channels are premultiplied and stay so: no color runs in from where nothing is seen.
        size: The size to write.

    Returns:
        (N, C, H', W') uint8. Images that keep their size keep every value.

    Raises:
        UsageError: See `PictureSize.target`.
    """
    height, width = images.shape[2:]
    target = size.target(width, height)
    if target == (width, height):
        return to_uint8(images)
    if size.filter_name == "nearest" and not (target[0] % width or target[1] % height):
        return to_uint8(images).repeat_interleave(target[1] // height, -2).repeat_interleave(target[0] // width, -1)
    planes = within_alpha(images.detach().float().cpu()).reshape(-1, height, width).numpy()
    resample = FILTERS[size.filter_name]
    resized = np.stack([np.asarray(Image.fromarray(plane).resize(target, resample)) for plane in planes])
    return to_uint8(within_alpha(torch.from_numpy(resized).reshape(*images.shape[:2], target[1], target[0])))  # bicubic overshoots


def resize_picture(picture: Image.Image, size: PictureSize) -> Image.Image:
    """Resize a decoded picture of any mode; transparent colors do not run into visible ones.

    Raises:
        UsageError: See `PictureSize.target`.
    """
    target = size.target(*picture.size)
    return picture if target == picture.size else picture.resize(target, FILTERS[size.filter_name])
