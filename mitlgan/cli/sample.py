"""`mitlgan sample`: write images of an artifact."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.output import print_result

if TYPE_CHECKING:
    from mitlgan.artifacts.loaded_artifact import TransformSpec


def sample(
    artifact: Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A .safetensors artifact, or a run.")],
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", help="Number of images.", min=1, max=1_000_000)] = 16,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the first image; later images use the next seeds.", min=0)] = 0,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the PNGs; their grid is DIR-grid.png.")] = Path("samples"),
    latent: Annotated[list[Path] | None, typer.Option("--latent", metavar="FILE", help="Latent file instead of seeds; repeatable.")] = None,
    truncation: options.Truncation = 1.0,
    layers: Annotated[bool, typer.Option("--layers", help="Also write every layer, matte and fused image, in DIR-layers/.")] = False,
    lock: Annotated[
        list[str] | None, typer.Option("--lock", metavar="LAYER=SEED", help="Keep a layer at one seed while the others change; repeatable.")
    ] = None,
    stand: Annotated[
        list[str] | None,
        typer.Option(
            "--transform",
            metavar="LAYER=SCALE,ACROSS,DOWN[,flip]",
            help="Size and position of a layer: scale 1 is its own size, x and y of its centre run from -1 (left, top) to 1; repeatable.",
        ),
    ] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Write only one picture: all stages in titled grids.")] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Write images of an artifact as PNG."""
    import torch

    from mitlgan.artifacts.loaded_artifact import load_artifact
    from mitlgan.artifacts.sample_files import stages_sheet_png, write_sample_files
    from mitlgan.errors import UsageError
    from mitlgan.latents import read_latent, truncate
    from mitlgan.runtime.distributed import resolve_device
    from mitlgan.runtime.files import write_atomically

    locks, stands = _locks(lock or []), _stands(stand or [])
    loaded = load_artifact(artifact, device=str(resolve_device(device)))
    for name in stands:
        loaded.check_movable(name, f"--transform {name}")
    if latent:
        if locks:
            raise UsageError("--lock: holds a layer's seed, but --latent gives latents in place of seeds; leave one out")
        names = [path.stem for path in latent]
        if len(set(names)) < len(names):
            raise UsageError("--latent: two files have one name, and so would their pictures; rename one")
        z = torch.stack([read_latent(path, loaded.card.latent_dims, loaded.tensors_sha256) for path in latent])
    else:
        names = [f"{number:06d}" for number in range(seed, seed + count)]
        z = loaded.latents(loaded.lock_seeds(range(seed, seed + count), locks))
    stages = loaded.layers_from_latents(truncate(z, truncation), stands)
    if sheet is not None:
        write_atomically(sheet, stages_sheet_png(stages))
        return print_result(as_json, {"sheet": str(sheet)}, f"{sheet}")
    files = write_sample_files(stages, names, out, every_layer=layers)
    values = {
        "grid": str(files.overview),
        "files": [str(file) for file in files.pictures],
        "stages": {name: str(folder) for name, folder in files.stages.items()},
    }
    return print_result(as_json, values, "\n".join([f"{out}: {len(names)} pictures", *map(str, files.stages.values()), str(files.overview)]))


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
    from mitlgan.artifacts.loaded_artifact import MAX_SCALE
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
            raise UsageError(f"--transform {text}: write it as LAYER=SCALE,ACROSS,DOWN or with ,flip, once for each layer, such as fg=0.5,-0.2,0.3")
        if not MIN_SCALE <= scale <= MAX_SCALE:
            raise UsageError(f"--transform {text}: the scale must lie between {MIN_SCALE:g} and {MAX_SCALE:g}")
        transforms[name] = (scale, across, down, len(parts) == 4)
    return transforms
