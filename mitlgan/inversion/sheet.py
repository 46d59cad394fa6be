"""What was found beside what was looked for: one row for each picture, with the layers that it was split into."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mitlgan.artifacts.titled_grid import labeled_grid_png, layer_title
from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.inversion.embed import Embedded

AMPLIFIED = 4


def sheet_png(targets: Tensor, found: Embedded, names: Sequence[str], scale: int | None = None) -> bytes:
    """Target, picture, layers, matte and difference side by side as PNG.

    Args:
        targets: (N, C, H, W) in [-1, 1].
        found: What was found for them.
        names: Of the rows.
        scale: Whole factor by which each pixel is enlarged.
    """
    stages = found.stages
    columns = {"Target": to_opaque_rgb(targets), "Found": to_opaque_rgb(stages.output)}
    if len(stages.layers) > 1:
        columns |= {layer_title(name): to_opaque_rgb(image) for name, image in stages.layers.items()}
    if stages.matte is not None:
        columns["Matte"] = (stages.matte * 2 - 1).expand(-1, 3, -1, -1)
    apart = (columns["Found"] - columns["Target"]).abs()  # from 0 to 2
    columns[f"Error x{AMPLIFIED}"] = (AMPLIFIED * apart - 1).clamp_max(1)
    images = torch.stack(list(columns.values()), dim=1).flatten(0, 1)  # row by row
    rows = [f"{name} {psnr:.1f} dB" for name, psnr in zip(names, found.psnr_db.tolist(), strict=True)]
    return labeled_grid_png(images, rows, list(columns), scale=scale)
