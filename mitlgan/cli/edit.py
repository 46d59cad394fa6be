"""interpolate, mix, grid, directions: what can be done with latents, layer by layer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitlgan.cli import options
from mitlgan.cli.options import finish

if TYPE_CHECKING:
    from torch import Tensor

    from mitlgan.artifacts.loaded_artifact import LoadedArtifact

ALL = "all"
MOST_BYTES = 2_000_000_000
POINT = "SEED|LAYER=SEED,...|FILE"


class Easing(StrEnum):
    """How an interpolation goes."""

    sine = "sine"
    linear = "linear"
    slerp = "slerp"


class By(StrEnum):
    """What directions are directions of."""

    weights = "weights"
    features = "features"


ArtifactPath = Annotated[Path, typer.Argument(metavar="ARTIFACT", help="A .safetensors artifact, or a run.")]
Layer = Annotated[list[str] | None, typer.Option("--layer", metavar="NAME|all", help="Which latent: fg, bg, ...; repeatable. The others stay.")]
Scale = Annotated[int | None, typer.Option("--scale", metavar="N", help="Whole factor by which each pixel is enlarged.", min=1, max=64)]
At = Annotated[str, typer.Option("--at", metavar=POINT, help="The picture from which the directions go.")]


def interpolate(
    artifact: ArtifactPath,
    start: Annotated[str, typer.Option("--from", metavar=POINT, help="Where it begins: 7, fg=7,bg=3 or latent.json.")],
    end: Annotated[str, typer.Option("--to", metavar=POINT, help="Where it ends.")],
    via: Annotated[list[str] | None, typer.Option("--via", metavar=POINT, help="A point on the way; repeatable.")] = None,
    layer: Layer = None,
    easing: Annotated[
        Easing, typer.Option("--easing", help="sine: along the arc, slow at each point; slerp: the arc at an even pace; linear: the straight line.")
    ] = Easing.sine,
    straight: Annotated[bool, typer.Option("--straight", help="The straight line for sine, too.")] = False,
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="From each point to the next, both included.", min=2, max=10_000)] = 48,
    fps: Annotated[float, typer.Option("--fps", metavar="N", help="Frames per second.", min=1, max=120)] = 25,
    loop: Annotated[bool, typer.Option("--loop", help="Go on from the end to the beginning.")] = False,
    there_and_back: Annotated[bool, typer.Option("--there-and-back", help="Come back the way it went.")] = False,
    scale: Scale = None,
    size: Annotated[int | None, typer.Option("--size", metavar="PX", help="Height and width in place of --scale, smoothly enlarged.", min=1)] = None,
    truncation: options.Truncation = 1.0,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A .gif, .webp, .png (animated) or .mp4 (extra `video`).")] = Path("morph.webp"),
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Also the frames side by side in one PNG.")] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Go from one picture to another, all layers or one, as a moving picture."""
    from mitlgan.artifacts.loaded_artifact import grid_png
    from mitlgan.artifacts.titled_grid import display_scale, enlarge
    from mitlgan.editing import parse_latent, plan_path, render_path
    from mitlgan.errors import UsageError
    from mitlgan.images.animation import encode_animation, validate_format
    from mitlgan.networks.placement import to_opaque_rgb
    from mitlgan.runtime.files import write_atomically

    form = validate_format(out.suffix.removeprefix(".").lower(), fps)
    loaded = _loaded(artifact, device)
    given = [("--from", start), *(("--via", point) for point in via or []), ("--to", end)]
    points = [parse_latent(loaded, text, option) for option, text in given]
    way = plan_path(
        loaded,
        points,
        frames=frames,
        layers=_layers(layer),
        easing=easing.value,
        straight=straight,
        closed=loop,
        there_and_back=there_and_back,
        truncation=truncation,
    )
    px = size or loaded.card.size_px * (scale or display_scale(loaded.card.size_px))
    if 3 * px**2 * len(way.order) > MOST_BYTES:
        raise UsageError(f"frames: {len(way.order)} of {px} px are more than fit in memory; give fewer, or a smaller --scale or --size")
    images = render_path(loaded, way)
    pixels = enlarge(images, scale=scale or (None if size else display_scale(loaded.card.size_px)), size_px=size)
    write_atomically(out, encode_animation(pixels.permute(0, 2, 3, 1).contiguous().numpy(), form, fps))
    if sheet is not None:
        write_atomically(sheet, grid_png(to_opaque_rgb(images), columns=_columns(len(images)), scale=scale or 1))
    values = {"file": str(out), "sheet": str(sheet) if sheet else None, "frames": len(images), "fps": fps, "size_px": pixels.shape[2]}
    finish(as_json, values, f"{out}: {len(images)} frames")


