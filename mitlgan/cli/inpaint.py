"""inpaint, inpaint-score: holes in pictures, filled and measured."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options, score_options
from mitlgan.cli.options import finish

if TYPE_CHECKING:
    from mitlgan.inpainting import InpaintScore


class Method(StrEnum):
    """How a hole is filled."""

    context = "context"
    embed = "embed"
    opencv = "opencv"
    opencv_ns = "opencv-ns"
    mean = "mean"


MEASURED = (Method.context, Method.opencv, Method.opencv_ns, Method.mean)


def inpaint(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture of any size.")],
    hole: Annotated[
        str,
        typer.Option("--hole", metavar="MASK|x,y,w,h|center", help="A picture of its size, white where to fill; a rectangle; the centre."),
    ] = "center",
    artifact: Annotated[
        Path | None,
        typer.Option("--artifact", metavar="ARTIFACT", help="For context an inpainter, for embed a generator or composition. Default: shipped."),
    ] = None,
    method: Annotated[Method, typer.Option("--method", help="Context encoder; nearest picture of a generator; OpenCV; mean colour.")] = Method.context,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The PNG; what is outside of the hole stays.")] = Path("inpainted.png"),
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Also what is left, filled and blended, side by side.")] = None,
    as_json: options.Json = False,
) -> None:
    """Fill a hole in a picture, without a seam."""
    import torch

    from mitlgan.artifacts.titled_grid import labeled_grid_png
    from mitlgan.errors import UsageError
    from mitlgan.inpainting import inpaint as filled
    from mitlgan.inpainting import make_filler, parse_hole, read_original
    from mitlgan.runtime.files import write_atomically

    if out.suffix.lower() != ".png":
        raise UsageError(f"--out {out}: only a PNG keeps every pixel outside of the hole; let its name end in .png")
    original = read_original(image)
    where = parse_hole(hole, original.picture.height, original.picture.width)
    found = filled(original.seen, where, make_filler(method.value, artifact))
    planes = torch.stack([torch.from_numpy(part).permute(2, 0, 1) for part in (found.left, found.filled, found.blended)])
    write_atomically(out, original.png(found.blended, where))
    if sheet is not None:
        write_atomically(sheet, labeled_grid_png(planes, [""], ["what is left", f"filled: {method.value}", "blended"]))
    if original.note:
        options.note(f"{image}: {original.note}")
    values = {"file": str(out), "sheet": str(sheet) if sheet else None, "method": method.value, "pixels": int(where.sum()), "note": original.note}
    finish(as_json, values, f"{out}: {where.sum()} of {where.size} pixels filled")


def inpaint_score(
    artifact: Annotated[
        Path | None, typer.Option("--artifact", metavar="ARTIFACT", help="The inpainter, whose recipe says which pictures. Default: the shipped one.")
    ] = None,
    embed: Annotated[
        Path | None, typer.Option("--embed", metavar="ARTIFACT", help="Measure embedding in this one, too: some seconds a picture.")
    ] = None,
    method: Annotated[list[Method] | None, typer.Option("--method", help="What is measured; repeatable. Default: all but embed.")] = None,
    data: options.Data = None,
    split: options.Split = None,
    hole: Annotated[str, typer.Option("--hole", metavar="MASK|x,y,w,h|center", help="As for `mitlgan inpaint`.")] = "center",
    samples: Annotated[int, typer.Option("-n", "--samples", metavar="N", help="Pictures, at most.", min=2)] = 300,
    extractor: score_options.Extractor = "efficientnet-lite0",
    weights: options.Weights = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Chooses the pictures.", min=0)] = 0,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Also the first pictures, filled by each method.")] = None,
    record: score_options.Record = False,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Measure on held-out pictures how well each method fills: PSNR in the hole, distance in an extractor's features."""
    from mitlgan import inpainting
    from mitlgan.artifacts.artifact import read_card
    from mitlgan.artifacts.loaded_artifact import artifact_path
    from mitlgan.artifacts.titled_grid import labeled_grid_png
    from mitlgan.inpainting.evaluate import describe_scores
    from mitlgan.inpainting.evaluate import scores_json as told
    from mitlgan.inpainting.fillers import shipped_artifact
    from mitlgan.metrics.extractors.features import extractor as opened
    from mitlgan.recipe import parse_recipe
    from mitlgan.runtime.files import write_atomically

    options.use_threads(threads)
    path = artifact_path(artifact or shipped_artifact("context"))
    given = {Method.context: path, Method.embed: embed}
    chosen = dict.fromkeys([*(method or MEASURED), *([Method.embed] if embed is not None else [])])
    fillers = [inpainting.make_filler(name.value, given.get(name)) for name in chosen]
    card = read_card(path)
    recipe = score_options.with_data(parse_recipe(card.recipe, str(path)), data)
    pictures, found = score_options.real_pictures(recipe, card, split, "validation")
    network = opened(extractor, weights)
    where = inpainting.parse_hole(hole, recipe.size_px, recipe.size_px)
    scores, shown = inpainting.score_fillers(pictures, fillers, where, network, count=samples, seed=seed)
    measured = told(scores, network, pictures, count=shown.shape[1], split=found, hole=hole, seed=seed)
    if sheet is not None:
        columns = ["what is left", "truth", *(one.method for one in scores)]
        rows = min(score_options.SHEET_ROWS, shown.shape[1])
        write_atomically(sheet, labeled_grid_png(shown[:, :rows].transpose(0, 1).flatten(0, 1), [""] * rows, columns))
    if record:
        score_options.write_into_card(path, "inpainting", measured)
    finish(
        as_json,
        measured,
        "\n".join([*_table(scores, network.name, f"{shown.shape[1]} of {len(pictures):,} {found} pictures"), *describe_scores(scores)]),
    )


def _table(scores: list[InpaintScore], extractor: str, pictures: str) -> list[str]:
    lines = [f"{pictures}; PSNR in the hole (dB), distance in features ({extractor}); ± standard error"]
    lines.append(f"{'method':<12}{'PSNR':>16}{'distance':>16}{'PSNR, blended':>18}{'distance, blended':>20}")
    for found in scores:
        shown = [f"{one.value:.2f} ± {one.std_error:.2f}" for one in (found.psnr_db, found.distance, found.blended_psnr_db, found.blended_distance)]
        lines.append(f"{found.method:<12}{shown[0]:>16}{shown[1]:>16}{shown[2]:>18}{shown[3]:>20}")
    return lines


COMMANDS: dict[str, Callable[..., Any]] = {"inpaint": inpaint}
MEASURES: dict[str, Callable[..., None]] = {"inpaint-score": inpaint_score}
