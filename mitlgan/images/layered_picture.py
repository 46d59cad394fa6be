"""Layered pictures for picture editors: layers from back to front, which normal blending joins to the merged picture to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CORRECTION = "Correction"
"""Name of the top layer."""
OPAQUE = 255


@dataclass(frozen=True)
class PictureLayer:
    """One layer.

    Attributes:
        name: Name that an editor shows.
        pixels: (4, H, W) uint8, RGB and straight alpha; colors go on under full transparency.
    """

    name: str
    pixels: Tensor

    @property
    def is_opaque(self) -> bool:
        """Whether nothing behind the layer is seen."""
        return bool((self.pixels[3] == OPAQUE).all())


@dataclass(frozen=True)
class LayeredPicture:
    """A picture in layers.

    Attributes:
        layers: From back to front, all of the same size.
        merged: (C, H, W) uint8, what they look like together; C is 3, or 4 with straight alpha.
    """

    layers: tuple[PictureLayer, ...]
    merged: Tensor

    @property
    def width(self) -> int:
        """Width (px)."""
        return int(self.merged.shape[2])

    @property
    def height(self) -> int:
        """Height (px)."""
        return int(self.merged.shape[1])


def with_correction(layers: Sequence[PictureLayer], merged: Tensor) -> LayeredPicture:
    """Return layers under a correction that makes them the merged picture in any editor.

    Editors round partial transparency each in its own way, but all give an opaque pixel its own color. So the correction is opaque, with the merged
    color, where a layer is partly transparent or the layers show another color, and transparent elsewhere.

    Args:
        layers: From back to front; the first is opaque.
        merged: (3, H, W) uint8.
    """
    visible = layers[0].pixels[:3]
    is_certain = torch.ones_like(visible[0], dtype=torch.bool)
    for layer in layers[1:]:
        color, alpha = layer.pixels[:3], layer.pixels[3]
        is_certain &= (alpha == 0) | (alpha == OPAQUE)
        is_certain |= alpha == OPAQUE
        visible = torch.where(alpha == OPAQUE, color, visible)
    is_same = is_certain & (visible == merged).all(0)
    correction = torch.cat([merged, torch.where(is_same, 0, OPAQUE).to(torch.uint8)[None]])
    return LayeredPicture((*layers, PictureLayer(CORRECTION, correction)), merged)
