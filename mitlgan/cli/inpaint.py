"""`mitlgan inpaint`: fill a hole in a picture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log, print_result
from mitlgan.cli.output_files import claim_picture, lines_of, new_file
from mitlgan.cli.picture_options import FilterName, Scale, Size, picture_size


class Method(StrEnum):
    """Ways to fill a hole."""

    context = "context"
    embed = "embed"
    opencv = "opencv"
    opencv_ns = "opencv-ns"
    mean = "mean"


def inpaint(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture of any size.")],
    hole: Annotated[
        str,
        typer.Option(
            "--hole",
            metavar="MASK|x,y,w,h|center",
            help="Mask picture of the same size, white inside the hole; a rectangle in px or per cent, such as 25%,25%,50%,50%; or center.",
        ),
    ] = "center",
    artifact: Annotated[
        Path | None,
        typer.Option("--artifact", metavar="ARTIFACT", help="Inpainter (context), or generator or composition (embed). Default: the shipped one."),
    ] = None,
    method: Annotated[
        Method, typer.Option("--method", help="context: context encoder; embed: nearest picture of a generator; OpenCV; mean colour.")
    ] = Method.context,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Output PNG, a new one; pixels outside the hole stay the same. Default: inpainted.png, numbered if it is there.",
        ),
    ] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Also write input, filled and blended picture side by side.")] = None,
    scale: Scale = None,
    size: Size = None,
    filter_name: FilterName = None,
    as_json: options.Json = False,
) -> None:
    """Fill a hole in a picture, without a seam."""
    import torch

    from mitlgan.images.grid import labeled_grid_png
    from mitlgan.inpainting import inpaint as filled
    from mitlgan.inpainting import make_filler, parse_hole, read_original
    from mitlgan.runtime.files import write_atomically
    from mitlgan.runtime.unfinished_outputs import remove_if_failed

    out = new_file(out, "inpainted.png")
    claim_picture(sheet, "--sheet", out)
    original = read_original(image)
    target = picture_size(scale, size, filter_name, original.picture.width, original.picture.height, has_sheet=sheet is not None)
    where = parse_hole(hole, original.picture.height, original.picture.width)
    result = filled(original.on_white, where, make_filler(method.value, artifact))
    planes = torch.stack([torch.from_numpy(part).permute(2, 0, 1) for part in (result.masked, result.filled, result.blended)])
    with remove_if_failed(*(path for path in (out, sheet) if path is not None)):
        write_atomically(out, original.png(result.blended, where, target), is_new=True)
        if sheet is not None:
            write_atomically(sheet, labeled_grid_png(planes, [""], ["what is left", f"filled: {method.value}", "blended"], size=target), is_new=True)
    if original.note:
        log(f"{image}: {original.note}")
    values = {"file": str(out), "sheet": str(sheet) if sheet else None, "method": method.value, "pixels": int(where.sum()), "note": original.note}
    print_result(as_json, values, lines_of(f"{out}: {where.sum()} of {where.size} pixels filled", sheet))
