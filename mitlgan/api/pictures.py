"""`mitlgan.grid`, `mitlgan.sheet` and `mitlgan.animate`: images as files for a notebook or a disk."""

from __future__ import annotations

from torch import Tensor

from mitlgan.artifacts.sample_files import stages_sheet_png
from mitlgan.images.animation import encode_animation
from mitlgan.images.grid import enlarge, grid_png
from mitlgan.images.resize import PictureSize
from mitlgan.networks import CompositionStages


def grid(images: Tensor, *, columns: int = 8, scale: int = 1) -> bytes:
    """Return images as one PNG.

    Args:
        images: (N, 1, 3 or 4, H, W) in [-1, 1]; four channels are premultiplied, and shown on a checkerboard.
        columns: Images per row, at least 1.
        scale: Whole factor by which each pixel is enlarged, at least 1.

    Example:
        >>> import mitlgan
        >>> images = mitlgan.load("pretrained/modern-fg-32").sample(range(4))
        >>> mitlgan.grid(images, columns=2)[1:4]
        b'PNG'
    """
    return grid_png(images, columns=columns, scale=scale)


def sheet(stages: CompositionStages, *, columns: int = 4, scale: int | None = None) -> bytes:
    """Return every stage of a composition side by side as one PNG, each a titled grid of the same images.

    Args:
        stages: As `load(...).layers(seeds)` returns them.
        columns: Images per row of each grid, at least 1.
        scale: Whole factor by which each pixel is enlarged, at least 1; None takes one at which small images are seen at a glance.

    Example:
        >>> import mitlgan
        >>> mitlgan.sheet(mitlgan.load("pretrained/modern-32").layers(range(4)))[1:4]
        b'PNG'
    """
    return stages_sheet_png(stages, PictureSize(scale=scale), columns)


def animate(frames: Tensor, extension: str = "webp", *, fps: float = 24.0, scale: int = 1) -> bytes:
    """Return frames as an animation that loops.

    Args:
        frames: (N, 3 or 4, H, W) in [-1, 1], as `interpolate` returns them.
        extension: `webp`, `gif`, `png`, or `mp4` with the extra `video`.
        fps: Frames per second, from 1 to 120.
        scale: Whole factor by which each pixel is enlarged, at least 1.

    Raises:
        UsageError: The format or the speed is not supported.

    Example:
        >>> import mitlgan
        >>> frames = mitlgan.interpolate(mitlgan.load("pretrained/modern-32"), [0, 1], frames=3)
        >>> mitlgan.animate(frames)[8:12]
        b'WEBP'
    """
    return encode_animation(enlarge(frames, scale=scale).permute(0, 2, 3, 1).cpu().numpy(), extension, fps=fps)
