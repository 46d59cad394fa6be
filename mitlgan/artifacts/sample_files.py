"""Samples as files: one picture each, or one file of layers each, a contact sheet of all, every stage of a composition, and a sheet of the stages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mitlgan.artifacts.layered_files import LAYERED_FORMATS, encode_layered, layered_picture
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.artifacts.samples import Samples
from mitlgan.images.alpha import unpremultiply
from mitlgan.images.encode import encode_png, encode_with_text
from mitlgan.images.grid import captioned_cells_png, layer_title, sheet_cells, sheet_columns, titled_grids_png
from mitlgan.images.resize import OWN_SIZE, PictureSize, resize_images
from mitlgan.networks import CompositionStages
from mitlgan.runtime.files import ensure_folder, sibling_path, translate_disk_errors, write_atomically
from mitlgan.runtime.unfinished_outputs import remove_if_failed

PICTURE_FORMATS = {"png": "PNG", "webp": "WEBP"}
"""Formats of plain pictures by their suffix, with Pillow's name. WebP is lossless."""
MAX_OVERVIEW = 4096
"""Images of a contact sheet, at most."""
MIN_SHEET_COLUMNS = 4
"""Images per row of each grid of a sheet of stages, at least."""


@dataclass(frozen=True)
class SampleFiles:
    """Paths of written samples.

    Attributes:
        pictures: One file per image, alone in their folder.
        overview: A grid of all images, or the first `MAX_OVERVIEW`, next to the folder.
        stages: Folder of each stage of a composition, such as `fg` and `fused`; its files have the same names.
    """

    pictures: list[Path]
    overview: Path
    stages: dict[str, Path]


def write_sample_files(
    samples: Iterable[Samples],
    count: int,
    out: Path,
    *,
    every_layer: bool = False,
    form: str = "png",
    size: PictureSize = OWN_SIZE,
    has_metadata: bool = True,
    artifact: LoadedArtifact | None = None,
) -> SampleFiles:
    """Write one file per image, a contact sheet of the images, and optionally every stage of a composition; alpha is written straight.

    Args:
        samples: The images in batches, so that any number needs little memory; an error in the first one leaves nothing.
        count: Number of images in all batches. The contact sheet has the first `MAX_OVERVIEW`.
        out: Folder `OUT`; the sheet is `OUT-grid.png`, stages are in `OUT-layers/NAME/`.
        every_layer: Also write each layer, the fused image, the mattes, and each placed layer.
        form: `png`, `webp`, or a layered format: `ora` or `psd`.
        size: Size of pictures and stages.
        has_metadata: Whether files say how they were made, if that is known; see `mitlgan.artifacts.picture_record`.
        artifact: The artifact of the samples, for a layered format.

    Raises:
        ResourceError: A folder cannot be written; nothing stays, as after an interrupt.
    """
    overview, stages_folder = sibling_path(out, "-grid.png"), sibling_path(out, "-layers")
    files = SampleFiles([], overview, {})
    names: list[str] = []
    cells: list[Tensor] = []
    columns = sheet_columns(min(count, MAX_OVERVIEW))
    batches = iter(samples)
    first = next(batches)
    with remove_if_failed(out, overview, stages_folder), translate_disk_errors(out):
        ensure_folder(out)
        for batch in itertools.chain([first], batches):
            texts = batch.texts(size, max(batch.stages.output.shape[2:])) if has_metadata and batch.records else None
            encode = _encoder(batch.stages, form, size, artifact)
            for index, name in enumerate(batch.names):
                files.pictures.append(out / f"{name}.{form}")
                write_atomically(files.pictures[-1], encode(index, texts[index] if texts else None), root=out, is_new=True)
            room = MAX_OVERVIEW - len(names)
            if room > 0:
                cells.append(sheet_cells(batch.stages.output[:room], columns))
                names += batch.names[:room]
            if every_layer and len(batch.stages.layers) > 1:
                for stage, images in _images_by_stage(batch.stages).items():
                    files.stages[stage] = stages_folder / stage
                    ensure_folder(files.stages[stage])
                    _write_each(images, [files.stages[stage] / f"{name}.png" for name in batch.names], size, root=stages_folder)
        write_atomically(overview, captioned_cells_png(torch.cat(cells), [_caption(name) for name in names], columns), is_new=True)
    return files


def stages_sheet_png(stages: CompositionStages, size: PictureSize = OWN_SIZE, columns: int | None = None) -> bytes:
    """Return a PNG of every stage side by side, each a titled grid of the same images.

    Args:
        stages: As `LoadedArtifact.layers` returns them. Alpha is composited on white; without a translator the fused image is left out.
        size: Size of each image; by default see `mitlgan.images.grid.cell_size`.
        columns: Images per row of each grid; None: a sheet about as wide as high, with 4 at least.
    """
    grids = {layer_title(name): image for name, image in stages.layers.items()}
    if len(stages.layers) > 1:
        mattes = {} if stages.matte is None else {"Matte": (stages.matte * 2 - 1).expand(-1, 3, -1, -1)}
        fused = {} if torch.equal(stages.fused, stages.output) else {"Fused": stages.fused}
        grids |= {**mattes, **fused, "Composed": stages.output}
    columns = columns or max(MIN_SHEET_COLUMNS, math.ceil((len(stages.output) / len(grids)) ** 0.5))
    return titled_grids_png(grids, columns, size)


def _caption(name: str) -> str:
    """Return the name of a picture, and only the seed if that is its name."""
    return str(int(name)) if name.isdecimal() and len(name) < 20 else name


def _encoder(stages: CompositionStages, form: str, size: PictureSize, artifact: LoadedArtifact | None) -> Callable[[int, str | None], bytes]:
    """Return a function of an image's index and text that gives its file."""
    if form in LAYERED_FORMATS:
        assert artifact is not None

        def encode_layers(index: int, text: str | None) -> bytes:
            return encode_layered(layered_picture(artifact, stages[index], size), form, text)

        return encode_layers

    def encode(index: int, text: str | None) -> bytes:
        pixels = unpremultiply(resize_images(stages.output[index : index + 1], size))[0]
        return encode_with_text(pixels, PICTURE_FORMATS[form], text)

    return encode


def _write_each(images: Tensor, files: Sequence[Path], size: PictureSize, *, root: Path) -> None:
    for index, file in enumerate(files):
        write_atomically(file, encode_png(unpremultiply(resize_images(images[index : index + 1], size))[0]), root=root, is_new=True)


def _images_by_stage(stages: CompositionStages) -> dict[str, Tensor]:
    """Return images in [-1, 1] by the name of their folder."""
    images = {**stages.layers, "fused": stages.fused}
    if stages.matte is not None:
        images["matte"] = stages.matte * 2 - 1
    images |= {f"{name}-matte": matte for name, matte in stages.layer_mattes.items()}
    return images | {f"{name}-placed": image for name, image in stages.placed.items()}
