"""Interpolation: images on the path from one latent to the next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.editing.points import Point, to_latent
from mitlgan.errors import UsageError
from mitlgan.latents import interpolate_path, truncate
from mitlgan.runtime.arguments import require_whole

MAX_FRAMES = 10_000
DEFAULT_FRAMES = 48
LERP_EASING = "sine"
"""The only pace for which there is a choice of the line: `linear` is straight, and `slerp` an arc, by definition."""


class LatentPath(NamedTuple):
    """Latents along a path.

    Attributes:
        z: (F, sum of the layers' lengths).
        stops: Indices of the requested points, which are rendered alone, so that they equal those images to the bit.
        order: Indices into `z` in display order.
    """

    z: Tensor
    stops: list[int]
    order: list[int]


def plan_path(
    artifact: LoadedArtifact,
    points: Sequence[Point],
    *,
    frames: int = DEFAULT_FRAMES,
    layers: Collection[str] | None = None,
    easing: str = "sine",
    lerp: bool = False,
    loop: bool = False,
    ping_pong: bool = False,
    truncation: float = 1.0,
) -> LatentPath:
    """Return the latents of `interpolate`; see there for the arguments.

    Raises:
        UsageError: The arguments contradict each other, or one is out of range.
        ArtifactError: A latent file cannot be read or does not fit.
    """
    if lerp and easing != LERP_EASING:
        raise UsageError(f"--lerp: is the straight line with the pace of {LERP_EASING}, and cannot go with --easing {easing}; leave one out")
    if loop and ping_pong:
        raise UsageError("--ping-pong: cannot be combined with --loop; choose one of them")
    if len(points) < 2:
        raise UsageError(f"points: {len(points)} given; give at least two")
    require_whole("--frames", frames, 2, MAX_FRAMES)
    steps = (frames - 1) * (len(points) if loop else len(points) - 1)
    total = steps if loop else 2 * steps if ping_pong else steps + 1
    if total > MAX_FRAMES:
        raise UsageError(f"frames: {frames} for each way are {total:,} in all, more than {MAX_FRAMES:,}; give fewer")
    stops = [truncate(to_latent(artifact, point, "points"), truncation) for point in points]
    stacked = torch.stack([*stops, stops[0]] if loop else stops)
    z, at = interpolate_path(stacked, frames, artifact.card.latent_dims, layers=layers, easing=easing, straight=lerp)
    order = list(range(len(z)))
    if loop:
        order.pop()  # it equals the first
    elif ping_pong:
        order += order[-2:0:-1]
    return LatentPath(z, at, order)


def interpolate(
    artifact: LoadedArtifact,
    points: Sequence[Point],
    *,
    frames: int = DEFAULT_FRAMES,
    layers: Collection[str] | None = None,
    easing: str = "sine",
    lerp: bool = False,
    loop: bool = False,
    ping_pong: bool = False,
    truncation: float = 1.0,
) -> Tensor:
    """Return images on the path from one point to the next.

    Each layer's latent moves by itself, along the arc that keeps its length (see `mitlgan.latents.paths`). The images of the points themselves equal
    those that `artifact.images_from_latents` returns for each alone, to the bit.

    Args:
        artifact: Generator or composer.
        points: At least two points; see `mitlgan.editing.to_latent`.
        frames: Images from each point to the next, both included, from 2 to 10,000; at most 10,000 in all, the way back included.
        layers: Names of latents that move; the others stay those of the first point. None: all.
        easing: `sine`, slow at every point (Bielko 2022), `linear`, along the straight line at an even pace, or `slerp`, along the arc at an even pace.
        lerp: Use the straight line for `sine` as well.
        loop: Continue from the last point to the first, whose image is not repeated.
        ping_pong: Return along the same path; the last image is the one after the first.
        truncation: From 0 to 2; see `mitlgan.latents.truncate`.

    Returns:
        (F, C, H, W), float32 in [-1, 1], on the CPU.

    Raises:
        UsageError: An argument is out of range, unknown, or contradicts another.
        ArtifactError: A latent file cannot be read or does not fit.

    Example:
        >>> import mitlgan
        >>> frames = mitlgan.interpolate(mitlgan.load("pretrained/modern-32"), [5, 9], frames=3, layers=["fg"], ping_pong=True)
        >>> frames.shape
        torch.Size([4, 3, 32, 32])
    """
    path = plan_path(
        artifact,
        points,
        frames=frames,
        layers=layers,
        easing=easing,
        lerp=lerp,
        loop=loop,
        ping_pong=ping_pong,
        truncation=truncation,
    )
    return render_path(artifact, path)


def render_path(artifact: LoadedArtifact, path: LatentPath) -> Tensor:
    """Return the images (F, C, H, W) in [-1, 1] of a path in display order."""
    images = artifact.images_from_latents(path.z)
    for stop in path.stops:
        images[stop] = artifact.images_from_latents(path.z[stop : stop + 1])[0]  # in a batch it could differ in the last bit
    return images[path.order]
