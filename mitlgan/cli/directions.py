"""`mitlgan directions`: find the directions that change a layer most."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.edit_options import POINT, ArtifactPath, load_artifact
from mitlgan.cli.output import print_result
from mitlgan.cli.output_files import lines_of, new_file
from mitlgan.cli.picture_options import FilterName, Scale, Size, picture_size


class By(StrEnum):
    """What the directions are computed from."""

    weights = "weights"
    features = "features"


Samples = Annotated[
    int | None,
    typer.Option(
        "--samples",
        metavar="N",
        help="Number of latents to take features of. Default: 1024, or 4 times the latent's length if that is more.",
        min=2,
        max=16384,
    ),
]
At = Annotated[str, typer.Option("--at", metavar=POINT, help="The picture to start from.")]


def directions(
    context: typer.Context,
    artifact: ArtifactPath,
    layer: Annotated[str | None, typer.Option("--layer", metavar="NAME", help="Layer to analyse. Default: the first.")] = None,
    by: Annotated[By, typer.Option("--by", help="weights: SeFa; features: principal components (GANSpace).")] = By.weights,
    count: Annotated[
        int | None, typer.Option("-k", "--count", metavar="N", help="Number of directions. Default: 8, or the latent's length.", min=1)
    ] = None,
    stage: Annotated[str | None, typer.Option("--stage", metavar="K|NAME", help="Stage of the features. Default: the last before the image.")] = None,
    samples: Samples = None,
    at: At = "0",
    alone: Annotated[bool, typer.Option("--alone", help="Show the layer alone, not the composition.")] = False,
    sigmas: Annotated[
        float, typer.Option("--sigmas", metavar="S", help="Range of the sheet in standard deviations, to both sides.", min=0.1, max=20)
    ] = 3.0,
    truncation: options.Truncation = 1.0,
    scale: Scale = None,
    size: Size = None,
    filter_name: FilterName = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The sheet, a new PNG; directions are next to it, as .safetensors. Default: directions.png, numbered if it is there.",
        ),
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Find the directions that change a layer most.

    Shows each direction as a row of pictures.
    """
    from mitlgan import editing
    from mitlgan.images.grid import labeled_grid_png, layer_title
    from mitlgan.runtime.files import write_atomically
    from mitlgan.runtime.unfinished_outputs import remove_if_failed

    if by is By.weights:
        options.refuse_given(context, ("samples",), "is of --by features; give that, too, or leave it out")
    out = new_file(out, "directions.png", [".safetensors"])
    loaded = load_artifact(artifact, device)
    target = picture_size(scale, size, filter_name, loaded.card.size_px)
    point = editing.parse_latent(loaded, at, "--at")
    axes = editing.directions(loaded, layer=layer, by=by.value, count=count, stage=stage, samples=samples)
    walk = editing.traverse(loaded, axes, at=point, sigmas=[sigmas * step / 3 for step in range(-3, 4)], truncation=truncation, alone=alone)
    axes_path = out.with_suffix(".safetensors")
    rows = [f"{index}: {share:.1%}" for index, share in enumerate(axes.shares.tolist(), start=1)]
    steps = [f"{step:+.3g} SD" if step else "0" for step in walk.sigmas]
    sheet = labeled_grid_png(walk.images, rows, steps, corner=[layer_title(axes.layer)], size=target)
    with remove_if_failed(out, axes_path):
        editing.write_directions(axes_path, axes, loaded.tensors_sha256, is_new=True)
        write_atomically(out, sheet, is_new=True)
    values = {"sheet": str(out), "directions": str(axes_path), "layer": axes.layer, "by": axes.by, "stage": axes.stage, "shares": axes.shares.tolist()}
    print_result(as_json, values, lines_of(out, axes_path))