def mix(
    artifact: ArtifactPath,
    first: Annotated[str, typer.Argument(metavar="A", help="One parent: a seed, fg=7,bg=3 or latent.json.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The other.")],
    weight: Annotated[
        list[str] | None, typer.Option("--weight", metavar="[LAYER=]W", help="Share of B, from 0 to 1; repeatable by layer. Default: 0.5.")
    ] = None,
    layer: Layer = None,
    features: Annotated[
        str | None, typer.Option("--features", metavar="K|NAME", help="Mix the generators' activations after this stage in place of latents.")
    ] = None,
    straight: Annotated[bool, typer.Option("--straight", help="The straight line between latents: shorter, so a more average child.")] = False,
    truncation: options.Truncation = 1.0,
    scale: Scale = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The child's picture; its latent goes beside it, as .json.")] = Path("child.png"),
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Also both parents and the child in one PNG.")] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Make the child of two pictures: the midpoint on the arc between their latents, layer by layer."""
    import torch

    from mitlgan.artifacts.titled_grid import labeled_grid_png
    from mitlgan.editing import mix as mixed
    from mitlgan.editing import parse_latent
    from mitlgan.latents import truncate, write_latent
    from mitlgan.runtime.files import write_atomically

    loaded = _loaded(artifact, device)
    parents = [parse_latent(loaded, text, name) for name, text in (("A", first), ("B", second))]
    child = mixed(loaded, *parents, weight=_weights(weight), layers=_layers(layer), features=features, straight=straight, truncation=truncation)
    write_atomically(out, _single_png(child.stages.output, scale or 1))
    found = None
    if child.z is not None:
        found = out.with_suffix(".json")
        write_latent(found, child.z, loaded.card.latent_dims, loaded.tensors_sha256, f"child of {first} and {second}")
    if sheet is not None:
        shown = torch.cat(
            [
                loaded.images_from_latents(truncate(parents[0], truncation)[None]),
                child.stages.output,
                loaded.images_from_latents(truncate(parents[1], truncation)[None]),
            ]
        )
        write_atomically(sheet, labeled_grid_png(shown, [""], ["A", "child", "B"], scale=scale))
    finish(as_json, {"picture": str(out), "latent": str(found) if found else None, "sheet": str(sheet) if sheet else None}, str(out))


def grid(
    artifact: ArtifactPath,
    rows: Annotated[str | None, typer.Option("--rows", metavar="LAYER", help="Whose latent each row shares. Default: the first.")] = None,
    columns: Annotated[str | None, typer.Option("--columns", metavar="LAYER", help="Whose latent each column shares. Default: the second.")] = None,
    seeds: Annotated[str, typer.Option("--seeds", metavar="LIST", help="Of rows and columns, such as 0-7 or 1,5,9.")] = "0-5",
    row_seeds: Annotated[str | None, typer.Option("--row-seeds", metavar="LIST", help="Of the rows, where they differ.")] = None,
    column_seeds: Annotated[str | None, typer.Option("--column-seeds", metavar="LIST", help="Of the columns, where they differ.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar=POINT, help="Where the other latents stay. Default: seed 0, and each object at its own place.")
    ] = None,
    truncation: options.Truncation = 1.0,
    scale: Scale = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The PNG.")] = Path("grid.png"),
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Cross two layers in one picture: each row one foreground, each column one background."""
    from mitlgan.artifacts.titled_grid import labeled_grid_png, layer_title
    from mitlgan.editing import cross, parse_latent
    from mitlgan.errors import UsageError
    from mitlgan.runtime.files import write_atomically

    loaded = _loaded(artifact, device)
    names = list(loaded.card.latent_dims)
    if len(names) < 2:
        raise UsageError(f"{artifact}: has one latent ({names[0]}), so there is nothing to cross; use `mitlgan sample` or `mitlgan directions`")
    row = rows or next(name for name in names if name != columns)
    column = columns or next(name for name in names if name != row)
    chosen = [_seeds(given or seeds, option) for given, option in ((row_seeds, "--row-seeds"), (column_seeds, "--column-seeds"))]
    z = cross(loaded, (row, chosen[0]), (column, chosen[1]), at=None if at is None else parse_latent(loaded, at, "--at"), truncation=truncation)
    titles = [[str(seed) for seed in axis] for axis in chosen]
    corner = [f"rows: {layer_title(row)}", f"columns: {layer_title(column)}"]
    write_atomically(out, labeled_grid_png(loaded.images_from_latents(z), *titles, corner=corner, scale=scale))
    finish(as_json, {"picture": str(out), "rows": {row: chosen[0]}, "columns": {column: chosen[1]}}, str(out))


def directions(
    artifact: ArtifactPath,
    layer: Annotated[str | None, typer.Option("--layer", metavar="NAME", help="Whose latent. Default: the first layer's.")] = None,
    by: Annotated[By, typer.Option("--by", help="weights: the first ones (SeFa); features: their principal components (GANSpace).")] = By.weights,
    count: Annotated[int | None, typer.Option("-k", "--count", metavar="N", help="Directions. Default: 8, or all of a shorter latent.", min=1)] = None,
    stage: Annotated[str | None, typer.Option("--stage", metavar="K|NAME", help="Of the features. Default: the last before the image.")] = None,
    samples: Annotated[int, typer.Option("--samples", metavar="N", help="Latents whose features count.", min=2, max=4096)] = 1024,
    at: At = "0",
    alone: Annotated[bool, typer.Option("--alone", help="Show the layer's own pictures, not the composition's.")] = False,
    sigmas: Annotated[float, typer.Option("--sigmas", metavar="S", help="How far the sheet goes to both sides.", min=0.1, max=20)] = 3.0,
    truncation: options.Truncation = 1.0,
    scale: Scale = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The sheet, a PNG; the directions go beside it, as .safetensors.")] = Path(
        "directions.png"
    ),
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Find the directions that change a layer most, and show each as a row of pictures."""
    from mitlgan import editing
    from mitlgan.artifacts.titled_grid import labeled_grid_png, layer_title
    from mitlgan.runtime.files import write_atomically

    loaded = _loaded(artifact, device)
    point = editing.parse_latent(loaded, at, "--at")
    found = editing.directions(loaded, layer=layer, by=by.value, k=count, stage=stage, samples=samples)
    walk = editing.traverse(loaded, found, at=point, sigmas=[sigmas * step / 3 for step in range(-3, 4)], truncation=truncation, alone=alone)
    kept = out.with_suffix(".safetensors")
    editing.write_directions(kept, found, loaded.tensors_sha256)
    rows = [f"{index}: {share:.1%}" for index, share in enumerate(found.shares.tolist(), start=1)]
    steps = [f"{step:+.3g} SD" if step else "0" for step in walk.sigmas]
    write_atomically(out, labeled_grid_png(walk.images, rows, steps, corner=[layer_title(found.layer)], scale=scale))
    values = {"sheet": str(out), "directions": str(kept), "layer": found.layer, "by": found.by, "stage": found.stage, "shares": found.shares.tolist()}
    finish(as_json, values, f"{out}, {kept}")


def _loaded(artifact: Path, device: str) -> LoadedArtifact:
    from mitlgan.artifacts.loaded_artifact import load_artifact
    from mitlgan.runtime.distributed import resolve_device

    return load_artifact(artifact, device=str(resolve_device(device)))


def _layers(given: list[str] | None) -> list[str] | None:
    return None if given is None or ALL in given else given


def _columns(count: int) -> int:
    """Of a sheet of frames: about twice as wide as high."""
    return max(1, round(math.sqrt(2 * count)))


def _single_png(image: Tensor, scale: int) -> bytes:
    from mitlgan.artifacts.loaded_artifact import encode_png
    from mitlgan.data.pack.image_pack import to_uint8
    from mitlgan.images.transparency import unpremultiply

    return encode_png(unpremultiply(to_uint8(image))[0].repeat_interleave(scale, 1).repeat_interleave(scale, 2))


def _weights(given: list[str] | None) -> float | dict[str, float]:
    from mitlgan.errors import UsageError

    shares: dict[str, float] = {}
    for text in given or []:
        name, _, number = text.rpartition("=")
        try:
            shares[name] = float(number)
        except ValueError:
            raise UsageError(f"--weight {text}: write it as W or LAYER=W, such as 0.3 or fg=0.3") from None
        if not 0 <= shares[name] <= 1:
            raise UsageError(f"--weight {text}: is no share; choose from 0 (A) to 1 (B)")
    if "" in shares and len(shares) > 1:
        raise UsageError("--weight: one for all and some by layer; name the layer of each")
    return shares.get("", 0.5) if "" in shares or not shares else shares


def _seeds(text: str, option: str) -> list[int]:
    from mitlgan.errors import UsageError

    if not re.fullmatch(r"\d{1,19}(-\d{1,19})?(,\d{1,19}(-\d{1,19})?)*", text):
        raise UsageError(f"{option} {text}: write seeds as 0-7 or 1,5,9")
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) - int(first) not in range(1000):
            raise UsageError(f"{option} {text}: {part} is not at most 1,000 seeds, the smallest first")
        found += range(int(first), int(last or first) + 1)
    return found


COMMANDS: dict[str, Callable[..., Any]] = {"interpolate": interpolate, "mix": mix, "grid": grid, "directions": directions}
