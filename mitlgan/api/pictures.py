"""`mitlgan.grid`, `mitlgan.sheet` and `mitlgan.animate`: images as files for a notebook or a disk."""

from __future__ import annotations

from torch import Tensor

from mitlgan.artifacts.sample_files import stages_sheet_png
from mitlgan.images.animation import DEFAULT_FPS, encode_animation, validate_format
from mitlgan.images.grid import enlarge, grid_png
from mitlgan.images.resize import PictureSize, require_scale
from mitlgan.networks import CompositionStages
from mitlgan.runtime.arguments import require_images, require_whole, takes_arguments


@takes_arguments()
def grid(images: Tensor, *, columns: int = 8, scale: int = 1) -> bytes:
    """Return images as one PNG.

    Args:
        images: (N, C, H, W) in [-1, 1], or uint8, with N at least 1 and C = 1, 3 or 4; four channels are premultiplied, and shown on a checkerboard.
        columns: Images per row, at least 1.
        scale: Whole factor by which each pixel is enlarged, at least 1, to at most 4096 px.

    Raises:
        UsageError: The images have another shape, type or range, or are not finite, or a number is out of range.

    Example:
        >>> import mitlgan
        >>> images = mitlgan.load("pretrained/modern-fg-32").sample(range(4))
        >>> mitlgan.grid(images, columns=2)[1:4]
        b'PNG'
    """
    require_images("images", images, takes_bytes=True)
    require_whole("columns", columns, 1)
    require_scale(scale, max(images.shape[2:]))
    return grid_png(images, columns=columns, scale=scale)


@takes_arguments()
def sheet(stages: CompositionStages, *, columns: int = 4, scale: int | None = None) -> bytes:
    """Return every stage of a composition side by side as one PNG, each a titled grid of the same images.

    Args:
        stages: As `load(...).layers(seeds)` returns them.
        columns: Images per row of each grid, at least 1.
        scale: Whole factor by which each pixel is enlarged, at least 1, to at most 4096 px; None takes one at which small images are seen at a glance.

    Raises:
        UsageError: There is no image, a stage is none, or a number is out of range.

    Example:
        >>> import mitlgan
        >>> mitlgan.sheet(mitlgan.load("pretrained/modern-32").layers(range(4)))[1:4]
        b'PNG'
    """
    for image in (*stages.layers.values(), stages.matte, stages.fused, stages.output):
        if image is not None:
            require_images("stages", image)
    require_whole("columns", columns, 1)
    return stages_sheet_png(stages, PictureSize(scale=scale), columns)


@takes_arguments(options={"--out": "extension"})
def animate(frames: Tensor, extension: str = "webp", *, fps: float = DEFAULT_FPS, scale: int = 1) -> bytes:
    """Return frames as an animation that loops.

    Args:
        frames: (N, C, H, W) in [-1, 1], as `interpolate` returns them, or uint8, with N at least 1 and C = 1, 3 or 4; four channels are premultiplied,
            and shown on white.
        extension: `webp`, `gif`, `png`, or `mp4` with the extra `video`; with or without a dot, in any case.
        fps: Frames per second, from 1 to 120, at most 50 for `gif`.
        scale: Whole factor by which each pixel is enlarged, at least 1, to at most 4096 px.

    Raises:
        UsageError: The frames have another shape, type or range, or are not finite, the format is not supported, or a number is out of range.

    Example:
        >>> import mitlgan
        >>> frames = mitlgan.interpolate(mitlgan.load("pretrained/modern-32"), [0, 1], frames=3)
        >>> mitlgan.animate(frames)[8:12]
        b'WEBP'
    """
    require_images("frames", frames, takes_bytes=True)
    extension = validate_format(extension.lower().removeprefix("."), fps)
    return encode_animation(enlarge(frames, scale=scale).permute(0, 2, 3, 1).cpu().numpy(), extension, fps=fps)
