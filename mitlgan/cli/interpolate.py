"""`mitlgan interpolate`: animate the path from one picture to another."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitlgan.cli import options
from mitlgan.cli.edit_options import POINT, ArtifactPath, Layer, layer_names, load_artifact
from mitlgan.cli.output import print_result
from mitlgan.cli.output_files import claim_picture, lines_of, new_file
from mitlgan.cli.picture_options import FilterName, Scale, Size, picture_size

if TYPE_CHECKING:
    from torch import Tensor

    from mitlgan.images.resize import PictureSize

MAX_BYTES = 2_000_000_000


class Easing(StrEnum):
    """Pace and shape of the path."""

    sine = "sine"
    linear = "linear"
    slerp = "slerp"


EasingOption = Annotated[
    Easing, typer.Option("--easing", help="sine: along the arc, slow at each point; slerp: along the arc, even pace; linear: straight line.")
]


def interpolate(
    context: typer.Context,
    artifact: ArtifactPath,
    start: Annotated[str, typer.Option("--from", metavar=POINT, help="First picture: 7, fg=7,bg=3 or latent.json.")],
    end: Annotated[str, typer.Option("--to", metavar=POINT, help="Last picture.")],
    via: Annotated[list[str] | None, typer.Option("--via", metavar=POINT, help="Picture in between; repeatable.")] = None,
    layer: Layer = None,
    easing: EasingOption = Easing.sine,
    straight: Annotated[bool, typer.Option("--lerp", help="Take the straight line with the pace of sine.")] = False,
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="Frames from each point to the next, both included.", min=2, max=10_000)] = 48,
    fps: Annotated[float, typer.Option("--fps", metavar="N", help="Frames per second.", min=1, max=120)] = 25,
    loop: Annotated[bool, typer.Option("--loop", help="Return from the last picture to the first.")] = False,
    there_and_back: Annotated[bool, typer.Option("--ping-pong", help="Play forwards, then backwards.")] = False,
    scale: Scale = None,
    size: Size = None,
    filter_name: FilterName = None,
    truncation: options.Truncation = 1.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="A new .gif, .webp, .png (animated) or .mp4 (extra `video`). Default: morph.webp, numbered if it is there."
        ),
    ] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Also write all frames in one PNG.")] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Animate the path from one picture to another.

    All layers change, or only those that --layer names.
    """
    from mitlgan.editing import parse_latent, plan_path, render_path
    from mitlgan.images.alpha import to_opaque_rgb
    from mitlgan.images.animation import encode_animation, validate_format
    from mitlgan.images.resize import OWN_SIZE, resize_images
    from mitlgan.runtime.files import write_atomically
    from mitlgan.runtime.unfinished_outputs import remove_if_failed

    if straight:
        options.refuse_given(context, ("easing",), "cannot go with --lerp, the straight line with the pace of sine; leave one out")
    out = new_file(out, "morph.webp")
    claim_picture(sheet, "--sheet", out)
    form = validate_format(out.suffix.removeprefix(".").lower(), fps)
    loaded = load_artifact(artifact, device)
    target = picture_size(scale, size, filter_name, loaded.card.size_px)
    texts = [("--from", start), *(("--via", point) for point in via or []), ("--to", end)]
    points = [parse_latent(loaded, text, option) for option, text in texts]
    way = plan_path(
        loaded, points, frames=frames, layers=layer_names(layer), easing=easing.value, lerp=straight, loop=loop,
        ping_pong=there_and_back, truncation=truncation,
    )  # fmt: skip
    frame_size = _frame_size(target, loaded.card.size_px, len(way.order))
    images = render_path(loaded, way)
    pixels = resize_images(to_opaque_rgb(images), frame_size)
    with remove_if_failed(*(path for path in (out, sheet) if path is not None)):
        write_atomically(out, encode_animation(pixels.permute(0, 2, 3, 1).contiguous().numpy(), form, fps), is_new=True)
        if sheet is not None:
            write_atomically(sheet, _sheet(images, OWN_SIZE if (scale, size) == (None, None) else target), is_new=True)
    values = {"file": str(out), "sheet": str(sheet) if sheet else None, "frames": len(images), "fps": fps, "size_px": pixels.shape[2]}
    print_result(as_json, values, lines_of(f"{out}: {len(images)} frames{_stillness(pixels)}", sheet))


def _stillness(frames: Tensor) -> str:
    """Return what is to be said if all frames (F, C, H, W) are equal, of which WebP and PNG keep one, without a duration."""
    return ", all equal: a still picture" if bool((frames == frames[:1]).all()) else ""


def _frame_size(size: PictureSize, own_px: int, frames: int) -> PictureSize:
    """Return the size of frames; without one, they are enlarged to be seen.

    Raises:
        UsageError: So many do not fit in memory.
    """
    from mitlgan.errors import UsageError
    from mitlgan.images.grid import display_scale

    if (size.scale, size.size_px) == (None, None):
        size = size._replace(scale=display_scale(own_px))
    px = size.target(own_px, own_px)[0]
    if 3 * px**2 * frames > MAX_BYTES:
        raise UsageError(f"frames: {frames} of {px} px are more than fit in memory; give fewer, or a smaller --scale or --size")
    return size


def _sheet(images: Tensor, size: PictureSize) -> bytes:
    from mitlgan.images.alpha import to_opaque_rgb
    from mitlgan.images.grid import contact_sheet_png

    return contact_sheet_png(to_opaque_rgb(images), [str(number) for number in range(1, len(images) + 1)], _columns(len(images)), size)


def _columns(count: int) -> int:
    """Columns of a sheet of frames that is about twice as wide as high."""
    return max(1, round(math.sqrt(2 * count)))
