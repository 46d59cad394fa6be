"""Contact sheet of inversions: target, image, layers, matte and error of each picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mitlgan.images.alpha import to_opaque_rgb
from mitlgan.images.grid import labeled_grid_png, layer_title
from mitlgan.images.resize import OWN_SIZE, PictureSize
from mitlgan.inversion.embed import InversionResult

ERROR_GAIN = 4


def sheet_png(targets: Tensor, result: InversionResult, names: Sequence[str], size: PictureSize = OWN_SIZE) -> bytes:
    """Return a PNG with one row for each picture: target, image, layers, matte and error.

    Args:
        targets: (N, C, H, W) in [-1, 1].
        result: Their inversions.
        names: Labels of the rows.
        size: Size of each picture; by default see `mitlgan.images.grid.cell_size`.
    """
    stages = result.stages
    columns = {"Target": to_opaque_rgb(targets), "Found": to_opaque_rgb(stages.output)}
    if len(stages.layers) > 1:
        columns |= {layer_title(name): to_opaque_rgb(image) for name, image in stages.layers.items()}
    if stages.matte is not None:
        columns["Matte"] = (stages.matte * 2 - 1).expand(-1, 3, -1, -1)
    error = (columns["Found"] - columns["Target"]).abs()  # from 0 to 2
    columns[f"Error x{ERROR_GAIN}"] = (ERROR_GAIN * error - 1).clamp_max(1)
    images = torch.stack(list(columns.values()), dim=1).flatten(0, 1)  # row by row
    rows = [f"{name} {psnr:.1f} dB" for name, psnr in zip(names, result.psnr_db.tolist(), strict=True)]
    return labeled_grid_png(images, rows, list(columns), size=size)
