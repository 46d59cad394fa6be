"""From one picture to another through pictures: interpolation of latents, rendered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.editing.points import Point, to_latent
from mitlgan.errors import UsageError
from mitlgan.latents import interpolate_path, truncate

MAX_FRAMES = 10_000


class LatentPath(NamedTuple):
    """Latents along a way.

    Attributes:
        z: (F, sum of the layers' lengths).
        stops: Which of them were asked for, and are rendered alone, so that they are those pictures to the bit.
        order: Indices into `z` in the order in which they are shown.
    """

    z: Tensor
    stops: list[int]
    order: list[int]


def plan_path(
    artifact: LoadedArtifact,
    points: Sequence[Point],
    *,
    frames: int = 60,
    layers: Collection[str] | None = None,
    easing: str = "sine",
    straight: bool = False,
    closed: bool = False,
    there_and_back: bool = False,
    truncation: float = 1.0,
) -> LatentPath:
    """The latents of `interpolate`, which has the arguments.

    Raises:
        UsageError: The arguments contradict each other, or one is out of range.
        ArtifactError: A latent file that cannot be read or does not fit.
    """
    if closed and there_and_back:
        raise UsageError("--ping-pong: cannot be combined with --loop; choose one of them")
    if frames * len(points) > MAX_FRAMES:
        raise UsageError(f"frames: {frames} between {len(points)} points are more than {MAX_FRAMES}; give fewer")
    stops = [truncate(to_latent(artifact, point), truncation) for point in points]
    stacked = torch.stack([*stops, stops[0]] if closed else stops)
    z, at = interpolate_path(stacked, frames, artifact.card.latent_dims, layers=layers, easing=easing, straight=straight)
    order = list(range(len(z)))
    if closed:
        order.pop()  # it is the first again
    elif there_and_back:
        order += order[-2:0:-1]
    return LatentPath(z, at, order)


def interpolate(
    artifact: LoadedArtifact,
    points: Sequence[Point],
    *,
    frames: int = 60,
    layers: Collection[str] | None = None,
    easing: str = "sine",
    straight: bool = False,
    closed: bool = False,
    there_and_back: bool = False,
    truncation: float = 1.0,
) -> Tensor:
    """Images on the way from one point to the next.

    Each layer's latent goes by itself, along the arc that keeps its length (see `mitlgan.latents.paths`). The points' own images are those that
    `artifact.images_at` gives of each alone, to the bit.

    Args:
        artifact: Generator or composer.
        points: At least two, each as `mitlgan.editing.point_of` takes it.
        frames: Images from each point to the next, both included.
        layers: Names of latents that move; the others stay those of the first point. None: all.
        easing: `sine`, slow at every point (Bielko 2022), `linear`, along the straight line at an even pace, or `slerp`, along the arc at an even pace.
        straight: The straight line for `sine`, too.
        closed: Go on from the last point to the first, whose image is not given twice.
        there_and_back: Come back the way it went; the last image is the one after the first.
        truncation: See `mitlgan.latents.truncated`.

    Returns:
        (F, C, H, W), float32 in [-1, 1], on the CPU.

    Raises:
        UsageError: An argument is out of range, unknown, or contradicts another.
        ArtifactError: A latent file that cannot be read or does not fit.
    """
    way = plan_path(
        artifact,
        points,
        frames=frames,
        layers=layers,
        easing=easing,
        straight=straight,
        closed=closed,
        there_and_back=there_and_back,
        truncation=truncation,
    )
    return render_path(artifact, way)


def render_path(artifact: LoadedArtifact, way: LatentPath) -> Tensor:
    """The images (F, C, H, W) in [-1, 1] of a way, in the order in which they are shown."""
    images = artifact.images_from_latents(way.z)
    for stop in way.stops:
        images[stop] = artifact.images_from_latents(way.z[stop : stop + 1])[0]  # in a batch it could differ in the last bit
    return images[way.order]
