"""`mitlgan embed-score`: measure how well pictures can be embedded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options, score_options
from mitlgan.cli.output import print_result
from mitlgan.cli.output_files import claim_picture, lines_of
from mitlgan.cli.search_options import Seconds, search_settings
from mitlgan.cli.search_progress import search_progress

if TYPE_CHECKING:
    from mitlgan.artifacts.loaded_artifact import LoadedArtifact
    from mitlgan.inversion import InversionSettings


def embed_score(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A .safetensors artifact or a run; its recipe names the pictures.")],
    data: options.Data = None,
    split: options.HeldOutSplit = None,
    own: Annotated[bool, typer.Option("--self", help="Use pictures that the artifact makes from --seed on, and compare layer by layer.")] = False,
    samples: Annotated[int, typer.Option("-n", "--samples", metavar="N", help="Maximum number of pictures.", min=1)] = 8,
    seconds: Seconds = 60.0,
    attempts: Annotated[int, typer.Option("--max-attempts", metavar="N", help="As for `mitlgan embed`, where the default is 3.", min=1)] = 1,
    perceptual: Annotated[float, typer.Option("--perceptual", metavar="W", help="As for `mitlgan embed`.", min=0)] = 0.0,
    extractor: score_options.Extractor = "efficientnet-lite0",
    weights: options.Weights = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Random seed of pictures and search.", min=0)] = 0,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Also write a sheet of the first pictures and results.")] = None,
    record: score_options.Record = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Measure how well pictures can be embedded.

    Uses held-out pictures, or with --self pictures that the artifact makes itself. Reports PSNR and a distance in features.
    """
    from dataclasses import replace

    from mitlgan.artifacts.loaded_artifact import artifact_path, load_artifact
    from mitlgan.inversion.evaluate import as_json as fit_json
    from mitlgan.inversion.evaluate import fit_held_out
    from mitlgan.inversion.sheet import sheet_png
    from mitlgan.runtime.distributed import resolve_device
    from mitlgan.runtime.files import write_atomically

    options.use_threads(threads)
    claim_picture(sheet, "--sheet")
    settings = search_settings(seed=seed, attempts=attempts, seconds=seconds, perceptual=perceptual, extractor=extractor, weights=weights)
    device_name = str(resolve_device(device))
    path = artifact_path(artifact)
    score_options.check_places(path, sheet, records=record)
    loaded = load_artifact(path, device=device_name)
    if own:
        _refuse_with_self({"--data": data, "--split": split, "--sheet": sheet})
        _self_score(path, loaded, replace(settings, seed=0), samples, seed, record, as_json)
        return
    network = score_options.open_judge(extractor, weights, [loaded.card], device_name)
    recipe = score_options.recipe_with_data(loaded.card, path, data)
    pictures, split_name = score_options.real_pictures(recipe, loaded.card, split, "validation")
    with search_progress(min(samples, len(pictures))) as callback:
        fit = fit_held_out(loaded, pictures, network, settings, count=samples, seed=seed, progress=callback)
    figures = fit_json(fit, network, pictures, settings, count=len(fit.targets), split=split_name, seed=seed, attempts=attempts)
    written_sheet = None
    try:
        if sheet is not None:
            rows = min(score_options.SHEET_ROWS, len(fit.targets))
            first = replace(fit.result, stages=fit.result.stages[:rows], psnr_db=fit.result.psnr_db[:rows])
            write_atomically(sheet, sheet_png(fit.targets[:rows], first, [""] * rows), is_new=True)
            written_sheet = sheet
        if record:
            score_options.write_into_card(path, "embedding", figures, loaded.tensors_sha256)
    finally:
        title = f"{len(fit.targets)} of {len(pictures):,} {split_name} pictures; PSNR (dB), distance in features ({network.name})"
        print_result(as_json, figures, lines_of(title, *_summary_lines(figures), written_sheet))


def _summary_lines(figures: dict[str, Any]) -> list[str]:
    flatters = "the search minimised this very distance (--perceptual), which flatters it: compare it with no other method's"
    return [
        f"median {figures['psnr_db_median']:.2f} dB, worst {figures['psnr_db_worst']:.2f} dB",
        f"median {figures['distance_median']:.2f}, worst {figures['distance_worst']:.2f}",
        f"{figures['seconds_median']:.0f} s for each (median)",
        *([flatters] if figures["protocol"]["distance_was_minimised"] else []),
    ]


def _refuse_with_self(values: dict[str, object]) -> None:
    from mitlgan.errors import UsageError

    for option, value in values.items():
        if value is not None:
            raise UsageError(f"{option}: is of other pictures, --self of those that the artifact makes; give one of them")


def _self_score(path: Path, loaded: LoadedArtifact, settings: InversionSettings, count: int, seed: int, record: bool, as_json: bool) -> None:
    from mitlgan.inversion.self_recovery import WHOLE, measure_self_recovery

    with search_progress(count) as callback:
        figures = measure_self_recovery(loaded, settings, count=count, seed=seed, progress=callback).as_json(settings)
    lines = [f"{count} pictures of its own, seeds {seed} to {seed + count - 1}; PSNR (dB), median and worst"]
    lines += [f"{'whole' if name == WHOLE else name}: {part['median']:.1f}, {part['worst']:.1f}" for name, part in figures["parts"].items()]
    lines.append(f"{figures['seconds_median']:.0f} s for each (median; longest {figures['seconds_longest']:.0f})")
    try:
        if record:
            score_options.write_into_card(path, "recovery", figures, loaded.tensors_sha256)
    finally:
        print_result(as_json, figures, "\n".join(lines))
