"""Interpolation and truncation of latents, each layer on its own.

A standard normal latent of high dimension lies near the sphere of radius sqrt(dim). The midpoint of a straight line between two of them is shorter by
sqrt(2), an unwanted truncation by 0.71; spherical interpolation keeps the length (White 2016, "Sampling generative networks").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from mitlgan.errors import UsageError
from mitlgan.networks import PLACEMENT_LATENT
from mitlgan.runtime.arguments import require_choice

MIN_SLERP_DIM = 8
"""Smallest dimension for spherical interpolation: shorter latents have no typical length and use straight lines, as a placement does, whose few numbers
per object stand next to each other."""
MAX_TRUNCATION = 2.0
LayerWeights = Mapping[str, Sequence[float]]


class Easing(NamedTuple):
    """Speed along a path: `pace` maps [0, 1] to [0, 1] with fixed ends; `straight` chooses the line over the arc."""

    pace: Callable[[float], float]
    straight: bool


def _even(share: float) -> float:
    return share


def _sine(share: float) -> float:
    return (1 - math.cos(math.pi * share)) / 2  # Bielko 2022: slow at both ends


EASINGS = {"sine": Easing(_sine, straight=False), "linear": Easing(_even, straight=True), "slerp": Easing(_even, straight=False)}


def split_by_layer(z: Tensor, dims: Mapping[str, int]) -> dict[str, Tensor]:
    """Split latents (..., sum of dims) into views by layer."""
    return dict(zip(dims, torch.split(z, list(dims.values()), dim=-1), strict=True))


def concat_layers(parts: Mapping[str, Tensor], dims: Mapping[str, int]) -> Tensor:
    """Concatenate the layers' latents to (..., sum of dims), in the order of `dims`."""
    return torch.cat([parts[name] for name in dims], dim=-1)


def interpolate_latents(first: Tensor, second: Tensor, weights: LayerWeights, dims: Mapping[str, int], *, straight: bool = False) -> Tensor:
    """Interpolate between two latents, each layer by its own weights.

    Args:
        first: (sum of dims,).
        second: (sum of dims,).
        weights: Shares of the second in [0, 1], by layer, as many for each; a layer without weights keeps the first latent, to the bit.
        dims: Latent length by layer, in order.
        straight: Use the straight line; latents shorter than `MIN_SLERP_DIM` and placements always do.

    Returns:
        (N, sum of dims); weight 0 gives the first and weight 1 the second to the bit.

    Raises:
        UsageError: A layer is unknown, the counts differ, or a weight is out of range.
    """
    counts = {len(values) for values in weights.values()}
    if len(counts) > 1:
        raise UsageError("weights: every layer needs as many as the others")
    for name, values in weights.items():
        require_layer(name, dims, "weights")
        for value in values:
            if not 0 <= value <= 1:
                raise UsageError(f"weights: {value} for {name} is not a share; choose from 0 (the first) to 1 (the second)")
    count = counts.pop() if counts else 1
    others, parts = split_by_layer(second, dims), {}
    for name, own in split_by_layer(first, dims).items():
        if name not in weights:
            parts[name] = own.expand(count, -1)
        else:
            interpolate = lerp if straight or dims[name] < MIN_SLERP_DIM or name == PLACEMENT_LATENT else slerp
            parts[name] = interpolate(own, others[name], weights[name])
    return concat_layers(parts, dims)


def slerp(first: Tensor, second: Tensor, weights: Sequence[float]) -> Tensor:
    """Interpolate spherically between vectors (d,), at constant angular speed; the length changes linearly.

    Parallel, opposite and zero vectors have no unique arc and use the straight line.
    """
    a, b = first.double(), second.double()
    lengths = a.norm(), b.norm()
    if not bool(lengths[0] > 0) or not bool(lengths[1] > 0):
        return lerp(first, second, weights)
    a, b = a / lengths[0], b / lengths[1]
    angle = torch.acos((a @ b).clamp(-1, 1))
    if float(angle.sin()) < 1e-6:
        return lerp(first, second, weights)
    t = _column(weights)  # (N, 1)
    direction = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    return _with_ends(direction * ((1 - t) * lengths[0] + t * lengths[1]), first, second, t)


