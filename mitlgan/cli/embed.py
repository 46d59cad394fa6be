"""`mitlgan embed`: find the latent of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log, print_result
from mitlgan.cli.output_files import claim_file, claim_picture, new_file, new_folder, refuse_file
from mitlgan.cli.picture_options import FilterName, Scale, Size, picture_size
from mitlgan.cli.search_options import Seconds, search_settings
from mitlgan.cli.search_progress import search_progress

if TYPE_CHECKING:
    from mitlgan.artifacts.loaded_artifact import LoadedArtifact
    from mitlgan.inversion import InversionResult, InversionSettings

LATENT = ".json"

SheetOption = Annotated[
    Path | None, typer.Option("--sheet", metavar="FILE", help="Sheet of target, result, layers, matte, difference. Default: OUT-sheet.png.")
]

Attempts = Annotated[
    int, typer.Option("--max-attempts", metavar="N", help="Maximum number of searches from new random latents, until the goal is reached.", min=1)
]

Perceptual = Annotated[
    float, typer.Option("--perceptual", metavar="W", help="Weight of the perceptual distance; the squared error has weight 1.", min=0)
]

Extractor = Annotated[str | None, typer.Option("--extractor", metavar="NAME", help="Network of the perceptual distance. Default: efficientnet-lite0.")]


def embed(
    context: typer.Context,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures, or folders of pictures.")],
    artifact: Annotated[Path, typer.Option("--artifact", metavar="A", help=options.ARTIFACT_HELP)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE|DIR", help="A new .json; for several pictures a folder. Default: latent.json, or latents, numbered if it is there."
        ),
    ] = None,
    sheet: SheetOption = None,
    seconds: Seconds = 60.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Random seed.", min=0)] = 0,
    starts: Annotated[int, typer.Option("--starts", metavar="N", help="Random latents to evaluate first.", min=1)] = 1024,
    restarts: Annotated[int, typer.Option("--restarts", metavar="N", help="Best of these latents to optimise together.", min=1)] = 8,
    attempts: Attempts = 3,
    steps: Annotated[int, typer.Option("--steps", metavar="N", help="Adam steps.", min=0)] = 100,
    polish_steps: Annotated[int, typer.Option("--polish-steps", metavar="N", help="Levenberg-Marquardt steps.", min=0)] = 120,
    perceptual: Perceptual = 0.0,
    prior: Annotated[float, typer.Option("--prior", metavar="W", help="Weight of the latent's negative log-density.", min=0)] = 1.0,
    noise: Annotated[float, typer.Option("--noise", metavar="SD", help="Initial noise on the latents.", min=0)] = 0.05,
    goal: Annotated[float, typer.Option("--goal", metavar="DB", help="PSNR at which a picture counts as found.", min=1, max=120)] = 55.0,
    extractor: Extractor = None,
    scale: Scale = None,
    size: Size = None,
    filter_name: FilterName = None,
    weights: options.Weights = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Find the latent of a picture.

    Of a composition: the latent of each layer that the picture is made of.
    """
    import torch

    from mitlgan.artifacts.loaded_artifact import load_artifact
    from mitlgan.inversion import embed as embedded
    from mitlgan.inversion import read_target
    from mitlgan.inversion.sheet import sheet_png
    from mitlgan.metrics.extractors.registry import OFFLINE_EXTRACTOR

    if not perceptual:
        options.refuse_given(context, ("extractor", "weights"), "is of the perceptual distance; give --perceptual a weight, or leave it out")
    options.use_threads(threads)
    settings = search_settings(
        seed=seed, starts=starts, restarts=restarts, attempts=attempts, steps=steps, polish_steps=polish_steps, noise=noise, prior=prior,
        perceptual=perceptual, goal_db=goal, seconds=seconds, extractor=extractor or OFFLINE_EXTRACTOR, weights=weights,
    )  # fmt: skip
    files = _files(images)
    latent_paths, sheet_path = _output_paths(files, out or _default_out(len(files)), sheet)
    loaded = load_artifact(artifact, device=device)
    target_size = picture_size(scale, size, filter_name, loaded.card.size_px)
    targets = torch.stack([read_target(file, loaded.card) for file in files])
    with search_progress(len(files)) as watch:
        result = embedded(loaded, targets, settings, progress=watch)
    _write_embedding(files, latent_paths, result, loaded, sheet_path, sheet_png(targets, result, [file.stem for file in files], target_size))
    print_result(as_json, _values(files, latent_paths, sheet_path, result), _text(files, latent_paths, sheet_path, result, settings))


