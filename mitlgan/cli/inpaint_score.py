"""`mitlgan inpaint-score`: measure how well holes are filled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options, score_options
from mitlgan.cli.inpaint import Method
from mitlgan.cli.output import print_result
from mitlgan.cli.output_files import claim_picture, lines_of

if TYPE_CHECKING:
    from mitlgan.inpainting import InpaintScore
    from mitlgan.inpainting.fillers import Filler

MEASURED = (Method.context, Method.opencv, Method.opencv_ns, Method.mean)

Artifact = Annotated[
    Path | None, typer.Option("--artifact", metavar="ARTIFACT", help="The inpainter; its recipe names the pictures. Default: the shipped one.")
]


def inpaint_score(
    artifact: Artifact = None,
    embed: Annotated[
        Path | None, typer.Option("--embed", metavar="ARTIFACT", help="Also measure embedding in this artifact; seconds per picture.")
    ] = None,
    method: Annotated[list[Method] | None, typer.Option("--method", help="Method to measure; repeatable. Default: all but embed.")] = None,
    data: options.Data = None,
    split: options.HeldOutSplit = None,
    hole: Annotated[str, typer.Option("--hole", metavar="MASK|x,y,w,h|center", help="As for `mitlgan inpaint`.")] = "center",
    samples: Annotated[int, typer.Option("-n", "--samples", metavar="N", help="Maximum number of pictures.", min=2)] = 300,
    extractor: score_options.Extractor = "efficientnet-lite0",
    weights: options.Weights = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Random seed of the pictures.", min=0)] = 0,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE", help="Also write a sheet of the first pictures, filled by each method.")
    ] = None,
    record: score_options.Record = False,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Measure how well each method fills holes.

    Uses held-out pictures. Reports PSNR in the hole and a distance in features.
    """
    from mitlgan import inpainting
    from mitlgan.artifacts.card import read_card, read_weights_hash
    from mitlgan.artifacts.loaded_artifact import artifact_path
    from mitlgan.images.grid import labeled_grid_png
    from mitlgan.inpainting.evaluate import describe_scores, scores_json
    from mitlgan.inpainting.fillers import shipped_artifact
    from mitlgan.runtime.files import write_atomically

    options.use_threads(threads)
    claim_picture(sheet, "--sheet")
    path = artifact_path(artifact or shipped_artifact("context"))
    score_options.check_places(path, sheet, records=record)
    chosen = dict.fromkeys([*(method or MEASURED), *([Method.embed] if embed is not None else [])])
    fillers = [inpainting.make_filler(name.value, {Method.context: path, Method.embed: embed}.get(name)) for name in chosen]
    cards = [read_card(path), *([read_card(artifact_path(embed))] if embed is not None else [])]
    card = cards[0]
    measured_sha256 = _context_hash(fillers) or read_weights_hash(path)
    network = score_options.open_judge(extractor, weights, cards)
    recipe = score_options.recipe_with_data(card, path, data)
    pictures, split_name = score_options.real_pictures(recipe, card, split, "validation")
    where = inpainting.parse_hole(hole, recipe.size_px, recipe.size_px)
    scores, rows_of_images = inpainting.score_fillers(pictures, fillers, where, network, count=samples, seed=seed)
    measured = scores_json(scores, network, pictures, count=rows_of_images.shape[1], split=split_name, hole=hole, seed=seed)
    written_sheet = None
    try:
        if sheet is not None:
            columns = ["what is left", "truth", *(one.method for one in scores)]
            rows = min(score_options.SHEET_ROWS, rows_of_images.shape[1])
            write_atomically(sheet, labeled_grid_png(rows_of_images[:, :rows].transpose(0, 1).flatten(0, 1), [""] * rows, columns), is_new=True)
            written_sheet = sheet
        if record:
            score_options.write_into_card(path, "inpainting", measured, measured_sha256)
    finally:
        table = _table(scores, network.name, f"{rows_of_images.shape[1]} of {len(pictures):,} {split_name} pictures")
        print_result(as_json, measured, lines_of(*table, *describe_scores(scores), written_sheet))


def _context_hash(fillers: list[Filler]) -> str | None:
    """Return the hash of the inpainter as it was loaded; None if only methods without it are measured."""
    return next((filler.tensors_sha256 for filler in fillers if filler.name == Method.context.value), None)


def _table(scores: list[InpaintScore], extractor: str, pictures: str) -> list[str]:
    lines = [f"{pictures}; PSNR in the hole (dB), distance in features ({extractor}); ± standard error"]
    lines.append(f"{'method':<12}{'PSNR':>16}{'distance':>16}{'PSNR, blended':>18}{'distance, blended':>20}")
    for score in scores:
        cells = [f"{one.value:.2f} ± {one.std_error:.2f}" for one in (score.psnr_db, score.distance, score.blended_psnr_db, score.blended_distance)]
        lines.append(f"{score.method:<12}{cells[0]:>16}{cells[1]:>16}{cells[2]:>18}{cells[3]:>20}")
    return lines
