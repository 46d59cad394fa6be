"""`mitlgan grid`: cross two layers in one picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.edit_options import POINT, ArtifactPath, load_artifact
from mitlgan.cli.output import print_result
from mitlgan.cli.output_files import new_file
from mitlgan.cli.picture_options import FilterName, Scale, Size, picture_size


def grid(
    context: typer.Context,
    artifact: ArtifactPath,
    rows: Annotated[str | None, typer.Option("--rows", metavar="LAYER", help="Layer that each row shares. Default: the first.")] = None,
    columns: Annotated[str | None, typer.Option("--columns", metavar="LAYER", help="Layer that each column shares. Default: the second.")] = None,
    seeds: Annotated[str, typer.Option("--seeds", metavar="LIST", help="Seeds of rows and columns, such as 0-7 or 1,5,9.")] = "0-5",
    row_seeds: Annotated[str | None, typer.Option("--row-seeds", metavar="LIST", help="Seeds of the rows. Default: --seeds.")] = None,
    column_seeds: Annotated[str | None, typer.Option("--column-seeds", metavar="LIST", help="Seeds of the columns. Default: --seeds.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar=POINT, help="Latents of all other layers. Default: seed 0, with a placement per object.")
    ] = None,
    truncation: options.Truncation = 1.0,
    scale: Scale = None,
    size: Size = None,
    filter_name: FilterName = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Output PNG, a new one. Default: grid.png, numbered if it is there.")
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Cross two layers: rows share one, columns the other."""
    from mitlgan.editing import cross, parse_latent
    from mitlgan.errors import UsageError
    from mitlgan.images.grid import labeled_grid_png, layer_title
    from mitlgan.runtime.files import write_atomically

    if None not in (row_seeds, column_seeds):
        options.refuse_given(context, ("seeds",), "is of both axes, and each has its own; leave it out")
    out = new_file(out, "grid.png")
    loaded = load_artifact(artifact, device)
    target = picture_size(scale, size, filter_name, loaded.card.size_px)
    names = list(loaded.card.latent_dims)
    if len(names) < 2:
        raise UsageError(f"{artifact}: has one latent ({names[0]}), so there is nothing to cross; use `mitlgan sample` or `mitlgan directions`")
    row = rows or next(name for name in names if name != columns)
    column = columns or next(name for name in names if name != row)
    own = (("--row-seeds", row_seeds), ("--column-seeds", column_seeds))
    chosen = [_seeds("--seeds", seeds) if text is None else _seeds(option, text) for option, text in own]
    z = cross(loaded, (row, chosen[0]), (column, chosen[1]), at=None if at is None else parse_latent(loaded, at, "--at"), truncation=truncation)
    titles = [[str(seed) for seed in axis] for axis in chosen]
    corner = [f"rows: {layer_title(row)}", f"columns: {layer_title(column)}"]
    write_atomically(out, labeled_grid_png(loaded.images_from_latents(z), *titles, corner=corner, size=target), is_new=True)
    print_result(as_json, {"picture": str(out), "rows": {row: chosen[0]}, "columns": {column: chosen[1]}}, str(out))


def _seeds(option: str, text: str) -> list[int]:
    from mitlgan.errors import UsageError

    if not re.fullmatch(r"\d{1,19}(-\d{1,19})?(,\d{1,19}(-\d{1,19})?)*", text):
        raise UsageError(f"{option} {text}: write seeds as 0-7 or 1,5,9")
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) - int(first) not in range(1000):
            raise UsageError(f"{option} {text}: {part} is not at most 1,000 seeds, the smallest first")
        seeds += range(int(first), int(last or first) + 1)
    return seeds
