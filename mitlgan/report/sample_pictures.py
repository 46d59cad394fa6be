"""Pictures for reports: every stage of a composition, and an even selection of a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mitlgan.data.pack.image_pack import ImagePack
from mitlgan.images.pixels import to_uint8
from mitlgan.report.schema import Pixels

if TYPE_CHECKING:
    from mitlgan.networks import CompositionStages

PICTURES = 25
"""Pictures of a grid."""


def stage_pictures(stages: CompositionStages) -> dict[str, Pixels]:
    """Return the stages of a composition in order: each layer, matte, fused, output."""
    pictures: dict[str, Pixels] = {name: to_uint8(image) for name, image in stages.layers.items()}
    if stages.matte is not None:
        pictures["matte"] = to_uint8(stages.matte * 2 - 1)
    return pictures | {"fused": to_uint8(stages.fused), "output": to_uint8(stages.output)}


def evenly_chosen(pack: ImagePack, count: int = PICTURES) -> Pixels:
    """Return pictures of a pack at even distances, each once: uint8 (at most count, C, H, W)."""
    return pack.batch(np.linspace(0, len(pack) - 1, min(count, len(pack))).astype(np.int64))
