"""`mitlgan evaluate`: measure an artifact against real pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log, print_result
from mitlgan.cli.output_files import lines_of, new_file

if TYPE_CHECKING:
    from mitlgan.artifacts.loaded_artifact import LoadedArtifact
    from mitlgan.data.pack.image_pack import ImagePack

ResizeOption = Annotated[
    str | None,
    typer.Option("--resize", metavar="FILTER", help="Filter for resizing to the extractor's input: bilinear, bilinear-antialias or bicubic-antialias."),
]

Grid = Annotated[
    Path | None,
    typer.Option(
        "--grid", metavar="FILE", help="Picture that --separation writes: rows share a foreground. Default: separation.png, numbered if it is there."
    ),
]

Swaps = Annotated[int, typer.Option("--swaps", metavar="K", help="Number of foregrounds and backgrounds that --separation swaps.", min=2, max=64)]


def evaluate(
    context: typer.Context,
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help=options.ARTIFACT_HELP)],
    data: options.Data = None,
    extractor: options.Extractors = None,
    weights: options.Weights = None,
    samples: options.Samples = None,
    split: options.Split = None,
    resize: ResizeOption = None,
    extrapolate: Annotated[bool, typer.Option("--extrapolate", help="Also extrapolate the distance to infinitely many samples.")] = False,
    separation: Annotated[bool, typer.Option("--separation", help="Also measure how well a composition keeps its layers apart.")] = False,
    grid: Grid = None,
    swaps: Swaps = 16,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Random seed of the measurement.", min=0)] = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    record: Annotated[bool, typer.Option("--write-card", help="Write the results into the artifact's card.")] = False,
    as_json: options.Json = False,
) -> None:
    """Measure generated images against real ones.

    Fréchet distance, KID, precision, recall, density and coverage; with --separation also how well layers stay apart.
    """
    from mitlgan.runtime.distributed import join_world
    from mitlgan.runtime.output_folders import require_writable
    from mitlgan.runtime.progress import ignore_message
    from mitlgan.stages.evaluate import evaluate_artifact, record_evaluation

    if not separation:
        options.refuse_given(context, ("grid", "swaps"), "belongs to --separation; give that, too, or leave it out")
    options.use_threads(threads)
    grid = new_file(grid, "separation.png", option="--grid") if separation else Path()
    if separation:
        require_writable(grid)
    with join_world(device) as world:
        result = evaluate_artifact(
            artifact, data=data, extractors=extractor or (), weights=weights, samples=samples, split=split, resize=resize, extrapolate=extrapolate,
            seed=seed, device=str(world.device), needs_layers=separation, needs_card=record,
            say=log if world.is_leader else ignore_message, world=world,
        )  # fmt: skip
    if not world.is_leader:
        return
    measured = dict(result.figures)
    try:
        if separation:
            measured["separation"] = _separated(result.loaded, result.real, result.split, swaps, seed, grid)
        if record:
            record_evaluation(result.artifact, measured, result.tensors_sha256, log)
    finally:  # what was measured is told, whatever became of the rest
        about_grid = f"{grid}: rows share a foreground, columns a background" if "separation" in measured else None
        print_result(as_json, measured, lines_of(*_lines(measured), about_grid))


def _separated(loaded: LoadedArtifact, real: ImagePack, split: str, swaps: int, seed: int, grid: Path) -> dict[str, Any]:
    from mitlgan.images.grid import grid_png
    from mitlgan.metrics.layer_swap import REAL_SCENES, change_when_moved, measure_separation, swap_for
    from mitlgan.runtime.files import translate_disk_errors, write_atomically

    result = measure_separation(loaded, real, foregrounds=swaps, backgrounds=swaps, seed=seed, swap=swap_for(loaded.card))
    with translate_disk_errors(grid):
        write_atomically(grid, grid_png(result.grid, columns=result.columns), is_new=True)
    reference = {"split": split, "real": min(REAL_SCENES, len(real)), "generated": swaps**2, "data_sha256": real.content_sha256}
    return {**result.numbers, "moved_change_255": change_when_moved(loaded, scenes=swaps, seed=seed), **reference, "grid": str(grid)}


def _lines(measured: Mapping[str, Any]) -> list[str]:
    from mitlgan.metrics.metric_table import METRICS
    from mitlgan.report.formatting import number, with_spread

    decimals_by_key = {metric.key: metric.decimals for metric in METRICS}
    first = measured["frechet"]
    lines = [f"{first['generated']:,} generated and {first['real']:,} real pictures, split {first['split']}; features: {first['extractor']}"]
    others = [*measured.get("by_extractor", {}).values()][1:]
    for key, metric in [pair for part in (measured, *others) for pair in part.items()]:
        if isinstance(metric, dict) and "value" in metric:
            spread = metric.get("std", metric.get("std_error"))
            decimals = decimals_by_key.get(key, 4)
            lines.append(f"{metric['name']:<44} {with_spread(metric['value'], spread, decimals)}")
    lines = list(dict.fromkeys(lines))  # burnt-out shares are of pixels, whoever measures
    for key, value in measured.get("separation", {}).items():
        text = number(value, 3) if isinstance(value, float) else "undefined" if value is None else value
        lines.append(f"{'separation: ' + key.replace('_', ' '):<44} {text}")
    return lines
