"""`mitlgan sample`: write images of an artifact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import log, print_result
from mitlgan.cli.output_files import claim_picture, new_folder
from mitlgan.cli.picture_options import FilterName, NoMetadata, Scale, Size, picture_size

if TYPE_CHECKING:
    from mitlgan.artifacts.loaded_artifact import LoadedArtifact
    from mitlgan.artifacts.rendering_arguments import TransformSpec


MAX_LISTED = 64
"""Pictures that are named one by one; more are named by the first and the last."""


class Format(StrEnum):
    """Formats of the pictures' files."""

    png = "png"
    webp = "webp"
    ora = "ora"
    psd = "psd"


Like = Annotated[
    Path | None, typer.Option("--like", metavar="FILE", help="Make the picture of a PNG or WebP again, from what its file says; finds the artifact.")
]
FormatName = Annotated[Format, typer.Option("--format", help="Files: png, webp (lossless), or layers for a picture editor: ora, psd (extra `psd`).")]
Lock = Annotated[list[str] | None, typer.Option("--lock", metavar="LAYER=SEED", help="Keep a layer at one seed while the others change; repeatable.")]
Transform = Annotated[
    list[str] | None,
    typer.Option(
        "--transform",
        metavar="LAYER=SCALE,X,Y[,flip]",
        help="Size and position of a layer: scale 0.05 to 4, 1 is its own size; x and y of its centre, -1 is the left or upper edge, 1 the other, and "
        "beyond (up to 1,000) it leaves the picture; repeatable.",
    ),
]


SIBLINGS = ("-grid.png", "-layers")
"""Endings of what is written next to the folder."""