def _write_embedding(files: list[Path], paths: list[Path], result: InversionResult, loaded: LoadedArtifact, sheet_path: Path, sheet: bytes) -> None:
    from mitlgan.latents import write_latent
    from mitlgan.runtime.files import write_atomically
    from mitlgan.runtime.unfinished_outputs import remove_if_failed

    with remove_if_failed(*paths, sheet_path):
        for index, path in enumerate(paths):
            origin = f"embedded {files[index].name}: {result.psnr_db[index]:.2f} dB over [0, 1]"
            write_latent(path, result.z[index], loaded.card.latent_dims, loaded.tensors_sha256, origin, is_new=True)
        write_atomically(sheet_path, sheet, is_new=True)


def _files(images: list[Path]) -> list[Path]:
    from mitlgan.data.sources.image_source import open_source

    files: list[Path] = []
    for path in images:
        if not path.is_dir():
            files.append(path)
            continue
        source = open_source(path, "IMAGE")
        for line in source.leftovers.describe(include_counts=False):
            log(f"{path}: {line}")
        files += [entry.path for entry in source.entries if entry.path is not None]
    return files


def _output_paths(files: list[Path], out: Path, sheet: Path | None) -> tuple[list[Path], Path]:
    """Return the path of each picture's latent file and that of the sheet, none of which exists."""
    from mitlgan.runtime.files import sibling_path

    latents = _latent_paths(files, out)
    option = "--out" if sheet is None else "--sheet"
    sheet = sheet or (sibling_path(out.with_suffix("") if out.suffix == LATENT else out, "-sheet.png"))
    for path in latents:
        (claim_file if len(latents) == 1 else refuse_file)(path, "--out")  # two commands may add to a folder
    claim_picture(sheet, option, *latents)
    return latents, sheet


def _default_out(count: int) -> Path:
    return new_file(None, "latent.json", ["-sheet.png"]) if count == 1 else new_folder(None, "latents", ["-sheet.png"])


def _latent_paths(files: list[Path], out: Path) -> list[Path]:
    """Path of each picture's latent file."""
    from mitlgan.data.sources.formats import IMAGE_SUFFIXES
    from mitlgan.errors import UsageError

    if len(files) == 1 and out.suffix == LATENT:
        return [out]
    if out.suffix == LATENT:
        raise UsageError(f"--out {out}: is one file for {len(files)} pictures; give a folder")
    if out.suffix.lower() in IMAGE_SUFFIXES and not out.is_dir():
        raise UsageError(f"--out {out}: ends like a picture; name a {LATENT} file or a folder")
    places = [out / f"{file.stem}{LATENT}" for file in files]
    if len(set(places)) < len(places):
        raise UsageError("IMAGE: two pictures have one name, and so would their latents; rename one")
    return places


def _values(files: list[Path], latent_paths: list[Path], sheet: Path, result: InversionResult) -> dict[str, Any]:
    pictures = []
    for index, (file, latent_path) in enumerate(zip(files, latent_paths, strict=True)):
        entry = {"picture": str(file), "latent": str(latent_path), "psnr_db": float(result.psnr_db[index]), "mse": float(result.mse[index])}
        if result.perceptual is not None:
            entry["perceptual"] = float(result.perceptual[index])
        pictures.append(entry | {"ended": result.stop_reasons[index], "seconds": result.seconds[index]})
    return {"pictures": pictures, "mean_psnr_db": float(result.psnr_db.mean()), "sheet": str(sheet)}


def _text(files: list[Path], latent_paths: list[Path], sheet: Path, result: InversionResult, settings: InversionSettings) -> str:
    lines = []
    for index, (file, latent_path) in enumerate(zip(files, latent_paths, strict=True)):
        perceptual = "" if result.perceptual is None else f", perceptual distance {float(result.perceptual[index]):.4f}"
        figures = f"{float(result.psnr_db[index]):.1f} dB, MSE {float(result.mse[index]):.2e} over [0, 1]{perceptual}"
        lines.append(f"{file}: {figures}, {result.seconds[index]:.0f} s, {_ENDED[result.stop_reasons[index]]} -> {latent_path}")
    late = result.stop_reasons.count("time")
    if late:
        over = f"had not settled after {settings.seconds:g} s, so that is the best until then; --seconds gives more"
        lines.append(f"{late} of {len(files)} {over}")
    if len(files) > 1:
        lines.append(f"mean of {len(files)}: {float(result.psnr_db.mean()):.1f} dB, worst {float(result.psnr_db.min()):.1f} dB")
    return "\n".join([*lines, str(sheet)])


_ENDED = {
    "goal": "found",
    "settled": "as near as it comes",
    "steps": "all steps taken",
    "time": "time was over",
    "cancelled": "stopped",
}