def lerp(first: Tensor, second: Tensor, weights: Sequence[float]) -> Tensor:
    """Return points (N, d) on the straight line from one vector (d,) to another."""
    t = _column(weights)
    return _with_ends((1 - t) * first.double() + t * second.double(), first, second, t)


def _column(weights: Sequence[float]) -> Tensor:
    return torch.tensor(weights, dtype=torch.float64).unsqueeze(1)


def _with_ends(points: Tensor, first: Tensor, second: Tensor, t: Tensor) -> Tensor:
    """Return the points in the ends' type, with the ends exactly as given, so that their images are the same."""
    return torch.where(t == 0, first, torch.where(t == 1, second, points.to(first.dtype)))


def interpolate_path(
    points: Tensor, frames: int, dims: Mapping[str, int], *, layers: Collection[str] | None = None, easing: str = "sine", straight: bool = False
) -> tuple[Tensor, list[int]]:
    """Interpolate along waypoints.

    Args:
        points: (P, sum of dims), P at least 2.
        frames: Latents from each point to the next, both included.
        dims: Latent length by layer, in order.
        layers: Layers that change; the others keep the first point's latent, to the bit. None: all.
        easing: `sine` (the arc, slow at every point), `linear` (the straight line at an even pace) or `slerp` (the arc at an even pace).
        straight: Use the straight line for `sine`, too.

    Returns:
        (F, sum of dims) with F = (P - 1) (frames - 1) + 1, and the indices of the waypoints in them.

    Raises:
        UsageError: Fewer than two points or frames, or an unknown layer or easing.
    """
    require_choice("--easing", easing, EASINGS)
    if len(points) < 2 or frames < 2:
        raise UsageError("frames: a way has at least two, its ends" if frames < 2 else "points: a way has at least two, its ends")
    moving = list(dims) if layers is None else list(layers)
    require_layers(moving, dims)
    pace, line = EASINGS[easing]
    shares = [pace(index / (frames - 1)) for index in range(frames)]
    first = split_by_layer(points[0], dims)
    stops = [
        concat_layers({name: own if name in moving else first[name] for name, own in split_by_layer(point, dims).items()}, dims) for point in points
    ]
    legs = [interpolate_latents(a, b, dict.fromkeys(moving, shares), dims, straight=line or straight) for a, b in pairwise(stops)]
    return torch.cat([*(leg[:-1] for leg in legs), legs[-1][-1:]]), [index * (frames - 1) for index in range(len(stops))]


def truncate(z: Tensor, psi: float) -> Tensor:
    """Scale latents towards the mean of their distribution: psi z (the truncation trick).

    Images become more typical and less varied (Marchesi 2017). Brock et al. 2019 resample values beyond a threshold, which changes the image of a
    seed; scaling, as Karras et al. 2019 do with w, keeps the image recognizable, is smooth in psi, and works for latents of any origin.

    Args:
        z: Any shape; standard normal.
        psi: 1 changes nothing, to the bit; 0 is the mean image; above 1 exaggerates.

    Raises:
        UsageError: psi is not from 0 to 2.
    """
    if not 0 <= psi <= MAX_TRUNCATION:
        raise UsageError(f"truncation {psi}: choose from 0 (the most typical picture) over 1 (no truncation) to {MAX_TRUNCATION:g}")
    return z if psi == 1 else z * psi


def require_layers(names: Sequence[str], dims: Mapping[str, int]) -> None:
    """Check that layers to change exist, and that there is one.

    Raises:
        UsageError: They do not, or there is none.
    """
    if not names:
        raise UsageError(f"--layer: none is given; choose from {', '.join(dims)}, or leave it out for all of them")
    for name in names:
        require_layer(name, dims, "--layer")


def require_layer(name: str, dims: Mapping[str, int], option: str) -> None:
    """Check that a layer exists.

    Raises:
        UsageError: It does not; the message begins with the option.
    """
    if name not in dims:
        raise UsageError(f"{option}: there is no layer {name!r}; choose from {', '.join(dims)}")
