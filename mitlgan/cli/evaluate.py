"""`mitlgan evaluate`: measure an artifact against real pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options, score_options
from mitlgan.cli.output import log, print_result

if TYPE_CHECKING:
    from mitlgan.artifacts.loaded_artifact import LoadedArtifact
    from mitlgan.data.pack.image_pack import ImagePack

ResizeOption = Annotated[
    str | None,
    typer.Option("--resize", metavar="FILTER", help="Filter for resizing to the extractor's input: bilinear, bilinear-antialias or bicubic-antialias."),
]

Grid = Annotated[Path, typer.Option("--grid", metavar="FILE", help="Picture that --separation writes: rows share a foreground, columns a background.")]

Swaps = Annotated[int, typer.Option("--swaps", metavar="K", help="Number of foregrounds and backgrounds that --separation swaps.", min=2, max=64)]


def evaluate(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A .safetensors artifact, or a run.")],
    data: options.Data = None,
    extractor: options.Extractors = None,
    weights: options.Weights = None,
    samples: options.Samples = None,
    split: options.Split = None,
    resize: ResizeOption = None,
    extrapolate: Annotated[bool, typer.Option("--extrapolate", help="Also extrapolate the distance to infinitely many samples.")] = False,
    separation: Annotated[bool, typer.Option("--separation", help="Also measure how well a composition keeps its layers apart.")] = False,
    grid: Grid = Path("separation.png"),
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
    from mitlgan.artifacts.load_save import record_metrics
    from mitlgan.artifacts.loaded_artifact import artifact_path, load_artifact
    from mitlgan.errors import UsageError
    from mitlgan.metrics import protocol as evaluation
    from mitlgan.recipe import parse_recipe
    from mitlgan.runtime.distributed import resolve_device

    options.use_threads(threads)
    where = str(resolve_device(device))
    path = artifact_path(artifact)
    loaded = load_artifact(path, device=where)
    if separation and loaded.card.kind != "composer":
        raise UsageError(f"--separation: {path} has one layer; give a composition")
    recipe = score_options.with_data(parse_recipe(loaded.card.recipe, str(path)), data)
    names = extractor or recipe.evaluation.extractors
    real, split_name = score_options.real_pictures(recipe, loaded.card, split, recipe.evaluation.split)
    protocol = evaluation.EvalProtocol(
        extractor=names[0],
        samples=samples or recipe.evaluation.samples,
        split=split_name,
        resize=resize,
        seed=seed,
        extrapolate=extrapolate,
    )
    if len(real) < protocol.samples:
        log(f"-n {protocol.samples}: there are {len(real):,} real {split_name} pictures, compared with {protocol.samples:,} generated ones")
    networks = evaluation.open_extractors(protocol, names, weights=weights, device=where)
    measured = evaluation.evaluate_each(loaded, real, protocol, networks)
    if separation:
        measured["separation"] = _separated(loaded, real, split_name, swaps, seed, grid)
        log(f"{grid}: rows share a foreground, columns a background")
    if record:
        record_metrics(path, measured)
        log(f"{path}: the results are in its card now")
    print_result(as_json, measured, "\n".join(_lines(measured)))


def _separated(loaded: LoadedArtifact, real: ImagePack, split: str, swaps: int, seed: int, grid: Path) -> dict[str, Any]:
    from mitlgan.images.grid import grid_png
    from mitlgan.metrics.layer_swap import REAL_SCENES, change_when_moved, measure_separation, swap_for
    from mitlgan.runtime.files import translate_disk_errors, write_atomically

    result = measure_separation(loaded, real, foregrounds=swaps, backgrounds=swaps, seed=seed, swap=swap_for(loaded.card))
    with translate_disk_errors(grid):
        write_atomically(grid, grid_png(result.grid, columns=result.columns))
    reference = {"split": split, "real": min(REAL_SCENES, len(real)), "generated": swaps**2, "data_sha256": real.content_sha256}
    return {**result.numbers, "moved_change_255": change_when_moved(loaded, scenes=swaps, seed=seed), **reference, "grid": str(grid)}


def _lines(measured: Mapping[str, Any]) -> list[str]:
    from mitlgan.metrics.metric_table import METRICS

    decimals_by_key = {metric.key: metric.decimals for metric in METRICS}
    first = measured["frechet"]
    lines = [f"{first['generated']:,} generated and {first['real']:,} real pictures, split {first['split']}; features: {first['extractor']}"]
    others = [*measured.get("by_extractor", {}).values()][1:]
    for key, metric in [pair for part in (measured, *others) for pair in part.items()]:
        if isinstance(metric, dict) and "value" in metric:
            spread = metric.get("std", metric.get("std_error"))
            decimals = decimals_by_key.get(key, 4)
            lines.append(f"{metric['name']:<44} {metric['value']:.{decimals}f}" + (f" +- {spread:.{decimals}f}" if spread is not None else ""))
    lines = list(dict.fromkeys(lines))  # burnt-out shares are of pixels, whoever measures
    for key, value in measured.get("separation", {}).items():
        text = f"{value:.3f}" if isinstance(value, float) else "undefined" if value is None else value
        lines.append(f"{'separation: ' + key.replace('_', ' '):<44} {text}")
    return lines
