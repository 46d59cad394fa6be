"""Samples as files: one PNG per image, a grid of all, every stage of a composition, and a sheet of the stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mitlgan.images.alpha import unpremultiply
from mitlgan.images.encode import encode_png
from mitlgan.images.grid import grid_png, layer_title, titled_grids_png
from mitlgan.images.pixels import to_uint8
from mitlgan.networks import CompositionStages
from mitlgan.runtime.files import ensure_folder, sibling_path, translate_disk_errors, write_atomically


@dataclass(frozen=True)
class SampleFiles:
    """Paths of written samples.

    Attributes:
        pictures: One file per image, alone in their folder.
        overview: A grid of all images, next to the folder.
        stages: Folder of each stage of a composition, such as `fg` and `fused`; its files have the same names.
    """

    pictures: list[Path]
    overview: Path
    stages: dict[str, Path]


def write_sample_files(stages: CompositionStages, names: Sequence[str], out: Path, *, every_layer: bool = False) -> SampleFiles:
    """Write one PNG per image, a grid of all images, and optionally every stage of a composition; alpha is written straight.

    Args:
        stages: As `LoadedArtifact.layers` returns them.
        names: File names without ending, one per image.
        out: Folder `OUT`; the grid is `OUT-grid.png`, stages are in `OUT-layers/NAME/`.
        every_layer: Also write each layer, the fused image, the mattes, and each placed layer.

    Raises:
        ResourceError: A folder cannot be written.
    """
    files = SampleFiles([out / f"{name}.png" for name in names], sibling_path(out, "-grid.png"), {})
    ensure_folder(out)
    with translate_disk_errors(out):
        write_atomically(files.overview, grid_png(stages.output, columns=max(1, round(len(names) ** 0.5))))
        _write_each(stages.output, files.pictures)
        if every_layer and len(stages.layers) > 1:
            for stage, images in _images_by_stage(stages).items():
                files.stages[stage] = sibling_path(out, "-layers") / stage
                ensure_folder(files.stages[stage])
                _write_each(images, [files.stages[stage] / f"{name}.png" for name in names])
    return files


def stages_sheet_png(stages: CompositionStages, scale: int = 3, columns: int = 4) -> bytes:
    """Return a PNG of every stage side by side, each a titled grid of the same images.

    Args:
        stages: As `LoadedArtifact.layers` returns them. Alpha is composited on white; without a translator the fused image is left out.
        scale: Whole factor by which each pixel is enlarged.
        columns: Images per row of each grid.
    """
    grids = {layer_title(name): image for name, image in stages.layers.items()}
    if len(stages.layers) > 1:
        mattes = {} if stages.matte is None else {"Matte": (stages.matte * 2 - 1).expand(-1, 3, -1, -1)}
        fused = {} if torch.equal(stages.fused, stages.output) else {"Fused": stages.fused}
        grids |= {**mattes, **fused, "Composed": stages.output}
    return titled_grids_png(grids, columns, scale)


def _write_each(images: Tensor, files: Sequence[Path]) -> None:
    for file, pixels in zip(files, unpremultiply(to_uint8(images)), strict=True):
        write_atomically(file, encode_png(pixels))


def _images_by_stage(stages: CompositionStages) -> dict[str, Tensor]:
    """Return images in [-1, 1] by the name of their folder."""
    images = {**stages.layers, "fused": stages.fused}
    if stages.matte is not None:
        images["matte"] = stages.matte * 2 - 1
    if len(stages.placed) > 1:  # with one placed layer, its matte is the matte of the composition
        images |= {f"{name}-matte": image[:, 3:] for name, image in stages.placed.items()}
    return images | {f"{name}-placed": image for name, image in stages.placed.items()}