def sample(
    context: typer.Context,
    artifact: Annotated[str | None, typer.Argument(metavar="ARTIFACT", help=f"{options.ARTIFACT_HELP} --like needs none.")] = None,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Number of images.", min=1, max=1_000_000)] = 16,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the first image; later images use the next seeds.", min=0)] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of files, new or empty; sheet: DIR-grid.png. Default: samples, numbered if it is there."),
    ] = None,
    latent: Annotated[list[Path] | None, typer.Option("--latent", metavar="FILE", help="Latent file instead of seeds; repeatable.")] = None,
    like: Like = None,
    truncation: options.Truncation = 1.0,
    layers: Annotated[bool, typer.Option("--layers", help="Also write every layer, matte and fused image, in DIR-layers/.")] = False,
    lock: Lock = None,
    stand: Transform = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Write only one picture: all stages in titled grids.")] = None,
    form: FormatName = Format.png,
    scale: Scale = None,
    size: Size = None,
    filter_name: FilterName = None,
    no_metadata: NoMetadata = False,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Write images of an artifact as PNG, WebP or layers."""
    from mitlgan.artifacts.layered_files import LAYERED_FORMATS, check_layered_format
    from mitlgan.artifacts.sample_files import MAX_OVERVIEW, stages_sheet_png, write_sample_files
    from mitlgan.artifacts.samples import batches_of_seeds, sample_like, samples_of_files
    from mitlgan.errors import UsageError
    from mitlgan.runtime.files import write_atomically

    _check_exclusive(context, like, latent, lock, sheet, form)
    locks, stands = _locks(lock or []), _stands(stand or [])
    if form in LAYERED_FORMATS:
        check_layered_format(form.value, "--format")
    claim_picture(sheet, "--sheet")
    out = new_folder(out, "samples", SIBLINGS) if sheet is None else Path()
    loaded = _load(artifact, like, device)
    loaded.check_locks(locks, "--lock")
    for name in stands:
        loaded.check_movable(name, f"--transform {name}")
    if layers and loaded.composer is None:
        raise UsageError("--layers: a generator has one layer, the picture itself; leave it out")
    target = picture_size(scale, size, filter_name, loaded.card.size_px, like=like, has_sheet=sheet is not None)
    count = 1 if like is not None else len(latent) if latent else count
    if like is not None:
        samples = iter([sample_like(loaded, like, stands)])
    elif latent:
        samples = iter([samples_of_files(loaded, latent, stands, truncation)])
    else:
        samples = batches_of_seeds(loaded, range(seed, seed + count), locks, stands, truncation, one=sheet is not None)
    if sheet is not None:
        write_atomically(sheet, stages_sheet_png(next(samples).stages, picture_size(scale, size, filter_name, loaded.card.size_px)), is_new=True)
        return print_result(as_json, {"sheet": str(sheet)}, f"{sheet}")
    files = write_sample_files(samples, count, out, every_layer=layers, form=form.value, size=target, has_metadata=not no_metadata, artifact=loaded)
    if count > MAX_OVERVIEW:
        log(f"{files.overview}: has the first {MAX_OVERVIEW:,} of the {count:,} pictures")
    stages = {name: str(folder) for name, folder in files.stages.items()}
    values = {"grid": str(files.overview), "files": [str(file) for file in files.pictures], "stages": stages}
    return print_result(as_json, values, "\n".join([_written(out, files.pictures), *stages.values(), str(files.overview)]))


def _written(out: Path, files: Sequence[Path]) -> str:
    """Return the line that names the pictures."""
    names = [file.name for file in files]
    listed = ", ".join(names) if len(names) <= MAX_LISTED else f"{names[0]} to {names[-1]}"
    return f"{out}: {len(names)} picture{'s' if len(names) > 1 else ''}, {listed}"


def _check_exclusive(
    context: typer.Context, like: Path | None, latent: list[Path] | None, lock: list[str] | None, sheet: Path | None, form: Format
) -> None:
    """Refuse options that exclude each other: seeds, latent files and a picture each say which pictures to make, and a sheet is all that is written."""
    from mitlgan.errors import UsageError

    if latent and lock:
        raise UsageError("--lock: holds a layer's seed, but --latent gives latents in place of seeds; leave one out")
    if like is not None:
        reason = "cannot go with --like, which makes one picture as it was made; leave one out"
        options.refuse_given(context, ("latent", "lock", "seed", "count", "truncation"), reason)
    if latent:
        options.refuse_given(context, ("seed", "count"), "cannot go with --latent, which gives latents in place of seeds; leave one out")
    if sheet is not None:
        reason = "cannot go with --sheet, which writes nothing but one PNG; leave one out"
        options.refuse_given(context, ("out", "layers", "form", "no_metadata"), reason)
    if form == Format.psd:
        options.refuse_given(context, ("no_metadata",), "is of PNG, WebP and OpenRaster; a PSD never says how it was made")


def _load(artifact: str | None, like: Path | None, device: str) -> LoadedArtifact:
    from mitlgan.artifacts.loaded_artifact import load_artifact
    from mitlgan.artifacts.picture_record import read_record
    from mitlgan.artifacts.samples import artifact_of
    from mitlgan.errors import UsageError

    if artifact is None and like is None:
        raise UsageError("ARTIFACT: is missing; give one (see `mitlgan sample --help`), or --like with a picture that says how it was made")
    path = artifact if artifact is not None or like is None else artifact_of(read_record(like, "--like"), f"--like {like}")
    assert path is not None
    return load_artifact(path, device=device)


def _locks(texts: list[str]) -> dict[str, int]:
    from mitlgan.errors import UsageError
    from mitlgan.latents import SEED_LIMIT

    seeds: dict[str, int] = {}
    for text in texts:
        name, _, seed = text.partition("=")
        if not name or not (seed.isascii() and seed.isdecimal()) or len(seed) > 19 or int(seed) >= SEED_LIMIT or name in seeds:
            raise UsageError(f"--lock {text}: write it as LAYER=SEED, once for each layer, such as fg=7")
        seeds[name] = int(seed)
    return seeds


def _stands(texts: list[str]) -> dict[str, TransformSpec]:
    from mitlgan.artifacts.rendering_arguments import MAX_OFFSET, MAX_SCALE
    from mitlgan.errors import UsageError
    from mitlgan.networks.placement import MIN_SCALE

    transforms: dict[str, TransformSpec] = {}
    for text in texts:
        name, _, rest = text.partition("=")
        parts = rest.split(",")
        try:
            scale, across, down = (float(part) for part in parts[:3])
        except ValueError:
            scale = math.nan
        if not name or not math.isfinite(scale) or parts[3:] not in ([], ["flip"]) or name in transforms or not math.isfinite(across + down):
            raise UsageError(f"--transform {text}: write it as LAYER=SCALE,X,Y or with ,flip, once for each layer, such as fg=0.5,-0.2,0.3")
        if not MIN_SCALE <= scale <= MAX_SCALE:
            raise UsageError(f"--transform {text}: the scale must lie between {MIN_SCALE:g} and {MAX_SCALE:g}")
        if max(abs(across), abs(down)) > MAX_OFFSET:
            raise UsageError(f"--transform {text}: x and y must lie between -{MAX_OFFSET:g} and {MAX_OFFSET:g}; the picture is from -1 to 1")
        transforms[name] = (scale, across, down, len(parts) == 4)
    return transforms
